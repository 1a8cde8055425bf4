//! A saved plan: all that carrying a plan out needs, as a file that another job reads without the manifest.
//!
//! Pure: text in, text out. It names where the identity comes from and holds no token, key or session. What the file
//! says is covered by a digest, its last member: SHA-256 over everything before it without the white space between
//! tokens. That finds a cut or edited file. Against those who can replace the whole file it can be signed, with a key that
//! they do not have.

mod origin;
#[cfg(test)]
mod properties;
mod seal;
mod terms;

pub use crate::plan::saved::origin::Origin;
pub use crate::plan::saved::seal::Key;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thiserror::Error;

use crate::base::document::SharedDocuments;
use crate::base::json;
use crate::base::json_schema::{titled, unwrap_descriptions};
use crate::fleet::lookup::{StateSource, is_bucket};
use crate::fleet::tier::Tier;
use crate::fleet::webhook::Webhook;
use crate::fleet::{
    Account, Base, Desired, Fleet, Identity, OnBusy, Release, Revision, Roster, TargetId, TargetSpec, Wave, duration,
    is_region,
};
use crate::plan::description;
use crate::plan::outline::Outline;
use crate::plan::work::{Plan, Work};

/// The version of the written form. A file of another one is refused.
pub const VERSION: u32 = 3;

/// How far the clock of the job that made a plan may be ahead of that of the job that carries it out.
const CLOCK_SKEW: Duration = Duration::from_secs(300);

/// A plan that `deploy` carries out exactly as it was made, or refuses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Saved {
    kind: Kind,
    /// The version of this form: 3.
    version: u32,
    /// When the plan was made.
    #[schemars(with = "String")]
    pub made_at: Timestamp,
    /// The version of roleout that made it.
    pub made_by: String,
    /// The job that made it.
    #[serde(default, skip_serializing_if = "Origin::is_unknown")]
    origin: Origin,
    /// With what values of variables are hashed where they are shown: a value has the same hash in the job that makes the plan
    /// and in the one that carries it out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    salt: String,
    identity: Identity,
    /// The accounts, each with the role chain that reaches it.
    accounts: Vec<Account>,
    /// Every target, also those without work: percentages count them.
    targets: Vec<Target>,
    /// The waves; their `targets` are places in `targets`, from 0.
    waves: Vec<Wave>,
    /// The webhooks; their URLs are in the variables that they name.
    #[serde(default)]
    notify: Vec<Webhook>,
    /// The GitLab environments of the accounts, by the accounts' names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    environments: BTreeMap<String, String>,
    /// The tiers of those environments, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tiers: BTreeMap<String, Tier>,
    outline: Outline,
}

/// What tells the file from any other JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
enum Kind {
    #[serde(rename = "roleout-plan")]
    Plan,
}

/// A target, and what is to be done to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Target {
    /// `account/region/service`, in the manifest's names.
    id: TargetId,
    /// The cluster's name or ARN.
    cluster: String,
    /// The service's name in ECS.
    service: String,
    /// How long its rollout may take.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    timeout: Duration,
    /// The CloudWatch alarms that fail it during its wave's bake.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    alarms: Vec<String>,
    /// What is to be done, and the live side that it was planned against; `null` = nothing.
    work: Option<Work>,
}

/// Why a text is not a saved plan that can be carried out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReadError {
    /// The text ends too early.
    #[error("the saved plan is truncated: {0}")]
    Truncated(String),
    /// It is something else.
    #[error("this is not a saved plan: {0}")]
    NotAPlan(String),
    /// It is a saved plan of another version of the form.
    #[error("the saved plan has version {found}, and this roleout reads version {VERSION}")]
    Version {
        /// The version, as JSON.
        found: String,
    },
    /// It was changed since it was written.
    #[error("the saved plan was changed after it was written: its digest does not match what it says")]
    Digest,
    /// A signature is asked for, and it has none.
    #[error("the saved plan is not signed")]
    Unsigned,
    /// It was signed with another key, or changed since.
    #[error("the saved plan's signature was not made with this key, or the plan was changed since")]
    Signature,
    /// The digest holds, and yet it makes no sense: some other program wrote it.
    #[error("the saved plan contradicts itself: {0}")]
    Content(String),
}

