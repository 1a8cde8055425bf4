//! A plan as it is shown, in one structure for people and for programs: each target, what changes in groups that agree,
//! the waves with their worst cases, and the time.
//!
//! `roleout plan --format json` is this structure; its schema is docs/plan.schema.json. It holds no secret: values of
//! environment variables are hashes unless a person asked for them.

use std::time::Duration;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::base::text::without_request_ids;
use crate::fleet::{Fleet, TargetSpec};
use crate::observe::Observation;
use crate::plan::diff::{Differences, Line, Values};
use crate::plan::group::{Agreement, agreements};
use crate::plan::outline::{Action, ChangeOutline, Outline, WaveOutline};
use crate::plan::placeholders::{PlaceholderScope, Placeholders};
use crate::plan::ships::{ImageChange, ships};
use crate::plan::time_estimate::{Limits, TargetEstimate, TimeEstimate, estimate};
use crate::plan::work::{Definition, Plan, Work};
use crate::plan::{build, description, run_task};

/// The version of the JSON form. It changes when a member is removed or gets another meaning, not when one is added.
pub const VERSION: u32 = 1;

/// A plan as it is shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Preview {
    /// The version of this form.
    pub version: u32,
    /// How many targets need what.
    pub totals: Totals,
    /// What it ships: each distinct change of an image once.
    #[serde(default)]
    pub ships: Vec<ImageChange>,
    /// Every target, wave by wave.
    pub targets: Vec<Target>,
    /// What is the same for several targets, once.
    pub groups: Vec<Group>,
    /// The waves, in the order in which they run.
    pub waves: Vec<Wave>,
    /// How many targets can have failed, at the worst, when a run of this plan halts.
    pub worst_case_failures: usize,
    /// The time that a run can take, and what it has to fit; absent where that is not known.
    pub time_estimate: Option<TimeEstimate>,
    /// What was not checked of what the task definitions name, and why.
    pub notes: Vec<String>,
}

/// Counts of targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Totals {
    /// All of them.
    pub targets: usize,
    /// A new revision, and a deployment of it.
    pub register: usize,
    /// A deployment of a revision that exists.
    pub deploy: usize,
    /// New settings, without a deployment.
    pub update: usize,
    /// Nothing.
    pub unchanged: usize,
    /// They cannot be deployed, or could not be read.
    pub blocked: usize,
}

/// One target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Target {
    /// `account/region/service`, in the manifest's words.
    pub target: String,
    /// The manifest's name of the account.
    pub account: String,
    /// The account's 12 digits.
    pub account_id: String,
    /// The region.
    pub region: String,
    /// The manifest's name of the service.
    pub service: String,
    /// The cluster.
    pub cluster: String,
    /// The service's name in ECS.
    pub ecs_service: String,
    /// Its wave.
    pub wave: String,
    /// What it needs.
    pub action: Kind,
    /// The revision that it runs; absent where it could not be read.
    pub from: Option<String>,
    /// The revision that it will run, where that exists already.
    pub to: Option<String>,
    /// Its group, by its place in `groups`; absent where nothing changes.
    pub group: Option<usize>,
}

/// What a target needs, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Nothing.
    Unchanged,
    /// A new revision, and a deployment of it.
    Register,
    /// A deployment of a revision that exists.
    Deploy,
    /// New settings, without a deployment.
    Update,
    /// It cannot be deployed, or could not be read.
    Blocked,
}

impl From<&Action> for Kind {
    fn from(action: &Action) -> Self {
        match action {
            Action::Unchanged => Self::Unchanged,
            Action::Register => Self::Register,
            Action::Deploy => Self::Deploy,
            Action::Update => Self::Update,
            Action::Blocked { .. } => Self::Blocked,
        }
    }
}

/// Targets that need the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Group {
    /// What they need.
    pub action: Kind,
    /// Which targets.
    pub targets: Vec<String>,
    /// What differs. `${account.id}`, `${account.name}` and `${region}` stand for each target's own where only these
    /// differ among the targets.
    pub diff: Vec<Line>,
    /// What else there is to say.
    pub notes: Vec<String>,
    /// Why they are blocked.
    pub reason: Option<String>,
    /// What to do about that.
    pub help: Option<String>,
}

