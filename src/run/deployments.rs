//! Recording a run's deployments in GitLab. It listens like every observer: what GitLab does not take changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use secrecy::SecretString;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::engine::cancel::Cancel;
use crate::event::Event;
use crate::fleet::Fleet;
use crate::fleet::tier::Tier;
use crate::gitlab::deployments::{Progress, Status};
use crate::gitlab::deployments_api::{DeploymentsApi, explained};
use crate::gitlab::job::{Job, given};
use crate::gitlab::{Api, CallError, JOB_TOKEN};
use crate::load::environment;
use crate::state::RunState;
use crate::view::View;
use crate::web::Web;

/// How many requests are on their way at once.
const CONCURRENCY: usize = 4;
/// The limit after a signal, when GitLab kills the job within seconds.
const CANCEL_CONCURRENCY: usize = 32;
/// How long what is not written yet may take when the run is over.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// And where a signal ended the run.
const CANCEL_TIMEOUT: Duration = Duration::from_millis(1_500);

/// The GitLab deployments of a run.
pub struct Recorder {
    ledger: Option<DeploymentsApi>,
    progress: Progress,
    /// The tiers of the environments, but for that of the job's own: its CI file says it.
    tiers: BTreeMap<String, Tier>,
    wanted: IndexMap<String, watch::Sender<Option<Status>>>,
    places: Arc<Semaphore>,
    /// Set when the run is over: pending requests then get the short timeout.
    over: watch::Sender<bool>,
    records: JoinSet<Vec<RecordError>>,
}

/// What GitLab did not take, and why.
struct RecordError {
    environment: String,
    what: &'static str,
    why: String,
}

impl Default for Recorder {
    /// Records nothing.
    fn default() -> Self {
        Self::with_api(BTreeMap::new(), BTreeMap::new(), None)
    }
}

impl Recorder {
    /// Finds the job in the environment, and says what it lacks. A sandbox run records nothing.
    pub fn new(fleet: &Fleet, sandbox: bool, allow_http: bool, view: &mut View) -> Self {
        if sandbox || fleet.environments.is_empty() {
            return Self::default();
        }
        let token = given(&environment, "CI_JOB_TOKEN").map(SecretString::from);
        let (job, token) = match (Job::read(&environment), token) {
            (Ok(job), Some(token)) => (job, token),
            (Err(_), None) => {
                view.note("gitlab: this is no job of GitLab's: no deployments are recorded");
                return Self::default();
            }
            (job, token) => {
                let mut missing = job.err().unwrap_or_default();
                missing.extend(token.is_none().then_some("CI_JOB_TOKEN"));
                view.warning(&format!("gitlab: no deployments are recorded: not set: {}", missing.join(", ")));
                return Self::default();
            }
        };
        match Web::new(allow_http) {
            Ok(web) => {
                let api = Api::new(web, &job.api, &job.project, JOB_TOKEN, token);
                let mut tiers = fleet.tiers.clone();
                tiers.retain(|name, _| given(&environment, "CI_ENVIRONMENT_NAME").as_ref() != Some(name));
                Self::with_api(fleet.environments.clone(), tiers, Some(DeploymentsApi::new(api, job)))
            }
            Err(error) => {
                view.warning(&format!("gitlab: no deployments are recorded: {error}"));
                Self::default()
            }
        }
    }

    fn with_api(
        environments: BTreeMap<String, String>,
        tiers: BTreeMap<String, Tier>,
        ledger: Option<DeploymentsApi>,
    ) -> Self {
        Self {
            ledger,
            progress: Progress::new(environments),
            tiers,
            wanted: IndexMap::new(),
            places: Arc::new(Semaphore::new(CONCURRENCY)),
            over: watch::Sender::new(false),
            records: JoinSet::new(),
        }
    }

    /// Has written what an event changes.
    pub fn event(&mut self, event: &Event, state: &RunState) {
        let Some(ledger) = &self.ledger else { return };
        for (name, status) in self.progress.event(event, state) {
            let sender = self.wanted.entry(name).or_insert_with_key(|name| {
                let (sender, receiver) = watch::channel(None);
                let record = Record {
                    ledger: ledger.apart(),
                    environment: name.clone(),
                    tier: self.tiers.get(name).copied(),
                    tier_error: None,
                    asked: false,
                    deployment: None,
                };
                self.records.spawn(record.run(receiver, Arc::clone(&self.places), self.over.subscribe()));
                sender
            });
            // What is superseded before it was written is not written: only the newest status counts.
            sender.send_replace(Some(status));
        }
    }

