//! GitLab beside the job that runs this: its deployments and the notes of its merge requests, by its REST API.
//!
//! Nothing here can fail a run: who calls says in a warning what GitLab did not take. Tokens stay in their secrets.

pub mod deployments;
pub mod deployments_api;
pub mod job;
pub mod note;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::base::secrets;
use crate::base::text::clean;
use crate::web::{Answer, Method, Request, Web, WebError};

/// How long GitLab may take to answer one request.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a request is sent before its error counts.
const ATTEMPTS: u32 = 4;
/// The wait before the second attempt; it doubles from there.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait, whatever `Retry-After` asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// The characters of GitLab's own words that a message repeats.
const QUOTED: usize = 300;
/// The longest answer about one thing that is read, in bytes: a deployment has its commit's message in it.
const LONGEST: usize = 1 << 20;
/// The longest page of a list: a hundred notes, of which some may have a million characters.
const LONGEST_PAGE: usize = 8 << 20;
/// The longest Terraform state that is read.
const LONGEST_STATE: usize = 32 << 20;
/// The longest refusal that words are looked for in.
const LONGEST_REFUSAL: usize = 64 << 10;

/// The header of a job's own token, `CI_JOB_TOKEN`.
pub const JOB_TOKEN: &str = "job-token";
/// The header of a project's or a person's access token.
pub const PRIVATE_TOKEN: &str = "private-token";

/// Why GitLab did not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// There is no answer.
    #[error("GitLab: {0}")]
    Unanswered(WebError),
    /// It refused.
    #[error("GitLab answered HTTP {status}{}", quoted(.said))]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Its own words, in one line, where there were any.
        said: String,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// What answered took it, and gave something else than GitLab gives.
    #[error("GitLab answered HTTP {0}, but not as GitLab does: is a proxy or a sign-in page in between?")]
    Foreign(u16),
}

fn quoted(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}

impl CallError {
    /// Returns the HTTP status, where there was an answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Unanswered(_) => None,
            Self::Refused { status, .. } | Self::Foreign(status) => Some(*status),
        }
    }

    /// Whether GitLab may have done it all the same.
    pub fn is_lost(&self) -> bool {
        match self {
            Self::Unanswered(error) => !matches!(error, WebError::Url | WebError::Plain),
            Self::Refused { status, .. } => *status >= 500,
            Self::Foreign(_) => true,
        }
    }

    /// Whether the same request may do better later.
    fn passes(&self, method: Method) -> bool {
        self.status() == Some(429) || (method != Method::Post && self.is_lost())
    }
}

/// One project's API, with a token.
#[derive(Clone, Debug)]
pub struct Api {
    web: Web,
    root: String,
    project: String,
    header: &'static str,
    token: SecretString,
    /// What the newest attempt of a call ended with, where that was an error.
    last: Arc<Mutex<Option<CallError>>>,
}

impl Api {
    /// Makes a client. `root` is `CI_API_V4_URL`, `project` an id, and `header` [`JOB_TOKEN`] or [`PRIVATE_TOKEN`].
    pub fn new(web: Web, root: &str, project: &str, header: &'static str, token: SecretString) -> Self {
        secrets::hold(token.expose_secret());
        let root = root.trim().trim_end_matches('/').to_owned();
        let project = format!("{root}/projects/{project}");
        Self { web, root, project, header, token, last: Arc::default() }
    }

    /// Returns the same client with errors of its own.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self { last: Arc::default(), ..self.clone() }
    }

    /// Returns what was wrong when it was tried last, for whoever waits no longer.
    pub fn last_error(&self) -> Option<CallError> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn remember(&self, error: Option<CallError>) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }

    /// Sends a request below the project's own URL. What may be repeated without harm is, while GitLab is busy or silent:
    /// reads and changes; a `POST` only where GitLab said that it took nothing.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer, CallError> {
        self.request(method, &format!("{}{path}", self.project), body, LONGEST).await
    }

    /// Returns a page of a list below the project's own URL, and the number of the next page, where there is one.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn page<T: DeserializeOwned>(&self, path: &str) -> Result<(Vec<T>, Option<String>), CallError> {
        let answer = self.request(Method::Get, &format!("{}{path}", self.project), None, LONGEST_PAGE).await?;
        let items = answer.read().ok_or(CallError::Foreign(answer.status))?;
        Ok((items, answer.next_page))
    }

    /// Returns the id of the user that the token acts as: a person, or the bot of a project's or a group's access token.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn user(&self) -> Result<u64, CallError> {
        id_of(&self.request(Method::Get, &format!("{}/user", self.root), None, LONGEST).await?)
    }

    async fn request(
        &self,
        method: Method,
        url: &str,
        body: Option<&Value>,
        longest: usize,
    ) -> Result<Answer, CallError> {
        let mut wait = FIRST_WAIT;
        let mut attempt = 1;
        loop {
            let asked = Request { method, url, secret: Some((self.header, &self.token)), body, longest };
            let error = match self.web.send(asked, PATIENCE).await {
                Ok(answer) if answer.is_success() => {
                    self.remember(None);
                    return Ok(answer);
                }
                Ok(answer) => CallError::Refused {
                    status: answer.status,
                    said: error_text(&answer),
                    retry_after: answer.retry_after,
                },
                Err(error) => CallError::Unanswered(error),
            };
            self.remember(Some(error.clone()));
            if attempt == ATTEMPTS || !error.passes(method) {
                return Err(error);
            }
            let asked_for = match &error {
                CallError::Refused { retry_after, .. } => *retry_after,
                CallError::Unanswered(_) | CallError::Foreign(_) => None,
            };
            tokio::time::sleep(asked_for.unwrap_or(wait).min(LONGEST_WAIT)).await;
            wait *= 2;
            attempt += 1;
        }
    }
}

