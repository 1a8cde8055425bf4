//! What a run did to each target, out of the sandbox's records, and what it said of it.

use roleout::event::Event;
use roleout::fleet::{Fleet, Outcome, TargetId, TargetSpec};
use roleout::plan::outline::Action;
use roleout::sandbox::Write;

use crate::simulation::others::Done;
use crate::simulation::run::{History, Ran};
use crate::simulation::scenario::{Deed, Scenario};
use crate::simulation::truth::{self, Deployment};

/// A run under examination.
pub struct Facts<'a> {
    pub scenario: &'a Scenario,
    pub history: &'a History,
    pub ran: &'a Ran,
    /// Whether it brings back what ran before: then that is what it deploys.
    pub rolls_back: bool,
    /// By the number of the target.
    pub targets: Vec<Facets>,
}

/// What became of a target in a run.
#[derive(Debug, Default)]
pub struct Facets {
    /// When each UpdateService and CreateDeployment to what the run deploys took effect.
    pub forward: Vec<u64>,
    /// When each UpdateService to another revision did.
    pub backward: Vec<u64>,
    /// When each UpdateService that names no revision did: settings, there and back.
    pub adjusted: Vec<u64>,
    /// When each RegisterTaskDefinition did.
    pub registered: Vec<u64>,
    /// What the run said: how it ended, and when.
    pub finished: Vec<(Outcome, u64)>,
    pub skipped: Vec<Outcome>,
    /// How it stood at the end, after what was taken back.
    pub last: Option<Outcome>,
    /// Why, in all words that were said of it.
    pub reasons: String,
    /// The service deployment that the first forward UpdateService began.
    pub deployment: Option<Deployment>,
    pub is_codedeploy: bool,
    /// Whether the plan of the run changes it.
    pub has_work: bool,
    /// Whether the plan of the run says that it is blocked.
    pub is_blocked: bool,
}

impl Facets {
    /// When the first write was that begins something.
    pub fn first(&self) -> Option<u64> {
        self.forward.iter().chain(&self.registered).copied().min()
    }

    /// Returns from when to when it surely was in flight; it may have been longer.
    pub fn span(&self, ended: u64) -> Option<(u64, u64)> {
        let begun = self.first()?;
        let told = self.finished.first().map_or(ended, |(_, at)| *at);
        let succeeded = matches!(self.finished.first(), Some((Outcome::Succeeded, _)));
        let known = self.deployment.as_ref().and_then(|deployment| deployment.finished);
        let end = match known {
            Some(finished) if succeeded => finished,
            Some(finished) => finished.min(told),
            None => told,
        };
        Some((begun, end.max(begun)))
    }
}

impl<'a> Facts<'a> {
    pub fn new(scenario: &'a Scenario, history: &'a History, ran: &'a Ran) -> Self {
        let rolls_back = ran.job.rolls_back();
        let mut facts = Self { scenario, history, ran, rolls_back, targets: Vec::new() };
        facts.targets = (0..ran.job.fleet.targets.len()).map(|index| facts.facets(index)).collect();
        facts
    }

    fn facets(&self, index: usize) -> Facets {
        let target = &self.fleet().targets[index];
        let mut facets = Facets { is_codedeploy: target.desired.codedeploy.is_some(), ..Facets::default() };
        let writes = self.ran.calls.writes.iter();
        for write in writes.filter(|write| write.error.is_none() && is_of(write, target)) {
            match (write.operation.as_str(), write.input["taskDefinition"].as_str()) {
                ("RegisterTaskDefinition", _) => facets.registered.push(write.at),
                ("CreateDeployment", _) => facets.forward.push(write.at),
                ("UpdateService", Some(revision)) => {
                    let image = truth::image(&self.history.sandbox, &write.account, &write.region, revision);
                    if self.is_deployed(&image) {
                        facets.forward.push(write.at)
                    } else {
                        facets.backward.push(write.at)
                    }
                }
                ("UpdateService", None) => facets.adjusted.push(write.at),
                _ => {}
            }
        }
        let begun = facets.forward.first().copied();
        let mut deployments = self.ran.deployments.get(index).into_iter().flatten();
        facets.deployment = deployments.find(|one| begun.is_some_and(|at| one.created.abs_diff(at) <= 1)).cloned();
        for stamped in &self.ran.events {
            let at = u64::try_from(stamped.at.as_millisecond()).unwrap_or_default();
            match &stamped.event {
                Event::RunStarted { plan, .. } => {
                    for change in plan.changes.iter().filter(|change| change.target == target.id) {
                        facets.has_work |= change.action.changes();
                        facets.is_blocked |= matches!(change.action, Action::Blocked { .. });
                    }
                }
                Event::RolloutFinished { target: id, outcome, reason, .. } if *id == target.id => {
                    facets.finished.push((*outcome, at));
                    facets.last = Some(*outcome);
                    facets.reasons.push_str(&format!("{reason:?}"));
                }
                Event::RolloutSkipped { target: id, outcome, reason, .. } if *id == target.id => {
                    facets.skipped.push(*outcome);
                    facets.last = Some(*outcome);
                    facets.reasons.push_str(reason);
                }
                Event::TargetDegraded { target: id, reason } if *id == target.id => {
                    facets.last = Some(Outcome::Failed);
                    facets.reasons.push_str(&reason.summary);
                }
                Event::RollbackFinished { target: id, outcome, reason, .. } if *id == target.id => {
                    facets.last = Some(*outcome);
                    facets.reasons.push_str(&reason.summary);
                }
                _ => {}
            }
        }
        facets
    }

