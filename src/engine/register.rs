//! Registering revisions: one at a time for each account, region and family, and never twice for the same definition.
//!
//! Tags that may be left out never fail a rollout: where they are refused, the revision is registered without them. What ECS keeps
//! otherwise than it was sent is told, since each run would register it again.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::aws::ecs::Ecs;
use crate::aws::error::{CallError, Kind};
use crate::aws::permit::Permit;
use crate::base::document::Document;
use crate::engine::exactly_once::{Write, carry_out};
use crate::fleet::commit::{self, Tag};
use crate::fleet::{Revision, TargetSpec};
use crate::task_definition::compose;

/// A revision that a target should run.
#[derive(Clone, Debug)]
pub struct Registered {
    /// Its ARN.
    pub arn: String,
    /// Its family and number.
    pub revision: Revision,
    /// Whether another target of this run had registered it.
    pub reused: bool,
    /// Why it has none of the tags that may be left out, where that is the first time in its account.
    pub untagged: Option<CallError>,
    /// What ECS made of the definition, a line each, where that is the first time for its family.
    pub altered: Vec<String>,
}

/// How many revisions of others are looked through for one whose answer was lost.
const OTHERS: usize = 5;

/// What this run has registered of one family.
#[derive(Debug, Default)]
struct Family {
    registered: Vec<(Document, String)>,
    newest: u64,
}

/// Account, region and family.
type Key = (String, String, String);

/// A revision that is wanted.
pub struct NewRevision<'a> {
    /// What it says.
    pub definition: &'a Document,
    /// Its tags, which may be left out.
    pub tags: &'a [Tag],
    /// The number of the family's newest revision when the plan was made.
    pub newest: u64,
}

/// All families of a run.
#[derive(Debug, Default)]
pub struct Families {
    families: Mutex<HashMap<Key, Arc<tokio::sync::Mutex<Family>>>>,
    /// The ids of the accounts whose role may not tag.
    untaggable: Mutex<HashSet<String>>,
    /// What was told of a family that ECS keeps otherwise.
    altered: Mutex<HashSet<(String, Vec<String>)>>,
}

impl Families {
    /// Registers a definition for a target, or finds that this run has done so already.
    pub async fn register(
        &self,
        target: &TargetSpec,
        ecs: &Ecs,
        wanted: NewRevision<'_>,
        permit: &Permit,
    ) -> Result<Registered, CallError> {
        let NewRevision { definition, tags, newest } = wanted;
        let name = definition.value()["family"].as_str().unwrap_or_default().to_owned();
        let key = (target.account.id.to_string(), target.id.region.to_string(), name.clone());
        let family = {
            let mut families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(families.entry(key).or_default())
        };
        // Held over the call on purpose: ECS refuses two registrations of one family at the same moment.
        let Some(mut family) = permit.hold(family.lock()).await else {
            return Err(CallError::withdrawn("RegisterTaskDefinition"));
        };
        let is_same = |known: &Document| known == definition || compose::same(&definition.value(), &known.value());
        let same = family.registered.iter().find(|(known, _)| is_same(known));
        if let Some((_, arn)) = same {
            return registered(arn.clone(), true);
        }
        let before = family.newest.max(newest);
        let plain = Registration { ecs, definition, tags: &[], family: &name, before };
        let account = target.account.id.as_str();
        let (answer, untagged) = if tags.is_empty() || self.untaggable().contains(account) {
            (carry_out(&plain, permit).await?, None)
        } else {
            match carry_out(&Registration { tags, ..plain }, permit).await {
                Err(error) if is_about_tags(&error) => {
                    // What else is wrong, if anything is, this one says.
                    let answer = carry_out(&plain, permit).await?;
                    let is_first = self.untaggable().insert(account.to_owned());
                    (answer, is_first.then_some(error))
                }
                answer => (answer?, None),
            }
        };
        let arn = answer["taskDefinitionArn"].as_str().unwrap_or_default().to_owned();
        family.newest = answer["revision"].as_u64().unwrap_or(before);
        family.registered.push((definition.clone(), arn.clone()));
        let altered = self.altered(name, &definition.value(), &answer);
        Ok(Registered { untagged, altered, ..registered(arn, false)? })
    }

    /// Returns what ECS made of a definition, unless that was told of the family before.
    fn altered(&self, family: String, sent: &Value, kept: &Value) -> Vec<String> {
        let lines = compose::summary(sent, kept);
        let mut told = self.altered.lock().unwrap_or_else(PoisonError::into_inner);
        if !lines.is_empty() && told.insert((family, lines.clone())) { lines } else { Vec::new() }
    }

    fn untaggable(&self) -> MutexGuard<'_, HashSet<String>> {
        self.untaggable.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a registration may have been refused for its tags: by IAM, which names `ecs:TagResource` or, where a condition
/// is on the tags, the registration itself; or by ECS or a tag policy, which name the tag.
fn is_about_tags(error: &CallError) -> bool {
    match error.kind {
        Kind::Denied => !error.message.contains("iam:PassRole"),
        Kind::Refused => error.message.to_lowercase().contains("tag"),
        Kind::Throttled | Kind::Expired | Kind::Unknown | Kind::NotSent | Kind::NoSession | Kind::Withdrawn => false,
    }
}

/// One RegisterTaskDefinition.
#[derive(Clone, Copy)]
struct Registration<'a> {
    ecs: &'a Ecs,
    definition: &'a Document,
    /// Tags besides those that the definition has.
    tags: &'a [Tag],
    family: &'a str,
    /// The number of the family's newest revision before.
    before: u64,
}

/// The request.
impl fmt::Display for Registration<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tags {
            [] => self.definition.fmt(f),
            tags => commit::tagged(&self.definition.value(), tags).fmt(f),
        }
    }
}

impl Registration<'_> {
    /// Looks for it below the newest revision: somebody else may have registered one since.
    async fn among_older(&self, newest: u64) -> Result<Option<Value>, CallError> {
        for number in (self.before + 1..newest).rev().take(OTHERS) {
            match self.ecs.describe_task_definition(&format!("{}:{number}", self.family)).await {
                Ok(older) if older["status"] == "ACTIVE" && compose::same(&self.definition.value(), &older) => {
                    return Ok(Some(older));
                }
                Err(error) if error.kind != Kind::Refused => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(None)
    }
}

impl Write for Registration<'_> {
    type Answer = Value;

    async fn send(&self, permit: &Permit) -> Result<Value, CallError> {
        self.ecs.register_task_definition(self, permit).await
    }

    async fn took_effect(&self) -> Result<Option<Value>, CallError> {
        match self.ecs.describe_task_definition(self.family).await {
            Ok(newest) => {
                let number = newest["revision"].as_u64().unwrap_or_default();
                if number > self.before && compose::same(&self.definition.value(), &newest) {
                    return Ok(Some(newest));
                }
                self.among_older(number).await
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
    Ok(Registered { arn, revision, reused, untagged: None, altered: Vec::new() })
}
