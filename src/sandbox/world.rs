//! Everything that the sandbox holds, and the way of a request through it: count, faults, credentials, limits,
//! permission, operation.
//!
//! Synchronous: the time is an argument, and nothing here waits.

mod faulted;
mod loss;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::fleet::lookup::Lookup;
use crate::sandbox::account::Account;
use crate::sandbox::alarms::Alarms;
use crate::sandbox::api::Api;
use crate::sandbox::aws_query::Queried;
use crate::sandbox::aws_sized::Size;
use crate::sandbox::barrier::Barrier;
use crate::sandbox::bucket::{Buckets, Group};
pub(crate) use crate::sandbox::call::Call;
use crate::sandbox::calls::{Attempt, Calls, Write, is_write};
use crate::sandbox::codedeploy::CodeDeploy;
use crate::sandbox::fault::{Fault, Rule};
use crate::sandbox::iam_request::{self, IamRequest};
use crate::sandbox::issuer::Issuer;
use crate::sandbox::moment::Moment;
use crate::sandbox::organizations::Organization;
use crate::sandbox::parameters::Parameters;
use crate::sandbox::policy::{Ask, Decision, action_matches, decide};
use crate::sandbox::protocol::Coding;
use crate::sandbox::region::Region;
use crate::sandbox::resources::Things;
use crate::sandbox::rng::Chance;
use crate::sandbox::session::{Principal, Refusal, Session, verify};
use crate::sandbox::signature::{self, Claimed};
use crate::sandbox::stacks::{Exports, Stacks};
use crate::sandbox::timing::Timing;
use crate::sandbox::wire::{Answer, AwsError, Fate, Request, XML};
pub(crate) use crate::sandbox::world::loss::Mishap;
use crate::sandbox::{ecs, elb, iam, s3, stacks, sts, validation};

