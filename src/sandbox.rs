//! An AWS to deploy to without AWS: STS, ECS and a GitLab issuer per account and region, with a seeded fault model; and
//! of IAM, Organizations, ECR, CloudWatch, CloudWatch Logs, CloudFormation, S3, Secrets Manager, Systems Manager and Elastic
//! Load Balancing what is read of them.
//!
//! It stands behind the AWS SDK's own HTTP client ([`Sandbox::http_client`]), so everything above that is the real
//! thing, or behind a loopback server ([`Sandbox::serve`]). Time comes from the clock that it is given and chance from
//! the seed: under a paused runtime hours pass in no time, and a run repeats exactly. It is not a container runtime:
//! tasks are numbers that change at the times that [`Timing`] says.
//!
//! Codes, texts and orders are AWS's where they are documented or were recorded. Not known and made up in the same
//! style: why a service deployment is STOPPED (superseded, stopped by a person, circuit breaker without rollback), the
//! words of StopServiceDeployment's ConflictException, of a token whose `nbf` is in the future, and the percentage of
//! PackedPolicySize. Of BLUE_GREEN, LINEAR and CANARY `lifecycle` says what is not known. Deployment alarms go off by a fault
//! only and prolong no deployment, those of CloudWatch for a bake by another, and services under EXTERNAL stand still. What
//! task definitions name exists or does not, and has no content; the logs of tasks follow from what became of them.

mod account;
mod alarms;
mod api;
mod aws_query;
mod aws_sized;
mod barrier;
mod behaviour;
mod breaker;
mod bucket;
mod call;
mod calls;
mod cbor;
mod cluster;
mod codedeploy;
mod configuration;
mod connector;
mod ecr;
mod ecs;
mod elb;
mod fault;
mod history;
mod hook;
mod iam;
mod iam_request;
mod idle;
mod issuer;
mod jwt;
mod lifecycle;
mod logs;
mod model;
mod moment;
mod one_off;
mod organizations;
mod page;
mod parameters;
mod policy;
mod protocol;
mod providers;
mod record;
mod refusal;
mod region;
mod resources;
mod rng;
mod rollout;
mod s3;
mod secrets;
mod seed;
mod server;
mod service;
mod services;
mod session;
mod signature;
mod stacks;
mod sts;
mod tag;
mod task;
mod taskdef;
mod timing;
mod validation;
mod wire;
mod world;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_credential_types::Credentials;
use secrecy::SecretString;
use serde_json::Value;

pub use crate::sandbox::account::{Provider, Role};
pub use crate::sandbox::aws_sized::Size;
pub use crate::sandbox::barrier::Barrier;
pub use crate::sandbox::calls::{Attempt, Calls, Write};
pub use crate::sandbox::fault::{Fault, NAMES as FAULT_NAMES, parse_fault};
pub use crate::sandbox::idle::refuse_idle;
pub use crate::sandbox::issuer::{AUDIENCE, Claims, ISSUER_HOST, PROJECT_PATH};
pub use crate::sandbox::organizations::{Organization, OrganizationMember, SOMEBODY};
pub use crate::sandbox::refusal::Refusal;
pub use crate::sandbox::timing::Timing;

use crate::base::clock::Clock;
use crate::fleet::Fleet;
use crate::fleet::lookup::Lookup;
use crate::iam::Setup;
use crate::references::need::Need;
use crate::sandbox::api::Api;
use crate::sandbox::moment::{Moment, moment};
use crate::sandbox::wire::{Fate, Request};
use crate::sandbox::world::{Call, World};

/// The secret access key of every account's static credentials.
pub const SECRET: &str = "test";

/// What an account's static access key begins with; the account id follows.
const KEY_PREFIX: &str = "AKIASNDB";

/// The sandbox. Clones share one state.
#[derive(Clone)]
pub struct Sandbox {
    clock: Clock,
    world: Arc<Mutex<World>>,
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sandbox")
    }
}

