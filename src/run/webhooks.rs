//! Telling the manifest's webhooks how a run goes. It listens like every observer: a webhook that fails changes nothing.

use std::time::Duration;

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

/// The webhooks of a run.
#[derive(Default)]
pub struct Notifier {
    webhooks: Vec<(Webhook, String)>,
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
            match environment(&webhook.url_env).filter(|url| !url.trim().is_empty()) {
                Some(url) => {
                    secrets::hold_url(&url);
                    webhooks.push((webhook.clone(), url));
                }
                None => {
                    view.warning(&format!("notify: the variable {} is not set: nothing is posted", webhook.url_env))
                }
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
            Event::RunHalted { .. } => Occasion::Halt,
            Event::RunFinished { .. } => Occasion::End,
            _ => return,
        };
        let Some(web) = &self.web else { return };
        let limit = if state.cancelled().is_some() { CANCEL_TIMEOUT } else { TIMEOUT };
        for (webhook, url) in self.webhooks.iter().filter(|(webhook, _)| webhook.on.contains(&occasion)) {
            let body = body(state, occasion, webhook.format);
            let (web, url, name) = (web.clone(), url.clone(), webhook.url_env.clone());
            self.posts.spawn(async move { (name, web.post(&url, &body, limit).await) });
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
