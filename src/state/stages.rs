//! The stages of a deployment that has some, and the PAUSE hooks at which it waited.

use jiff::Timestamp;

use crate::event::Hook;
use crate::state::{Pause, Stage};

/// The stages of a deployment and its PAUSE hooks, in the order of their events; empty for ROLLING.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stages {
    /// The stages, the newest last.
    pub stages: Vec<Stage>,
    /// The PAUSE hooks at which it waits or waited, the newest last.
    pub pauses: Vec<Pause>,
}

impl Stages {
    /// Returns the newest stage, also once it is over.
    pub fn stage(&self) -> Option<&Stage> {
        self.stages.last()
    }

    /// Returns the hooks at which it waits.
    pub fn waits(&self) -> impl Iterator<Item = &Hook> {
        self.pauses.iter().filter(|pause| pause.ended_at.is_none()).map(|pause| &pause.hook)
    }

    /// It is at another stage, or its traffic moved.
    pub(super) fn enter(&mut self, stage: Stage) {
        self.end_stage(stage.since);
        self.stages.push(stage);
    }

    /// It waits at a hook.
    pub(super) fn wait(&mut self, hook: &Hook, at: Timestamp) {
        match self.pauses.iter_mut().find(|pause| pause.hook.id == hook.id && pause.ended_at.is_none()) {
            Some(known) => known.hook.clone_from(hook),
            None => self.pauses.push(Pause { hook: hook.clone(), since: at, ended_at: None, status: None }),
        }
    }

    /// A hook waits no longer, as ECS says.
    pub(super) fn end_hook(&mut self, hook: &str, status: &str, at: Timestamp) {
        if let Some(pause) = self.pauses.iter_mut().rfind(|pause| pause.hook.id == hook && pause.status.is_none()) {
            pause.ended_at.get_or_insert(at);
            pause.status = Some(status.to_owned());
        }
    }

    /// The deployment goes on no more: its stage is over, and its hooks wait for nobody.
    pub(super) fn finish(&mut self, at: Timestamp) {
        self.end_stage(at);
        for pause in &mut self.pauses {
            pause.ended_at.get_or_insert(at);
        }
    }

    fn end_stage(&mut self, at: Timestamp) {
        if let Some(stage) = self.stages.last_mut() {
            stage.ended_at.get_or_insert(at);
        }
    }
}