    /// Waits for what is being written, and returns what a person should know of it.
    pub async fn finish(mut self, cancel: &Cancel) -> Vec<String> {
        self.wanted.clear();
        let mut deadline = tokio::time::Instant::now() + REQUEST_TIMEOUT;
        let (mut hurry, mut over) = (false, false);
        let (mut warnings, mut troubles) = (Vec::new(), IndexMap::<(&str, String), Vec<String>>::new());
        loop {
            let recorded = tokio::select! {
                biased;
                recorded = self.records.join_next() => recorded,
                () = cancel.cancelled(), if !hurry => {
                    hurry = true;
                    deadline = deadline.min(tokio::time::Instant::now() + CANCEL_TIMEOUT);
                    self.places.add_permits(CANCEL_CONCURRENCY - CONCURRENCY);
                    continue;
                }
                () = tokio::time::sleep_until(deadline), if !over => {
                    over = true;
                    self.over.send_replace(true);
                    continue;
                }
            };
            let Some(recorded) = recorded else { break };
            match recorded {
                Ok(errors) => {
                    for it in errors {
                        troubles.entry((it.what, it.why)).or_default().push(it.environment);
                    }
                }
                Err(_) => warnings.push("gitlab: this program failed while it recorded deployments (a bug)".to_owned()),
            }
        }
        for ((what, why), environments) in troubles {
            let more =
                if environments.len() > 1 { format!(" and {} more", environments.len() - 1) } else { String::new() };
            warnings.push(format!("gitlab: {what} in environment {}{more}: {why}", environments[0]));
        }
        warnings
    }
}

/// One environment's deployment.
struct Record {
    ledger: DeploymentsApi,
    environment: String,
    /// Its tier, until it was asked for.
    tier: Option<Tier>,
    tier_error: Option<CallError>,
    /// Whether GitLab was asked for it.
    asked: bool,
    /// Its id, once GitLab has it.
    deployment: Option<u64>,
}

impl Record {
    /// Writes its statuses until none follows, or nobody waits any longer.
    async fn run(
        mut self,
        wanted: watch::Receiver<Option<Status>>,
        places: Arc<Semaphore>,
        mut over: watch::Receiver<bool>,
    ) -> Vec<RecordError> {
        let ended = tokio::select! {
            biased;
            error = self.write(wanted, places) => error.map(|error| (Some(error), false)),
            _ = over.wait_for(|over| *over) => Some((self.ledger.last_error(), true)),
        };
        let tier = self.tier_error.as_ref().map(|error| RecordError {
            environment: self.environment.clone(),
            what: "the tier is not set",
            why: explained(error),
        });
        tier.into_iter().chain(ended.map(|(error, late)| self.explain(error, late))).collect()
    }

    /// Says what is not as it should be in GitLab, and why.
    fn explain(self, error: Option<CallError>, late: bool) -> RecordError {
        let known = !late || !self.asked || error.as_ref().is_some_and(|error| !error.is_lost());
        let what = match (self.deployment, known) {
            (None, true) => "no deployment is recorded",
            (None, false) => "a deployment may not be recorded",
            (Some(_), true) => "the deployment keeps a status that is out of date",
            (Some(_), false) => "the deployment may keep a status that is out of date",
        };
        let why = match error {
            Some(error) => explained(&error),
            None if self.asked => "GitLab did not answer in time".to_owned(),
            None => "GitLab did not answer the requests before it in time".to_owned(),
        };
        RecordError { environment: self.environment, what, why }
    }