/// Why a saved plan is not carried out at this time.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AgeError {
    /// It is too old.
    #[error("the saved plan is {} old, and the most is {}", humantime::format_duration(*.age), humantime::format_duration(*.most))]
    TooOld {
        /// Its age, in whole seconds.
        age: Duration,
        /// The most that is accepted.
        most: Duration,
    },
    /// It was made after now.
    #[error("the saved plan was made at {made_at}, and it is {now} now: one of the clocks is wrong")]
    FromTheFuture {
        /// When it says that it was made.
        made_at: Timestamp,
        /// Now.
        now: Timestamp,
    },
}

/// What the head of a file says that is not believed.
#[derive(Deserialize)]
struct Head {
    kind: Option<Value>,
    version: Option<Value>,
}

impl Head {
    /// Says what a text is, where it is no saved plan of this version.
    fn check(text: &str) -> Result<(), ReadError> {
        let not_json = |error: serde_json::Error| match error.classify() {
            serde_json::error::Category::Eof => ReadError::Truncated(error.to_string()),
            _ => ReadError::NotAPlan(error.to_string()),
        };
        let head: Self = serde_json::from_str(text).map_err(not_json)?;
        if head.kind != Some(json!(Kind::Plan)) {
            return Err(ReadError::NotAPlan("its `kind` is not `roleout-plan`".to_owned()));
        }
        match head.version {
            Some(version) if version == json!(VERSION) => Ok(()),
            found => Err(ReadError::Version { found: found.unwrap_or_default().to_string() }),
        }
    }
}

impl Saved {
    /// Takes a plan down. `tool_version` is the version of this program.
    pub fn new(fleet: &Fleet, plan: &Plan, made_at: Timestamp, tool_version: &str) -> Self {
        let target = |(target, work): (&TargetSpec, &Option<Work>)| Target {
            id: target.id.clone(),
            cluster: target.cluster.clone(),
            service: target.service.clone(),
            timeout: target.timeout,
            alarms: target.alarms.clone(),
            work: work.clone(),
        };
        Self {
            kind: Kind::Plan,
            version: VERSION,
            made_at,
            made_by: tool_version.to_owned(),
            origin: Origin::default(),
            salt: String::new(),
            identity: fleet.identity.clone(),
            accounts: fleet.accounts.iter().map(|account| (**account).clone()).collect(),
            targets: fleet.targets.iter().zip(&plan.work).map(target).collect(),
            notify: fleet.notify.clone(),
            environments: fleet.environments.clone(),
            tiers: fleet.tiers.clone(),
            waves: fleet.waves.clone(),
            outline: plan.outline.clone(),
        }
    }

    /// Binds it to the job that makes it.
    #[must_use]
    pub fn bound_to(self, origin: Origin) -> Self {
        Self { origin, ..self }
    }

    /// Has it show values of variables as they were shown when it was made.
    #[must_use]
    pub fn salted(self, salt: &str) -> Self {
        Self { salt: salt.to_owned(), ..self }
    }

    /// Returns the salt with which values of variables are hashed; empty where it was made without.
    pub fn salt(&self) -> &str {
        &self.salt
    }

    /// Returns the job that made it.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Writes it as JSON, signed where there is a key, and sealed with its digest.
    ///
    /// # Errors
    /// Says what cannot be written as JSON: a path that is not UTF-8.
    pub fn to_json(&self, key: Option<&Key>) -> Result<String, String> {
        let text = json::pretty(self).map_err(|error| error.to_string())?;
        Ok(seal::close(match key {
            Some(key) => seal::sign(text, key),
            None => text,
        }))
    }

    /// Reads what [`Saved::to_json`] writes.
    ///
    /// # Errors
    /// Anything else is refused, a saved plan of another version, a cut and an edited one included.
    pub fn parse(text: &str) -> Result<Self, ReadError> {
        Self::parse_signed(text, None)
    }

