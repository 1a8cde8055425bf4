//! GitLab deployments of a run: one for each environment that `gitlab.deployments` gives an account.
//!
//! [`Progress`] is pure: which status each environment has, out of the folded events. [`Ledger`] writes it to GitLab,
//! whose Deployments API the job's own token may use. Such a deployment has no job of its own in GitLab, so protected
//! environments and approvals do not wait for it: they are for jobs.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use indexmap::IndexMap;
use serde_json::{Value, json};

use super::job::Job;
use super::{Api, CallError};
use crate::aws::web::Method;
use crate::event::Event;
use crate::fleet::{Outcome, TargetId};
use crate::state::RunState;

/// The status of a GitLab deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// A target of its accounts was started.
    Running,
    /// Every one of them succeeded.
    Success,
    /// One of them failed, whether it went back or not.
    Failed,
    /// None failed, and one was not started or is watched no longer.
    Canceled,
}

impl Status {
    /// Returns GitLab's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }
}

/// How far the environments of a run are.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// The environment of each account, by the manifest's name of it.
    of_account: BTreeMap<String, String>,
    environments: IndexMap<String, Environment>,
    of_target: HashMap<TargetId, usize>,
}

#[derive(Clone, Debug, Default)]
struct Environment {
    targets: Vec<TargetId>,
    /// How many of them have not ended.
    left: usize,
    /// Their waves that bake and are not over: what is healthy is known only then.
    bakes: BTreeSet<String>,
    status: Option<Status>,
}

impl Progress {
    /// Starts with the environments of accounts.
    pub fn new(of_account: BTreeMap<String, String>) -> Self {
        Self { of_account, ..Self::default() }
    }

    /// Takes in an event, after the state did. Returns the environments whose status is another one now.
    pub fn event(&mut self, event: &Event, state: &RunState) -> Vec<(String, Status)> {
        match event {
            Event::RunStarted { .. } => {
                self.take_plan(state);
                Vec::new()
            }
            Event::RolloutStarted { target } => {
                self.change(target, |environment| environment.status.is_none().then_some(Status::Running))
            }
            Event::RolloutFinished { target, .. } | Event::RolloutSkipped { target, .. } => {
                self.change(target, |environment| {
                    environment.left = environment.left.saturating_sub(1);
                    environment.settled(state)
                })
            }
            Event::TargetDegraded { target, .. } | Event::TargetReturned { target, .. } => {
                self.change(target, |environment| environment.settled(state))
            }
            Event::WaveFinished { wave, .. } => self.all(|environment| {
                environment.bakes.remove(wave);
                environment.settled(state)
            }),
            Event::RunFinished => {
                self.all(|environment| environment.status.is_some().then(|| environment.verdict(state)))
            }
            Event::WaveStarted { .. }
            | Event::RevisionRegistered { .. }
            | Event::TagsRefused { .. }
            | Event::RunTaskStarted { .. }
            | Event::RunTaskFinished { .. }
            | Event::RunTaskAwaited { .. }
            | Event::RunTaskNotRun { .. }
            | Event::DeploymentStarted { .. }
            | Event::TasksChanged { .. }
            | Event::StageChanged { .. }
            | Event::HookWaiting { .. }
            | Event::HookEnded { .. }
            | Event::HookNotContinued { .. }
            | Event::ServiceMessage { .. }
            | Event::UndoStarted { .. }
            | Event::UndoImpossible { .. }
            | Event::BakeStarted { .. }
            | Event::RunHalted { .. }
            | Event::GateReached { .. }
            | Event::RunCancelled { .. }
            | Event::Unknown => Vec::new(),
        }
    }

    /// What is unchanged or blocked is no part of a deployment.
    fn take_plan(&mut self, state: &RunState) {
        let bakes: BTreeSet<&str> =
            state.waves().filter(|wave| wave.outline.bake_seconds > 0).map(|wave| wave.outline.name.as_str()).collect();
        for target in state.targets().filter(|target| target.ended.is_none() && !target.is_blocked()) {
            let Some(name) = self.of_account.get(&*target.target.account) else { continue };
            let entry = self.environments.entry(name.clone());
            self.of_target.insert(target.target.clone(), entry.index());
            let environment = entry.or_default();
            environment.targets.push(target.target.clone());
            environment.left += 1;
            if bakes.contains(target.wave.as_str()) {
                environment.bakes.insert(target.wave.clone());
            }
        }
    }