/// A wave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Wave {
    /// What the plan says of it.
    #[serde(flatten)]
    pub outline: WaveOutline,
    /// How long it can take, bake included; absent where that is not known.
    pub worst_case_seconds: Option<u64>,
    /// How long it takes, bake included, if its rollouts take as long as the last ones did; absent where that is not
    /// known.
    pub expected_seconds: Option<u64>,
}

/// What a preview is made with, besides the plan.
#[derive(Clone, Copy, Debug)]
pub struct PreviewOptions<'a> {
    /// Whether values of environment variables are shown.
    pub values: &'a Values,
    /// The time there is.
    pub limits: &'a Limits,
    /// The wave that a run would start with.
    pub from: Option<&'a str>,
}

/// Returns how long each target of a plan may take, and took last time; indexed as [`Fleet::targets`].
pub fn paces(fleet: &Fleet, seen: &[Observation], plan: &Plan) -> Vec<TargetEstimate> {
    let pace = |((work, seen), tasks): ((&Option<Work>, &Observation), Duration)| TargetEstimate {
        changes: work.is_some(),
        last: seen.as_ref().ok().and_then(|observed| observed.service.took),
        tasks,
    };
    plan.work.iter().zip(seen).zip(run_task::lengths(fleet, plan)).map(pace).collect()
}

/// What a plan shows of one target, at one level. Targets with an equal key are one group.
type GroupKey = (Kind, Vec<Line>, Vec<String>, Option<String>, Option<String>);

/// What a plan shows of its targets, each thing once: most of a fleet shows the same, and each target of it three times.
#[derive(Default)]
struct GroupKeys(IndexMap<GroupKey, Option<String>>);

impl GroupKeys {
    /// Returns the place of what one target shows. Which request AWS refused does not tell targets apart: of those, the first
    /// reason is kept as it is.
    fn add(&mut self, (kind, diff, notes, reason, help): GroupKey) -> usize {
        let general = reason.as_deref().map(|reason| without_request_ids(reason).into_owned());
        let entry = self.0.entry((kind, diff, notes, general, help));
        let place = entry.index();
        entry.or_insert(reason);
        place
    }

    fn kind(&self, place: usize) -> Option<Kind> {
        self.0.get_index(place).map(|((kind, ..), _)| *kind)
    }

    fn group(&self, place: usize, targets: Vec<String>) -> Group {
        let ((action, diff, notes, _, help), reason) = self.0.get_index(place).expect("a place that it has given");
        let (diff, notes, help) = (diff.clone(), notes.clone(), help.clone());
        Group { action: *action, targets, diff, notes, reason: reason.clone(), help }
    }
}

impl Preview {
    /// Shows a plan of a fleet; `seen` is what it was made from.
    pub fn new(fleet: &Fleet, seen: &[Observation], plan: &Plan, choice: PreviewOptions<'_>) -> Self {
        // The outline's order: wave by wave.
        let indices: Vec<usize> = fleet.waves.iter().flat_map(|wave| wave.targets.iter().copied()).collect();
        let mut keys = GroupKeys::default();
        let told = |(change, &index): (&ChangeOutline, &usize)| {
            let target = &fleet.targets[index];
            let (differences, notes) = differences(target, &seen[index], plan.work[index].as_ref());
            let own = Placeholders::new(target);
            PlaceholderScope::ALL.map(|level| {
                let (reason, help) = why(&change.action, &own, level);
                let notes = notes.iter().map(|note| own.template(note, level)).collect();
                let diff = differences.shown(choice.values, &own, level);
                keys.add((Kind::from(&change.action), diff, notes, reason, help))
            })
        };
        let told: Vec<[usize; 3]> = plan.outline.changes.iter().zip(&indices).map(told).collect();
        let mut preview = Self::assembled(&plan.outline, told, &keys);
        let pace = paces(fleet, seen, plan);
        let (waves, estimate) = estimate(fleet, &pace, choice.from, choice.limits);
        for (wave, length) in preview.waves.iter_mut().zip(waves) {
            wave.worst_case_seconds = Some(length.worst.as_secs());
            wave.expected_seconds = length.expected.map(|expected| expected.as_secs());
        }
        preview.time_estimate = Some(estimate);
        preview
    }