    /// Does as [`Saved::parse`] does; with a key, a plan that was not signed with it is refused.
    ///
    /// # Errors
    /// As [`Saved::parse`], and where the signature is absent or of another key.
    pub fn parse_signed(text: &str, key: Option<&Key>) -> Result<Self, ReadError> {
        // What the head says is the better reason; of a plan that is carried out it is not read apart.
        let refused = |error: ReadError| Head::check(text).err().unwrap_or(error);
        let (body, signature) = seal::unsign(seal::open(text).ok_or_else(|| refused(ReadError::Digest))?);
        if let Some(key) = key {
            let signature = signature.ok_or_else(|| refused(ReadError::Unsigned))?;
            if !signature.is_of(&body, key) {
                return Err(refused(ReadError::Signature));
            }
        }
        let saved: Self =
            serde_json::from_str(&body).map_err(|error| refused(ReadError::Content(error.to_string())))?;
        if saved.version != VERSION {
            return Err(ReadError::Version { found: saved.version.to_string() });
        }
        saved.check().map_err(ReadError::Content)?;
        Ok(saved)
    }

    /// Refuses a plan that is older than `most`, or that was made after `now`.
    pub fn check_age(&self, now: Timestamp, most: Duration) -> Result<(), AgeError> {
        let made_at = self.made_at;
        let age = self.age(now);
        if age > most {
            return Err(AgeError::TooOld { age: Duration::from_secs(age.as_secs()), most });
        }
        let ahead = Duration::try_from(made_at.duration_since(now)).unwrap_or_default();
        if ahead > CLOCK_SKEW { Err(AgeError::FromTheFuture { made_at, now }) } else { Ok(()) }
    }

    /// Returns how old it is; nothing where it was made after `now`.
    pub fn age(&self, now: Timestamp) -> Duration {
        Duration::try_from(now.duration_since(self.made_at)).unwrap_or_default()
    }

    /// Returns where its run's first credentials come from.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Returns the fleet and the plan, as the engine takes them. What the manifest declared of a target is no longer
    /// known, except for the definition that is to be registered: the plan has resolved it.
    pub fn into_parts(self) -> (Fleet, Plan) {
        let accounts: Vec<Arc<Account>> = self.accounts.into_iter().map(Arc::new).collect();
        let by_name: BTreeMap<&str, &Arc<Account>> =
            accounts.iter().map(|account| (account.name.as_str(), account)).collect();
        let (mut targets, mut work, mut shared) = (Vec::new(), Vec::new(), SharedDocuments::default());
        for target in self.targets {
            let account = by_name.get(&*target.id.account).copied().expect("checked when it was read or made");
            targets.push(TargetSpec {
                account: Arc::clone(account),
                id: target.id,
                cluster: target.cluster,
                service: target.service,
                desired: desired(target.work.as_ref()),
                timeout: target.timeout,
                alarms: target.alarms,
            });
            work.push(target.work.map(|work| work.sharing(&mut shared)));
        }
        let fleet = Fleet {
            identity: self.identity,
            allow: None,
            accounts,
            roster: Roster::default(),
            targets,
            sources: Vec::new(),
            waves: self.waves,
            on_busy: OnBusy::Fail,
            notify: self.notify,
            environments: self.environments,
            tiers: self.tiers,
            console: self.outline.console.clone(),
            release: Release::default(),
            open: BTreeSet::new(),
            warnings: Vec::new(),
        };
        (fleet, Plan { outline: self.outline, work })
    }

