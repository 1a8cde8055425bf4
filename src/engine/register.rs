//! Registering revisions: one at a time for each account, region and family, and never twice for the same definition.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio::time::Instant;

use super::write::{Write, carry_out};
use crate::aws::ecs::Ecs;
use crate::aws::error::{CallError, Kind};
use crate::fleet::{Revision, TargetSpec};
use crate::plan::taskdef;

/// A revision that a target should run.
#[derive(Clone, Debug)]
pub struct Registered {
    /// Its ARN.
    pub arn: String,
    /// Its family and number.
    pub revision: Revision,
    /// Whether another target of this run had registered it.
    pub reused: bool,
}

/// What this run has registered of one family.
#[derive(Debug, Default)]
struct Family {
    registered: Vec<(Arc<Value>, String)>,
    newest: u64,
}

/// Account, region and family.
type Key = (String, String, String);

/// All families of a run.
#[derive(Debug, Default)]
pub struct Families {
    families: Mutex<HashMap<Key, Arc<tokio::sync::Mutex<Family>>>>,
}

impl Families {
    /// Registers a definition for a target, or finds that this run has done so already. `newest` is the number of the
    /// family's newest revision when the plan was made.
    pub async fn register(
        &self,
        target: &TargetSpec,
        ecs: &Ecs,
        definition: &Arc<Value>,
        newest: u64,
    ) -> Result<Registered, CallError> {
        let deadline = Instant::now() + target.timeout;
        let name = definition["family"].as_str().unwrap_or_default().to_owned();
        let key = (target.account.id.to_string(), target.id.region.to_string(), name.clone());
        let family = {
            let mut families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(families.entry(key).or_default())
        };
        // Held over the call on purpose: ECS refuses two registrations of one family at the same moment.
        let mut family = family.lock().await;
        let same = family.registered.iter().find(|(known, _)| taskdef::same(definition, known));
        if let Some((_, arn)) = same {
            return registered(arn.clone(), true);
        }
        let before = family.newest.max(newest);
        let answer = carry_out(&Registration { ecs, definition, family: &name, before }, deadline).await?;
        let arn = answer["taskDefinitionArn"].as_str().unwrap_or_default().to_owned();
        family.newest = answer["revision"].as_u64().unwrap_or(before);
        family.registered.push((Arc::clone(definition), arn.clone()));
        registered(arn, false)
    }
}

/// One RegisterTaskDefinition.
struct Registration<'a> {
    ecs: &'a Ecs,
    definition: &'a Value,
    family: &'a str,
    /// The number of the family's newest revision before.
    before: u64,
}

impl Write for Registration<'_> {
    async fn send(&self) -> Result<Value, CallError> {
        self.ecs.register_task_definition(self.definition).await
    }

    async fn landed(&self) -> Result<Option<Value>, CallError> {
        match self.ecs.describe_task_definition(self.family).await {
            Ok(newest) => {
                let is_new = newest["revision"].as_u64().is_some_and(|number| number > self.before);
                Ok((is_new && taskdef::same(self.definition, &newest)).then_some(newest))
            }
            // A family without any revision is no error here: the registration never arrived.
            Err(error) if error.kind == Kind::Refused => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn registered(arn: String, reused: bool) -> Result<Registered, CallError> {
    let revision = arn.parse().map_err(|error: String| {
        CallError::plain("RegisterTaskDefinition", Kind::Unknown, format!("the answer names no revision: {error}"))
    })?;
    Ok(Registered { arn, revision, reused })
}