/// The state of the sandbox.
pub(crate) struct World {
    pub(crate) chance: Chance,
    pub(crate) issuer: Issuer,
    pub(crate) accounts: BTreeMap<String, Account>,
    pub(crate) sessions: BTreeMap<String, Session>,
    pub(crate) regions: BTreeMap<(String, String), Region>,
    /// The manifest's names of a service, by account, region and name in ECS.
    pub(crate) aliases: BTreeMap<(String, String, String), Vec<String>>,
    pub(crate) rules: Vec<Rule>,
    /// What exists besides ECS.
    pub(crate) things: Things,
    /// The parameters with values.
    pub(crate) parameters: Parameters,
    /// The outputs of CloudFormation's stacks.
    pub(crate) stacks: Stacks,
    /// What they export.
    pub(crate) exports: Exports,
    /// The buckets of S3.
    pub(crate) objects: s3::Buckets,
    /// The values that lookups have where somebody gave them, in every account.
    pub(crate) given: BTreeMap<Lookup, String>,
    /// The alarms of CloudWatch.
    pub(crate) alarms: Alarms,
    /// Deployment groups and deployments of CodeDeploy.
    pub(crate) codedeploy: CodeDeploy,
    /// The organization, where the accounts are in one.
    pub(crate) organization: Option<Organization>,
    pub(crate) buckets: Buckets,
    pub(crate) limits: bool,
    /// Until when no call is answered, by account and region.
    blind: BTreeMap<(String, String), Moment>,
    pub(crate) timing: Timing,
    pub(crate) latency: Duration,
    pub(crate) calls: Calls,
    /// How many requests came in: request ids and percentages derive from it.
    pub(crate) requests: u64,
    /// Whether task definitions are taken as they are, as an AWS of another year might.
    pub(crate) takes_everything: bool,
    /// How large its answers are.
    pub(crate) size: Size,
    /// Whether [`Calls::writes`] stays empty: it holds every request's body, which only tests ask for.
    pub(crate) forgets_writes: bool,
    /// How many sessions STS handed out.
    pub(crate) issued: u64,
    /// When its fleet was furnished.
    pub(crate) begun: Moment,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            chance: Chance::new(seed),
            issuer: Issuer::new(),
            accounts: BTreeMap::new(),
            sessions: BTreeMap::new(),
            regions: BTreeMap::new(),
            aliases: BTreeMap::new(),
            rules: Vec::new(),
            things: Things::default(),
            parameters: Parameters::default(),
            stacks: Stacks::default(),
            exports: Exports::default(),
            objects: s3::Buckets::new(),
            given: BTreeMap::new(),
            alarms: Alarms::default(),
            codedeploy: CodeDeploy::default(),
            organization: None,
            buckets: Buckets::default(),
            limits: true,
            blind: BTreeMap::new(),
            timing: Timing::default(),
            latency: Duration::from_millis(3),
            calls: Calls::default(),
            requests: 0,
            takes_everything: false,
            size: Size::Small,
            forgets_writes: false,
            issued: 0,
            begun: 0,
        }
    }

    /// Takes down a request that is sent, where it would change something, and returns how long it travels.
    pub(crate) fn sent(&mut self, request: &Request, sent: Moment) -> Duration {
        let (coding, target) = Coding::parse(request);
        if let Some((_, operation)) = Api::parse(&target).filter(|(api, operation)| api.changes(operation)) {
            let service = coding.read(&request.body).and_then(|input| Some(input["service"].as_str()?.to_owned()));
            let claimed = signature::claimed(request);
            let session = claimed.as_ref().and_then(|claimed| self.sessions.get(&claimed.access_key));
            let account = session.map(|session| session.principal.account.clone()).unwrap_or_default();
            let region = claimed.map(|claimed| claimed.region).unwrap_or_default();
            self.calls.attempts.push(Attempt { sent, account, region, operation: operation.to_owned(), service });
        }
        self.latency(request)
    }

    /// Returns how long the request travels.
    fn latency(&self, request: &Request) -> Duration {
        let claimed = signature::claimed(request);
        let Some((session, claimed)) = claimed.as_ref().and_then(|c| Some((self.sessions.get(&c.access_key)?, c)))
        else {
            return self.latency;
        };
        let names = self.account_names(&session.principal.account);
        let extra = self.rules.iter().filter(|rule| rule.sts == (claimed.service == "sts"));
        let extra = extra
            .filter(|rule| rule.sts || rule.covers_service(&[]))
            .filter(|rule| rule.covers(&names, &claimed.region));
        extra.fold(self.latency, |sum, rule| match rule.fault {
            Fault::Latency(more) => sum + more,
            _ => sum,
        })
    }

    /// Carries a request out.
    pub(crate) fn handle(&mut self, request: &Request, sent: Moment, now: Moment) -> Fate {
        self.requests += 1;
        let claimed = signature::claimed(request);
        let (coding, target) = Coding::parse(request);
        if s3::is_asked(claimed.as_ref()) {
            return self.s3(request, claimed.as_ref(), now);
        }
        if request.method == "GET" {
            return Fate::Answered(self.page(request));
        }
        match Api::parse(&target) {
            Some((api, operation)) => self.json((api, coding), request, claimed.as_ref(), operation, sent, now),
            None if target.is_empty() => self.query(request, claimed.as_ref(), now),
            None => {
                let error = AwsError::new("UnknownOperationException", format!("Unknown operation {target}"));
                Fate::Answered(coding.error(&error, self.request_id()))
            }
        }
    }

    /// Returns this request's id.
    pub(crate) fn request_id(&self) -> String {
        self.chance.uuid(&format!("request/{}", self.requests))
    }

    /// A request in awsJson or RPC v2.
    fn json(
        &mut self,
        (api, coding): (Api, Coding),
        request: &Request,
        claimed: Option<&Claimed>,
        operation: &str,
        sent: Moment,
        now: Moment,
    ) -> Fate {
        let session = claimed.and_then(|claimed| self.sessions.get(&claimed.access_key));
        let account = session.map(|session| session.principal.account.clone()).unwrap_or_default();
        let region = claimed.map(|claimed| claimed.region.clone()).unwrap_or_default();
        self.calls.record(&account, &region, operation);
        let input = coding.read(&request.body);
        let changes = api.changes(operation);
        let services = input.as_ref().map(|input| self.services_named(&account, &region, input)).unwrap_or_default();
        let faults = self.call_faults(&account, &region, &services);
        let name = format!("{account}/{region}/{operation}/{}", self.calls.count(&account, &region, operation));
        if self.blind.get(&(account.clone(), region.clone())).is_some_and(|until| now < *until) {
            return Fate::Reset;
        }
        match self.mishap(&faults, &name, changes, "ServiceUnavailableException") {
            Some(Mishap::Unanswered(fate)) => return fate,
            Some(Mishap::Refused(error)) => return Fate::Answered(coding.error(&error, self.request_id())),
            None => {}
        }
        let caller = verify(session, request, claimed, now);
        self.calls.expired += u64::from(matches!(caller, Err(Refusal::Expired)));
        let caller = caller.and_then(|principal| {
            if self.is_off(&principal.account, &region) { Err(Refusal::Unknown) } else { Ok(principal) }
        });
        let outcome = caller.map_err(Refusal::ecs).and_then(|principal| {
            let input =
                input.ok_or_else(|| AwsError::new("SerializationException", "The request body is not valid JSON"))?;
            let (account, region) = (account.clone(), region.clone());
            let call = Call { account, region, operation: operation.to_owned(), principal, sent, now };
            self.json_call(api, &call, input, &faults)
        });
        let write = (is_write(operation) && outcome.is_ok()).then_some((account, region));
        let answer = match outcome {
            Ok(output) => coding.answer(output, self.request_id()),
            Err(error) => coding.error(&error, self.request_id()),
        };
        self.send(answer, &faults, (&name, now), write)
    }

    /// Checks an input by the service's model, and leaves of it what AWS reads.
    pub(crate) fn accept(&self, api: Api, operation: &str, input: &mut Value) -> Result<(), AwsError> {
        if self.takes_everything && operation == "RegisterTaskDefinition" {
            return Ok(());
        }
        validation::accept(api.model(), operation, input)
    }

    fn json_call(&mut self, api: Api, call: &Call, mut input: Value, faults: &[Fault]) -> Result<String, AwsError> {
        let throttled = || match api {
            Api::Organizations => {
                let text = "You have sent too many requests in too short a period of time. Try again later.";
                AwsError::new("TooManyRequestsException", text)
            }
            _ => AwsError::new("ThrottlingException", "Rate exceeded"),
        };
        let rates = faults.iter().filter_map(|fault| match fault {
            Fault::Throttle(rate) => Some(Group::throttled(*rate, &call.operation)),
            _ => None,
        });
        let published = match api {
            Api::Ecs => Group::parse(&call.operation),
            Api::Organizations => Some(Group::ORGANIZATIONS),
            _ => None,
        };
        let published = published.filter(|_| self.limits);
        let published = published.map(|group| faults.iter().fold(group, |group, fault| fault.narrows(group)));
        for group in rates.chain(published) {
            if !self.buckets.take(&call.account, &call.region, group, call.now) {
                self.calls.throttled += 1;
                return Err(throttled());
            }
        }
        self.accept(api, &call.operation, &mut input)?;
        for IamRequest { action, resource, keys } in iam_request::from_call(api, self, call, &input) {
            self.authorize(&call.principal, &action, &resource, &keys)?;
            let unread = matches!(call.operation.as_str(), "ListServiceDeployments" | "DescribeServiceDeployments");
            let denied = faults.iter().find_map(|fault| match fault {
                Fault::NoServiceDeployments if unread => Some(Barrier::UNPERMITTED),
                fault => fault.denies(&action),
            });
            if let Some(barrier) = denied {
                return Err(barrier.refusal(&call.principal, &action, &resource));
            }
        }
        let output = api.answer(self, call, &input);
        if call.operation == "DescribeServices" && output.is_ok() {
            for service in ecs::list_of(&input, "services") {
                let key = (call.account.clone(), call.region.clone(), ecs::short(service).to_owned());
                self.calls.described.entry(key).or_insert(call.now);
            }
        }
        if api.changes(&call.operation) && !self.forgets_writes {
            self.calls.writes.push(Write {
                at: call.now,
                account: call.account.clone(),
                region: call.region.clone(),
                operation: call.operation.clone(),
                input,
                error: output.as_ref().err().map(|error| error.code.clone()),
            });
        }
        output
    }

    /// A request in awsQuery: of STS, of IAM or of Elastic Load Balancing.
    fn query(&mut self, request: &Request, claimed: Option<&Claimed>, now: Moment) -> Fate {
        let form: sts::Form = form_urlencoded::parse(&request.body).into_owned().collect();
        match form.get("Version").map(String::as_str) {
            Some(iam::VERSION) => self.read(Queried::Iam, request, claimed, &form, now),
            Some(stacks::VERSION) => self.read(Queried::CloudFormation, request, claimed, &form, now),
            Some(elb::VERSION) => self.read(Queried::Elb, request, claimed, &form, now),
            _ => self.sts(request, claimed, &form, now),
        }
    }

    /// Whether IAM lets the caller do it, in awsQuery's words.
    pub(crate) fn permit(
        &self,
        caller: &Principal,
        action: &str,
        resource: &str,
        denied: Option<Barrier>,
    ) -> Result<(), AwsError> {
        let allowed = self.authorize(caller, action, resource, &BTreeMap::new());
        let allowed =
            allowed.and_then(|()| denied.map_or(Ok(()), |barrier| Err(barrier.refusal(caller, action, resource))));
        allowed.map_err(|error| AwsError::with_status(403, "AccessDenied", error.message))
    }

    fn sts(&mut self, request: &Request, claimed: Option<&Claimed>, form: &sts::Form, now: Moment) -> Fate {
        let operation = form.get("Action").cloned().unwrap_or_default();
        let session = claimed.and_then(|claimed| self.sessions.get(&claimed.access_key));
        // STS charges and faults the role's account, or the caller's where no role is named.
        let account = match (form.get("RoleArn"), session) {
            (Some(arn), _) => crate::sandbox::account::parts(arn).1.to_owned(),
            (None, Some(session)) => session.principal.account.clone(),
            (None, None) => String::new(),
        };
        let region = match claimed {
            Some(claimed) => claimed.region.clone(),
            None => sts::region_of(request.header("host").unwrap_or_default()),
        };
        self.calls.record(&account, &region, &operation);
        let names = self.account_names(&account);
        let faults: Vec<Fault> = self
            .rules
            .iter()
            .filter(|rule| rule.covers(&names, &region))
            .filter(|rule| {
                let own =
                    matches!(&rule.fault, Fault::Deny(action) | Fault::DenyBy(action, _) if action.starts_with("sts:"));
                rule.sts || own || matches!(rule.fault, Fault::Refuses(_))
            })
            .map(|rule| rule.fault.clone())
            .collect();
        let name = format!("sts/{account}/{operation}/{}", self.calls.count(&account, &region, &operation));
        match self.mishap(&faults, &name, false, "ServiceUnavailable") {
            Some(Mishap::Unanswered(fate)) => return fate,
            Some(Mishap::Refused(error)) => return Fate::Answered(error.xml(self.request_id())),
            None => {}
        }
        for fault in &faults {
            match fault {
                Fault::Throttle(rate)
                    if !self.buckets.take(&account, "sts", Group::throttled(*rate, &operation), now) =>
                {
                    self.calls.throttled += 1;
                    return Fate::Answered(AwsError::new("Throttling", "Rate exceeded").xml(self.request_id()));
                }
                Fault::Refuses(refusal) => {
                    let role = form.get("RoleArn").map(String::as_str).unwrap_or_default();
                    if let Some(error) = refusal.error(&operation, &sts::issuer(form), role) {
                        return Fate::Answered(error.xml(self.request_id()));
                    }
                }
                _ => {}
            }
        }
        let action = format!("sts:{operation}");
        let denied = faults.iter().find_map(|fault| Some((fault.denies(&action)?, fault)));
        let caller = || {
            let caller = verify(session, request, claimed, now).map_err(Refusal::sts)?;
            if self.is_off(&caller.account, &region) { Err(Refusal::Unknown.sts()) } else { Ok(caller) }
        };
        let outcome = match operation.as_str() {
            "AssumeRoleWithWebIdentity" if self.is_off(&account, &region) => {
                Err(crate::sandbox::refusal::Refusal::region_disabled(&account))
            }
            "AssumeRoleWithWebIdentity" if denied.is_some() => {
                let text = "Not authorized to perform sts:AssumeRoleWithWebIdentity";
                Err(AwsError::with_status(403, "AccessDenied", text))
            }
            "AssumeRoleWithWebIdentity" => sts::assume_role_with_web_identity(self, form, now),
            "AssumeRole" => caller().and_then(|caller| {
                if let Some((barrier, fault)) = denied {
                    let role = form.get("RoleArn").map(String::as_str).unwrap_or_default();
                    // STS names no policy where it could be either side's.
                    let clause = match fault {
                        Fault::DenyBy(..) => format!(" {}", barrier.clause("sts:AssumeRole")),
                        _ => String::new(),
                    };
                    let text = format!(
                        "User: {} is not authorized to perform: sts:AssumeRole on resource: {role}{clause}",
                        caller.arn
                    );
                    return Err(AwsError::with_status(403, "AccessDenied", text));
                }
                sts::assume_role(self, form, &caller, now)
            }),
            "GetCallerIdentity" => caller().map(|caller| sts::get_caller_identity(self, &caller)),
            _ => {
                let text = format!("Could not find operation {operation} for version 2011-06-15");
                Err(AwsError::new("InvalidAction", text))
            }
        };
        let answer = match outcome {
            Ok(body) => Answer::new(200, XML, self.request_id(), body.into_bytes()),
            Err(error) => error.xml(self.request_id()),
        };
        self.send(answer, &faults, (&name, now), None)
    }

    /// Whether the principal may call the action on the resource.
    ///
    /// # Errors
    /// `AccessDeniedException` with AWS's text.
    pub(crate) fn authorize(
        &self,
        principal: &Principal,
        action: &str,
        resource: &str,
        context: &BTreeMap<String, Vec<String>>,
    ) -> Result<(), AwsError> {
        let ask = Ask { action, resource: Some(resource), principals: Vec::new(), context: context.clone() };
        let role = principal.role.as_ref().and_then(|arn| {
            let account = self.accounts.get(crate::sandbox::account::parts(arn).1)?;
            account.roles.get(arn)
        });
        if let Some(role) = role {
            let listed = role.actions.as_ref().is_none_or(|actions| actions.iter().any(|a| action_matches(a, action)));
            let decision = role.policies().map_or(Decision::Allowed, |policy| decide(&policy, &ask));
            if decision == Decision::Denied {
                return Err(Barrier::IDENTITY.refusal(principal, action, resource));
            }
            if !listed || decision == Decision::Silent {
                return Err(Barrier::UNPERMITTED.refusal(principal, action, resource));
            }
        }
        match principal.policy.as_ref().map(|policy| decide(policy, &ask)) {
            None | Some(Decision::Allowed) => Ok(()),
            Some(Decision::Silent) => Err(Barrier::SESSION_SILENT.refusal(principal, action, resource)),
            Some(Decision::Denied) => Err(Barrier::SESSION.refusal(principal, action, resource)),
        }
    }

    /// Whether a region is not enabled in an account.
    pub(crate) fn is_off(&self, account: &str, region: &str) -> bool {
        let names = self.account_names(account);
        self.rules.iter().any(|rule| rule.fault == Fault::RegionOff && rule.covers(&names, region))
    }

    /// Returns the region's state, empty where nothing was made in it yet.
    pub(crate) fn region(&mut self, account: &str, region: &str) -> &mut Region {
        self.regions.entry((account.to_owned(), region.to_owned())).or_insert_with(|| Region::new(account, region))
    }

    /// Returns the id and the manifest's name of an account.
    pub(crate) fn account_names<'a>(&'a self, account: &'a str) -> Vec<&'a str> {
        let name = self.accounts.get(account).map(|account| account.name.as_str());
        std::iter::once(account).chain(name).collect()
    }
}
