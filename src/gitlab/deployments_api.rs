//! GitLab's own record of deployments, by its Deployments API, which the job's own token may use.
//!
//! Such a deployment has no job of its own in GitLab, so protected environments and approvals do not wait for it: they are
//! for jobs.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use crate::fleet::tier::Tier;
use crate::gitlab::deployments::Status;
use crate::gitlab::job::Job;
use crate::gitlab::{Api, CallError, REDIRECT, id_of};
use crate::web::Method;

/// What is read of a deployment.
#[derive(Deserialize)]
struct Deployment {
    id: u64,
    status: Option<String>,
    sha: Option<String>,
    #[serde(rename = "ref")]
    ref_name: Option<String>,
    /// The job that it is of.
    deployable: Option<IgnoredAny>,
}

/// What is read of an environment.
#[derive(Deserialize)]
struct Environment {
    id: u64,
    tier: Option<String>,
}

/// Where deployments are written to.
#[derive(Clone, Debug)]
pub struct DeploymentsApi {
    api: Api,
    job: Job,
}

impl DeploymentsApi {
    /// Writes as a job.
    pub fn new(api: Api, job: Job) -> Self {
        Self { api, job }
    }

    /// Returns the same ledger with errors of its own.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self { api: self.api.apart(), job: self.job.clone() }
    }

    /// Returns what was wrong when it was tried last, for whoever waits no longer.
    pub fn last_error(&self) -> Option<CallError> {
        self.api.last_error()
    }

    /// Gives an environment a tier, and makes it where there is none.
    ///
    /// # Errors
    /// GitLab did not take it: see [`CallError`].
    pub async fn set_tier(&self, environment: &str, tier: Tier) -> Result<(), CallError> {
        let name: String = form_urlencoded::byte_serialize(environment.as_bytes()).collect();
        let (found, _) = self.api.page::<Environment>(&format!("/environments?name={name}")).await?;
        let tier = tier.word();
        let answer = match found.first() {
            Some(known) if known.tier.as_deref() == Some(tier) => return Ok(()),
            Some(known) => {
                let path = format!("/environments/{}", known.id);
                self.api.call(Method::Put, &path, Some(&json!({ "tier": tier }))).await?
            }
            None => {
                let body = json!({ "name": environment, "tier": tier });
                self.api.call(Method::Post, "/environments", Some(&body)).await?
            }
        };
        id_of(&answer).map(drop)
    }

    /// Records a new deployment of the job's commit, and returns its id. The environment is made where there is none.
    ///
    /// GitLab has no token against doing it twice: after a lost answer it is asked whether it did it.
    ///
    /// # Errors
    /// GitLab did not take it: see [`CallError`].
    pub async fn create(&self, environment: &str, status: Status) -> Result<u64, CallError> {
        let Job { commit, ref_name, tag, .. } = &self.job;
        let body = json!({
            "environment": environment, "sha": commit, "ref": ref_name, "tag": tag, "status": status.word(),
        });
        let mut again = true;
        loop {
            let error = match self.api.call(Method::Post, "/deployments", Some(&body)).await.and_then(|it| id_of(&it)) {
                Ok(id) => return Ok(id),
                Err(error) => error,
            };
            if !error.is_lost() {
                return Err(error);
            }
            match self.find(environment, status).await? {
                Some(id) => return Ok(id),
                None if again => again = false,
                None => return Err(error),
            }
        }
    }

    /// Gives a deployment another status.
    ///
    /// # Errors
    /// GitLab did not take it: see [`CallError`].
    pub async fn update(&self, id: u64, status: Status) -> Result<(), CallError> {
        let path = format!("/deployments/{id}");
        let body = json!({ "status": status.word() });
        match self.api.call(Method::Put, &path, Some(&body)).await {
            Ok(answer) => id_of(&answer).map(drop),
            // It refuses the status that a deployment has, so the second of two attempts may be refused.
            Err(error) if error.status() == Some(400) => match self.api.call(Method::Get, &path, None).await {
                Ok(answer) => {
                    let is = answer.read().and_then(|it: Deployment| it.status);
                    if is.as_deref() == Some(status.word()) { Ok(()) } else { Err(error) }
                }
                Err(_) => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// Returns the newest deployment that is as ours would be: of no job, and of this commit and ref.
    async fn find(&self, environment: &str, status: Status) -> Result<Option<u64>, CallError> {
        let name: String = form_urlencoded::byte_serialize(environment.as_bytes()).collect();
        let word = status.word();
        let path = format!("/deployments?environment={name}&status={word}&order_by=id&sort=desc&per_page=20");
        let (deployments, _) = self.api.page::<Deployment>(&path).await?;
        let ours = |it: &Deployment| {
            let is = |text: &Option<String>, other: &str| text.as_deref() == Some(other);
            it.deployable.is_none() && is(&it.sha, &self.job.commit) && is(&it.ref_name, &self.job.ref_name)
        };
        Ok(deployments.into_iter().find(ours).map(|deployment| deployment.id))
    }
}

/// Returns what a person is told about an error, and what to do.
pub fn explained(error: &CallError) -> String {
    let why = match error.status() {
        Some(401) => "CI_JOB_TOKEN is not accepted; it is valid only while its job runs",
        Some(403) => {
            "the user who runs the job may not deploy there: the environment is protected, or the role in the project is below \
             Developer"
        }
        Some(404) => {
            "CI_JOB_TOKEN finds no such project, or no environments in it: are they switched on in its settings?"
        }
        Some(300..=399) => REDIRECT,
        _ => return error.to_string(),
    };
    format!("{error}; {why}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Value;

    use super::*;
    use crate::gitlab::JOB_TOKEN;
    use crate::web::pretended::{Fate, Server};

    const DEPLOYMENTS: &str = "https://gitlab.example.com/api/v4/projects/7/deployments";

    fn ledger(server: &Server) -> DeploymentsApi {
        let job = Job {
            api: "https://gitlab.example.com/api/v4".to_owned(),
            project: "7".to_owned(),
            commit: "5f2c9d7".to_owned(),
            ref_name: "main".to_owned(),
            tag: false,
        };
        let api = Api::new(server.web(), &job.api, &job.project, JOB_TOKEN, "job-secret".into());
        DeploymentsApi::new(api, job)
    }

    /// The method and what follows the common URL, of each request that arrived.
    fn lines(server: &Server) -> Vec<String> {
        server.arrived().into_iter().map(|it| it.line.replace(DEPLOYMENTS, "")).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_deployment_begins_and_ends() {
        let server = Server::new(|_, _| Fate::answering(201, json!({ "id": 42, "status": "running" })));
        let ledger = ledger(&server);
        assert_eq!(ledger.create("production/eu", Status::Running).await, Ok(42));
        assert_eq!(ledger.update(42, Status::Success).await, Ok(()));
        assert_eq!(lines(&server), ["POST ", "PUT /42"]);
        let arrived = server.arrived();
        assert_eq!(
            arrived[0].body,
            json!({ "environment": "production/eu", "sha": "5f2c9d7", "ref": "main", "tag": false, "status": "running" })
        );
        assert_eq!(arrived[0].tokens, [("job-token".to_owned(), "job-secret".to_owned())]);
        assert_eq!(arrived[1].body, json!({ "status": "success" }));
    }

    #[tokio::test(start_paused = true)]
    async fn an_environment_gets_its_tier_once() {
        let root = "https://gitlab.example.com/api/v4/projects/7";
        let of = async |known: Value| {
            let server = Server::new(move |it, _| match it.line.starts_with("GET") {
                true => Fate::answering(200, known.clone()),
                false => Fate::answering(200, json!({ "id": 3 })),
            });
            assert_eq!(ledger(&server).set_tier("aws/eu 1", Tier::Staging).await, Ok(()));
            let sent = |it: crate::web::pretended::Arrived| (it.line.replace(root, ""), it.body);
            server.arrived().into_iter().map(sent).collect::<Vec<_>>()
        };
        let look = ("GET /environments?name=aws%2Feu+1".to_owned(), Value::Null);
        let made = json!({ "name": "aws/eu 1", "tier": "staging" });
        assert_eq!(of(json!([])).await, [look.clone(), ("POST /environments".to_owned(), made)]);
        let changed = ("PUT /environments/3".to_owned(), json!({ "tier": "staging" }));
        assert_eq!(of(json!([{ "id": 3, "tier": "other" }])).await, [look.clone(), changed]);
        assert_eq!(of(json!([{ "id": 3, "tier": "staging" }])).await, [look]);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_lost_answer_gitlab_is_asked_whether_it_did_it() {
        let running = |id: u64, sha: &str, deployable: Value| json!({ "id": id, "sha": sha, "ref": "main", "deployable": deployable });
        let list = json!([
            running(9, "5f2c9d7", json!({ "id": 1 })),
            running(8, "aaaaaaa", Value::Null),
            running(7, "5f2c9d7", Value::Null)
        ]);
        let server = Server::new(move |it, _| match it.line.starts_with("GET") {
            true => Fate::answering(200, list.clone()),
            false => Fate::Reset,
        });
        assert_eq!(ledger(&server).create("production/eu 1", Status::Running).await, Ok(7), "it did");
        let look = "GET ?environment=production%2Feu+1&status=running&order_by=id&sort=desc&per_page=20";
        assert_eq!(lines(&server), ["POST ", look]);

        let server = Server::new(|it, before| match (it.line.starts_with("GET"), before) {
            (true, _) => Fate::answering(200, json!([])),
            (false, 0) => Fate::answering(502, Value::Null),
            (false, _) => Fate::answering(201, json!({ "id": 8 })),
        });
        assert_eq!(
            ledger(&server).create("production/eu", Status::Running).await,
            Ok(8),
            "it did not, and then it did"
        );

        let server = Server::new(|it, _| match it.line.starts_with("GET") {
            true => Fate::answering(200, json!([])),
            false => Fate::Silent,
        });
        let began = tokio::time::Instant::now();
        let error = ledger(&server).create("production/eu", Status::Running).await.expect_err("silence");
        assert_eq!(explained(&error), "GitLab: no answer within 10s");
        assert_eq!((began.elapsed(), server.arrived().len()), (Duration::from_secs(20), 4), "twice, and no more");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_cannot_be_read_is_a_lost_one() {
        let made = json!([{ "id": 7, "sha": "5f2c9d7", "ref": "main", "deployable": null }]);
        let server = Server::new(move |it, _| match it.line.starts_with("GET") {
            true => Fate::answering(200, made.clone()),
            false => Fate::answering(201, Value::Null),
        });
        assert_eq!(ledger(&server).create("production/eu", Status::Running).await, Ok(7), "GitLab made it");

        let server = Server::new(|it, _| match it.line.starts_with("GET") {
            true => Fate::answering(200, json!([])),
            false => Fate::answering(201, Value::Null),
        });
        let error = ledger(&server).create("production/eu", Status::Running).await.expect_err("unreadable");
        assert!(error.to_string().starts_with("GitLab answered HTTP 201, but not as GitLab does"), "{error}");

        // A page to sign in is no list without ours: nothing is recorded a second time.
        let server = Server::new(|_, _| Fate::answering(200, Value::Null));
        assert_eq!(ledger(&server).create("eu", Status::Running).await, Err(CallError::Foreign(200)));
        assert_eq!(ledger(&server).update(42, Status::Success).await, Err(CallError::Foreign(200)));
        assert_eq!(server.arrived().len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_status_that_is_there_already_is_no_error() {
        let server = Server::new(|it, before| match (it.line.starts_with("GET"), before) {
            (true, _) => Fate::answering(200, json!({ "id": 42, "status": "success" })),
            (false, 0) => Fate::Reset,
            (false, _) => Fate::answering(400, json!({ "message": { "status": ["cannot transition"] } })),
        });
        let ledger = ledger(&server);
        assert_eq!(ledger.update(42, Status::Success).await, Ok(()));
        let error = ledger.update(42, Status::Failed).await.expect_err("it is another one");
        assert_eq!(explained(&error), "GitLab answered HTTP 400: status cannot transition");
    }

    #[test]
    fn refusals_say_what_to_do() {
        let said =
            |status, said: &str| explained(&CallError::Refused { status, said: said.to_owned(), retry_after: None });
        assert_eq!(
            said(403, "403 Forbidden"),
            "GitLab answered HTTP 403: 403 Forbidden; the user who runs the job may not deploy there: the environment is protected, or \
             the role in the project is below Developer"
        );
        assert!(said(401, "").contains("valid only while its job runs"));
        assert!(said(404, "404 Project Not Found").contains("are they switched on"));
        assert!(said(302, "").contains("CI_API_V4_URL leads to a redirect"));
        assert_eq!(said(400, "name is too long"), "GitLab answered HTTP 400: name is too long");
    }
}
