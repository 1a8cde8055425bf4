//! AWS Organizations: who is in which unit, and what is read of it. Only the management account and delegated administrators
//! may read, and another account sees only which organization it is in.
//!
//! Pages have at most 20 items, and some are empty though more follow, as AWS warns. Their order follows from the seed. How
//! often AWS lets each operation be called is not known here: the buckets are of that kind, and their figures are made up.
//! So are the words for a token that is none.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::fleet::organization::lock::Lock;
use crate::fleet::organization::{ROOT, path_below, with_ancestors};
use crate::fleet::{OrganizationSource, RoleChain};
use crate::sandbox::account::parts;
use crate::sandbox::ecs::text_of;
use crate::sandbox::moment::epoch;
use crate::sandbox::rng::Chance;
use crate::sandbox::wire::AwsError;
use crate::sandbox::world::{Call, World};

/// The most items of a page, and how many there are unless the request says.
const PAGE: usize = 20;
/// Of so many pages one is empty.
const EMPTY: usize = 5;

/// The account that manages the organization where nothing says which does.
pub const SOMEBODY: &str = "210000000000";

/// An organization. Its units have paths, such as `workloads/prod`; that of the root is `/`.
#[derive(Clone, Debug)]
pub struct Organization {
    id: String,
    management: String,
    delegated: BTreeSet<String>,
    /// The id of each unit, by its path.
    units: BTreeMap<String, String>,
    /// The accounts, by their ids.
    members: BTreeMap<String, OrganizationMember>,
}

/// An account of an organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrganizationMember {
    /// Its name.
    pub name: String,
    /// The path of its unit.
    pub unit: String,
    /// Its state, such as `ACTIVE` or `SUSPENDED`.
    pub state: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

impl Organization {
    /// Makes an organization of its management account alone.
    pub fn new(management: &str) -> Self {
        let mut organization = Self {
            id: "o-sandbox001".to_owned(),
            management: management.to_owned(),
            delegated: BTreeSet::new(),
            units: [(ROOT.to_owned(), "r-sand".to_owned())].into(),
            members: BTreeMap::new(),
        };
        organization.add_member(management, "management", ROOT, &[]);
        organization
    }

    /// Makes one that is as a lock has it.
    pub fn of_lock(management: &str, lock: &Lock) -> Self {
        let mut organization = Self::new(management);
        organization.id.clone_from(&lock.organization);
        organization.units.extend(lock.units.clone());
        for locked in lock.accounts.values() {
            let member = &locked.member;
            let tags: Vec<(&str, &str)> =
                member.tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            organization.add_member(member.id.as_str(), &member.name, &member.unit, &tags);
        }
        organization
    }

    /// Makes the one that a sandbox has where there is no lock: two units with accounts that run services, and one without.
    pub fn example(management: &str) -> Self {
        let mut organization = Self::new(management);
        for (id, name, unit, env) in [
            ("210000000001", "Payments Staging", "workloads/staging", "staging"),
            ("210000000002", "Shop Staging", "workloads/staging", "staging"),
            ("210000000003", "Payments Prod", "workloads/prod", "prod"),
            ("210000000004", "Shop Prod", "workloads/prod", "prod"),
            ("210000000005", "Log Archive", "security", "prod"),
        ] {
            let team = name.split(' ').next().unwrap_or_default().to_lowercase();
            organization.add_member(id, name, unit, &[("env", env), ("team", &team)]);
        }
        organization
    }

    /// Adds a unit, and those that it is in.
    pub fn add_unit(&mut self, path: &str) {
        for path in with_ancestors(path) {
            // As AWS makes them: after those of the root.
            let id = || format!("ou-sand-{}", Chance::new(0).hex(8, path));
            self.units.entry(path.to_owned()).or_insert_with(id);
        }
    }

