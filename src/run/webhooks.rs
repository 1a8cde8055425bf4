//! Telling the manifest's webhooks how a run goes. It listens like every observer: a webhook that fails changes nothing.

use std::time::Duration;

use secrecy::SecretString;
use tokio::task::JoinSet;

use crate::base::secrets;
use crate::event::Event;
use crate::fleet::Fleet;
use crate::fleet::webhook::{Occasion, Webhook};
use crate::load::environment;
use crate::notify::body;
use crate::state::RunState;
use crate::view::View;
use crate::web::{Web, WebError};

/// How long a webhook may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// And where a signal ended the run, which then has seconds to be gone.
const CANCEL_TIMEOUT: Duration = Duration::from_millis(1_500);

/// A webhook, with what its variables hold.
struct Receiver {
    webhook: Webhook,
    url: String,
    /// The value of `Authorization`.
    key: Option<SecretString>,
}

impl Receiver {
    /// Reads its variables.
    ///
    /// # Errors
    /// The name of one that is not set.
    fn read(webhook: &Webhook) -> Result<Self, String> {
        let given =
            |name: &String| environment(name).filter(|value| !value.trim().is_empty()).ok_or_else(|| name.clone());
        let url = given(&webhook.url_env)?;
        secrets::hold_url(&url);
        let key = webhook.key_env.as_ref().map(given).transpose()?.map(|key| {
            secrets::hold(key.trim());
            SecretString::from(format!("Bearer {}", key.trim()))
        });
        Ok(Self { webhook: webhook.clone(), url, key })
    }
}

/// The webhooks of a run.
#[derive(Default)]
pub struct Notifier {
    webhooks: Vec<Receiver>,
    web: Option<Web>,
    posts: JoinSet<(String, Result<(), WebError>)>,
}

impl Notifier {
    /// Finds the URLs in the environment, and says which are not there. A sandbox run tells nobody.
    pub fn new(fleet: &Fleet, sandbox: bool, allow_http: bool, view: &mut View) -> Self {
        if sandbox || fleet.notify.is_empty() {
            return Self::default();
        }
        let mut webhooks = Vec::new();
        for webhook in &fleet.notify {
            match Receiver::read(webhook) {
                Ok(receiver) => webhooks.push(receiver),
                Err(name) => view.warning(&format!("notify: the variable {name} is not set: nothing is posted")),
            }
        }
        match Web::new(allow_http) {
            Ok(web) => Self { webhooks, web: Some(web), posts: JoinSet::new() },
            Err(error) => {
                view.warning(&format!("notify: nothing is posted: {error}"));
                Self::default()
            }
        }
    }

    /// Posts what an event is an occasion for.
    pub fn event(&mut self, event: &Event, state: &RunState) {
        let occasion = match event {
            Event::RunStarted { .. } => Occasion::Start,
            Event::RunHalted { .. } => Occasion::Halt,
            Event::RunFinished { .. } => Occasion::End,
            _ => return,
        };
        let Some(web) = &self.web else { return };
        let limit = if state.cancelled().is_some() { CANCEL_TIMEOUT } else { TIMEOUT };
        for Receiver { webhook, url, key } in self.webhooks.iter().filter(|it| it.webhook.on.contains(&occasion)) {
            let Some(body) = body(state, occasion, webhook.format) else { continue };
            let (web, url, key, name) = (web.clone(), url.clone(), key.clone(), webhook.url_env.clone());
            self.posts.spawn(async move { (name, web.post(&url, key.as_ref(), &body, limit).await) });
        }
    }

    /// Waits for what is being posted, and returns what a person should know of it.
    pub async fn finish(mut self, cancelled: bool) -> Vec<String> {
        let mut warnings: Vec<String> = Vec::new();
        let limit = if cancelled { CANCEL_TIMEOUT } else { TIMEOUT };
        let deadline = tokio::time::Instant::now() + limit;
        while let Ok(Some(posted)) = tokio::time::timeout_at(deadline, self.posts.join_next()).await {
            match posted {
                Ok((_, Ok(()))) => {}
                Ok((name, Err(error))) => {
                    warnings.push(format!("notify: nothing was posted to the URL in {name}: {error}"))
                }
                Err(_) => warnings.push("notify: this program failed while it posted (a bug)".to_owned()),
            }
        }
        if !self.posts.is_empty() {
            warnings.push("notify: not every webhook answered in time".to_owned());
        }
        warnings
    }
}