/// Reads a Terraform state of a project by a job's token. That endpoint takes the token only as a password.
///
/// # Errors
/// See [`CallError`].
pub async fn terraform_state(
    web: Web,
    root: &str,
    (project, state): (&str, &str),
    token: &SecretString,
) -> Result<String, CallError> {
    secrets::hold(token.expose_secret());
    let escaped = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20");
    let basic = format!("Basic {}", BASE64.encode(format!("gitlab-ci-token:{}", token.expose_secret())));
    let api = Api::new(web, root, &escaped(project), "authorization", SecretString::from(basic));
    let url = format!("{}/terraform/state/{}", api.project, escaped(state));
    let answer = api.request(Method::Get, &url, None, LONGEST_STATE).await?;
    match answer.status {
        200 => String::from_utf8(answer.body).map_err(|_| CallError::Foreign(200)),
        // GitLab says so of a state without a version.
        status => Err(CallError::Foreign(status)),
    }
}

/// Returns the id of what GitLab made or changed.
fn id_of(answer: &Answer) -> Result<u64, CallError> {
    #[derive(Deserialize)]
    struct Made {
        id: u64,
    }
    answer.read().map(|made: Made| made.id).ok_or(CallError::Foreign(answer.status))
}

/// What to do about a redirect.
const REDIRECT: &str = "CI_API_V4_URL leads to a redirect: correct the external URL of the GitLab server";

/// Returns GitLab's own words in one line: `message` or `error`, which are a text, a list, or lists by attribute.
fn error_text(answer: &Answer) -> String {
    fn words(value: &Value) -> String {
        match value {
            Value::String(text) => text.clone(),
            Value::Array(items) => items.iter().map(words).collect::<Vec<_>>().join(", "),
            Value::Object(fields) => {
                fields.iter().map(|(name, value)| format!("{name} {}", words(value))).collect::<Vec<_>>().join("; ")
            }
            Value::Null => String::new(),
            other => other.to_string(),
        }
    }
    let body = Some(answer).filter(|answer| answer.body.len() <= LONGEST_REFUSAL).and_then(Answer::read::<Value>);
    let body = body.unwrap_or_default();
    let text =
        ["message", "error_description", "error"].iter().find_map(|key| body.get(key)).map_or_else(String::new, words);
    clean(&text).chars().take(QUOTED).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::web::pretended::{Fate, Server};

    fn api(server: &Server) -> Api {
        Api::new(server.web(), "https://gitlab.example.com/api/v4/", "7", JOB_TOKEN, "secret".into())
    }

    #[test]
    fn gitlab_s_own_words_are_one_clean_line() {
        let said = |body: Value| error_text(&Answer { body: body.to_string().into_bytes(), ..Answer::default() });
        assert_eq!(
            said(json!({ "message": { "name": ["is too long", "is invalid"], "ref": ["can't be blank"] } })),
            "name is too long, is invalid; ref can't be blank"
        );
        assert_eq!(said(json!({ "error": "sha is missing, ref is missing" })), "sha is missing, ref is missing");
        assert!(!said(json!({ "message": "403 Forbidden\u{1b}[2J\n" })).contains('\u{1b}'));
        assert_eq!(said(Value::Null), "");
        assert_eq!(said(json!({ "message": "x".repeat(LONGEST_REFUSAL) })), "", "nothing is looked for in so much");
        let error = CallError::Refused { status: 403, said: "403 Forbidden".into(), retry_after: None };
        assert_eq!(error.to_string(), "GitLab answered HTTP 403: 403 Forbidden");
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_repeated_while_gitlab_is_busy_and_its_wishes_are_kept() {
        let server = Server::new(|_, before| match before {
            0 => Fate::With(429, "retry-after", "20", Value::Null),
            1 => Fate::answering(502, Value::Null),
            2 => Fate::Reset,
            _ => Fate::answering(200, json!({ "id": 1 })),
        });
        let began = tokio::time::Instant::now();
        let answer = api(&server).call(Method::Put, "/deployments/1", Some(&json!({ "status": "success" }))).await;
        assert_eq!(id_of(&answer.expect("at last")), Ok(1));
        assert_eq!(began.elapsed().as_secs(), 20 + 2 + 4);
        let line = "PUT https://gitlab.example.com/api/v4/projects/7/deployments/1";
        assert!(server.arrived().len() == 4 && server.arrived().iter().all(|it| it.line == line));
        assert_eq!(server.arrived()[0].tokens, [("job-token".to_owned(), "secret".to_owned())]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_might_be_done_twice_is_sent_once() {
        for (fate, times) in
            [(Fate::answering(500, Value::Null), 1), (Fate::Reset, 1), (Fate::answering(429, Value::Null), 4)]
        {
            let server = Server::new(move |_, _| fate.clone());
            assert!(api(&server).call(Method::Post, "/deployments", Some(&json!({}))).await.is_err());
            assert_eq!(server.arrived().len(), times);
        }
        let server = Server::new(|_, _| Fate::answering(403, Value::Null));
        assert!(api(&server).call(Method::Get, "/deployments", None).await.is_err());
        assert_eq!(server.arrived().len(), 1, "a refusal stands");
    }
}
