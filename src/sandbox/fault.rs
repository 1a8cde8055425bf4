//! What can go wrong, and for which targets: the faults of `--sandbox-fault` and of tests.
//!
//! Rollout faults change how tasks behave; call faults change how requests are answered. All chance comes from the
//! sandbox's seed.

use std::time::Duration;

use globset::{GlobBuilder, GlobMatcher};

use crate::sandbox::barrier::Barrier;
use crate::sandbox::bucket::Group;
use crate::sandbox::policy::action_matches;
use crate::sandbox::refusal::Refusal;

/// A fault. In `GLOB=FAULT[:ARG]` it is written as each variant's first word says.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// `crash`: tasks of a new revision start and exit with code 1.
    Crash,
    /// `nopull`: the image of a new revision cannot be pulled.
    NoPull,
    /// `hang`: tasks of a new revision stay PENDING for ever.
    Hang,
    /// `unhealthy`: tasks of a new revision run, fail the health checks and are stopped for that.
    Unhealthy,
    /// `flap`: tasks of a new revision become healthy, and exit with code 1 some time later, again and again.
    Flap,
    /// `slow[:FACTOR]`: tasks take so many times longer; 5 unless told.
    Slow(f64),
    /// `vanish`: the service is deleted while it is being deployed.
    Vanish,
    /// `supersede`: someone else deploys while it is being deployed.
    Supersede,
    /// `degrade`: tasks of a new revision begin to crash some time after its deployment completed.
    Degrade,
    /// `bake-alarm`: the alarms that the service's bake looks at go off some time after a new revision was deployed.
    BakeAlarm,
    /// `hook-fails`: the Lambda functions of a new revision's lifecycle hooks return FAILED.
    HookFails,
    /// `hook-hangs`: they return IN_PROGRESS until the hook's timeout.
    HookHangs,
    /// `alarm`: the first deployment alarm goes off while a new revision is deployed.
    Alarm,
    /// `stuck`: tasks of a new revision crash, and so do those of the revision that ECS rolls back to.
    Stuck,
    /// `no-return`: tasks of a new revision crash, and those of the previous revision never start in any rollback.
    NoReturn,
    /// `task-fails`: tasks of RunTask exit with 1.
    TaskFails,
    /// `task-hangs`: tasks of RunTask run until they are stopped.
    TaskHangs,
    /// `no-capacity`: RunTask starts no task, for want of capacity.
    NoCapacity,
    /// `throttle:RATE`: ECS answers at most so many calls a second of each group, and `ThrottlingException` to the others.
    Throttle(f64),
    /// `silent`: the connection is accepted and nothing is ever answered.
    Silent,
    /// `reset`: the connection breaks before the request is looked at.
    Reset,
    /// `lost:PERCENT`: RegisterTaskDefinition, UpdateService, StopServiceDeployment, RunTask and CreateDeployment happen, but
    /// so many answers are lost.
    Lost(u8),
    /// `truncated:PERCENT`: so many answers break off in the middle; what they are the answers to has happened.
    Truncated(u8),
    /// `cut:PERCENT`: the connections of so many writes break before they are looked at.
    Cut(u8),
    /// `broken:PERCENT`: so many writes are answered with HTTP 500, and do not happen.
    Broken(u8),
    /// `blind:SECONDS`: those writes happen, their answers are lost, and no call is answered for so long after each.
    Blind(Duration),
    /// `busy:PERCENT`: others use a percentage of what ECS allows in the account and region.
    Busy(u8),
    /// `unavailable:PERCENT`: so many calls are answered with HTTP 503.
    Unavailable(u8),
    /// `deny:ACTION`: the action, such as `ecs:UpdateService` or `sts:AssumeRole`, is not allowed.
    Deny(String),
    /// `deny:ACTION:POLICY`: a policy of this kind denies it, such as `scp`, or does not allow it, such as `no-scp`.
    DenyBy(String, Barrier),
    /// `region-off`: the region is not enabled in the account, so that no session of it is known there.
    RegionOff,
    /// `stale:SECONDS`: DescribeServices shows a service as it was before its last UpdateService, for so long.
    Stale(Duration),
    /// `latency:MS`: every call takes so many milliseconds longer.
    Latency(Duration),
    /// `wrong-account`: a session in the account belongs to another account.
    WrongAccount,
    /// `short-sessions:SECONDS`: sessions of the account's roles end so soon, whatever was asked for.
    ShortSessions(Duration),
    /// `token-ends:SECONDS`: STS takes an ID token no longer than so long after it was issued.
    TokenEnds(Duration),
    /// `lagging-lists:SECONDS`: ListServiceDeployments and ListTaskDefinitions show what is new so much later.
    LaggingLists(Duration),
    /// `no-service-deployments`: the role may not read service deployments.
    NoServiceDeployments,
    /// `image-missing`: the images in ECR that the service's definition names do not exist, and cannot be pulled.
    ImageMissing,
    /// `image-differs`: those images have other contents than in other accounts.
    ImageDiffers,
    /// `image-late:SECONDS`: they are there only so long after the sandbox has begun.
    ImageLate(Duration),
    /// `image-arm64`: they are for linux/arm64 alone.
    ImageArm64,
    /// `role-missing`: the roles that it names do not exist.
    RoleMissing,
    /// `log-group-missing`: the log groups that it names do not exist.
    LogGroupMissing,
    /// `secret-missing`: the secrets and parameters that it names do not exist.
    SecretMissing,
    /// `daemon`: the scheduling strategy of the service is DAEMON.
    Daemon,
    /// `fills-in`: RegisterTaskDefinition gives each container a `stopTimeout` of 30 that has none.
    FillsIn,
    /// `no-provider`, `wrong-audience`, `no-keys`, `no-issuer`, `claim-rejected`, `region-disabled`, `packed`: STS refuses
    /// to give sessions in the account.
    Refuses(Refusal),
}

