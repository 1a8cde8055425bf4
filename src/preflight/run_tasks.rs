//! The task definitions that tasks of `before` and `after` name themselves: each is read once before anything is changed, so
//! that what it names can be looked for too.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use serde_json::Value;

use crate::aws::denial;
use crate::aws::error::{CallError, Kind};
use crate::base::document::Document;
use crate::connect::Connection;
use crate::fleet::{Fleet, RunTask};
use crate::plan::work::Plan;
use crate::references::finding::Finding;
use crate::references::note::Notes;

/// Definitions read at once.
const CONCURRENCY: usize = 16;
/// A definition is worth so long a wait: what is not known by then is a note.
const LONGEST: Duration = Duration::from_secs(30);

/// An account, a region and a task definition.
type Place<'a> = (&'a str, &'a str, &'a str);

/// What came of reading them.
#[derive(Debug, Default)]
pub struct Named {
    /// The definitions whose tasks run, by their targets' indices.
    pub definitions: Vec<(usize, Document)>,
    /// What is wrong with them, by the targets' indices.
    pub findings: BTreeMap<usize, Vec<Finding>>,
    /// What could not be read.
    pub notes: Notes,
}

/// Reads the definitions that the tasks of a plan name.
pub async fn read(fleet: &Fleet, plan: &Plan, connection: &Connection) -> Named {
    // Each definition of an account and region, with the tasks that name it and their targets.
    let mut asked: BTreeMap<Place<'_>, Vec<(usize, &RunTask)>> = BTreeMap::new();
    for (index, work) in plan.work.iter().enumerate() {
        let target = &fleet.targets[index];
        for (_, task) in work.iter().flat_map(|work| work.run_tasks.all()) {
            if let Some(name) = &task.task_definition {
                let key = (target.account.name.as_str(), &*target.id.region, name.as_str());
                asked.entry(key).or_default().push((index, task));
            }
        }
    }
    let clients = connection.clients();
    let reads = asked.into_iter().map(|((account, _, name), tasks)| {
        let ecs = clients(&fleet.targets[tasks[0].0]);
        async move { (account, name, tasks, tokio::time::timeout(LONGEST, ecs.describe_task_definition(name)).await) }
    });
    let mut named = Named::default();
    let answers: Vec<_> = futures::stream::iter(reads).buffered(CONCURRENCY).collect().await;
    for (account, name, tasks, answer) in answers {
        let answer = answer
            .unwrap_or_else(|_| Err(CallError::plain("DescribeTaskDefinition", Kind::Unknown, "no answer in time")));
        let definition = match answer {
            Ok(definition) => Ok(definition),
            Err(error) if error.kind == Kind::Refused => Err(error),
            Err(error) => {
                named.notes.add(denial::unanswered(&error, "ecs", None), account);
                continue;
            }
        };
        for (index, task) in tasks {
            let finding = match &definition {
                Ok(definition) => wrong(task, name, definition),
                Err(error) => Some(missing(task, name, error)),
            };
            match (finding, &definition) {
                (Some(finding), _) => named.findings.entry(index).or_default().push(finding),
                (None, Ok(definition)) => named.definitions.push((index, Document::write(definition))),
                (None, Err(_)) => {}
            }
        }
    }
    named
}

fn missing(task: &RunTask, name: &str, error: &CallError) -> Finding {
    let reason = format!("the task definition {name} of the task {} cannot be used: {}", task.name, error.message);
    Finding::new(reason.trim_end_matches('.'), "register it, or correct the task's `task_definition` in the manifest")
}

/// Says why a task cannot run with a definition that was read.
fn wrong(task: &RunTask, name: &str, definition: &Value) -> Option<Finding> {
    if let Some(status) = definition["status"].as_str().filter(|status| *status != "ACTIVE") {
        let reason = format!("the task definition {name} of the task {} is {status}", task.name);
        return Some(Finding::new(reason, "name an ACTIVE revision, or register this one's definition again"));
    }
    let container = task.container.as_ref()?;
    let mut containers = definition["containerDefinitions"].as_array().into_iter().flatten();
    (!containers.any(|one| one["name"] == **container)).then(|| {
        let reason = format!(
            "the task {} is of the container `{container}`, which the task definition {name} does not have",
            task.name
        );
        Finding::new(reason, "name a container of that task definition")
    })
}
