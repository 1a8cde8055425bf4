//! Builds the plan: from a fleet and what was seen of it to what each target needs.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::Value;

use crate::base::document::{Document, SharedDocuments};
use crate::base::text::count;
use crate::fleet::codedeploy::CodeDeploy;
use crate::fleet::commit::{self, Tag};
use crate::fleet::lookup::Lookup;
use crate::fleet::{Amount, Base, Commit, Fleet, OnBusy, Parallelism, Release, Revision, TargetSpec, Wave};
use crate::observe::service::{Deployment, LiveService};
use crate::observe::{Observation, Observed};
use crate::plan::outline::{Action, ChangeOutline, Outline, WaveOutline};
use crate::plan::work::{Definition, LookedUp, Plan, Work};
use crate::plan::{pinned, run_task, settings, strategy};
use crate::task_definition::{Step, compose, normalise};
use crate::{references, task_definition};

/// What is decided for one target.
pub(super) struct Decision {
    pub(super) action: Action,
    pub(super) work: Option<Work>,
    pub(super) to: Option<Revision>,
    pub(super) summary: Vec<String>,
}

impl Decision {
    pub(super) fn blocked(reason: impl Into<String>, help: impl Into<String>) -> Self {
        let action = Action::Blocked { reason: reason.into(), help: Some(help.into()) };
        Self { action, work: None, to: None, summary: Vec::new() }
    }
}

/// Builds the plan of a fleet; `seen` is indexed as [`Fleet::targets`].
pub fn plan(fleet: &Fleet, seen: &[Observation]) -> Plan {
    plan_as(fleet, seen, &fleet.release)
}

/// Builds the plan of a fleet that may take the place of newer commits: what differs, whether or not it may be deployed.
pub fn unguarded(fleet: &Fleet, seen: &[Observation]) -> Plan {
    plan_as(fleet, seen, &Release { allow_older: true, ..fleet.release.clone() })
}

fn plan_as(fleet: &Fleet, seen: &[Observation], release: &Release) -> Plan {
    decided(fleet, seen, |index, observed| decide(&fleet.targets[index], observed, release, fleet.on_busy))
}

/// Returns the targets whose change has to wait for somebody else's deployment, as indices into [`Fleet::targets`].
pub fn busy(fleet: &Fleet, seen: &[Observation]) -> Vec<usize> {
    let supersedes = |(index, seen): (usize, &Observation)| {
        let observed = seen.as_ref().ok()?;
        let work = decide(&fleet.targets[index], observed, &fleet.release, OnBusy::Supersede).work;
        work.and_then(|work| work.supersedes).map(|_| index)
    };
    seen.iter().enumerate().filter_map(supersedes).collect()
}

/// Builds a plan by what is decided for each target that could be read, by its index.
pub(super) fn decided(fleet: &Fleet, seen: &[Observation], decide: impl Fn(usize, &Observed) -> Decision) -> Plan {
    let mut work: Vec<Option<Work>> = fleet.targets.iter().map(|_| None).collect();
    let mut shared = SharedDocuments::default();
    let mut outline = Outline { console: fleet.console.clone(), ..Outline::default() };
    for wave in &fleet.waves {
        let mut changing = 0;
        for &index in &wave.targets {
            let (target, seen) = (&fleet.targets[index], &seen[index]);
            let decision = match seen {
                Ok(observed) => decide(index, observed),
                Err(unseen) => Decision {
                    action: Action::Blocked { reason: unseen.reason.clone(), help: unseen.help.clone() },
                    work: None,
                    to: None,
                    summary: Vec::new(),
                },
            };
            changing += usize::from(decision.action.changes());
            work[index] = decision.work.map(|work| work.sharing(&mut shared));
            outline.changes.push(ChangeOutline {
                target: target.id.clone(),
                account_id: target.account.id.clone(),
                cluster: target.cluster.clone(),
                service: target.service.clone(),
                wave: wave.name.clone(),
                action: decision.action,
                from: seen.as_ref().ok().and_then(|observed| observed.service.revision()),
                to: decision.to,
                summary: decision.summary,
            });
        }
        outline.waves.push(wave_outline(wave, fleet, changing));
    }
    Plan { outline, work }
}

