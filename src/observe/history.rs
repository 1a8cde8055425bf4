//! What a service ran before: the service deployments that ECS keeps for 90 days, or where these cannot be read, the older
//! revisions of its family. It does not choose the revision of a rollback.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt;
use serde_json::Value;

use crate::aws::ecs::{DEPLOYMENTS_PER_CALL, Ecs};
use crate::aws::error::{CallError, Kind};
use crate::base::document::Document;
use crate::fleet::{Fleet, Revision, TargetSpec};
use crate::observe::attempt::Attempt;
use crate::observe::family::{Families, Known};
use crate::observe::{AT_ONCE, Observation, ObserveError, Observed, read_error};

/// Calls at once in each account and region.
const READS: usize = 8;

/// A target's past, or why it could not be read.
pub type Past = Result<History, ObserveError>;

/// The revisions that targets may be rolled back to, by their indices.
pub type Definitions = BTreeMap<usize, Result<Document, ObserveError>>;

/// What a service ran before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum History {
    /// Its deployments, newest first.
    Deployments(Vec<Attempt>),
    /// Only which revisions its family has: whether they ever ran is to be told from what is known of them.
    Revisions {
        /// The ARNs of the ACTIVE ones, newest first.
        arns: Vec<String>,
        /// What is known of the newest few that are older than the present one, newest first.
        older: Vec<Known>,
        /// Why its deployments are not known.
        because: String,
    },
}

/// A service revision that a target's deployments name, by the target's index.
type Named = (usize, String);

/// Reads the past of every target that was seen; the others have none.
pub async fn targets(
    fleet: &Fleet,
    seen: &[Observation],
    client: &dyn Fn(&TargetSpec) -> Arc<Ecs>,
) -> Vec<Option<Past>> {
    let observed = seen.iter().enumerate().filter_map(|(index, seen)| Some((index, seen.as_ref().ok()?)));
    let reads = groups(fleet, observed).into_values().map(|targets| async move {
        let ecs = client(&fleet.targets[targets[0].0]);
        group_past(fleet, &ecs, targets).await
    });
    let mut found = futures::stream::iter(reads).buffer_unordered(AT_ONCE).flat_map(futures::stream::iter);
    let mut all: Vec<Option<Past>> = seen.iter().map(|_| None).collect();
    while let Some((index, past)) = found.next().await {
        all[index] = Some(past);
    }
    all
}

/// Reads the definitions that targets may be rolled back to, whatever their state, each once. `wanted` has their ARNs.
pub async fn definitions(
    fleet: &Fleet,
    wanted: impl IntoIterator<Item = (usize, &str)>,
    client: &dyn Fn(&TargetSpec) -> Arc<Ecs>,
) -> Definitions {
    let reads = groups(fleet, wanted).into_values().map(|targets| async move {
        let of = &fleet.targets[targets[0].0];
        let ecs = &client(of);
        let arns: BTreeSet<&str> = targets.iter().map(|(_, arn)| *arn).collect();
        let reads = futures::stream::iter(arns).map(|arn| async move {
            let read = ecs.describe_task_definition(arn).await;
            (arn, read.map(|found| Document::write(&found)).map_err(|error| read_error(&error, of)))
        });
        let found: BTreeMap<&str, Result<Document, ObserveError>> = reads.buffered(READS).collect().await;
        let read = |(index, arn)| (index, found.get(arn).cloned().expect("every revision was asked for"));
        targets.into_iter().map(read).collect::<Vec<_>>()
    });
    futures::stream::iter(reads).buffer_unordered(AT_ONCE).flat_map(futures::stream::iter).collect().await
}

/// Sorts what there is of targets, with their indices, by account and region.
fn groups<T>(fleet: &Fleet, of: impl IntoIterator<Item = (usize, T)>) -> BTreeMap<(&str, &str), Vec<(usize, T)>> {
    let mut groups: BTreeMap<(&str, &str), Vec<(usize, T)>> = BTreeMap::new();
    for (index, one) in of {
        let target = &fleet.targets[index];
        groups.entry((target.account.id.as_str(), &target.id.region)).or_default().push((index, one));
    }
    groups
}

/// Reads the past of the targets of one account and region.
async fn group_past(fleet: &Fleet, ecs: &Ecs, targets: Vec<(usize, &Observed)>) -> Vec<(usize, Past)> {
    let by_ecs = |observed: &Observed| !observed.service.task_definition.is_empty() && !by_codedeploy(observed);
    let lists = futures::stream::iter(targets.iter().filter(|(_, observed)| by_ecs(observed))).map(|(index, _)| {
        let target = &fleet.targets[*index];
        async move { (*index, ecs.service_deployment_history(&target.cluster, &target.service).await) }
    });
    let mut lists: BTreeMap<usize, Result<Vec<Value>, CallError>> = lists.buffered(READS).collect().await;
    let (definitions, mut unread) = revisions(ecs, named(&lists)).await;
    let families = &Families::default();
    let pasts = futures::stream::iter(targets).map(|(index, observed)| {
        let attempts = lists.remove(&index).map(|briefs| match unread.remove(&index) {
            Some(error) => Err(error),
            None => briefs.map(|briefs| briefs.iter().map(|brief| attempt(brief, &definitions)).collect()),
        });
        let target = &fleet.targets[index];
        async move { (index, target_past(ecs, target, observed, families, attempts).await) }
    });
    pasts.buffered(READS).collect().await
}