impl Fault {
    /// Returns what it leaves of what ECS allows.
    pub(crate) fn narrows(&self, group: Group) -> Group {
        match self {
            Self::Busy(percent) => group.without(*percent),
            _ => group,
        }
    }

    /// Returns what refuses an action, where the fault is of it.
    pub(crate) fn denies(&self, action: &str) -> Option<Barrier> {
        match self {
            Self::Deny(pattern) if action_matches(pattern, action) => Some(Barrier::UNPERMITTED),
            Self::DenyBy(pattern, barrier) if action_matches(pattern, action) => Some(*barrier),
            _ => None,
        }
    }
}

/// Reads `GLOB=FAULT[:ARG]`, such as `prod-*/eu-west-1/api=slow:3`.
///
/// # Errors
/// Says what is wrong, and which faults there are.
pub fn parse_fault(text: &str) -> Result<(String, Fault), String> {
    let (pattern, fault) = text.rsplit_once('=').ok_or_else(|| format!("`{text}` is not GLOB=FAULT[:ARG]"))?;
    let (name, argument) = match fault.split_once(':') {
        Some((name, argument)) => (name, Some(argument)),
        None => (fault, None),
    };
    let number = |unit: &str| -> Result<f64, String> {
        argument
            .and_then(|text| text.parse::<f64>().ok())
            .filter(|number| number.is_finite() && *number > 0.0)
            .ok_or_else(|| format!("`{name}` takes {unit} after a colon, in `{text}`"))
    };
    let percent = || -> Result<u8, String> {
        argument
            .and_then(|text| text.trim_end_matches('%').parse::<u8>().ok())
            .filter(|percent| *percent <= 100)
            .ok_or_else(|| format!("`{name}` takes a percentage, 0 to 100, after a colon, in `{text}`"))
    };
    let fault = match name {
        "crash" => Fault::Crash,
        "nopull" => Fault::NoPull,
        "hang" => Fault::Hang,
        "unhealthy" => Fault::Unhealthy,
        "flap" => Fault::Flap,
        "slow" if argument.is_none() => Fault::Slow(SLOW_FACTOR),
        "slow" => Fault::Slow(number("a factor")?),
        "vanish" => Fault::Vanish,
        "supersede" => Fault::Supersede,
        "degrade" => Fault::Degrade,
        "bake-alarm" => Fault::BakeAlarm,
        "hook-fails" => Fault::HookFails,
        "hook-hangs" => Fault::HookHangs,
        "alarm" => Fault::Alarm,
        "stuck" => Fault::Stuck,
        "no-return" => Fault::NoReturn,
        "task-fails" => Fault::TaskFails,
        "task-hangs" => Fault::TaskHangs,
        "no-capacity" => Fault::NoCapacity,
        "throttle" => Fault::Throttle(number("a rate per second")?),
        "silent" => Fault::Silent,
        "reset" => Fault::Reset,
        "lost" => Fault::Lost(percent()?),
        "truncated" => Fault::Truncated(percent()?),
        "cut" => Fault::Cut(percent()?),
        "broken" => Fault::Broken(percent()?),
        "blind" => Fault::Blind(Duration::from_secs_f64(number("seconds")?.min(MAX_LATENCY / 1000.0))),
        "busy" => Fault::Busy(percent()?),
        "unavailable" => Fault::Unavailable(percent()?),
        "deny" => match argument {
            Some(action) if action.matches(':').count() == 2 => {
                let (action, policy) = action.rsplit_once(':').unwrap_or_default();
                let barrier = Barrier::parse(policy).ok_or_else(|| {
                    let names = Barrier::names();
                    format!("`{policy}` in `{text}` is not a kind of policy; they are {names}, each with `no-` before it, too")
                })?;
                Fault::DenyBy(action.to_owned(), barrier)
            }
            Some(action) if action.contains(':') => Fault::Deny(action.to_owned()),
            _ => return Err(format!("`deny` takes an action such as ecs:UpdateService after a colon, in `{text}`")),
        },
        "stale" => Fault::Stale(Duration::from_secs_f64(number("seconds")?.min(MAX_LATENCY / 1000.0))),
        "latency" => Fault::Latency(Duration::from_secs_f64(number("milliseconds")?.min(MAX_LATENCY) / 1000.0)),
        "wrong-account" => Fault::WrongAccount,
        "region-off" => Fault::RegionOff,
        "short-sessions" => Fault::ShortSessions(Duration::from_secs_f64(number("seconds")?.min(MAX_LATENCY / 1000.0))),
        "token-ends" => Fault::TokenEnds(Duration::from_secs_f64(number("seconds")?.min(MAX_LATENCY / 1000.0))),
        "lagging-lists" => Fault::LaggingLists(Duration::from_secs_f64(number("seconds")?.min(MAX_LATENCY / 1000.0))),
        "no-service-deployments" => Fault::NoServiceDeployments,
        "image-missing" => Fault::ImageMissing,
        "image-differs" => Fault::ImageDiffers,
        "image-late" => Fault::ImageLate(Duration::from_secs_f64(number("seconds")?.min(MAX_LATENCY / 1000.0))),
        "image-arm64" => Fault::ImageArm64,
        "role-missing" => Fault::RoleMissing,
        "log-group-missing" => Fault::LogGroupMissing,
        "secret-missing" => Fault::SecretMissing,
        "daemon" => Fault::Daemon,
        "fills-in" => Fault::FillsIn,
        _ => match Refusal::named(name) {
            Some(refusal) => Fault::Refuses(refusal),
            None => return Err(format!("`{name}` is not a fault; they are {NAMES}")),
        },
    };
    if argument.is_some() && !TAKES_ARGUMENT.contains(&name) {
        return Err(format!("`{name}` takes nothing after it, in `{text}`"));
    }
    Rule::new(pattern, fault.clone())?;
    Ok((pattern.to_owned(), fault))
}

