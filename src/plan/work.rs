//! What is to be done: the part of a plan that the engine carries out.

use std::collections::BTreeMap;
use std::collections::HashMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;

use crate::base::document::{Document, SharedDocuments};
use crate::base::redact;
use crate::fleet::codedeploy::CodeDeploy;
use crate::fleet::commit::Tag;
use crate::fleet::lookup::{Found, StateSource, Store};
use crate::fleet::{Fleet, RunTasks, TargetId, TargetSpec};
use crate::observe::service::LiveService;
use crate::plan::outline::{Action, Outline};

/// A plan: what people see of it, and what the engine carries out.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What each target needs, for people, events and reports.
    pub outline: Outline,
    /// The work, indexed as the fleet's targets; `None` where there is nothing to do or the target is blocked.
    pub work: Vec<Option<Work>>,
}

impl Plan {
    /// Blocks targets, by their indices into the fleet's, each with a reason and what to do about it.
    pub fn block(&mut self, fleet: &Fleet, mut reasons: BTreeMap<usize, (String, String)>) {
        let indices: HashMap<&TargetId, usize> =
            reasons.keys().map(|&index| (&fleet.targets[index].id, index)).collect();
        for change in &mut self.outline.changes {
            let Some(&index) = indices.get(&change.target) else { continue };
            let Some((reason, help)) = reasons.remove(&index) else { continue };
            self.work[index] = None;
            change.action = Action::Blocked { reason, help: Some(help) };
            change.to = None;
            change.summary = Vec::new();
        }
        self.outline.recount();
    }
}

/// What is to be done to one target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Work {
    /// Which task definition it should run.
    pub definition: Definition,
    /// The desired count to set.
    pub desired_count: Option<u32>,
    /// The `deploymentConfiguration` to set, in ECS's own terms.
    pub deployment: Option<Value>,
    /// The task definition's ARN that the service had when the plan was made.
    pub from: String,
    /// The ids of the deployments that it had then, PRIMARY first.
    pub deployments: Vec<String>,
    /// What a rollback restores.
    pub before: PreviousState,
    /// Somebody else's deployment, in progress, whose place ours takes.
    #[serde(default)]
    pub supersedes: Option<String>,
    /// What is run before and after the deployment; nothing where there is none.
    #[serde(default, skip_serializing_if = "RunTasks::is_empty")]
    pub run_tasks: RunTasks,
    /// How CodeDeploy deploys it; absent where ECS does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codedeploy: Option<CodeDeploy>,
    /// What its definition was chosen by, where the manifest does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen_by: Option<String>,
    /// What was looked up for it when the plan was made, and is in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<LookedUp>,
}

/// A value that was looked up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LookedUp {
    /// The reference to it, such as `${ssm:/path}`.
    pub reference: String,
    /// The value as text.
    pub value: String,
    /// What it was read from, for people.
    pub source: String,
    /// The Terraform state that it is in, where another job can read that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<StateSource>,
}

impl LookedUp {
    /// Returns what was looked up for a target.
    pub fn of_target(target: &TargetSpec) -> Vec<Self> {
        let found = target.desired.lookups.iter().filter_map(|(lookup, asked)| {
            let Found { text, source, .. } = asked.found.as_ref()?;
            let state = target.desired.state_of(lookup).filter(|_| lookup.store == Store::Tfstate);
            let state = state.filter(|state| !matches!(state, StateSource::File { .. })).cloned();
            Some(Self { reference: lookup.to_string(), value: text.clone(), source: source.clone(), state })
        });
        found.collect()
    }

    /// Returns the value with where it is from, in a line.
    pub fn line(&self) -> String {
        format!("{} is {} ({})", self.reference, redact::line(&self.value), self.source)
    }
}

impl Work {
    /// Starts with a definition and what was seen of the service.
    pub fn new(definition: Definition, service: &LiveService) -> Self {
        let primary = service.primary().into_iter();
        let others = service.deployments.iter().filter(|deployment| deployment.status != "PRIMARY");
        let deployments = primary.chain(others).map(|deployment| deployment.id.clone()).collect();
        let before = PreviousState::capture(service, &definition);
        let from = service.task_definition.clone();
        let run_tasks = RunTasks::default();
        let (desired_count, deployment, supersedes) = (None, None, None);
        let (codedeploy, chosen_by) = (None, None);
        Self {
            definition,
            desired_count,
            deployment,
            from,
            deployments,
            before,
            supersedes,
            run_tasks,
            codedeploy,
            chosen_by,
            values: Vec::new(),
        }
    }
}

impl Work {
    /// Keeps the documents that other work has too only once.
    #[must_use]
    pub fn sharing(mut self, shared: &mut SharedDocuments) -> Self {
        if let Definition::Register { definition, .. } = &mut self.definition {
            *definition = shared.share(std::mem::take(definition));
        }
        self.before.deployment = shared.share(std::mem::take(&mut self.before.deployment));
        self
    }

    /// Forgets what was to be registered, which is most of what it holds, once that is and nothing is compared with it any more.
    #[must_use]
    pub fn once_registered(mut self) -> Self {
        if let Definition::Register { definition, tags, .. } = &mut self.definition {
            (*definition, *tags) = (Document::default(), Vec::new());
        }
        self
    }
}

/// Which task definition a target should run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Definition {
    /// The one that it runs.
    Keep,
    /// One that exists.
    Existing {
        /// Its ARN.
        arn: String,
        /// Deploy it even though the service has it already.
        force: bool,
    },
    /// A new revision.
    Register {
        /// What to register, in AWS's JSON.
        #[schemars(with = "serde_json::Map<String, Value>")]
        definition: Document,
        /// The family's newest ACTIVE revision when the plan was made; 0 where the family is new.
        newest: u64,
        /// More tags than the definition has of its own: the commit, and those of the revision that it was made from.
        /// It does without them where the role may not tag.
        #[serde(default)]
        tags: Vec<Tag>,
    },
    /// The one that it runs, whose deployment is still under way: it is only watched.
    Follow {
        /// The deployment's id.
        deployment: String,
    },
    /// The one that completed last: the deployment that is under way is stopped, and ECS rolls back.
    Return {
        /// The deployment's id.
        deployment: String,
    },
}

/// What a service had when its work was planned.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PreviousState {
    /// The ARN of the task definition that had completed; `null` where there was none other than the wanted one.
    pub task_definition: Option<String>,
    /// The desired count.
    pub desired_count: u32,
    /// `deploymentConfiguration`, in ECS's own terms.
    #[schemars(with = "Value")]
    pub deployment: Document,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_registered_is_forgotten_and_all_else_stays() {
        let service = LiveService::read(&json!({ "taskDefinition": "api:1", "desiredCount": 2 }));
        let tags = vec![Tag { key: "commit".to_owned(), value: "1".to_owned() }];
        let definition = Document::write(&json!({ "family": "api" }));
        let work = Work::new(Definition::Register { definition, newest: 1, tags }, &service);
        let nothing = Definition::Register { definition: Document::default(), newest: 1, tags: Vec::new() };
        assert_eq!(work.clone().once_registered(), Work { definition: nothing, ..work });
        let kept = Work::new(Definition::Keep, &service);
        assert_eq!(kept.clone().once_registered(), kept);
    }
}