/// A service as a test sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceSnapshot {
    /// `ACTIVE`, `DRAINING` or `INACTIVE`.
    pub status: String,
    /// The ARN of the PRIMARY deployment's task definition.
    pub task_definition: String,
    /// The service's desired count.
    pub desired: u64,
    /// How many tasks run.
    pub running: u64,
    /// How many are on their way.
    pub pending: u64,
    /// The deployments, PRIMARY first: id, status, rollout state.
    pub deployments: Vec<(String, String, String)>,
    /// The whole of it, as DescribeServices gives it.
    pub body: Value,
}

impl Sandbox {
    /// Returns an empty sandbox: no account, no service.
    pub fn new(seed: u64, clock: Clock) -> Self {
        Self { clock, world: Arc::new(Mutex::new(World::new(seed))) }
    }

    /// Returns a sandbox in which every role and target of the fleet exists, each service at an older revision.
    pub fn for_fleet(fleet: &Fleet, seed: u64, clock: Clock) -> Self {
        Self::for_fleet_of(Size::Small, fleet, (seed, BTreeMap::new()), clock)
    }

    /// Does as [`Self::for_fleet`] does, with answers of a size, and with the values of lookups beside the seed.
    pub fn for_fleet_of(size: Size, fleet: &Fleet, with: (u64, BTreeMap<Lookup, String>), clock: Clock) -> Self {
        let (seed, given) = with;
        let sandbox = Self::new(seed, clock);
        let now = sandbox.now();
        let mut world = sandbox.world();
        world.size = size;
        world.given = given;
        world.furnish(fleet, now);
        drop(world);
        sandbox
    }

    /// Gives every target of the fleet a past: an hour ago, a newer revision than the one that it was furnished with was
    /// deployed and completed.
    pub fn add_history(&self, fleet: &Fleet) {
        let now = self.now();
        self.world().add_history(fleet, now);
    }

    /// Returns the clock that everything here goes by.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Returns an ID token of the pretend GitLab.
    pub fn id_token(&self, claims: Claims) -> SecretString {
        let now = self.now();
        let world = self.world();
        world.issuer.token(&claims, now, world.chance)
    }

    /// Returns the pretend GitLab's public keys, as `/oauth/discovery/keys` gives them.
    pub fn key_set(&self) -> Value {
        self.world().issuer.key_set()
    }

    /// Returns the predefined `CI_*` variables of the pretend GitLab job, name and value; the ID token is not among them.
    pub fn job_variables() -> Vec<(&'static str, &'static str)> {
        issuer::job_variables()
    }

    /// Keeps no more of the calls that change something than their number.
    pub fn forget_writes(&self) {
        self.world().forgets_writes = true;
    }

    /// Sets how long tasks take, from their next step on.
    pub fn set_timing(&self, timing: Timing) {
        self.world().timing = timing;
    }

    /// Sets how long every call takes.
    pub fn set_latency(&self, latency: Duration) {
        self.world().latency = latency;
    }

    /// Switches ECS's published limits (token buckets per account and region) on or off; they are on at first.
    pub fn set_limits(&self, on: bool) {
        self.world().limits = on;
    }

    /// Adds a fault for the targets that `account/region/service` matches: globs on the manifest's names, account ids
    /// and service names in ECS; what is left out is `*`. A service part of `sts` makes a call fault one of STS.
    ///
    /// # Errors
    /// Says what is wrong with the pattern.
    pub fn fault(&self, pattern: &str, fault: Fault) -> Result<(), String> {
        let rule = fault::Rule::new(pattern, fault)?;
        let mut world = self.world();
        if rule.fault == Fault::Daemon {
            world.make_daemons(&rule);
        }
        world.rules.push(rule);
        Ok(())
    }

    /// Takes every fault away; deployments that run already keep theirs.
    pub fn clear_faults(&self) {
        self.world().rules.clear();
    }

    /// Adds an account with the sandbox's OIDC provider and static credentials.
    pub fn add_account(&self, id: &str, name: &str) {
        self.world().add_account(id, name);
    }

    /// Adds a role, or joins its trust to that of the one that is there.
    pub fn add_role(&self, role: Role) {
        self.world().add_role(role);
    }