/// Every fault's name, for help and errors.
pub const NAMES: &str = "crash, nopull, hang, unhealthy, flap, slow, vanish, supersede, degrade, stuck, no-return, hook-fails, \
                         hook-hangs, alarm, bake-alarm, task-fails, task-hangs, no-capacity, throttle, silent, reset, \
                         lost, truncated, cut, broken, blind, busy, unavailable, stale, deny, region-off, latency, wrong-account, short-sessions, \
                         token-ends, lagging-lists, \
                         no-service-deployments, image-missing, image-differs, image-late, image-arm64, role-missing, \
                         log-group-missing, secret-missing, \
                         daemon, fills-in, no-provider, wrong-audience, no-keys, no-issuer, claim-rejected, region-disabled, packed";
const TAKES_ARGUMENT: &[&str] = &[
    "slow",
    "throttle",
    "lost",
    "truncated",
    "cut",
    "broken",
    "blind",
    "busy",
    "unavailable",
    "stale",
    "deny",
    "latency",
    "short-sessions",
    "token-ends",
    "lagging-lists",
    "image-late",
];

/// How many times longer a slow task takes, unless told: past any default deadline that a fast one keeps.
pub(crate) const SLOW_FACTOR: f64 = 5.0;

/// A day, in milliseconds.
const MAX_LATENCY: f64 = 86_400_000.0;

