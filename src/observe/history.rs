//! What a service ran before: the service deployments that ECS keeps for 90 days, or where these cannot be read, the older
//! revisions of its family. It does not choose the revision of a rollback.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;
use serde_json::Value;

use crate::aws::ecs::{DEPLOYMENTS_PER_CALL, Ecs};
use crate::aws::error::{CallError, Kind};
use crate::base::document::Document;
use crate::fleet::{Fleet, Revision, TargetSpec};
use crate::observe::attempt::Attempt;
use crate::observe::family::{Families, Known};
use crate::observe::{Observation, ObserveError, Observed, read_error};

/// Targets whose past is read at once.
const AT_ONCE: usize = 32;

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

/// Reads the past of every target that was seen; the others have none.
pub async fn targets(
    fleet: &Fleet,
    seen: &[Observation],
    client: &dyn Fn(&TargetSpec) -> Arc<Ecs>,
) -> Vec<Option<Past>> {
    let families = &Families::default();
    let reads = fleet.targets.iter().zip(seen).map(|(target, seen)| async move {
        let observed = seen.as_ref().ok()?;
        Some(target_past(&client(target), target, observed, families).await)
    });
    futures::stream::iter(reads).buffered(AT_ONCE).collect().await
}

/// Reads a definition that a target may be rolled back to, whatever its state.
pub async fn definition(ecs: &Ecs, target: &TargetSpec, arn: &str) -> Result<Document, ObserveError> {
    ecs.describe_task_definition(arn)
        .await
        .map(|found| Document::write(&found))
        .map_err(|error| read_error(&error, target))
}

async fn target_past(ecs: &Ecs, target: &TargetSpec, observed: &Observed, families: &Families) -> Past {
    let live = &observed.service.task_definition;
    if live.is_empty() {
        let because = "the service runs no task definition".to_owned();
        return Ok(History::Revisions { arns: Vec::new(), older: Vec::new(), because });
    }
    #[cfg(feature = "codedeploy")]
    let by_codedeploy = observed.service.controller == "CODE_DEPLOY";
    #[cfg(not(feature = "codedeploy"))]
    let by_codedeploy = false;
    let attempts = match by_codedeploy {
        #[cfg(feature = "codedeploy")]
        true => crate::observe::codedeploy::attempts(ecs, target, live).await,
        _ => attempts(ecs, target).await,
    };
    let because = match attempts {
        Ok(attempts) if !attempts.is_empty() => return Ok(History::Deployments(attempts)),
        Ok(_) if by_codedeploy => "CodeDeploy lists no deployment of the group".to_owned(),
        Ok(_) => "ECS lists no service deployment of the last 90 days".to_owned(),
        Err(error) if matches!(error.kind, Kind::Denied | Kind::Refused) => error.to_string(),
        Err(error) => return Err(read_error(&error, target)),
    };
    let family = live.parse::<Revision>().map_or_else(|_| live.to_owned(), |revision| revision.family);
    let arns = families.active(ecs, target, &family).await.map_err(|error| read_error(&error, target))?;
    let older = families.older(ecs, &arns, &observed.live.value()).await;
    Ok(History::Revisions { arns, older, because })
}

async fn attempts(ecs: &Ecs, target: &TargetSpec) -> Result<Vec<Attempt>, CallError> {
    let briefs = ecs.service_deployment_history(&target.cluster, &target.service).await?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut arns: Vec<&str> = briefs.iter().filter_map(|brief| brief["targetServiceRevisionArn"].as_str()).collect();
    arns.sort_unstable();
    arns.dedup();
    let mut definitions: BTreeMap<String, String> = BTreeMap::new();
    for arns in arns.chunks(DEPLOYMENTS_PER_CALL) {
        let revisions = ecs.describe_service_revisions(arns).await?;
        definitions.extend(revisions.iter().filter_map(|revision| {
            Some((revision["serviceRevisionArn"].as_str()?.to_owned(), revision["taskDefinition"].as_str()?.to_owned()))
        }));
    }
    let attempt = |brief: &Value| Attempt {
        task_definition: definitions.get(&text(&brief["targetServiceRevisionArn"])).cloned(),
        status: text(&brief["status"]),
    };
    Ok(briefs.iter().map(attempt).collect())
}
