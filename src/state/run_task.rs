//! The tasks of a target's `before` and `after` that were run for it so far.

use jiff::Timestamp;

use crate::event::{Event, TaskEnd};
use crate::fleet::Moment;

/// A task that was run for a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskRun {
    /// The manifest's name of the task.
    pub name: String,
    /// Whether it is one before the deployment or one after it.
    pub moment: Moment,
    /// Its ARN.
    pub task: String,
    /// When it was started.
    pub started_at: Timestamp,
    /// How and when it ended.
    pub ended: Option<(TaskEnd, Timestamp)>,
}

/// Takes in an event about the tasks of a target.
pub(super) fn apply(tasks: &mut Vec<TaskRun>, event: &Event, at: Timestamp) {
    match event {
        Event::RunTaskStarted { target: _, name, moment, task } => {
            tasks.push(TaskRun { name: name.clone(), moment: *moment, task: task.clone(), started_at: at, ended: None })
        }
        Event::RunTaskFinished { target: _, name, moment, end } => {
            let ours = |task: &&mut TaskRun| task.name == *name && task.moment == *moment && task.ended.is_none();
            if let Some(task) = tasks.iter_mut().rev().find(ours) {
                task.ended = Some((*end, at));
            }
        }
        _ => {}
    }
}
