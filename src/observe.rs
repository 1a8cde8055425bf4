//! The present state of every target, read in batches: ten services a call, each distinct revision once.
//!
//! Nothing here changes anything, and one account that cannot be read does not hide the others.

pub mod attempt;
pub mod codedeploy;
pub mod family;
pub mod history;
pub mod lookups;
pub mod progress;
pub mod references;
pub mod service;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::aws::denial;
use crate::aws::ecs::{DEPLOYMENTS_PER_CALL, Ecs, SERVICES_PER_CALL};
use crate::aws::error::{CallError, Kind};
use crate::base::document::Document;
use crate::fleet::{Base, Fleet, Revision, TargetSpec};
use crate::observe::progress::Progress;
use crate::observe::service::LiveService;
use futures::StreamExt;

/// Account-and-region groups read at once; each has its own limits besides. A group has two calls on their way, so that these
/// are as many as there are places for; more groups are read no faster, and each holds its answers.
const AT_ONCE: usize = 128;

/// What was seen of a target.
pub type Observation = Result<Observed, ObserveError>;

/// A target that could be read.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The service.
    pub service: LiveService,
    /// The definition that it runs, in AWS's JSON; null where it runs none, as a service under EXTERNAL without a task set.
    pub live: Document,
    /// The newest ACTIVE revision of the family that the target deploys; `None` where the family is new, or where the
    /// target deploys a revision just as it is.
    pub newest: Option<Document>,
    /// The revision that the manifest names by its number; `None` where it names none, or there is none.
    pub named: Option<Document>,
    /// How far a deployment with stages is that is under way; `None` for others, and where ECS does not say.
    pub progress: Option<Progress>,
    /// The deployment by CodeDeploy that is under way; `None` for others, and where nobody asked for it.
    pub codedeploy: Option<codedeploy::Underway>,
}

/// The definitions that were read in one account and region, by what they were asked for.
type Definitions = BTreeMap<String, Result<Document, ObserveError>>;

/// Why a target could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObserveError {
    /// As a lower-case fragment.
    pub reason: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Whether AWS answered: there is no such service, say. Otherwise it did not allow the read, or did not answer.
    pub answered: bool,
}

/// Whether ECS's messages about a service are kept: a hundred of them are most of what is read of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepMessages {
    /// They may tell a rollback which revision ran.
    Yes,
    /// Nobody reads them.
    No,
}

/// Reads targets of the fleet, by their indices into [`Fleet::targets`], in no particular order.
///
/// `client` gives the ECS client of a target's account and region.
pub async fn targets(
    fleet: &Fleet,
    indices: &[usize],
    messages: KeepMessages,
    client: &dyn Fn(&TargetSpec) -> Arc<Ecs>,
) -> Vec<(usize, Observation)> {
    let mut groups: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
    for &index in indices {
        let target = &fleet.targets[index];
        groups.entry((target.account.id.as_str(), &target.id.region)).or_default().push(index);
    }
    let reads = groups.into_values().map(|targets| async move {
        let ecs = client(&fleet.targets[targets[0]]);
        group(fleet, &ecs, &targets, messages).await
    });
    futures::stream::iter(reads).buffer_unordered(AT_ONCE).flat_map(futures::stream::iter).collect().await
}

