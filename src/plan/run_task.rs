//! The tasks that a target's work runs before and after its deployment: in words, and how much time they may take.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::Value;

use crate::base::redact;
use crate::fleet::{AccountId, Fleet, Launch, Moment, Per, RunTask, RunTasks, TargetSpec};
use crate::plan::work::Plan;

/// What shares one run of a task: its moment, service and name, and the account where it runs once in each.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shared {
    moment: Moment,
    /// The manifest's name of the service.
    pub service: String,
    /// The manifest's name of the task.
    pub name: String,
    /// The account, where it runs once in each.
    pub account: Option<AccountId>,
}

impl Shared {
    /// Returns what shares the run of a target's task; `None` where it is for the target alone.
    pub fn key(target: &TargetSpec, moment: Moment, task: &RunTask) -> Option<Self> {
        let account = match task.per {
            Per::Target => return None,
            Per::Account => Some(target.account.id.clone()),
            Per::Run => None,
        };
        Some(Self { moment, service: target.id.service.to_string(), name: task.name.clone(), account })
    }
}

/// Says which tasks run: `before: runs the task migrate, once in the account: app ./migrate up`.
pub fn notes(tasks: &RunTasks) -> Vec<String> {
    let note = |(moment, task): (Moment, &RunTask)| {
        let per = task.per.words().map(|words| format!(", {words}")).unwrap_or_default();
        let of = task.task_definition.as_ref().map(|definition| format!(", of {definition}")).unwrap_or_default();
        let command = task.container.iter().chain(task.command.iter().flatten()).map(String::as_str);
        let command = redact::line(&command.collect::<Vec<_>>().join(" "));
        let command = if command.is_empty() { command } else { format!(": {command}") };
        let names: Vec<&str> = task.environment.keys().map(String::as_str).collect();
        let names = if names.is_empty() { String::new() } else { format!(", with {}", names.join(", ")) };
        let network = task.network.as_ref().map(|network| format!(", in the network {network}")).unwrap_or_default();
        let launch = match &task.launch {
            None => String::new(),
            Some(Launch::Type(launch)) => format!(", on {launch}"),
            Some(Launch::CapacityProviders(strategy)) => format!(", on {}", Value::from(strategy.clone())),
        };
        format!("{}: runs the task {}{per}{of}{names}{network}{launch}{command}", moment.word(), task.name)
    };
    tasks.all().map(note).collect()
}

/// Returns why a task cannot run with the definition that the target gets: that has no such container.
pub fn obstacle(tasks: &RunTasks, definition: &Value) -> Option<String> {
    let containers = || definition["containerDefinitions"].as_array().into_iter().flatten();
    let lacks = |task: &RunTask| {
        let container = task.container.as_ref().filter(|_| task.task_definition.is_none())?;
        (!containers().any(|known| known["name"] == **container)).then(|| {
            format!("the task {} is of the container `{container}`, which the task definition does not have", task.name)
        })
    };
    tasks.all().find_map(|(_, task)| lacks(task))
}

/// Returns how long the tasks of each target may take, by its index. What several targets share counts once.
pub fn lengths(fleet: &Fleet, plan: &Plan) -> Vec<Duration> {
    let mut lengths = vec![Duration::ZERO; fleet.targets.len()];
    let mut seen = HashSet::new();
    for &index in fleet.waves.iter().flat_map(|wave| &wave.targets) {
        let tasks = plan.work[index].iter().flat_map(|work| work.run_tasks.all());
        let own = |(moment, task): &(Moment, &RunTask)| {
            Shared::key(&fleet.targets[index], *moment, task).is_none_or(|shared| seen.insert(shared))
        };
        lengths[index] = tasks.filter(own).map(|(_, task)| task.timeout).sum();
    }
    lengths
}