    /// Whether an image is one that the run deploys.
    pub fn is_deployed(&self, image: &str) -> bool {
        is_wanted(image) != self.rolls_back
    }

    pub fn fleet(&self) -> &Fleet {
        &self.ran.job.fleet
    }

    pub fn id(&self, index: usize) -> &TargetId {
        &self.fleet().targets[index].id
    }

    /// The id of a target's account, and its region.
    pub fn place(&self, index: usize) -> (&str, &str) {
        let target = &self.fleet().targets[index];
        (target.account.id.as_str(), &target.id.region)
    }

    /// Whether somebody else changed services during the run.
    pub fn is_shared(&self) -> bool {
        let words = ["supersede", "vanish"];
        // What others began beside one job of a pipeline goes on beside the next.
        let beside_a_job = self.history.pipeline.is_some() && !self.scenario.others.is_empty();
        let is_done = beside_a_job || !self.ran.done.is_empty();
        self.ran.disturbed && (is_done || words.iter().any(|word| self.scenario.has_fault(word)))
    }

    /// Whether the run said that nothing new starts.
    pub fn halted(&self) -> bool {
        self.ran.events.iter().any(|stamped| matches!(stamped.event, Event::RunHalted { .. }))
    }

    /// Whether calls failed or were delayed.
    pub fn is_calm(&self) -> bool {
        !self.ran.disturbed || self.scenario.is_calm()
    }

    /// Whether somebody deployed once more what we deploy, while answers were lost: nobody can tell that from our deployment then.
    pub fn is_doubled(&self, index: usize) -> bool {
        let is_double = |done: &Done| done.index == index && done.what == Deed::Repeats && done.deploys;
        !self.is_calm() && self.ran.done.iter().any(is_double)
    }

    /// Whether somebody brought back what ran before, while answers were lost or reads were late: nobody can tell that from our
    /// rollback then.
    pub fn is_brought_back(&self, index: usize) -> bool {
        let is_return = |done: &Done| done.index == index && done.what == Deed::Returns && done.deploys;
        !self.is_calm() && self.ran.done.iter().any(is_return)
    }

    /// Whether the run has a fault with this word.
    pub fn has_fault(&self, word: &str) -> bool {
        self.ran.disturbed && self.scenario.has_fault(word)
    }
}

/// Whether an operation is that of somebody who runs `roleout continue` beside a run, which itself continues nothing.
pub fn is_somebodys(ran: &Ran, operation: &str) -> bool {
    operation == "ContinueServiceDeployment" && !ran.job.continues
}

/// Whether an image is what the manifest wants.
pub fn is_wanted(image: &str) -> bool {
    image.split('@').next().is_some_and(|name| name.ends_with(":v2"))
}

/// Whether a write names a target.
pub fn is_of(write: &Write, target: &TargetSpec) -> bool {
    let name = match write.operation.as_str() {
        "UpdateService" => write.input["service"].as_str().and_then(|service| service.rsplit('/').next()),
        "RegisterTaskDefinition" => write.input["family"].as_str(),
        "CreateDeployment" => write.input["deploymentGroupName"].as_str(),
        "StopServiceDeployment" | "ContinueServiceDeployment" => {
            write.input["serviceDeploymentArn"].as_str().and_then(|arn| arn.rsplit('/').nth(1))
        }
        _ => None,
    };
    write.account == target.account.id.as_str()
        && write.region == *target.id.region
        && name.is_some_and(|name| name == target.service)
}