/// Reads the targets of one account and region.
async fn group(fleet: &Fleet, ecs: &Ecs, targets: &[usize], messages: KeepMessages) -> Vec<(usize, Observation)> {
    let mut clusters: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for &index in targets {
        clusters.entry(&fleet.targets[index].cluster).or_default().push(index);
    }
    let batches = clusters.into_iter().flat_map(|(cluster, targets)| {
        targets.chunks(SERVICES_PER_CALL).map(|chunk| (cluster, chunk.to_vec())).collect::<Vec<_>>()
    });
    let described = futures::stream::iter(batches).map(|(cluster, batch)| async move {
        let mut services = describe(fleet, ecs, cluster, batch).await;
        if messages == KeepMessages::No {
            services.iter_mut().filter_map(|(_, service)| service.as_mut().ok()).for_each(LiveService::drop_messages);
        }
        services
    });
    let services: Vec<(usize, Result<LiveService, ObserveError>)> =
        described.buffered(4).flat_map(futures::stream::iter).collect().await;
    let definitions = definitions(fleet, ecs, &services).await;
    let progress = under_way(ecs, &services).await;
    let observed = |index: usize, service: LiveService| {
        let live = match service.task_definition.as_str() {
            "" => Document::default(),
            revision => definitions.get(revision).cloned().expect("every revision was asked for")?,
        };
        let target = &fleet.targets[index];
        let found = |name: String| match definitions.get(&name).cloned().expect("every name was asked for") {
            Ok(found) => Ok(Some(found)),
            // ECS says that there is none; that it could not be asked would be another thing.
            Err(unseen) if unseen.answered => Ok(None),
            Err(unseen) => Err(unseen),
        };
        let newest = family(target, &service).map_or(Ok(None), found)?;
        let named = named(target).map_or(Ok(None), found)?;
        let progress = service.service_deployment.as_ref().and_then(|arn| progress.get(arn)).cloned();
        Ok(Observed { service, live, newest, named, progress, codedeploy: None })
    };
    services.into_iter().map(|(index, service)| (index, service.and_then(|service| observed(index, service)))).collect()
}

async fn describe(
    fleet: &Fleet,
    ecs: &Ecs,
    cluster: &str,
    batch: Vec<usize>,
) -> Vec<(usize, Result<LiveService, ObserveError>)> {
    let names: Vec<&str> = batch.iter().map(|&index| fleet.targets[index].service.as_str()).collect();
    let answer = ecs.describe_services(cluster, &names).await;
    let answer = answer.map(|services| services.found.iter().map(LiveService::read).collect::<Vec<_>>());
    let find = |name: &str| match &answer {
        Ok(services) => {
            let live = services.iter().find(|service| service.name == name);
            live.cloned().ok_or_else(|| ObserveError {
                reason: format!("there is no service `{name}` in the cluster `{cluster}`"),
                help: Some(
                    "create it first (Terraform, CloudFormation, aws ecs create-service), or correct `service` or \
                     `cluster` in the manifest"
                        .into(),
                ),
                answered: true,
            })
        }
        Err(error) if error.is("ClusterNotFoundException") => Err(ObserveError {
            reason: format!("there is no cluster `{cluster}`"),
            help: Some("correct `cluster` in the manifest, or the account's regions".into()),
            answered: true,
        }),
        Err(error) => Err(read_error(error, &fleet.targets[batch[0]])),
    };
    batch.iter().map(|&index| (index, find(&fleet.targets[index].service))).collect()
}

/// Reads the deployments with stages that are under way. Where ECS does not answer, nothing is known of their stages.
async fn under_way(ecs: &Ecs, services: &[(usize, Result<LiveService, ObserveError>)]) -> BTreeMap<String, Progress> {
    let staged = |service: &&LiveService| {
        service.has_stages() && service.primary().is_some_and(|primary| primary.is("IN_PROGRESS"))
    };
    let staged = services.iter().filter_map(|(_, service)| service.as_ref().ok()).filter(staged);
    let arns: Vec<&str> = staged.filter_map(|service| service.service_deployment.as_deref()).collect();
    let mut found = BTreeMap::new();
    for arns in arns.chunks(DEPLOYMENTS_PER_CALL) {
        let objects = ecs.describe_service_deployments(arns).await.unwrap_or_default();
        found.extend(objects.iter().map(Progress::read).map(|progress| (progress.arn.clone(), progress)));
    }
    found
}