    /// Shows what an outline alone says: its summaries stand where the differences would.
    pub fn of_outline(outline: &Outline) -> Self {
        let mut keys = GroupKeys::default();
        let told = |change: &ChangeOutline| {
            let own = Placeholders {
                account_id: change.account_id.as_str(),
                account_name: &change.target.account,
                region: &change.target.region,
            };
            PlaceholderScope::ALL.map(|level| {
                let (reason, help) = why(&change.action, &own, level);
                keys.add((Kind::from(&change.action), Vec::new(), change.summary.clone(), reason, help))
            })
        };
        let told = outline.changes.iter().map(told).collect();
        Self::assembled(outline, told, &keys)
    }

    fn assembled(outline: &Outline, mut told: Vec<[usize; 3]>, keys: &GroupKeys) -> Self {
        let mut targets: Vec<Target> = outline.changes.iter().map(target).collect();
        let telling: Vec<usize> = (0..targets.len()).filter(|&it| targets[it].action != Kind::Unchanged).collect();
        let mut at = 0;
        told.retain(|_| {
            at += 1;
            targets[at - 1].action != Kind::Unchanged
        });
        let mut agreements = agreements(&told);
        // What can be done comes before what cannot, and services stay together.
        let mut services: Vec<&str> = Vec::new();
        for target in &targets {
            if !services.contains(&target.service.as_str()) {
                services.push(&target.service);
            }
        }
        let service = |item: usize| services.iter().position(|it| *it == targets[telling[item]].service);
        let order = |agreement: &Agreement| {
            (keys.kind(told[agreement.items[0]][0]) == Some(Kind::Blocked), service(agreement.items[0]))
        };
        agreements.sort_by_cached_key(order);
        let mut groups = Vec::new();
        for agreement in agreements {
            let members: Vec<usize> = agreement.items.iter().map(|&item| telling[item]).collect();
            members.iter().for_each(|&member| targets[member].group = Some(groups.len()));
            let targets = members.iter().map(|&member| targets[member].target.clone()).collect();
            groups.push(keys.group(told[agreement.items[0]][agreement.level as usize], targets));
        }
        let mut totals = Totals { targets: targets.len(), ..Totals::default() };
        for target in &targets {
            *match target.action {
                Kind::Unchanged => &mut totals.unchanged,
                Kind::Register => &mut totals.register,
                Kind::Deploy => &mut totals.deploy,
                Kind::Update => &mut totals.update,
                Kind::Blocked => &mut totals.blocked,
            } += 1;
        }
        let wave =
            |outline: &WaveOutline| Wave { outline: outline.clone(), worst_case_seconds: None, expected_seconds: None };
        let waves: Vec<Wave> = outline.waves.iter().map(wave).collect();
        Self {
            version: VERSION,
            totals,
            ships: ships(&outline.changes),
            targets,
            groups,
            worst_case_failures: blast_radius(&waves),
            waves,
            time_estimate: None,
            notes: Vec::new(),
        }
    }

    /// How many targets need something that can be done.
    pub fn pending(&self) -> usize {
        self.totals.register + self.totals.deploy + self.totals.update
    }
}

/// Returns how many targets can have failed when a run halts: those that earlier waves tolerate, and then the most that
/// one wave can add.
fn blast_radius(waves: &[Wave]) -> usize {
    let (mut tolerated, mut worst) = (0, 0);
    for Wave { outline: wave, .. } in waves {
        worst = worst.max(tolerated + wave.worst_case_failures);
        tolerated += wave.max_failures.min(wave.changing);
    }
    worst
}

