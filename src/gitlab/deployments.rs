//! GitLab deployments of a run: one for each environment that `gitlab.deployments` gives an account.
//!
//! Pure: which status each environment has, out of the folded events. Who writes it to GitLab is `ledger.rs`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use indexmap::IndexMap;

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
    /// One of them failed, whether it was rolled back or not.
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
            Event::TargetDegraded { target, .. } | Event::RollbackFinished { target, .. } => {
                self.change(target, |environment| environment.settled(state))
            }
            Event::WaveFinished { wave, .. } => self.all(|environment| {
                environment.bakes.remove(wave);
                environment.settled(state)
            }),
            Event::RunFinished { .. } => {
                self.all(|environment| environment.status.is_some().then(|| environment.verdict(state)))
            }
            Event::RunRefused { .. }
            | Event::WaveStarted { .. }
            | Event::RevisionRegistered { .. }
            | Event::TagsRefused { .. }
            | Event::SessionLost { .. }
            | Event::DefinitionAltered { .. }
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
            | Event::RollbackStarted { .. }
            | Event::RollbackImpossible { .. }
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

#[cfg(test)]
mod tests;