fn by_codedeploy(observed: &Observed) -> bool {
    observed.service.controller == "CODE_DEPLOY"
}

/// Makes a target's past of the deployments that ECS lists, or of what else there is.
async fn target_past(
    ecs: &Ecs,
    target: &TargetSpec,
    observed: &Observed,
    families: &Families,
    attempts: Option<Result<Vec<Attempt>, CallError>>,
) -> Past {
    let live = &observed.service.task_definition;
    if live.is_empty() {
        let because = "the service runs no task definition".to_owned();
        return Ok(History::Revisions { arns: Vec::new(), older: Vec::new(), because });
    }
    let attempts = match attempts {
        Some(attempts) => attempts,
        None => crate::observe::codedeploy::attempts(ecs, target, live).await,
    };
    let because = match attempts {
        Ok(attempts) if !attempts.is_empty() => return Ok(History::Deployments(attempts)),
        Ok(_) if by_codedeploy(observed) => "CodeDeploy lists no deployment of the group".to_owned(),
        Ok(_) => "ECS lists no service deployment of the last 90 days".to_owned(),
        Err(error) if matches!(error.kind, Kind::Denied | Kind::Refused) => error.to_string(),
        Err(error) => return Err(read_error(&error, target)),
    };
    let family = live.parse::<Revision>().map_or_else(|_| live.to_owned(), |revision| revision.family);
    let arns = families.active(ecs, target, &family).await.map_err(|error| read_error(&error, target))?;
    let older = families.older(ecs, &arns, &observed.live.value()).await;
    Ok(History::Revisions { arns, older, because })
}

/// Returns the service revisions that deployments name, each once, those of a target one after the other.
fn named(lists: &BTreeMap<usize, Result<Vec<Value>, CallError>>) -> Vec<Named> {
    let briefs = lists.iter().flat_map(|(index, briefs)| briefs.iter().flatten().map(move |brief| (*index, brief)));
    let revision =
        |(index, brief): (usize, &Value)| Some((index, brief["targetServiceRevisionArn"].as_str()?.to_owned()));
    let mut named: Vec<Named> = briefs.filter_map(revision).collect();
    named.sort_unstable();
    named.dedup();
    named
}

/// Reads what service revisions deployed, twenty a call over the services of an account and region. Returns the ARNs of their
/// task definitions by their own, and why those of some targets could not be read.
async fn revisions(ecs: &Ecs, named: Vec<Named>) -> (BTreeMap<String, String>, BTreeMap<usize, CallError>) {
    let (mut definitions, mut unread) = (BTreeMap::new(), BTreeMap::new());
    let mut left: Vec<Vec<Named>> = named.chunks(DEPLOYMENTS_PER_CALL).map(<[Named]>::to_vec).collect();
    while !left.is_empty() {
        let asked = futures::stream::iter(std::mem::take(&mut left)).map(|chunk| async move {
            let arns: Vec<&str> = chunk.iter().map(|(_, arn)| arn.as_str()).collect();
            let answer = ecs.describe_service_revisions(&arns).await;
            (chunk, answer)
        });
        for (chunk, answer) in asked.buffered(READS).collect::<Vec<_>>().await {
            match answer {
                Ok(revisions) => definitions.extend(revisions.iter().filter_map(|revision| {
                    let (own, definition) = (&revision["serviceRevisionArn"], &revision["taskDefinition"]);
                    Some((own.as_str()?.to_owned(), definition.as_str()?.to_owned()))
                })),
                // What is refused of one service does not hide the others.
                Err(error) if matches!(error.kind, Kind::Denied | Kind::Refused) && is_of_several(&chunk) => {
                    left.extend(chunk.chunk_by(|(one, _), (next, _)| one == next).map(<[Named]>::to_vec));
                }
                Err(error) => unread.extend(chunk.iter().map(|(index, _)| (*index, error.clone()))),
            }
        }
    }
    (definitions, unread)
}

fn is_of_several(chunk: &[Named]) -> bool {
    chunk.first().map(|(index, _)| index) != chunk.last().map(|(index, _)| index)
}

fn attempt(brief: &Value, definitions: &BTreeMap<String, String>) -> Attempt {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Attempt {
        task_definition: definitions.get(&text(&brief["targetServiceRevisionArn"])).cloned(),
        status: text(&brief["status"]),
    }
}