/// Decides what a target needs.
pub(super) fn decide(target: &TargetSpec, observed: &Observed, release: &Release, on_busy: OnBusy) -> Decision {
    let service = &observed.service;
    if let Some(blocked) = undeployable(service, target.desired.codedeploy.as_ref()) {
        return blocked;
    }
    if let Some((reason, help)) = strategy::obstacle(target, service) {
        return Decision::blocked(reason, help);
    }
    if let Some(count) = target.desired.desired_count.filter(|_| service.daemon) {
        return Decision::blocked(
            format!("its scheduling strategy is DAEMON, and ECS takes no desired count ({count}) for it"),
            "take `desired_count` out of the manifest for this service",
        );
    }
    if let Some((reason, help)) = &target.desired.unknown {
        return Decision::blocked(reason.clone(), help.clone());
    }
    if let Some(lookup) = target.desired.open_lookups().next() {
        return Decision::blocked(format!("the value of `{lookup}` was not read"), "run it again");
    }
    if let Some((reason, help)) = &target.desired.without_images {
        return Decision::blocked(reason, help);
    }
    let declared = &target.desired.task_definition;
    let live = &observed.live.value();
    let base = match base(declared, observed, live) {
        Ok(base) => base,
        Err(reason) => {
            return Decision::blocked(reason, "register it first, or correct `task_definition` in the manifest");
        }
    };
    let base = &*base;
    let desired = pinned::as_known(&target.desired, live, observed.newest.as_ref());
    let mut wanted = match compose::build(base, &desired) {
        Ok(wanted) => wanted,
        Err(error) => {
            let help = "name a container of the task definition, or add it there";
            return Decision::blocked(error.to_string(), help);
        }
    };
    // A revision that is named and needs no change is the one to run, and not just any of the same content.
    let named = matches!(declared, Base::Revision { .. }) && compose::same(&wanted, base);
    let named = base["taskDefinitionArn"].as_str().filter(|_| named);
    let is_live = match named {
        Some(arn) => service.task_definition == arn,
        None => wanted["family"] == live["family"] && compose::same(&wanted, live),
    };
    if let (Base::Revision { .. }, Some(status)) = (declared, base["status"].as_str())
        && status != "ACTIVE"
        && !is_live
    {
        let revision = base["taskDefinitionArn"].as_str().map(family_and_number).unwrap_or_default();
        return Decision::blocked(
            format!("the revision {revision} is {status}"),
            "name an ACTIVE revision, or register this one's definition again",
        );
    }
    let foreign = references::foreign(&wanted, target.account.id.as_str(), &target.id.region);
    if let Some((path, foreign)) = foreign.filter(|_| !is_live && named.is_none()) {
        return refuse(target, &path, foreign.reason, foreign.help);
    }
    // Task sets have no rollout state, and `other_set` looks at them.
    let in_progress = service.in_progress().filter(|_| service.controller == "ECS");
    let is_ours = |primary: &Deployment| is_live && primary.task_definition == service.task_definition;
    let stranger = in_progress.filter(|primary| !is_ours(primary));
    if let Some(primary) = stranger.filter(|_| on_busy != OnBusy::Supersede) {
        return busy_with(primary, target, observed, on_busy);
    }
    let obstacle = run_task::obstacle(&target.desired.run_tasks, &wanted);
    let other_set = other_set(service);
    let mut summary = Vec::new();
    let (definition, to) = if is_live {
        let revision = service.revision();
        if let Some(primary) = in_progress.filter(|_| stranger.is_none()) {
            summary.push(format!("its deployment {} is under way already and is followed", primary.id));
            (Definition::Follow { deployment: primary.id.clone() }, revision)
        } else if stranger.is_some() {
            (Definition::Existing { arn: service.task_definition.clone(), force: true }, revision)
        } else if other_set.is_some() {
            summary.push("its deployment by CodeDeploy is under way already and is followed".to_owned());
            (Definition::Existing { arn: service.task_definition.clone(), force: false }, revision)
        } else if let Some(why) = unfinished(service) {
            summary.push(why);
            (Definition::Existing { arn: service.task_definition.clone(), force: true }, revision)
        } else if release.force_new_deployment {
            summary.push("a new deployment of the revision that it runs, as asked".to_owned());
            (Definition::Existing { arn: service.task_definition.clone(), force: true }, revision)
        } else {
            (Definition::Keep, revision)
        }
    } else if let Some(arn) = named {
        summary = compose::summary(live, base);
        if summary.is_empty() {
            summary.push(format!(
                "{} instead of {}, of the same content",
                family_and_number(arn),
                family_and_number(&service.task_definition)
            ));
        }
        (Definition::Existing { arn: arn.to_owned(), force: false }, arn.parse().ok())
    } else {
        summary = compose::summary(live, &wanted);
        // That it is not as the live one is known by now.
        let newest = observed.newest.as_ref().filter(|newest| **newest != observed.live).map(Document::value);
        match newest {
            Some(newest) if compose::same(&wanted, &newest) => {
                let arn = newest["taskDefinitionArn"].as_str().unwrap_or_default().to_owned();
                let revision = arn.parse().ok();
                (Definition::Existing { arn, force: false }, revision)
            }
            newest => {
                if let Some(blocked) = unregistrable(&wanted, target, base) {
                    return blocked;
                }
                let newest = newest.as_ref().or(observed.newest.as_ref().map(|_| live));
                let newest = newest.and_then(|newest| newest["revision"].as_u64()).unwrap_or_default();
                let tags = tags(&mut wanted, declared, release);
                (Definition::Register { definition: Document::write(&wanted), newest, tags }, None)
            }
        }
    };
    if let Some(other) = other_set.filter(|other| {
        !is_live && !matches!(&definition, Definition::Existing { arn, .. } if *arn == other.task_definition)
    }) {
        let revision = other.revision().map_or_else(|| other.task_definition.clone(), |it| it.to_string());
        return Decision::blocked(
            format!("a deployment by CodeDeploy is in progress: a task set of {revision} ({}) is ACTIVE", other.id),
            "wait until it ends and its original task set is gone, or stop it with `aws deploy stop-deployment`",
        );
    }
    let mut work = Work { codedeploy: target.desired.codedeploy.clone(), ..Work::new(definition, service) };
    work.values = LookedUp::of_target(target);
    if let Some(primary) = stranger {
        summary.push(format!("takes the place of {} ({}), which is in progress", words(primary), primary.id));
        work.supersedes = Some(primary.id.clone());
    }
    if let Some(count) = target.desired.desired_count.filter(|&count| count != service.desired) {
        summary.push(format!("desired count {} -> {count}", service.desired));
        work.desired_count = Some(count);
    }
    if let Some(declared) = &target.desired.deployment
        && let configuration = service.configuration.value()
        && !settings::settings_hold(declared, &configuration)
    {
        summary.extend(settings(declared, &configuration));
        work.deployment = Some(declared.clone());
    }
    let starts_again = match &work.definition {
        Definition::Existing { arn, .. } => *arn == service.task_definition,
        Definition::Keep => work.desired_count.is_some() || work.deployment.is_some(),
        Definition::Register { .. } | Definition::Follow { .. } | Definition::Return { .. } => false,
    };
    if starts_again && live["status"] == "INACTIVE" && service.controller == "ECS" {
        return Decision::blocked(
            format!(
                "the revision that it runs, {}, is INACTIVE, and ECS deploys no such revision",
                family_and_number(&service.task_definition)
            ),
            "deploy a new revision (any change of the definition), or name an ACTIVE one in `task_definition`",
        );
    }
    let touches = !is_live || work.desired_count.is_some() || work.deployment.is_some();
    if let Some(blocked) = overtaken(live, release).filter(|_| touches) {
        return blocked;
    }
    let action = match work.definition {
        Definition::Register { .. } => Action::Register,
        Definition::Existing { .. } | Definition::Follow { .. } | Definition::Return { .. } => Action::Deploy,
        Definition::Keep if work.desired_count.is_some() || work.deployment.is_some() => Action::Update,
        Definition::Keep => Action::Unchanged,
    };
    if matches!(action, Action::Register | Action::Deploy) {
        if let Some(reason) = obstacle {
            return Decision::blocked(reason, "name a container of the task definition in `container`");
        }
        summary.extend(strategy::note(target, service));
        summary.extend(strategy::counts(target, service));
        work.run_tasks = match work.definition {
            Definition::Follow { .. } => target.desired.run_tasks.only_after(),
            _ => target.desired.run_tasks.clone(),
        };
        let promoted =
            target.desired.promoted.iter().filter(|(name, _)| !is_live && target.desired.images.contains_key(*name));
        let promoted: Vec<String> = promoted.map(|(name, source)| format!("{name}: as it runs in {source}")).collect();
        work.chosen_by = (!promoted.is_empty()).then(|| promoted.join(", "));
        summary.extend(work.chosen_by.clone());
        summary.extend(work.values.iter().map(LookedUp::line));
        summary.extend(run_task::notes(&work.run_tasks));
    }
    let work = action.changes().then_some(work);
    Decision { action, work, to, summary }
}