/// A fault and the targets that have it.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    account: GlobMatcher,
    region: GlobMatcher,
    service: GlobMatcher,
    /// Whether the rule is for every service, so that a call which names none has it too.
    every_service: bool,
    /// Whether the rule is for STS (`account/region/sts`).
    pub(crate) sts: bool,
    pub(crate) fault: Fault,
}

impl Rule {
    /// Reads `account/region/service`; what is left out is `*`.
    pub(crate) fn new(pattern: &str, fault: Fault) -> Result<Self, String> {
        let mut parts = pattern.split('/').map(str::trim);
        let mut next = || parts.next().filter(|part| !part.is_empty()).unwrap_or("*").to_owned();
        let (account, region, service) = (next(), next(), next());
        if parts.next().is_some() {
            return Err(format!("`{pattern}` is not account/region/service"));
        }
        let glob = |text: &str| {
            let built = GlobBuilder::new(text).literal_separator(false).build();
            built.map(|glob| glob.compile_matcher()).map_err(|error| format!("`{text}` is not a glob: {error}"))
        };
        Ok(Self {
            account: glob(&account)?,
            region: glob(&region)?,
            every_service: service == "*" || service == "**",
            sts: service == "sts",
            service: glob(&service)?,
            fault,
        })
    }

    /// Whether it is for the account (by any of its names) and region.
    pub(crate) fn covers(&self, account: &[&str], region: &str) -> bool {
        self.covers_account(account) && self.region.is_match(region)
    }

    /// Whether it is for the account, by any of its names.
    pub(crate) fn covers_account(&self, account: &[&str]) -> bool {
        account.iter().any(|name| self.account.is_match(name))
    }

    /// Whether it is for one of the services; a call that names no service has only the rules for every service.
    pub(crate) fn covers_service(&self, services: &[String]) -> bool {
        self.every_service || services.iter().any(|name| self.service.is_match(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read() {
        for (text, wanted) in [
            ("prod/eu-west-1/api=crash", Fault::Crash),
            ("*=slow", Fault::Slow(5.0)),
            ("*/*/api=slow:2.5", Fault::Slow(2.5)),
            ("*=throttle:3", Fault::Throttle(3.0)),
            ("*=lost:30%", Fault::Lost(30)),
            ("*=deny:ecs:UpdateService", Fault::Deny("ecs:UpdateService".into())),
            (
                "*=deny:ecs:UpdateService:scp",
                Fault::DenyBy("ecs:UpdateService".into(), Barrier::parse("scp").expect("a policy")),
            ),
            ("*/af-south-1=region-off", Fault::RegionOff),
            ("prod=short-sessions:15", Fault::ShortSessions(Duration::from_secs(15))),
            ("*=stale:2.5", Fault::Stale(Duration::from_millis(2500))),
            ("*=latency:250", Fault::Latency(Duration::from_millis(250))),
        ] {
            assert_eq!(parse_fault(text).expect(text).1, wanted, "{text}");
        }
    }

    #[test]
    fn malformed_faults_say_why() {
        for (text, wanted) in [
            ("crash", "is not GLOB=FAULT"),
            ("*=explode", "is not a fault; they are crash"),
            ("*=lost:101", "takes a percentage"),
            ("*=throttle", "takes a rate per second"),
            ("*=crash:3", "takes nothing after it"),
            ("*=deny:UpdateService", "takes an action"),
            (
                "*=deny:ecs:UpdateService:x",
                "`x` in `*=deny:ecs:UpdateService:x` is not a kind of policy; they are scp, rcp",
            ),
            ("a/b/c/d=crash", "is not account/region/service"),
            ("[=crash", "is not a glob"),
        ] {
            let error = parse_fault(text).expect_err(text);
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }
}