    /// Adds an account, and its unit.
    pub fn add_member(&mut self, id: &str, name: &str, unit: &str, tags: &[(&str, &str)]) {
        self.add_unit(unit);
        let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let (name, unit, state) = (name.to_owned(), unit.to_owned(), "ACTIVE".to_owned());
        self.members.insert(id.to_owned(), OrganizationMember { name, unit, state, tags });
    }

    /// Returns an account, to change it.
    pub fn member(&mut self, id: &str) -> Option<&mut OrganizationMember> {
        self.members.get_mut(id)
    }

    /// Takes an account out; `false` where there is none.
    pub fn remove_member(&mut self, id: &str) -> bool {
        self.members.remove(id).is_some()
    }

    /// Makes an account a delegated administrator.
    pub fn delegate(&mut self, id: &str) {
        self.delegated.insert(id.to_owned());
    }

    /// Makes an account the one that manages it.
    pub fn set_management(&mut self, id: &str) {
        id.clone_into(&mut self.management);
    }

    fn arn(&self, what: &str) -> String {
        format!("arn:aws:organizations::{}:{what}", self.management)
    }

    /// Returns the path of a unit or of the root, by its id.
    fn path(&self, id: &str) -> Option<&str> {
        self.units.iter().find(|(_, own)| *own == id).map(|(path, _)| path.as_str())
    }
}

impl World {
    /// Puts the accounts of a fleet into the organization that its lock has, or where there is no lock yet into an example of one.
    pub(crate) fn organize(&mut self, source: &OrganizationSource) {
        let management =
            source.chain.as_ref().and_then(RoleChain::role).map_or(SOMEBODY, |role| role.account().as_str());
        self.organization = Some(match &source.lock {
            Some(lock) => Organization::of_lock(management, lock),
            None => Organization::example(management),
        });
    }

    /// Returns the condition key for the organization that a resource is in, by its ARN.
    pub(crate) fn organization_of(&self, arn: &str) -> BTreeMap<String, Vec<String>> {
        let account = parts(arn).1;
        let organization = self.organization.as_ref().filter(|it| it.members.contains_key(account));
        organization.map(|it| ("aws:resourceorgid".to_owned(), vec![it.id.clone()])).into_iter().collect()
    }
}

/// Returns what a call is about, for IAM.
pub(crate) fn resource(world: &World, input: &Value) -> String {
    let Some(organization) = &world.organization else { return "*".to_owned() };
    let id = ["ParentId", "ResourceId"].into_iter().find_map(|key| text_of(input, key));
    match id {
        Some(id) if id.starts_with("ou-") => organization.arn(&format!("ou/{}/{id}", organization.id)),
        Some(id) if id.starts_with("r-") => organization.arn(&format!("root/{}/{id}", organization.id)),
        Some(id) => organization.arn(&format!("account/{}/{id}", organization.id)),
        None => "*".to_owned(),
    }
}

/// Carries a call out.
pub(crate) fn answer(world: &World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    let outside = || {
        let text = "Your account is not a member of an organization.";
        AwsError::new("AWSOrganizationsNotInUseException", text)
    };
    let organization = world.organization.as_ref().ok_or_else(outside)?;
    let is_management = organization.management == call.account;
    if !is_management && !organization.members.contains_key(&call.account) {
        return Err(outside());
    }
    if call.operation == "DescribeOrganization" {
        return Ok(describe(organization));
    }
    if !is_management && !organization.delegated.contains(&call.account) {
        return Err(AwsError::new("AccessDeniedException", "You don't have permissions to access this resource."));
    }
    let parent = || {
        let id = text_of(input, "ParentId").unwrap_or_default();
        let missing = || AwsError::new("ParentNotFoundException", "You specified parent that doesn't exist.");
        organization.path(id).ok_or_else(missing)
    };
    let (member, mut items) = match call.operation.as_str() {
        "ListRoots" => ("Roots", vec![root(organization)]),
        "ListOrganizationalUnitsForParent" => ("OrganizationalUnits", units(organization, parent()?)),
        "ListAccountsForParent" => ("Accounts", accounts(organization, parent()?, call)),
        "ListTagsForResource" => ("Tags", tags(organization, text_of(input, "ResourceId").unwrap_or_default())?),
        other => {
            let text = format!("the sandbox does not have Organizations' {other}");
            return Err(AwsError::new("UnknownOperationException", text));
        }
    };
    // By what stays as it is from page to page.
    let name = |item: &Value| text_of(item, "Id").or_else(|| text_of(item, "Key")).map(|name| world.chance.bits(name));
    items.sort_by_cached_key(name);
    page(member, &items, input)
}

