//! What the rollouts of a run share.

use std::future::Future;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::aws::ecs::Ecs;
use crate::engine::cancel::Cancel;
use crate::engine::poller::Pollers;
use crate::engine::register::Families;
use crate::engine::shared_tasks::SharedTasks;
use crate::event::Event;
use crate::fleet::{Fleet, TargetSpec};
use crate::plan::work::Work;

/// Gives the ECS client of a target's account and region.
pub type Clients = Arc<dyn Fn(&TargetSpec) -> Arc<Ecs> + Send + Sync>;

/// How many events may wait for a slow reader before the engine waits for it.
pub const EVENTS: usize = 1024;

/// What a run is given by whoever starts it.
pub struct Handles {
    /// The ECS client of each target.
    pub clients: Clients,
    /// Where its events go.
    pub events: mpsc::Sender<Event>,
    /// What stops it.
    pub cancel: Cancel,
}

/// A run: what it works on and what it shares between its rollouts.
pub struct Run {
    pub(crate) fleet: Fleet,
    pub(crate) clients: Clients,
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) cancel: Cancel,
    pub(crate) watches: Pollers,
    pub(crate) families: Families,
    pub(crate) shared_tasks: SharedTasks,
    /// When the targets were read, if not too long ago to matter.
    pub(crate) read_at: Option<Instant>,
    /// What is known of each target with something to do, by its index.
    pub(crate) known: Mutex<Vec<Option<TargetProgress>>>,
    /// Whether it continues the PAUSE hooks of its own deployments.
    pub(crate) continues_hooks: bool,
    /// Whether it was said that there is no session any more.
    pub(crate) blind: AtomicBool,
}

/// What is known of a target with something to do.
#[derive(Debug)]
pub(crate) struct TargetProgress {
    /// Its work: as it was planned, and later by the last look at its service.
    pub(crate) work: Arc<Work>,
    /// Our deployment's id.
    pub(crate) deployment: Option<String>,
    /// Whether its RegisterTaskDefinition may be on its way.
    pub(crate) registers: bool,
    /// Whether its UpdateService may have been sent.
    pub(crate) asked: bool,
}

impl TargetProgress {
    /// Starts with what was planned.
    pub(crate) fn planned(work: Work) -> Self {
        Self { work: Arc::new(work), deployment: None, registers: false, asked: false }
    }
}

impl Run {
    pub(crate) fn ecs(&self, target: &TargetSpec) -> Arc<Ecs> {
        (self.clients)(target)
    }

    /// Returns a target's work, by the last look at its service.
    pub(crate) fn work(&self, index: usize) -> Arc<Work> {
        self.with_progress(index, |known| Arc::clone(&known.work))
    }

    /// Whether there is something to do for a target.
    pub(crate) fn has_work(&self, index: usize) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)[index].is_some()
    }

    /// Reads or changes what is known of a target with something to do.
    pub(crate) fn with_progress<T>(&self, index: usize, with: impl FnOnce(&mut TargetProgress) -> T) -> T {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        with(known[index].as_mut().expect("only targets with work are started"))
    }

    /// Sends an event. Until it is sent it is on the heap: whoever waits would carry it several times over.
    pub(crate) fn emit(&self, event: Event) -> impl Future<Output = ()> {
        let sent = Box::pin(self.events.send(event));
        async move {
            // A reader that has gone away does not stop a run: what was started is still watched to its end.
            let _ = sent.await;
        }
    }
}
