//! The revisions of task definition families: what is read of them to tell which of them ran, each thing once however many
//! targets share it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::aws::ecs::Ecs;
use crate::aws::error::CallError;
use crate::fleet::{Commit, Revision, TargetSpec};
use crate::observe::progress::moment;

/// How many revisions that are older than the present one are looked at.
const OLDER: usize = 4;

/// A revision that is older than the present one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Its ARN.
    pub arn: String,
    /// When it was registered.
    pub registered_at: Option<Timestamp>,
    /// When the next revision of its family was registered, whether or not that is still ACTIVE.
    pub until: Option<Timestamp>,
    /// The commit that it was registered for, by its tags.
    pub commit: Commit,
}

/// An answer that several targets wait for.
type Shared<T> = Arc<OnceCell<T>>;

/// An account, a region and a family.
type Place = (String, String, String);
/// The ARNs of revisions.
type Listed = Result<Vec<String>, CallError>;
/// When a revision was registered, and for which commit.
type Origin = (Option<Timestamp>, Commit);

/// What was read of families.
#[derive(Debug, Default)]
pub struct Families {
    /// The ACTIVE revisions of an account, region and family, newest first.
    lists: Mutex<BTreeMap<Place, Shared<Listed>>>,
    /// When a revision was registered and for which commit, by its ARN; `None` where that could not be read.
    revisions: Mutex<BTreeMap<String, Shared<Option<Origin>>>>,
}

impl Families {
    /// Returns the ARNs of a family's ACTIVE revisions, newest first.
    pub async fn active(&self, ecs: &Ecs, target: &TargetSpec, family: &str) -> Listed {
        let key = (target.account.id.to_string(), target.id.region.to_string(), family.to_owned());
        let cell = Arc::clone(self.lists.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default());
        cell.get_or_init(|| ecs.list_task_definitions(family)).await.clone()
    }

    /// Returns the newest few of the revisions that are older than the present one, newest first. `live` is the present
    /// one's definition.
    pub async fn older(&self, ecs: &Ecs, active: &[String], live: &Value) -> Vec<Known> {
        let Some(present) = live["taskDefinitionArn"].as_str().and_then(|arn| arn.parse::<Revision>().ok()) else {
            return Vec::new();
        };
        let number = |arn: &String| arn.parse::<Revision>().map_or(0, |revision| revision.number);
        let mut known = Vec::new();
        for arn in active.iter().filter(|arn| number(arn) < present.number).take(OLDER) {
            let next = number(arn) + 1;
            let until = match arn.rsplit_once(':') {
                _ if next == present.number => live["registeredAt"].as_f64().and_then(moment),
                Some((family, _)) => self.revision(ecs, &format!("{family}:{next}")).await.and_then(|(at, _)| at),
                None => None,
            };
            let (registered_at, commit) = self.revision(ecs, arn).await.unwrap_or_default();
            known.push(Known { arn: arn.clone(), registered_at, until, commit });
        }
        known
    }

    async fn revision(&self, ecs: &Ecs, arn: &str) -> Option<Origin> {
        let revisions = self.revisions.lock();
        let cell = Arc::clone(revisions.unwrap_or_else(PoisonError::into_inner).entry(arn.to_owned()).or_default());
        let read = || async {
            let definition = ecs.describe_task_definition(arn).await.ok()?;
            Some((definition["registeredAt"].as_f64().and_then(moment), Commit::of_revision(&definition)))
        };
        cell.get_or_init(read).await.clone()
    }
}