fn describe(organization: &Organization) -> Value {
    let Organization { id, management, .. } = organization;
    json!({ "Organization": {
        "Id": id,
        "Arn": organization.arn(&format!("organization/{id}")),
        "FeatureSet": "ALL",
        "MasterAccountArn": organization.arn(&format!("account/{id}/{management}")),
        "MasterAccountId": management,
        "MasterAccountEmail": format!("{management}@example.com"),
        "AvailablePolicyTypes": [],
    } })
}

fn root(organization: &Organization) -> Value {
    let id = &organization.units[ROOT];
    json!({
        "Id": id, "Arn": organization.arn(&format!("root/{}/{id}", organization.id)), "Name": "Root", "PolicyTypes": [],
    })
}

fn units(organization: &Organization, parent: &str) -> Vec<Value> {
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let is_child = |path: &str| path != ROOT && path_below(parent, &name(path)) == *path;
    let children = organization.units.iter().filter(|(path, _)| is_child(path));
    children
        .map(|(path, id)| {
            let arn = organization.arn(&format!("ou/{}/{id}", organization.id));
            json!({ "Id": id, "Arn": arn, "Name": name(path).replace("%2F", "/") })
        })
        .collect()
}

fn accounts(organization: &Organization, parent: &str, call: &Call) -> Vec<Value> {
    let own = organization.members.iter().filter(|(_, member)| member.unit == *parent);
    own.map(|(id, member)| {
        json!({
            "Id": id,
            "Arn": organization.arn(&format!("account/{}/{id}", organization.id)),
            "Email": format!("{id}@example.com"),
            "Name": member.name,
            // `Status` was retired in September 2026.
            "State": member.state,
            "JoinedMethod": "CREATED",
            "JoinedTimestamp": epoch(call.now.saturating_sub(400 * 86_400_000)),
        })
    })
    .collect()
}

fn tags(organization: &Organization, id: &str) -> Result<Vec<Value>, AwsError> {
    let of = |member: &OrganizationMember| {
        member.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect()
    };
    match organization.members.get(id) {
        Some(member) => Ok(of(member)),
        None if organization.path(id).is_some() => Ok(Vec::new()),
        None => Err(AwsError::new("TargetNotFoundException", "You specified a target that doesn't exist.")),
    }
}

/// Returns a page of a list, and where the next one begins.
fn page(member: &str, items: &[Value], input: &Value) -> Result<Value, AwsError> {
    let size = input["MaxResults"].as_u64().and_then(|size| usize::try_from(size).ok()).unwrap_or(PAGE);
    let (start, was_empty) = match text_of(input, "NextToken") {
        None => (0, false),
        Some(token) => {
            let (start, kind) =
                token.strip_prefix("sandbox-").and_then(|rest| rest.split_once('-')).unwrap_or_default();
            let text = "You provided a next token that is not valid.";
            let start = start.parse().map_err(|_| AwsError::new("InvalidInputException", text))?;
            (start, kind == "e")
        }
    };
    let token = |start: usize, kind: &str| Value::from(format!("sandbox-{start}-{kind}"));
    if start > 0 && !was_empty && (start / size).is_multiple_of(EMPTY) {
        return Ok(json!({ member: [], "NextToken": token(start, "e") }));
    }
    let end = (start + size).min(items.len());
    let mut page = json!({ member: items.get(start..end).unwrap_or_default() });
    if end < items.len() {
        page["NextToken"] = token(end, "n");
    }
    Ok(page)
}
