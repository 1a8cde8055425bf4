//! The vocabulary: accounts, role chains, targets, waves, revisions and outcomes, with every default already applied.
//!
//! A [`Fleet`] is what a manifest means. Nothing here reads a file, calls AWS or prints.

mod account_id;
mod allow;
pub mod codedeploy;
pub mod commit;
pub mod desired;
pub(crate) mod duration;
pub mod failure_budget;
pub mod identity_provider;
pub mod image;
pub mod image_ref;
pub mod lookup;
pub mod organization;
pub mod pin;
mod policy;
mod portal;
pub mod regions;
mod revision;
pub mod role_arn;
mod roster;
mod run_task;
mod select;
mod shard;
pub mod strategy;
pub mod tasks;
pub mod tier;
pub mod webhook;

pub use crate::fleet::account_id::AccountId;
pub use crate::fleet::allow::{Allow, Subject};
pub use crate::fleet::commit::{Commit, Release};
pub use crate::fleet::desired::{Base, Desired};
pub use crate::fleet::image::{ImageChoice, ImageError};
pub use crate::fleet::pin::Pin;
pub use crate::fleet::policy::{OnBusy, OnCancel, OnFailure, Scope};
pub use crate::fleet::portal::Portal;
pub use crate::fleet::revision::Revision;
pub use crate::fleet::roster::{Listing, OrganizationEntry, OrganizationSource, Roster};
pub use crate::fleet::run_task::{Launch, Moment, Per, RunTask, RunTasks};
pub use crate::fleet::select::SelectError;
pub use crate::fleet::shard::{Part, Shard, ShardError};

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fleet::role_arn::RoleArn;
use crate::fleet::tier::Tier;
use crate::fleet::webhook::Webhook;

/// Everything a manifest says, resolved: interpolated for each target, checked, and with no default left to apply.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// Where the web identity comes from, and which STS endpoint takes it.
    pub identity: Identity,
    /// Which GitLab jobs may begin a chain, where the manifest says: for the policies of `roleout iam`.
    pub allow: Option<Allow>,
    /// The accounts, in the manifest's order.
    pub accounts: Vec<Arc<Account>>,
    /// What the manifest says of its accounts, those without targets too, and of the organization that they are from.
    pub roster: Roster,
    /// Every target, in the manifest's order: account, then region, then service.
    pub targets: Vec<TargetSpec>,
    /// The targets whose running images others get, also where they are not among `targets`: they are read.
    pub sources: Vec<TargetSpec>,
    /// The waves, in the order in which they run. Each target is in exactly one of them.
    pub waves: Vec<Wave>,
    /// What is done where somebody else's deployment is in progress.
    pub on_busy: OnBusy,
    /// Who is told how a run goes.
    pub notify: Vec<Webhook>,
    /// The GitLab environments in which the run's deployments are recorded, by the account's name; empty = none is.
    pub environments: BTreeMap<String, String>,
    /// The tiers of those environments, by their names.
    pub tiers: BTreeMap<String, Tier>,
    /// The access portal of which links to the console are made; `None` = they lead to the console itself.
    pub console: Option<Portal>,
    /// The commit that the run deploys, and what is done about it.
    pub release: Release,
    /// The variables that are not set and stand as `${NAME}` in what is deployed, where the command deploys nothing of it.
    pub open: BTreeSet<String>,
    /// What a person should know though it stops nothing, such as a wave without targets.
    pub warnings: Vec<String>,
}

impl Fleet {
    /// Returns the first open variable in a text.
    pub fn open_in(&self, text: &str) -> Option<&str> {
        self.open.iter().find(|name| text.contains(&format!("${{{name}}}"))).map(String::as_str)
    }
}

/// Whether a name looks like that of an AWS region. Not by a list: AWS adds some every year.
pub fn is_region(name: &str) -> bool {
    let parts: Vec<&str> = name.split('-').collect();
    let letters = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    match parts.as_slice() {
        [partition, words @ .., number] => {
            letters(partition)
                && partition.len() >= 2
                && !words.is_empty()
                && words.iter().all(letters)
                && number.len() == 1
                && number.bytes().all(|byte| byte.is_ascii_digit())
        }
        _ => false,
    }
}