    /// Says what does not fit together.
    fn check(&self) -> Result<(), String> {
        let names: BTreeSet<&str> = self.accounts.iter().map(|account| account.name.as_str()).collect();
        if names.len() < self.accounts.len() {
            return Err("two accounts have one name".to_owned());
        }
        let ids: BTreeSet<&TargetId> = self.targets.iter().map(|target| &target.id).collect();
        if ids.len() < self.targets.len() {
            return Err("two targets have one name".to_owned());
        }
        if let Some(id) = ids.iter().find(|id| !names.contains(&*id.account)) {
            return Err(format!("the account of {id} is not among its accounts"));
        }
        let mut places: Vec<usize> = self.waves.iter().flat_map(|wave| wave.targets.iter().copied()).collect();
        places.sort_unstable();
        if !places.into_iter().eq(0..self.targets.len()) {
            return Err("not every target is in exactly one wave".to_owned());
        }
        let regions = self.accounts.iter().flat_map(|account| &account.regions).map(String::as_str);
        let regions = regions.chain(self.targets.iter().map(|target| &*target.id.region));
        if let Some(region) = regions.chain([self.identity.region.as_str()]).find(|region| !is_region(region)) {
            return Err(format!("`{region}` is not an AWS region"));
        }
        // Both become parts of a host's name, to which a session's requests are sent.
        let values = self.targets.iter().filter_map(|target| target.work.as_ref()).flat_map(|work| &work.values);
        for state in values.filter_map(|value| value.state.as_ref()) {
            if let StateSource::S3 { bucket, region, .. } = state
                && !(is_bucket(bucket) && is_region(region))
            {
                return Err(format!("`{bucket}` in `{region}` is no bucket of S3"));
            }
        }
        let work: Vec<Option<&Work>> = self.targets.iter().map(|target| target.work.as_ref()).collect();
        let (fleet, _) = self.without_work().into_parts();
        description::contradiction(&fleet, &self.outline, &work).map_or(Ok(()), Err)
    }

    /// Returns the same fleet with nothing to do and nothing to say.
    fn without_work(&self) -> Self {
        let target = |target: &Target| Target {
            id: target.id.clone(),
            cluster: target.cluster.clone(),
            service: target.service.clone(),
            timeout: target.timeout,
            alarms: target.alarms.clone(),
            work: None,
        };
        Self {
            targets: self.targets.iter().map(target).collect(),
            outline: Outline::default(),
            made_by: self.made_by.clone(),
            origin: self.origin.clone(),
            salt: String::new(),
            identity: self.identity.clone(),
            accounts: self.accounts.clone(),
            waves: self.waves.clone(),
            notify: Vec::new(),
            environments: BTreeMap::new(),
            tiers: BTreeMap::new(),
            ..*self
        }
    }
}

/// What is known of a target's wishes: the definition or the revision, so that its family or it is read again.
fn desired(work: Option<&Work>) -> Desired {
    let task_definition = match work.map(|work| &work.definition) {
        Some(crate::plan::work::Definition::Register { definition, .. }) => Base::File(definition.clone()),
        Some(crate::plan::work::Definition::Existing { arn, .. }) => {
            arn.parse().map_or(Base::Live, |revision: Revision| Base::Revision {
                family: revision.family,
                number: Some(revision.number),
            })
        }
        Some(
            crate::plan::work::Definition::Keep
            | crate::plan::work::Definition::Follow { .. }
            | crate::plan::work::Definition::Return { .. },
        )
        | None => Base::Live,
    };
    // By which strategy it is deployed, the settings say that are set with it.
    let deployment = work.and_then(|work| work.deployment.clone());
    Desired { task_definition, deployment, ..Desired::default() }
}

/// Returns the JSON Schema (draft 2020-12) of the file. That the digest holds and that names fit together it cannot say.
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(Saved).to_value();
    unwrap_descriptions(&mut schema);
    schema["properties"]["version"] = json!({ "description": "The version of this form.", "const": VERSION });
    schema["properties"]["digest"] = json!({
        "description": "SHA-256 over everything before it, without the white space between tokens. The last member.",
        "type": "string",
        "pattern": "^sha256:[0-9a-f]{64}$",
    });
    schema["properties"]["signature"] = json!({
        "description": "HMAC-SHA256 over everything before it, without the white space between tokens, where the plan is signed.",
        "type": "string",
        "pattern": "^hmac-sha256:[0-9a-f]{64}$",
    });
    if let Some(required) = schema["required"].as_array_mut() {
        required.push(json!("digest"));
    }
    titled(schema, "roleout saved plan")
}

#[cfg(test)]
mod tests;
