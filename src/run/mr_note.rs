//! The plan as a note on the merge request. What GitLab does not take changes nothing about the plan.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::base::exit::Exit;
use crate::base::text::hex;
use crate::gitlab::job::{MergeRequest, given};
use crate::gitlab::note::{self, Written};
use crate::gitlab::{Api, CallError, PRIVATE_TOKEN};
use crate::load::environment;
use crate::plan::diff::Values;
use crate::plan::preview::Preview;
use crate::view::{View, markdown};
use crate::web::Web;

/// How long all of it may take: a merge request has a page of notes or two.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A note that is to be written.
#[derive(Clone, Debug)]
pub struct Note {
    name: String,
    request: MergeRequest,
    variable: String,
    token: SecretString,
    allow_http: bool,
}

impl Note {
    /// Finds the merge request and the token in the environment, and says which of them is not there. `name` is what the
    /// note is found again by, `variable` the name of the token's.
    pub fn of_job(name: &str, variable: &str, allow_http: bool, view: &mut View) -> Option<Self> {
        let Some(request) = MergeRequest::read(&environment) else {
            view.note("mr-note: this is no merge request pipeline: no note is written");
            return None;
        };
        let Some(token) = given(&environment, variable).map(SecretString::from) else {
            view.warning(&format!("mr-note: the variable {variable} is not set: no note is written"));
            return None;
        };
        Some(Self { name: name.to_owned(), request, variable: variable.to_owned(), token, allow_http })
    }

    /// Returns the way in which the note shows values of environment variables: as hashes, and the same hash in the next
    /// pipeline, so that the note of a plan that is the same is the same. The salt is as secret as the token.
    pub fn values(&self) -> Values {
        Values::Hashed { salt: hex(&Sha256::digest(format!("roleout note {}", self.token.expose_secret()))) }
    }

    /// Writes the plan, made with the note's own [`Self::values`].
    pub async fn write(&self, mut preview: Preview, view: &mut View) {
        // How long this job's token lives says nothing of the job that deploys, and makes every note another one.
        if let Some(estimate) = preview.time_estimate.as_mut().filter(|estimate| estimate.fits) {
            estimate.limits.clear();
        }
        let (text, of) = (markdown::text(&preview), note::tag(&self.request));
        let (head, rest) = text.split_once('\n').unwrap_or((&text, ""));
        let text = format!("{head}\n\n{of}\n{rest}");
        let iid = &self.request.iid;
        let written = self.request(view, async |api| note::write(api, iid, &self.name, &text).await).await;
        match written {
            Some(Written::Added) => view.note(&format!("the plan is in a new note on merge request !{iid}")),
            Some(Written::Changed) => view.note(&format!("the note on merge request !{iid} has the new plan")),
            Some(Written::Same) => view.note(&format!("the note on merge request !{iid} has this plan already")),
            None => {}
        }
    }

    /// Says in the note of an earlier plan, where there is one, that this commit has none: it would look like this one's.
    pub async fn write_unplanned(&self, exit: Exit, view: &mut View) {
        let why = match exit {
            Exit::Manifest => "the manifest has errors",
            Exit::Preflight => "the way to its accounts is not open",
            Exit::Blocked => "it is refused",
            _ => return,
        };
        let MergeRequest { iid, commit, job, .. } = &self.request;
        let commit = commit.as_deref().unwrap_or("?");
        let job = job.as_ref().map_or_else(|| "The job's log".to_owned(), |url| format!("[The job's log]({url})"));
        let text =
            format!("### roleout plan: none\n\nCould not be planned for commit {commit}: {why}. {job} says more.\n");
        let written = self.request(view, async |api| note::rewrite(api, iid, &self.name, &text).await).await.flatten();
        if written.is_some() {
            view.note(&format!("the note on merge request !{iid} says that there is no plan"));
        }
    }

    /// Asks GitLab for something, and says what it did not take.
    async fn request<T>(&self, view: &mut View, ask: impl AsyncFnOnce(&Api) -> Result<T, CallError>) -> Option<T> {
        let web = match Web::new(self.allow_http) {
            Ok(web) => web,
            Err(error) => {
                view.warning(&format!("mr-note: no note is written: {error}"));
                return None;
            }
        };
        let MergeRequest { api, project, iid, .. } = &self.request;
        let api = Api::new(web, api, project, PRIVATE_TOKEN, self.token.clone());
        let asked = tokio::time::timeout(TIMEOUT, ask(&api)).await;
        let error = match asked {
            Ok(Ok(done)) => return Some(done),
            Ok(Err(error)) => Some(error),
            Err(_) => api.last_error(),
        };
        let why = match error {
            Some(error) => note::explained(&error, &self.variable),
            None => "GitLab did not answer in time".to_owned(),
        };
        view.warning(&format!("mr-note: no note is written on merge request !{iid}: {why}"));
        None
    }
}