/// Where the run's first credentials come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The source of the web identity token, or the SDK's own credentials.
    pub source: IdentitySource,
    /// The region whose STS endpoint is used for every hop.
    pub region: String,
    /// The role session name of every hop: 2 to 64 of `[\w+=,.@-]` (STS model, RoleSessionName).
    pub session_name: String,
    /// The issuer that ID tokens are expected to be of, such as `https://gitlab.com`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
}

/// The source of the first credentials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IdentitySource {
    /// The environment variable, by name, that holds the ID token (GitLab `id_tokens:`).
    TokenEnv(String),
    /// The file that holds the ID token; read again at each exchange.
    TokenFile(PathBuf),
    /// The SDK's default credential chain: for a laptop.
    Ambient,
}

/// An AWS account that the manifest names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// The 12-digit id.
    pub id: AccountId,
    /// The manifest's name for it; unique.
    pub name: String,
    /// What selectors match.
    pub labels: BTreeMap<String, String>,
    /// The regions in which it has targets, in the manifest's order.
    pub regions: Vec<String>,
    /// How a session in it is reached.
    pub chain: RoleChain,
}

/// The roles that are walked, left to right, to reach an account. Empty only where the identity is ambient, and
/// then the ambient credentials themselves must belong to the account.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleChain {
    /// The hops. With a web identity the first is AssumeRoleWithWebIdentity and the others are AssumeRole.
    pub hops: Vec<Hop>,
}

impl RoleChain {
    /// Returns the role whose permissions an account's calls have; `None` where the SDK's own identity makes them.
    pub fn role(&self) -> Option<&RoleArn> {
        self.hops.last().map(|hop| &hop.arn)
    }

    /// Returns that role's name, for people.
    pub fn role_name(&self) -> &str {
        self.role().map_or(OWN_IDENTITY, RoleArn::name)
    }
}

/// What calls where there is no role, for people.
pub const OWN_IDENTITY: &str = "the SDK's own identity";

/// One role of a chain and the parameters with which it is assumed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hop {
    /// The manifest's name for the role.
    pub role: String,
    /// The role's ARN, resolved for the account.
    pub arn: RoleArn,
    /// `sts:ExternalId`; AssumeRole only.
    pub external_id: Option<String>,
    /// Session tags; AssumeRole only.
    pub tags: BTreeMap<String, String>,
    /// The keys of those tags that pass to the next hop.
    pub transitive_tags: Vec<String>,
    /// `sts:SourceIdentity`; AssumeRole only.
    pub source_identity: Option<String>,
    /// An inline session policy: JSON text.
    pub policy: Option<String>,
    /// Managed session policies, at most 10.
    pub policy_arns: Vec<String>,
    /// The session's length; `None` = STS's default of one hour.
    #[serde(with = "duration::optional")]
    #[schemars(with = "Option<String>")]
    pub duration: Option<Duration>,
}

/// Names a target: the manifest's account and service names, and the region. Prints as `account/region/service`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct TargetId {
    /// The manifest's account name.
    pub account: Arc<str>,
    /// The AWS region.
    pub region: Arc<str>,
    /// The manifest's service name, which may differ from the name in ECS.
    pub service: Arc<str>,
}

impl fmt::Display for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.account, self.region, self.service)
    }
}

impl TryFrom<String> for TargetId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let parts: Vec<&str> = text.split('/').collect();
        let [account, region, service] = parts[..] else {
            return Err(format!("`{text}` is not account/region/service"));
        };
        Ok(Self { account: account.into(), region: region.into(), service: service.into() })
    }
}

impl From<TargetId> for String {
    fn from(id: TargetId) -> Self {
        id.to_string()
    }
}

/// One ECS service in one cluster, region and account, and what the manifest wants of it.
#[derive(Clone, Debug)]
pub struct TargetSpec {
    /// Its name in every message, event and report.
    pub id: TargetId,
    /// The account it lives in.
    pub account: Arc<Account>,
    /// The cluster's name or ARN.
    pub cluster: String,
    /// The service's name in ECS.
    pub service: String,
    /// What it should become.
    pub desired: Desired,
    /// How long its rollout may take, from UpdateService on.
    pub timeout: Duration,
    /// The CloudWatch alarms, by name, that fail it during its wave's bake; of its own account and region.
    pub alarms: Vec<String>,
}