    /// What GitLab refused once is not tried again.
    async fn write(
        &mut self,
        mut wanted: watch::Receiver<Option<Status>>,
        places: Arc<Semaphore>,
    ) -> Option<CallError> {
        while wanted.changed().await.is_ok() {
            let _place = places.acquire().await.ok()?;
            let Some(status) = *wanted.borrow_and_update() else { continue };
            // A deployment counts by the tier that its environment has.
            if let Some(tier) = self.tier.take() {
                self.tier_error = self.ledger.set_tier(&self.environment, tier).await.err();
            }
            let written = match self.deployment {
                None => {
                    self.asked = true;
                    self.ledger.create(&self.environment, status).await.map(|id| self.deployment = Some(id))
                }
                Some(id) => self.ledger.update(id, status).await,
            };
            if let Err(error) = written {
                return Some(error);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::engine::cancel::Signal;
    use crate::event::Stamper;
    use crate::fleet::{OnCancel, OnFailure, Outcome, TargetId};
    use crate::plan::outline::{Action, ChangeOutline, Outline, WaveOutline};
    use crate::web::pretended::{Arrived, Fate, Server};

    const ACCOUNTS: usize = 12;

    fn target(number: usize) -> TargetId {
        format!("a{number}/eu-west-1/api").try_into().expect("a target")
    }

    /// Records a run of accounts with one target each, all of which start and then end in this way.
    async fn recorded(server: &Server, outcome: Outcome, cancel: &Cancel) -> Vec<String> {
        recorded_with(server, outcome, cancel, BTreeMap::new()).await
    }

    async fn recorded_with(
        server: &Server,
        outcome: Outcome,
        cancel: &Cancel,
        tiers: BTreeMap<String, Tier>,
    ) -> Vec<String> {
        let job = Job {
            api: "https://gitlab.example.com/api/v4".into(),
            project: "7".into(),
            commit: "5f2c9d7".into(),
            ref_name: "v1".into(),
            tag: true,
        };
        let api = Api::new(server.web(), &job.api, &job.project, JOB_TOKEN, "job-secret".into());
        let environments = (0..ACCOUNTS).map(|number| (format!("a{number}"), format!("production/a{number}")));
        let mut recorder = Recorder::with_api(environments.collect(), tiers, Some(DeploymentsApi::new(api, job)));
        let change = |number: usize| ChangeOutline {
            target: target(number),
            account_id: "111111111111".parse().expect("an id"),
            cluster: "web".into(),
            service: "api".into(),
            wave: "all".into(),
            action: Action::Register,
            from: None,
            to: None,
            summary: Vec::new(),
        };
        let wave = WaveOutline {
            name: "all".into(),
            targets: ACCOUNTS,
            changing: ACCOUNTS,
            max_parallel: "100%".into(),
            max_failures: 0,
            worst_case_failures: ACCOUNTS,
            bake_seconds: 0,
            alarms: 0,
            gate: false,
            on_failure: OnFailure::Stop,
            on_cancel: OnCancel::Detach,
        };
        let plan = Outline { waves: vec![wave], changes: (0..ACCOUNTS).map(change).collect(), console: None };
        let starts = (0..ACCOUNTS).map(|number| Event::RolloutStarted { target: target(number) });
        let ends = (0..ACCOUNTS).map(|number| Event::RolloutFinished {
            target: target(number),
            outcome,
            reason: None,
            revision: None,
        });
        let (mut state, mut stamper) = (RunState::new(), Stamper::new("r1"));
        let mut tell = |event| {
            let stamped = stamper.stamp(jiff::Timestamp::default(), event);
            state.apply(&stamped);
            recorder.event(&stamped.event, &state);
        };
        tell(Event::RunStarted { plan, sandbox: false, job: crate::event::Job::default() });
        starts.for_each(&mut tell);
        // As long as a rollout takes.
        tokio::time::sleep(Duration::from_secs(60)).await;
        ends.for_each(&mut tell);
        tell(Event::finished());
        recorder.finish(cancel).await
    }

    /// A GitLab that takes everything, after a time.
    fn willing(after: Duration) -> Server {
        Server::new(move |it, before| {
            let number = it.body["environment"].as_str().and_then(|name| name.rsplit('a').next()?.parse::<u64>().ok());
            Fate::Answer(after, 201, json!({ "id": number.unwrap_or(before as u64) }))
        })
    }

    fn posts(server: &Server) -> Vec<Arrived> {
        server.arrived().into_iter().filter(|it| it.line.starts_with("POST")).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn each_account_s_deployment_runs_and_then_ends() {
        let server = willing(Duration::from_millis(200));
        assert_eq!(recorded(&server, Outcome::Succeeded, &Cancel::default()).await, [""; 0]);
        let arrived = server.arrived();
        assert_eq!(arrived.len(), 2 * ACCOUNTS);
        assert!(posts(&server).iter().all(|it| it.body["status"] == "running" && it.body["tag"] == true));
        for number in 0..ACCOUNTS {
            let line = format!("PUT https://gitlab.example.com/api/v4/projects/7/deployments/{number}");
            let ends: Vec<&Arrived> = arrived.iter().filter(|it| it.line == line).collect();
            assert!(ends.len() == 1 && ends[0].body == json!({ "status": "success" }), "{number}: {ends:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_tier_is_set_before_the_deployment_and_its_refusal_keeps_none_back() {
        let tiers = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), Tier::Staging)).collect();
        let server = Server::new(|it, before| match it.line.contains("/environments") {
            true if it.line.starts_with("GET") => Fate::answering(200, json!([])),
            true => Fate::answering(403, json!({ "message": "403 Forbidden" })),
            false => Fate::answering(201, json!({ "id": before })),
        });
        let tiers = tiers(&["production/a3", "production/a4"]);
        let warnings = recorded_with(&server, Outcome::Succeeded, &Cancel::default(), tiers).await;
        let told = "gitlab: the tier is not set in environment production/a3 and 1 more: GitLab answered HTTP 403: 403 Forbidden";
        assert!(warnings.len() == 1 && warnings[0].starts_with(told), "{warnings:?}");
        assert_eq!(posts(&server).iter().filter(|it| it.line.ends_with("/deployments")).count(), ACCOUNTS);
        let place = |name: &str, of: &str| {
            let is = |it: &Arrived| it.line.ends_with(of) && it.body.to_string().contains(name);
            server.arrived().iter().position(is).expect("a request")
        };
        assert!(place("production/a3", "/environments") < place("production/a3", "/deployments"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_cause_is_said_once_and_what_is_refused_is_not_tried_again() {
        let server = Server::new(|it, _| match it.body["environment"] == "production/a1" {
            true => Fate::answering(201, json!({ "id": 1 })),
            false if it.line.ends_with("/deployments/1") => Fate::answering(404, Value::Null),
            false => Fate::answering(403, json!({ "message": "403 Forbidden" })),
        });
        let warnings = recorded(&server, Outcome::Failed, &Cancel::default()).await;
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        let protected = "gitlab: no deployment is recorded in environment production/a0 and 10 more: GitLab answered HTTP \
                         403: 403 Forbidden; the user who runs the job may not deploy there: the environment is protected, or the \
                         role in the project is below Developer";
        assert!(warnings.contains(&protected.to_owned()), "{warnings:?}");
        let gone = "gitlab: the deployment keeps a status that is out of date in environment production/a1: ";
        assert!(warnings.iter().any(|warning| warning.starts_with(gone)), "{warnings:?}");
        assert!(!warnings.concat().contains("job-secret"));
        assert_eq!(server.arrived().len(), ACCOUNTS + 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_gitlab_delays_the_end_by_seconds_and_a_cancelled_one_by_less() {
        let server = Server::new(|_, _| Fate::Silent);
        let began = tokio::time::Instant::now();
        let warnings = recorded(&server, Outcome::Succeeded, &Cancel::default()).await;
        assert!(began.elapsed() <= Duration::from_secs(60) + REQUEST_TIMEOUT, "{:?}", began.elapsed());
        assert!(!warnings.is_empty());

        let cancel = Cancel::default();
        cancel.cancel(Signal::Terminate);
        let (server, began) = (Server::new(|_, _| Fate::Silent), tokio::time::Instant::now());
        let warnings = recorded(&server, Outcome::Detached, &cancel).await;
        assert!(began.elapsed() <= Duration::from_secs(60) + CANCEL_TIMEOUT, "{:?}", began.elapsed());
        assert!(warnings.concat().contains("GitLab did not answer in time"), "{warnings:?}");

        let server = Server::new(|_, _| Fate::With(429, "retry-after", "60", Value::Null));
        let warnings = recorded(&server, Outcome::Succeeded, &Cancel::default()).await;
        let none = |warning: &String| warning.starts_with("gitlab: no deployment is recorded in environment");
        assert!(warnings.iter().all(none), "those that were never asked for, too: {warnings:?}");
        let throttled = |warning: &String| warning.ends_with(" more: GitLab answered HTTP 429");
        assert!(warnings.iter().any(throttled), "{warnings:?}");

        let server = willing(Duration::from_secs(1));
        assert_eq!(recorded(&server, Outcome::Detached, &cancel).await, [""; 0], "all at once, within the time");
        let ends = server.arrived().into_iter().filter(|it| it.body == json!({ "status": "canceled" })).count();
        assert_eq!(ends, ACCOUNTS);
    }
}