    /// Gives every role of a set-up its trust policy, and its permissions and no others; roles and providers that there are
    /// not are made.
    pub fn apply(&self, setup: &Setup) {
        for account in &setup.accounts {
            for wanted in &account.roles {
                self.add_role(Role::new(wanted.arn.as_str()));
                self.change_role(wanted.arn.as_str(), |role| {
                    role.trust = wanted.trust.clone();
                    role.max_session = wanted.max_session;
                    (role.policy, role.actions) = (None, None);
                    role.attached =
                        wanted.policies.iter().map(|policy| (policy.name.clone(), policy.document.clone())).collect();
                });
            }
            if let Some(provider) = &account.provider {
                let host = crate::fleet::identity_provider::name(&provider.url).to_owned();
                let client_ids = provider.audiences.clone();
                self.set_provider(account.id.as_str(), Provider { host, client_ids, key_set: None });
            }
        }
    }

    /// Changes a role; `false` where there is none.
    pub fn change_role(&self, arn: &str, change: impl FnOnce(&mut Role)) -> bool {
        let mut world = self.world();
        let account = world.accounts.get_mut(account::parts(arn).1);
        account.and_then(|account| account.roles.get_mut(arn)).map(change).is_some()
    }

    /// Deletes a role; `false` where there is none.
    pub fn remove_role(&self, arn: &str) -> bool {
        let mut world = self.world();
        world.accounts.get_mut(account::parts(arn).1).is_some_and(|account| account.roles.remove(arn).is_some())
    }

    /// Makes something that task definitions name exist in an account, by its id; [`Self::for_fleet`] does it for all
    /// that the manifest names. Roles are added with [`Self::add_role`].
    pub fn add_thing(&self, account: &str, need: Need) {
        self.world().add_thing(account, need);
    }

    /// Keeps a CloudWatch alarm of an account, by its id, in a state (`OK`, `ALARM` or `INSUFFICIENT_DATA`), or deletes it.
    pub fn set_alarm(&self, account: &str, region: &str, name: &str, state: Option<&str>) {
        self.world().set_alarm((account.to_owned(), region.to_owned(), name.to_owned()), state);
    }

    /// Takes it away again; `false` where there is none.
    pub fn remove_thing(&self, account: &str, need: &Need) -> bool {
        self.world().remove_thing(account, need)
    }

    /// Schedules the deletion of a secret; `false` where there is none.
    pub fn delete_secret(&self, account: &str, need: &Need) -> bool {
        self.world().delete_secret(account, need)
    }

    /// Adds a pull through cache rule to an account's registry in a region.
    pub fn add_cache(&self, account: &str, region: &str, prefix: &str) {
        let place = (account.to_owned(), region.to_owned());
        self.world().things.caches.entry(place).or_default().insert(prefix.to_owned());
    }

    /// Sets an account's OIDC provider; another issuer's key set can come with it.
    pub fn set_provider(&self, account: &str, provider: Provider) {
        if let Some(account) = self.world().accounts.get_mut(account) {
            account.providers.insert(provider.host.clone(), provider);
        }
    }

    /// Removes an account's OIDC provider; `false` where there is none.
    pub fn remove_provider(&self, account: &str, host: &str) -> bool {
        self.world().accounts.get_mut(account).is_some_and(|account| account.providers.remove(host).is_some())
    }

    /// Puts the accounts into an organization, in the place of the one that there is.
    pub fn set_organization(&self, organization: Organization) {
        self.world().organization = Some(organization);
    }

    /// Changes the organization, where there is one.
    pub fn change_organization(&self, change: impl FnOnce(&mut Organization)) {
        if let Some(organization) = self.world().organization.as_mut() {
            change(organization);
        }
    }

    /// Returns the id of an account's static access key; its secret is [`SECRET`], and it may do everything there.
    pub fn access_key(account: &str) -> String {
        format!("{KEY_PREFIX}{account}")
    }

    /// Returns an account's static credentials: for chains that are empty or begin with ambient credentials.
    pub fn account_credentials(account: &str) -> Credentials {
        Credentials::new(Self::access_key(account), SECRET, None, None, "sandbox")
    }

    /// Ends every session of an account at once: its next calls find their tokens expired.
    pub fn expire_sessions(&self, account: &str) {
        let now = self.now();
        let mut world = self.world();
        let sessions = world.sessions.values_mut().filter(|session| session.principal.account == account);
        sessions.filter(|session| session.expires.is_some()).for_each(|session| session.expires = Some(now));
    }