/// Targets that may run together; the next wave waits for it and its bake.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wave {
    /// The wave's name.
    pub name: String,
    /// Its targets, as indices into [`Fleet::targets`].
    pub targets: Vec<usize>,
    /// How many run at once.
    pub max_parallel: Parallelism,
    /// How many of one account run at once; `None` = no bound of its own.
    pub max_parallel_per_account: Option<usize>,
    /// How many may fail; one more halts the run.
    pub max_failures: Amount,
    /// Never more in flight than the failures still tolerated plus one.
    pub strict: bool,
    /// How long every deployed target must stay healthy after the wave's last success.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub bake: Duration,
    /// Stop the run before this wave unless it is told to go on from here.
    pub gate: bool,
    /// What is done with a target that fails.
    pub on_failure: OnFailure,
    /// What is done with what is under way when the run is cancelled.
    pub on_cancel: OnCancel,
}

/// How many targets of a wave run at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Parallelism {
    /// A sliding window.
    Window(Amount),
    /// Successive batches with a barrier between them; the last size repeats.
    Batches(Vec<Amount>),
}

/// A number of targets, or a percentage of a wave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Amount {
    /// Just so many.
    Count(usize),
    /// A percentage, 0 to 100, of the wave's targets.
    Percent(u8),
}

impl Amount {
    /// Returns the number of targets out of `total`. A percentage rounds down.
    pub fn out_of(self, total: usize) -> usize {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => total * usize::from(percent) / 100,
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// How a target ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It already was as the manifest wants it.
    Unchanged,
    /// Our own deployment completed, and is PRIMARY.
    Succeeded,
    /// It failed, or others did, and it was rolled back to what it ran before.
    RolledBack,
    /// It failed, and stays as ECS left it.
    Failed,
    /// Our deadline passed; the deployment may still go on in ECS.
    TimedOut,
    /// A newer deployment, not ours, took its place.
    Superseded,
    /// The run was cancelled before ECS was asked for anything.
    Cancelled,
    /// The run was cancelled while the deployment went on in ECS.
    Detached,
    /// It was never started because of another target's failure.
    NotStarted,
    /// Its rollback failed: somebody must look at it.
    Stuck,
}

impl Outcome {
    /// Whether this outcome counts against a wave's failure budget.
    pub fn is_failure(self) -> bool {
        match self {
            Self::RolledBack | Self::Failed | Self::TimedOut | Self::Superseded | Self::Stuck => true,
            Self::Unchanged | Self::Succeeded | Self::Cancelled | Self::Detached | Self::NotStarted => false,
        }
    }

    /// Returns the outcome in words, for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Succeeded => "succeeded",
            Self::RolledBack => "rolled back",
            Self::Failed => "failed",
            Self::TimedOut => "timed out",
            Self::Superseded => "superseded",
            Self::Cancelled => "cancelled",
            Self::Detached => "detached",
            Self::NotStarted => "not started",
            Self::Stuck => "stuck",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn role_arns_of_every_partition_are_read() {
        for text in [
            "arn:aws:iam::111111111111:role/hub",
            "arn:aws-cn:iam::111111111111:role/team/a/hub",
            "arn:aws-us-gov:iam::011111111111:role/hub",
        ] {
            let arn: RoleArn = text.parse().expect(text);
            assert_eq!((arn.as_str(), arn.name()), (text, "hub"), "{text}");
        }
    }

    #[test]
    fn malformed_role_arns_are_refused_with_the_reason() {
        for (text, reason) in [
            ("hub", "is not an ARN"),
            ("arn:aws:sts::111111111111:role/hub", "is not an IAM ARN"),
            ("arn:aws:iam:eu-west-1:111111111111:role/hub", "is not an IAM ARN"),
            ("arn:aws:iam::1111:role/hub", "is not an AWS account id"),
            ("arn:aws:iam::111111111111:user/hub", "does not name a role"),
            ("arn:aws:iam::111111111111:role/", "does not name a role"),
        ] {
            let error = text.parse::<RoleArn>().expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn revisions_are_read_from_arns_and_names() {
        let revision: Revision = "arn:aws:ecs:eu-west-1:1:task-definition/api:7".parse().expect("an ARN");
        assert_eq!(revision.to_string(), "api:7");
        assert!("api".parse::<Revision>().is_err());
    }

    #[test]
    fn per_cent_rounds_down() {
        assert_eq!(Amount::Percent(25).out_of(7), 1);
        assert_eq!(Amount::Percent(25).out_of(3), 0);
        assert_eq!(Amount::Count(9).out_of(3), 9);
    }
}
