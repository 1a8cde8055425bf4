//! Terraform's states: reads each that targets look into once, and finds their values in it.
//!
//! A file was read with the manifest. GitLab gives its states to the job's own token.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde_json::Value;

use crate::base::tfstate;
use crate::fleet::Fleet;
use crate::fleet::lookup::{Found, Lookup, StateSource, Store};
use crate::gitlab::job::given;
use crate::gitlab::{self, CallError};
use crate::load::environment;
use crate::observe::ObserveError;
use crate::observe::lookups::{Read, locate};
use crate::web::Web;

/// A state, or why there is none.
type State = Result<Value, ObserveError>;

/// Reads what the targets, by their indices into [`Fleet::targets`], look up in states. The answers are by account and region.
/// In the embedded sandbox GitLab is not asked, and what it would know is made up.
pub async fn read(fleet: &Fleet, indices: &[usize], is_embedded: bool) -> BTreeMap<(String, String), Read> {
    let is_made_up = |source: &StateSource| is_embedded && matches!(source, StateSource::GitLab { .. });
    let mut states: BTreeMap<&StateSource, State> = BTreeMap::new();
    for source in indices.iter().flat_map(|&index| fleet.targets[index].desired.states.values()) {
        if !states.contains_key(&**source) && !is_made_up(source) {
            states.insert(source, load(source).await);
        }
    }
    let mut read: BTreeMap<(String, String), Read> = BTreeMap::new();
    for target in indices.iter().map(|&index| &fleet.targets[index]) {
        let own = read.entry(locate(target)).or_default();
        for lookup in target.desired.open_lookups().filter(|lookup| lookup.store == Store::Tfstate) {
            let Some(source) = target.desired.state_of(lookup) else { continue };
            let found = match states.get(source) {
                Some(state) => find(lookup, source, state),
                None => Ok(Found::of_text(lookup.made_up(), source.to_string())),
            };
            own.entry(lookup.clone()).or_insert(found);
        }
    }
    read
}

async fn load(source: &StateSource) -> State {
    let text = match source {
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

fn finding(reason: String, help: &str) -> ObserveError {
    ObserveError { reason, help: Some(help.to_owned()), answered: true }
}
