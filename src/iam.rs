//! The IAM that a manifest needs: for every account that its chains go through the OIDC provider, each role's trust policy,
//! and permission policies with the actions and resources of this manifest and no others.
//!
//! Pure: a [`Fleet`] in, documents out, and their text as JSON, Terraform or CloudFormation. What is live is read and compared
//! elsewhere ([`live`] has the comparison).

pub mod cloudformation;
pub mod grant;
pub mod hcl;
pub mod json;
pub mod live;
pub mod marks;
pub mod permission;
pub mod policy;
pub mod refusal;
pub mod stackset;
pub mod subject;
pub mod terraform;
pub mod trust;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use indexmap::IndexMap;
use serde_json::{Value, json};

use crate::fleet::identity_provider::Provider;
use crate::fleet::role_arn::RoleArn;
use crate::fleet::{AccountId, Allow, Fleet, Hop, IdentitySource};
use crate::iam::grant::Grants;
use crate::iam::policy::Policy;
use crate::iam::refusal::Refusal;

/// STS's shortest maximum of a role's session, and the default.
const HOUR: Duration = Duration::from_secs(3600);

/// What roles may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permissions {
    /// What `deploy`, `rollback`, `continue` and everything else needs.
    Deploy,
    /// What commands need that only read: `plan`, `deploy --dry-run`, `status`, `rollback --dry-run`.
    Plan,
}

/// What the policies are for.
#[derive(Clone, Copy, Debug)]
pub struct IamOptions {
    /// What the roles may do.
    pub permissions: Permissions,
    /// Whether what task definitions name is looked for: without it, what `--no-verify` needs.
    pub verify: bool,
    /// Whether the roles may read what `roleout iam check` compares.
    pub check: bool,
}

impl Default for IamOptions {
    fn default() -> Self {
        Self { permissions: Permissions::Deploy, verify: true, check: false }
    }
}

/// All of it, by account.
#[derive(Clone, Debug, PartialEq)]
pub struct Setup {
    /// The accounts, those of first hops first: roles can only trust roles that exist.
    pub accounts: Vec<AccountSetup>,
    /// What whoever applies it has to know, a sentence each.
    pub notes: Vec<String>,
}

/// What one account needs.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountSetup {
    /// The account.
    pub id: AccountId,
    /// The manifest's name for it; `None` where only chains go through it.
    pub name: Option<String>,
    /// The identity provider, where ID tokens are exchanged in the account.
    pub provider: Option<Provider>,
    /// The roles, in the order of the chains.
    pub roles: Vec<RoleSetup>,
}

/// What one role needs.
#[derive(Clone, Debug, PartialEq)]
pub struct RoleSetup {
    /// The manifest's name for it.
    pub role: String,
    /// Its ARN.
    pub arn: RoleArn,
    /// The longest session that a chain asks for.
    pub max_session: Duration,
    /// The trust policy.
    pub trust: Value,
    /// The permission policies, each within IAM's size.
    pub policies: Vec<Policy>,
    /// The ARNs of the roles that the trust policy names.
    pub trusts: Vec<String>,
    /// What an organisation asks of the role.
    pub marks: Marks,
}

/// What an organisation asks of a role, besides its policies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// The ARN of its permissions boundary.
    pub boundary: Option<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

impl AccountSetup {
    /// Returns what to call the account: its name, or its id.
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(self.id.as_str())
    }
}

impl RoleSetup {
    /// Returns the path of the role's ARN: `/` or `/team/`.
    pub fn path(&self) -> &str {
        self.arn.path()
    }
}

/// A role while it is gathered from all the chains that it is in.
#[derive(Default)]
struct Draft {
    role: String,
    max_session: Duration,
    web_identity: bool,
    assumed: Vec<trust::Assumed>,
    grants: Grants,
}

/// Returns what a manifest needs.
///
/// # Errors
/// The manifest does not say who is let in, or IAM has no room for it.
pub fn setup(fleet: &Fleet, choice: IamOptions) -> Result<Setup, Refusal> {
    let (allow, issuer) = subject_of(fleet)?;
    let (mut notes, mut unknown) = (BTreeSet::new(), BTreeMap::<String, BTreeSet<String>>::new());
    let mut drafts: IndexMap<RoleArn, Draft> = IndexMap::new();
    let organization = fleet.roster.organization.as_ref();
    let members = Members::new(fleet);
    for account in &fleet.accounts {
        let hops = &account.chain.hops;
        gather(hops, &members, &mut drafts);
        if let Some(last) = hops.last() {
            let draft = drafts.entry(last.arn.clone()).or_default();
            for (why, service) in permission::of_account(fleet, account, choice, &mut draft.grants) {
                unknown.entry(why).or_default().insert(service);
            }
        }
    }
    if let Some((source, chain)) = organization.and_then(|source| Some((source, source.chain.as_ref()?))) {
        gather(&chain.hops, &members, &mut drafts);
        if let Some(last) = chain.role() {
            permission::of_organization(source, &mut drafts.entry(last.clone()).or_default().grants);
        }
    }
    if choice.check {
        let arns: Vec<RoleArn> = drafts.keys().cloned().collect();
        for (arn, draft) in &mut drafts {
            let own = arns.iter().filter(|other| other.account() == arn.account());
            permission::of_check(own, issuer, &mut draft.grants);
        }
    }
    let mut accounts: IndexMap<AccountId, AccountSetup> = IndexMap::new();
    // Those that the token is exchanged for come first.
    drafts.sort_by_cached_key(|arn, draft| (!draft.web_identity, position(fleet, arn)));
    for (arn, draft) in drafts {
        let named = fleet.accounts.iter().find(|account| account.id == *arn.account());
        let account = accounts.entry(arn.account().clone()).or_insert_with(|| AccountSetup {
            id: arn.account().clone(),
            name: named.map(|account| account.name.clone()),
            provider: None,
            roles: Vec::new(),
        });
        if draft.web_identity {
            let audience = allow.audience().unwrap_or(issuer).to_owned();
            account.provider = Some(Provider { url: issuer.to_owned(), audiences: vec![audience] });
        }
        account.roles.push(finished(arn, draft, (allow, issuer), choice, &mut notes)?);
    }
    notes.extend(
        unknown
            .into_iter()
            .map(|(why, services)| format!("of {}: {why}", services.into_iter().collect::<Vec<_>>().join(", "))),
    );
    notes.extend(subject::notes(allow, issuer));
    Ok(Setup { accounts: accounts.into_values().collect(), notes: notes.into_iter().collect() })
}