/// Returns why AWS would refuse a definition, or nothing could run by it. What ECS has taken before, it takes again.
fn unregistrable(wanted: &Value, target: &TargetSpec, base: &Value) -> Option<Decision> {
    let taken = match &target.desired.task_definition {
        Base::File(_) => Vec::new(),
        Base::Live | Base::Revision { .. } => task_definition::judge(&normalise::registrable(base)),
    };
    let faults = task_definition::judge(wanted).into_iter();
    let faults: Vec<_> = faults.filter(|finding| finding.is_fault() && !taken.contains(finding)).collect();
    let first = faults.first()?;
    let reason = match faults.len() {
        1 => first.message.clone(),
        number => format!("{}, and {} of the task definition", first.message, count(number - 1, "more fault")),
    };
    Some(refuse(target, &first.path, reason, first.help.clone()))
}

/// Blocks a target for what is wrong with a member of its definition. Where values were looked up for that member, they are
/// told, and where the manifest asks for them.
fn refuse(target: &TargetSpec, path: &[Step], reason: String, help: String) -> Decision {
    let own = format!("{}/", task_definition::pointer(path));
    let is_there = |other: &str| !path.is_empty() && (own.starts_with(other) || other.starts_with(&own));
    let filled = target.desired.filled.iter().filter(|(pointer, _)| is_there(&format!("{pointer}/")));
    let lookups: BTreeSet<&Lookup> = filled.map(|(_, lookup)| lookup).collect();
    let asked = || lookups.iter().filter_map(|lookup| target.desired.lookups.get(*lookup));
    let places: BTreeSet<&str> = asked().map(|asked| &*asked.place).collect();
    if places.is_empty() {
        return Decision::blocked(reason, help);
    }
    let places = places.into_iter().collect::<Vec<_>>().join(", ");
    let values = LookedUp::of_target(target).into_iter();
    let values = values.filter(|value| lookups.iter().any(|lookup| lookup.to_string() == value.reference));
    let values: Vec<_> = values.map(|value| value.line()).collect();
    let reason = format!("{places}: {reason}; {}", values.join(", "));
    Decision::blocked(reason, "correct the value where it is kept, or the manifest")
}