/// Reads each family's newest revision, then each live revision that is not one of those, and then each revision that
/// the manifest names and that is neither, once.
///
/// A fleet that is up to date runs the newest revisions, so this order makes one read of what would be two.
async fn definitions(fleet: &Fleet, ecs: &Ecs, services: &[(usize, Result<LiveService, ObserveError>)]) -> Definitions {
    let mut found = Definitions::new();
    let live = || services.iter().filter_map(|(index, service)| Some((*index, service.as_ref().ok()?)));
    let families: Vec<String> = live().filter_map(|(index, service)| family(&fleet.targets[index], service)).collect();
    let Some((first, _)) = services.first() else { return found };
    let of = &fleet.targets[*first];
    read_each(ecs, of, families, &mut found).await;
    let revisions = live().map(|(_, service)| service.task_definition.clone());
    let revisions: Vec<String> = revisions.filter(|revision| !revision.is_empty()).collect();
    read_each(ecs, of, revisions, &mut found).await;
    let named: Vec<String> = live().filter_map(|(index, _)| named(&fleet.targets[index])).collect();
    read_each(ecs, of, named, &mut found).await;
    found
}

/// Reads definitions, and makes each known by its ARN and by `family:number` too.
async fn read_each(ecs: &Ecs, of: &TargetSpec, mut names: Vec<String>, found: &mut Definitions) {
    names.sort();
    names.dedup();
    names.retain(|name| !found.contains_key(name));
    let reads = futures::stream::iter(names).map(|name| async move {
        let read = ecs.describe_task_definition(&name).await.map_err(|error| read_error(&error, of));
        let arn = read.as_ref().ok().and_then(|definition| definition["taskDefinitionArn"].as_str()).map(str::to_owned);
        (name, arn, read.map(|definition| Document::write(&definition)))
    });
    let mut reads = reads.buffered(8);
    while let Some((name, arn, read)) = reads.next().await {
        if let Some(arn) = arn {
            found.insert(arn.rsplit('/').next().unwrap_or(&arn).to_owned(), read.clone());
            found.insert(arn, read.clone());
        }
        found.insert(name, read);
    }
}

/// Returns the family that a target deploys: the declared one, or the live revision's. `None` where nothing of it but a
/// revision with a number can be deployed.
fn family(target: &TargetSpec, service: &LiveService) -> Option<String> {
    let declared = match &target.desired.task_definition {
        Base::Revision { number: Some(_), .. } if !target.desired.changes_definition() => return None,
        Base::Revision { family, .. } => Some(family.clone()),
        Base::File(definition) => definition.value()["family"].as_str().map(str::to_owned),
        Base::Live if service.task_definition.is_empty() => return None,
        Base::Live => None,
    };
    Some(match declared {
        Some(family) => family,
        None => service
            .task_definition
            .parse::<Revision>()
            .map_or_else(|_| service.task_definition.clone(), |revision| revision.family),
    })
}

/// Returns the revision that a target starts from, where the manifest gives its number.
fn named(target: &TargetSpec) -> Option<String> {
    match &target.desired.task_definition {
        Base::Revision { family, number: Some(number) } => Some(format!("{family}:{number}")),
        Base::Revision { number: None, .. } | Base::File(_) | Base::Live => None,
    }
}

/// Says what to look at where the ECS of a target gives no answer.
fn unreached(target: &TargetSpec) -> String {
    let region = &*target.id.region;
    let end = if region.starts_with("cn-") { ".cn" } else { "" };
    format!(
        "can the runner reach ecs.{region}.amazonaws.com{end}? a proxy is HTTPS_PROXY, a private subnet needs the VPC endpoint \
         com.amazonaws.{region}.ecs, and AWS_ENDPOINT_URL leads elsewhere"
    )
}

/// Says why a target could not be read, by the role that was not allowed to.
fn read_error(error: &CallError, target: &TargetSpec) -> ObserveError {
    let help = match error.kind {
        Kind::Denied => Some(denial::help(error, "ecs", target)),
        Kind::Throttled => Some("the account's calls are throttled; run again later".to_owned()),
        Kind::Unknown if error.is_unreadable() => {
            Some("an answer came that could not be read: is the endpoint AWS's, and no proxy?".to_owned())
        }
        Kind::Unknown => Some(match error.outage() {
            Some(status) => format!("AWS answers {status}: nothing is wrong here; run again later"),
            None => unreached(target),
        }),
        Kind::Expired | Kind::Refused | Kind::NotSent | Kind::NoSession | Kind::Withdrawn => None,
    };
    ObserveError { reason: format!("{error:#}"), help, answered: error.kind == Kind::Refused }
}