    fn change(
        &mut self,
        target: &TargetId,
        change: impl FnOnce(&mut Environment) -> Option<Status>,
    ) -> Vec<(String, Status)> {
        let found = self.of_target.get(target).and_then(|index| self.environments.get_index_mut(*index));
        found.and_then(|(name, environment)| environment.becomes(name, change)).into_iter().collect()
    }

    fn all(&mut self, mut change: impl FnMut(&mut Environment) -> Option<Status>) -> Vec<(String, Status)> {
        self.environments.iter_mut().filter_map(|(name, environment)| environment.becomes(name, &mut change)).collect()
    }
}

impl Environment {
    fn becomes(&mut self, name: &str, change: impl FnOnce(&mut Self) -> Option<Status>) -> Option<(String, Status)> {
        let status = change(self).filter(|status| self.status != Some(*status))?;
        self.status = Some(status);
        Some((name.to_owned(), status))
    }

    /// Returns what became of it, once all of it is over. One without a target that was started has no deployment.
    fn settled(&self, state: &RunState) -> Option<Status> {
        let over = self.status.is_some() && self.left == 0 && self.bakes.is_empty();
        over.then(|| self.verdict(state))
    }

    fn verdict(&self, state: &RunState) -> Status {
        let outcomes: Vec<Option<Outcome>> =
            self.targets.iter().map(|target| state.target(target)?.outcome()).collect();
        if outcomes.iter().flatten().any(|outcome| outcome.is_failure()) {
            Status::Failed
        } else if outcomes.iter().all(|outcome| matches!(outcome, Some(Outcome::Succeeded | Outcome::Unchanged))) {
            Status::Success
        } else {
            Status::Canceled
        }
    }
}

/// Where deployments are written to.
#[derive(Clone, Debug)]
pub struct Ledger {
    api: Api,
    job: Job,
}

impl Ledger {
    /// Writes as a job.
    pub fn new(api: Api, job: Job) -> Self {
        Self { api, job }
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
            let error = match self.api.call(Method::Post, "/deployments", Some(&body)).await {
                Ok(answer) => return id(&answer.body).ok_or_else(unreadable),
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
            Ok(_) => Ok(()),
            // It refuses the status that a deployment has, so the second of two attempts may be refused.
            Err(error) if error.status() == Some(400) => match self.api.call(Method::Get, &path, None).await {
                Ok(answer) if answer.body["status"] == status.word() => Ok(()),
                _ => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// Returns the newest deployment that is as ours would be: of no job, and of this commit and ref.
    async fn find(&self, environment: &str, status: Status) -> Result<Option<u64>, CallError> {
        let name: String = form_urlencoded::byte_serialize(environment.as_bytes()).collect();
        let word = status.word();
        let path = format!("/deployments?environment={name}&status={word}&order_by=id&sort=desc&per_page=20");
        let answer = self.api.call(Method::Get, &path, None).await?;
        let ours = |it: &&Value| {
            it["deployable"].is_null() && it["sha"] == *self.job.commit && it["ref"] == *self.job.ref_name
        };
        Ok(answer.body.as_array().and_then(|list| list.iter().find(ours)).and_then(id))
    }
}

fn id(deployment: &Value) -> Option<u64> {
    deployment["id"].as_u64()
}

fn unreadable() -> CallError {
    CallError::Refused { status: 200, said: "an answer without an id".to_owned(), retry_after: None }
}

/// Returns what a person is told about an error, and what to do.
pub fn explained(error: &CallError) -> String {
    let why = match error.status() {
        Some(401) => "CI_JOB_TOKEN is not accepted; it is valid only while its job runs",
        Some(403) => {
            "who runs the job may not deploy there: the environment is protected, or the role in the project is below \
             Developer"
        }
        Some(404) => {
            "CI_JOB_TOKEN finds no such project, or no environments in it: are they switched on in its settings?"
        }
        Some(300..=399) => "CI_API_V4_URL leads to a redirect: correct the external URL of the GitLab server",
        _ => return error.to_string(),
    };
    format!("{error}; {why}")
}

#[cfg(test)]
mod tests;