/// Says that somebody else's deployment stands in the way.
fn busy_with(primary: &Deployment, target: &TargetSpec, observed: &Observed, on_busy: OnBusy) -> Decision {
    let waits = observed.progress.as_ref().is_some_and(|progress| progress.waiting().next().is_some());
    let help = match (waits, on_busy) {
        (true, _) => format!("it waits at a PAUSE hook: let it go on with `roleout continue --only {}`", target.id),
        (false, OnBusy::Wait) => {
            let limit = humantime::format_duration(target.timeout);
            format!("`deploy` waits until it ends, for at most {limit} (`on_busy: wait`)")
        }
        (false, OnBusy::Fail | OnBusy::Supersede) => {
            "wait until it ends, or stop it with `aws ecs stop-service-deployment`, and run again; or say what to do \
             with `on_busy: wait` or `supersede`"
                .to_owned()
        }
    };
    Decision::blocked(format!("a deployment of {} ({}) is in progress", words(primary), primary.id), help)
}

/// Returns the revision of a deployment.
fn words(deployment: &Deployment) -> String {
    deployment.revision().map_or_else(|| deployment.task_definition.clone(), |revision| revision.to_string())
}

/// Returns the definition that a target starts from, or why there is none.
pub fn base<'a>(declared: &'a Base, observed: &Observed, live: &'a Value) -> Result<Cow<'a, Value>, String> {
    let (found, what) = match declared {
        Base::Live if live.is_null() => return Err("the service runs no task definition".to_owned()),
        Base::Live => return Ok(Cow::Borrowed(live)),
        Base::File(definition) => return Ok(Cow::Owned(definition.value())),
        Base::Revision { family, number: Some(number) } => {
            (&observed.named, format!("there is no revision {family}:{number}"))
        }
        Base::Revision { family, number: None } => {
            (&observed.newest, format!("the family `{family}` has no ACTIVE revision"))
        }
    };
    found.as_ref().map(|found| Cow::Owned(found.value())).ok_or(what)
}

/// Takes the tags that may be left out from a definition that is to be registered: the run's own, and those of the
/// revision that it was made from. What a file declares stays in it.
fn tags(wanted: &mut Value, declared: &Base, release: &Release) -> Vec<Tag> {
    let mut tags = if release.tag_revisions { release.commit.tags() } else { Vec::new() };
    if let (Base::Live | Base::Revision { .. }, Some(members)) = (declared, wanted.as_object_mut()) {
        tags.extend(members.shift_remove("tags").iter().flat_map(commit::tags_in));
    }
    tags
}

/// Returns why a target must not be deployed: it runs a newer commit than this one.
fn overtaken(live: &Value, release: &Release) -> Option<Decision> {
    let live = Commit::of_revision(live);
    if release.allow_older || !live.is_newer_than(&release.commit) {
        return None;
    }
    let of = live.at.map(|at| at.strftime("of %Y-%m-%d %H:%M UTC").to_string());
    let words: Vec<&str> = live.short_sha().into_iter().chain(of.as_deref()).collect();
    let reason = format!("a newer commit ({}) is deployed already", words.join(" "));
    Some(Decision::blocked(reason, "deploy the newer commit again, or deploy this one with --allow-older"))
}