    /// Returns what was asked so far.
    pub fn calls(&self) -> Calls {
        self.world().calls.clone()
    }

    /// Forgets what was asked so far.
    pub fn forget_calls(&self) {
        self.world().calls = Calls::default();
    }

    /// Has ECS take every task definition as it is, with members and values that this program's model does not have.
    pub fn take_everything(&self) {
        self.world().takes_everything = true;
    }

    /// Makes an ECS call as someone else in the account: not counted, not limited, without faults of calls.
    ///
    /// # Errors
    /// ECS's error, as `Code: text`.
    pub fn call_as_operator(
        &self,
        account: &str,
        region: &str,
        operation: &str,
        input: &Value,
    ) -> Result<Value, String> {
        let mut world = self.world();
        let call = self.operators_call(&world, account, region, operation);
        world.requests += 1;
        let mut input = input.clone();
        let text = world
            .accept(Api::Ecs, operation, &mut input)
            .and_then(|()| ecs::answer(&mut world, &call, &input))
            .map_err(|error| format!("{}: {}", error.code, error.message))?;
        serde_json::from_str(&text).map_err(|error| error.to_string())
    }

    /// Returns a service as it is now, its account by name or id.
    pub fn service(&self, account: &str, region: &str, cluster: &str, service: &str) -> Option<ServiceSnapshot> {
        let mut world = self.world();
        let call = self.operators_call(&world, account, region, "DescribeServices");
        let service = world.service(&call, Some(cluster), service).ok()?;
        let body = service.is_visible(call.now).then(|| service.describe(call.now))?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let deployments = body["deployments"].as_array().into_iter().flatten();
        Some(ServiceSnapshot {
            status: text(&body["status"]),
            task_definition: text(&body["taskDefinition"]),
            desired: body["desiredCount"].as_u64().unwrap_or_default(),
            running: body["runningCount"].as_u64().unwrap_or_default(),
            pending: body["pendingCount"].as_u64().unwrap_or_default(),
            deployments: deployments
                .map(|one| (text(&one["id"]), text(&one["status"]), text(&one["rolloutState"])))
                .collect(),
            body,
        })
    }

    fn operators_call(&self, world: &World, account: &str, region: &str, operation: &str) -> Call {
        let (now, account) = (self.now(), world.account_id(account));
        Call {
            principal: seed::admin(&account),
            account,
            region: region.to_owned(),
            operation: operation.to_owned(),
            sent: now,
            now,
        }
    }

    /// Returns the numbers of a family's ACTIVE revisions.
    pub fn revisions(&self, account: &str, region: &str, family: &str) -> Vec<u32> {
        let mut world = self.world();
        let account = world.account_id(account);
        let family = world.region(&account, region).families.get(family);
        let revisions = family.into_iter().flat_map(|family| &family.revisions);
        revisions.filter(|(_, one)| one.active).map(|(number, _)| *number).collect()
    }

    /// Returns a task definition by its family, `family:number` or ARN, as DescribeTaskDefinition gives it.
    pub fn task_definition(&self, account: &str, region: &str, reference: &str) -> Option<Value> {
        let mut world = self.world();
        let account = world.account_id(account);
        world.region(&account, region).definition(reference).map(|(_, _, one)| one.body.value())
    }

    /// Carries a request, from its arrival to what becomes of it.
    async fn carry(&self, request: &Request) -> Fate {
        let sent = self.now();
        let latency = self.world().sent(request, sent);
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        let now = self.now();
        self.world().handle(request, sent, now)
    }

    fn now(&self) -> Moment {
        moment(self.clock.now())
    }

    fn world(&self) -> MutexGuard<'_, World> {
        // A panic of another test thread leaves the state as whole as it was.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World {
    /// Returns the id of an account that is named by its name or id.
    fn account_id(&self, account: &str) -> String {
        let named = self.accounts.iter().find(|(_, one)| one.name == account);
        named.map_or_else(|| account.to_owned(), |(id, _)| id.clone())
    }
}
