//! Terraform's states: reads each that targets look into once, and finds their values in it.
//!
//! A file was read with the manifest. GitLab gives its states to the job's own token, and S3 to a session of the target's
//! account.

use std::collections::BTreeMap;

use futures::StreamExt;
use secrecy::SecretString;
use serde_json::Value;

use crate::aws::error::CallError as AwsError;
use crate::aws::others::AuxClients;
use crate::base::tfstate;
use crate::fleet::lookup::{Found, Lookup, StateSource, Store};
use crate::fleet::{Fleet, TargetSpec};
use crate::gitlab::job::given;
use crate::gitlab::{self, CallError};
use crate::load::environment;
use crate::observe::ObserveError;
use crate::observe::lookups::{Read, finding, locate, unread};
use crate::web::Web;

/// States read at once.
const AT_ONCE: usize = 64;

/// A state, or why there is none.
type State = Result<Value, ObserveError>;

/// Reads what the targets, by their indices into [`Fleet::targets`], look up in states. The answers are by account and region;
/// `others` has the services of a target's account. In the embedded sandbox GitLab is not asked, and what it would know is made
/// up.
pub async fn read(
    fleet: &Fleet,
    indices: &[usize],
    others: &dyn Fn(&TargetSpec) -> AuxClients,
    is_embedded: bool,
) -> BTreeMap<(String, String), Read> {
    let is_made_up = |source: &StateSource| is_embedded && matches!(source, StateSource::GitLab { .. });
    let targets = || indices.iter().map(|&index| &fleet.targets[index]);
    let mut wanted: BTreeMap<_, (&TargetSpec, &StateSource)> = BTreeMap::new();
    for target in targets() {
        for source in target.desired.states.values().map(|source| &**source).filter(|source| !is_made_up(source)) {
            wanted.entry(reading(target, source)).or_insert((target, source));
        }
    }
    let loads = wanted.into_iter().map(|(reading, (target, source))| async move {
        let others = || others(target);
        (reading, load(source, target, &others).await)
    });
    let states: BTreeMap<_, State> = futures::stream::iter(loads).buffer_unordered(AT_ONCE).collect().await;
    let mut read: BTreeMap<(String, String), Read> = BTreeMap::new();
    for target in targets() {
        let own = read.entry(locate(target)).or_default();
        for lookup in target.desired.open_lookups().filter(|lookup| lookup.store == Store::Tfstate) {
            let Some(source) = target.desired.state_of(lookup) else { continue };
            let found = match states.get(&reading(target, source)) {
                Some(state) => find(lookup, source, state),
                None => Ok(Found::of_text(lookup.made_up(), source.to_string())),
            };
            own.entry(lookup.clone()).or_insert(found);
        }
    }
    read
}

/// Returns what tells two readings apart: the state, and in S3 the account whose session reads it.
fn reading<'a>(target: &'a TargetSpec, source: &'a StateSource) -> (Option<&'a str>, &'a StateSource) {
    let account = matches!(source, StateSource::S3 { .. }).then_some(target.account.name.as_str());
    (account, source)
}

async fn load(source: &StateSource, target: &TargetSpec, others: &dyn Fn() -> AuxClients) -> State {
    let text = match source {
        StateSource::S3 { bucket, key, region } => {
            let text = others().objects(region, bucket).read(key).await;
            text.map_err(|error| unread_object(target, source, &error))?
        }
        StateSource::File { text: Ok(text), .. } => text.0.to_string(),
        StateSource::File { text: Err(reason), .. } => {
            let help = "is it an artifact of an earlier job? its path is relative to the manifest";
            return Err(finding(format!("{source}: {reason}"), help));
        }
        StateSource::GitLab { project, state } => of_gitlab(project.as_deref(), state).await.map_err(|error| {
            let answered = error.as_ref().is_ok_and(|error| error.status().is_some());
            let reason = error.map_or_else(|missing| missing, |error| error.to_string());
            let help = "the state's project must list this one in its job token permissions, and the user of the job needs the \
                        role Developer there";
            ObserveError { reason: format!("{source}: {reason}"), help: Some(help.to_owned()), answered }
        })?,
    };
    let wrong = |_| finding(format!("{source}: it is no JSON"), "it must be a Terraform state of version 4");
    serde_json::from_str(&text).map_err(wrong)
}

/// Says why there is nothing to read in S3. What is not there is told only to those who may list the bucket.
fn unread_object(target: &TargetSpec, source: &StateSource, error: &AwsError) -> ObserveError {
    let help = match error.code.as_deref() {
        Some("NoSuchKey") => {
            "correct the key, or apply the change that makes the state; that of a workspace is env:/WORKSPACE/KEY"
        }
        Some("NoSuchBucket") => "correct the name of the bucket",
        Some("PermanentRedirect" | "TemporaryRedirect" | "AuthorizationHeaderMalformed") => {
            "write that region as the `region` of the state"
        }
        Some("AccessDenied") if error.message.contains("s3:ListBucket") => {
            "S3 says so of a state that is not there: correct its bucket and its key; with s3:ListBucket on the bucket, it says \
             what is missing"
        }
        _ => "",
    };
    let ObserveError { reason, help: known, answered } = unread(target, error, "s3");
    let help = if help.is_empty() { known } else { Some(help.to_owned()) };
    ObserveError { reason: format!("{source}: {reason}"), help, answered }
}

async fn of_gitlab(project: Option<&str>, state: &str) -> Result<String, Result<CallError, String>> {
    let variable = |name: &str| given(&environment, name).ok_or_else(|| Err(format!("{name} is not set")));
    let root = variable("CI_API_V4_URL")?;
    let token = SecretString::from(variable("CI_JOB_TOKEN")?);
    let project = match project {
        Some(project) => project.to_owned(),
        None => variable("CI_PROJECT_ID")?,
    };
    let web = Web::new(false).map_err(|error| Err(error.message))?;
    gitlab::terraform_state(web, &root, (&project, state), &token).await.map_err(Ok)
}

fn find(lookup: &Lookup, source: &StateSource, state: &State) -> Result<Found, ObserveError> {
    let state = state.as_ref().map_err(Clone::clone)?;
    let address = lookup.state_and_address().1;
    let help = "correct the address, or apply the change that makes it";
    let value = tfstate::find(state, address).map_err(|missing| finding(format!("{source}: {missing}"), help))?;
    Found::of_json(value, source.to_string()).ok_or_else(|| {
        let reason = format!("{source}: {address} is neither text nor a list of texts");
        finding(reason, "name an attribute of it")
    })
}