fn target(change: &ChangeOutline) -> Target {
    Target {
        target: change.target.to_string(),
        account: change.target.account.to_string(),
        account_id: change.account_id.to_string(),
        region: change.target.region.to_string(),
        service: change.target.service.to_string(),
        cluster: change.cluster.clone(),
        ecs_service: change.service.clone(),
        wave: change.wave.clone(),
        action: Kind::from(&change.action),
        from: change.from.as_ref().map(ToString::to_string),
        to: change.to.as_ref().map(ToString::to_string),
        group: None,
    }
}

fn why(action: &Action, own: &Placeholders<'_>, level: PlaceholderScope) -> (Option<String>, Option<String>) {
    match action {
        Action::Blocked { reason, help } => {
            (Some(own.template(reason, level)), help.as_ref().map(|help| own.template(help, level)))
        }
        Action::Unchanged | Action::Register | Action::Deploy | Action::Update => (None, None),
    }
}

/// Returns what carrying the work out would change of a target, and what else there is to say.
fn differences(target: &TargetSpec, seen: &Observation, work: Option<&Work>) -> (Differences, Vec<String>) {
    let (mut differences, mut notes) = (Differences::default(), Vec::new());
    let (Ok(observed), Some(work)) = (seen, work) else { return (differences, notes) };
    match &work.definition {
        Definition::Keep => {}
        Definition::Follow { .. } => notes.push("its deployment is under way already, and is followed".to_owned()),
        Definition::Return { .. } => {
            let by = if work.codedeploy.is_some() { "CodeDeploy" } else { "ECS" };
            notes.push(format!("the deployment that is under way is stopped, and {by} rolls back"))
        }
        Definition::Existing { arn, force: true } if *arn == observed.service.task_definition => {
            notes.push(match build::unfinished(&observed.service) {
                Some(why) => why,
                None => "a new deployment of the revision that it runs, as asked".to_owned(),
            });
        }
        Definition::Existing { arn, .. } => {
            let found = description::found(observed, arn);
            match &found {
                Some(found) => differences.definition(&observed.live.value(), found),
                None => notes.push(format!("{arn} cannot be read")),
            }
            if found.is_some() && differences.is_empty() {
                notes.push("another revision of the same content".to_owned());
            }
        }
        Definition::Register { definition, .. } => {
            differences.definition(&observed.live.value(), &definition.value());
        }
    }
    if let Some(count) = work.desired_count {
        differences.desired_count(observed.service.desired, count);
    }
    if let Some(declared) = &work.deployment {
        differences.settings(declared, &observed.service.configuration.value());
    }
    if differences.is_empty() && notes.is_empty() {
        // Nothing is carried out in silence, whatever a later kind of work does.
        notes.push(format!("`{}` is deployed as it is", target.service));
    }
    differences.run_tasks(&work.run_tasks);
    notes.extend(description::notes(target, work, observed));
    (differences, notes)
}

/// Returns the JSON Schema (draft 2020-12) of [`Preview`].
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(Preview).to_value();
    if let Some(object) = schema.as_object_mut() {
        object.insert("title".to_owned(), json!("roleout plan"));
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_targets_show_alike_is_kept_once() {
        let line =
            || Line { place: "task".to_owned(), path: "cpu".to_owned(), before: None, after: None, masked: false };
        let refused = |request: u32| {
            let reason = format!("AccessDeniedException: no (request id 0123abcd-{request:04}-4567-89ab-cdef01234567)");
            (Kind::Blocked, Vec::new(), Vec::new(), Some(reason), None)
        };
        let mut keys = GroupKeys::default();
        let mut places = |key: GroupKey| keys.add(key);
        let shown = || (Kind::Register, vec![line()], Vec::new(), None, None);
        assert_eq!([places(shown()), places(refused(1)), places(shown()), places(refused(2))], [0, 1, 0, 1]);
        assert_eq!(keys.group(1, Vec::new()).reason, refused(1).3, "as the first one says it");
    }
}