/// Returns `family:number` of an ARN.
fn family_and_number(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

/// Returns why a service that names the wanted revision does not run it for good: its last deployment failed, or its
/// PRIMARY deployment is of another revision, as after a rollback.
pub(super) fn unfinished(service: &LiveService) -> Option<String> {
    let primary = service.primary()?;
    if primary.is("FAILED") {
        return Some("its last deployment failed and is repeated".to_owned());
    }
    let other = primary.revision().filter(|_| primary.task_definition != service.task_definition)?;
    Some(format!("its PRIMARY deployment runs {other}: it is deployed again"))
}

/// Returns why a service cannot be deployed by UpdateService at all.
pub(super) fn undeployable(service: &LiveService, codedeploy: Option<&CodeDeploy>) -> Option<Decision> {
    if let Some(ending) = service.ending() {
        return Some(Decision::blocked(ending, "create it again, or take it out of the manifest"));
    }
    if service.express {
        let help = "update it with the Express Gateway API that created it";
        return Some(Decision::blocked("ECS manages this service itself (Express mode)", help));
    }
    match (service.controller.as_str(), codedeploy) {
        ("ECS", None) => None,
        ("CODE_DEPLOY", Some(_)) => None,
        ("CODE_DEPLOY", None) => Some(Decision::blocked(
            "its deployment controller is CODE_DEPLOY, and UpdateService cannot deploy it",
            "name its deployment group with `codedeploy` in the manifest",
        )),
        ("ECS", Some(_)) => Some(Decision::blocked(
            "its deployment controller is ECS, and `codedeploy` is for services under CODE_DEPLOY",
            "take `codedeploy` out of the manifest for this service",
        )),
        (other, _) => Some(Decision::blocked(
            format!("its deployment controller is {other}, and UpdateService cannot deploy it"),
            "change the controller to ECS (UpdateService --deployment-controller type=ECS), or take it out of the manifest",
        )),
    }
}

/// Returns the task set that is not PRIMARY, while CodeDeploy deploys or has not yet terminated the original one.
fn other_set(service: &LiveService) -> Option<&Deployment> {
    let deployed = service.controller == "CODE_DEPLOY";
    service.deployments.iter().find(|set| deployed && set.status == "ACTIVE")
}

/// Says which declared deployment settings differ from the live ones.
pub(super) fn settings(declared: &Value, live: &Value) -> Vec<String> {
    let members = declared.as_object().into_iter().flatten();
    members
        .filter(|(name, value)| {
            let one = |value: &Value| Value::Object([((*name).clone(), value.clone())].into_iter().collect());
            !settings::settings_hold(&one(value), live)
        })
        .map(|(name, value)| match &live[name.as_str()] {
            Value::Null => format!("deployment {name}: {value}"),
            old => format!("deployment {name}: {old} -> {value}"),
        })
        .collect()
}

pub(super) fn wave_outline(wave: &Wave, fleet: &Fleet, changing: usize) -> WaveOutline {
    let total = wave.targets.len();
    let max_failures = wave.failure_budget().0;
    let (max_parallel, most) = match &wave.max_parallel {
        Parallelism::Window(amount) => (amount.to_string(), at_least_one(*amount, total)),
        Parallelism::Batches(amounts) => {
            let words: Vec<String> = amounts.iter().map(ToString::to_string).collect();
            (words.join(", "), amounts.iter().map(|amount| at_least_one(*amount, total)).max().unwrap_or(1))
        }
    };
    let mut alarms = BTreeSet::new();
    for target in wave.targets.iter().map(|&index| &fleet.targets[index]) {
        alarms.extend(target.alarms.iter().map(|alarm| (&target.id.account, &target.id.region, alarm)));
    }
    let most = if wave.strict { 1 } else { most };
    WaveOutline {
        name: wave.name.clone(),
        targets: total,
        changing,
        max_parallel,
        max_failures,
        worst_case_failures: (max_failures + most).min(changing),
        bake_seconds: wave.bake.as_secs(),
        alarms: alarms.len(),
        gate: wave.gate,
        on_failure: wave.on_failure,
        on_cancel: wave.on_cancel,
    }
}

/// Returns how many targets an amount of parallelism means: at least one.
pub fn at_least_one(amount: Amount, total: usize) -> usize {
    amount.out_of(total).max(1)
}