/// The accounts of an organization, in which a role is granted by its name.
struct Members<'a> {
    ids: BTreeSet<&'a AccountId>,
    organization: &'a str,
}

impl<'a> Members<'a> {
    fn new(fleet: &'a Fleet) -> Self {
        let listings = fleet.roster.accounts.iter().filter(|listing| listing.ou.is_some());
        let lock = fleet.roster.organization.as_ref().and_then(|source| source.lock.as_ref());
        Self {
            ids: listings.map(|listing| &listing.id).collect(),
            organization: lock.map_or("", |lock| &lock.organization),
        }
    }

    /// Returns the resource that stands for a role, and its condition: the roles of that name in all of the organization, where
    /// accounts come and go, and the role alone elsewhere.
    fn resource(&self, arn: &RoleArn) -> (String, Option<Value>) {
        if !self.ids.contains(arn.account()) {
            return (arn.to_string(), None);
        }
        let condition = json!({ "StringEquals": { "aws:ResourceOrgID": self.organization } });
        (format!("arn:{}:iam::*:role{}{}", arn.partition(), arn.path(), arn.name()), Some(condition))
    }
}

/// Gathers what the roles of a chain need to walk it.
fn gather(hops: &[Hop], members: &Members<'_>, drafts: &mut IndexMap<RoleArn, Draft>) {
    for (index, hop) in hops.iter().enumerate() {
        let draft = drafts.entry(hop.arn.clone()).or_default();
        draft.role.clone_from(&hop.role);
        draft.max_session = draft.max_session.max(hop.duration.unwrap_or(HOUR)).max(HOUR);
        match index.checked_sub(1).and_then(|before| hops.get(before)) {
            None => draft.web_identity = true,
            Some(before) => draft.assumed.push(trust::Assumed::new(before, hop, &hops[..index])),
        }
        if let Some(next) = hops.get(index + 1) {
            let actions = trust::actions(next, &hops[..=index]);
            let (resource, condition) = members.resource(&next.arn);
            draft.grants.allow("NextRole", &actions, [resource], condition);
        }
    }
}

fn finished(
    arn: RoleArn,
    draft: Draft,
    (allow, issuer): (&Allow, &str),
    choice: IamOptions,
    notes: &mut BTreeSet<String>,
) -> Result<RoleSetup, Refusal> {
    let web = draft.web_identity.then_some((allow, issuer));
    let trust = trust::policy(&arn, web, &draft.assumed);
    notes.extend(policy::check_trust(&arn, &trust)?);
    let base = match choice.permissions {
        Permissions::Deploy => format!("{}-deploy", arn.name()),
        Permissions::Plan => format!("{}-plan", arn.name()),
    };
    let policies = policy::pack(&arn, &base, draft.grants.statements())?;
    let mut trusts: Vec<String> = draft.assumed.iter().map(|assumed| assumed.by.to_string()).collect();
    trusts.sort();
    trusts.dedup();
    Ok(RoleSetup {
        role: draft.role,
        arn,
        max_session: draft.max_session,
        trust,
        policies,
        trusts,
        marks: Marks::default(),
    })
}

/// Returns where a role first stands in the manifest's chains.
fn position(fleet: &Fleet, arn: &RoleArn) -> (usize, usize) {
    let places = fleet
        .accounts
        .iter()
        .enumerate()
        .filter_map(|(number, account)| Some((number, account.chain.hops.iter().position(|hop| hop.arn == *arn)?)));
    places.min().unwrap_or_default()
}

fn subject_of(fleet: &Fleet) -> Result<(&Allow, &str), Refusal> {
    if fleet.identity.source == IdentitySource::Ambient {
        let help = "policies are written for a GitLab job's ID token: take `ambient` out for them";
        return Err(Refusal::new(
            "with `identity: { ambient: true }` it is not known whom the first roles trust",
            help,
        ));
    }
    let allow = fleet.allow.as_ref().ok_or_else(|| {
        let help = "add `allow: { project: GROUP/PROJECT, branches: [main] }` to `identity`";
        Refusal::new("the manifest does not say which GitLab jobs may begin its chains", help)
    })?;
    let issuer = allow.issuer.as_deref().ok_or_else(|| {
        let help =
            "add `issuer: https://gitlab.com`, or your GitLab's URL, to `identity`; in a job, CI_SERVER_URL says it";
        Refusal::new("the manifest does not say which GitLab issues its tokens", help)
    })?;
    Ok((allow, issuer))
}
