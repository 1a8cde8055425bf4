//! A child pipeline of GitLab's for a fleet that is past one job: a stage for each wave, and its targets shared by several
//! jobs of it.
//!
//! Pure: which jobs there are comes out of the fleet ([`layout`]), their YAML out of that ([`yaml`]), and out of the journals
//! that the jobs leave comes the run that they were together ([`join`]). GitLab's scheduler and runners do the rest.

pub mod duration;
pub mod join;
pub mod yaml;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::fleet::{Amount, Fleet, Moment, Parallelism, Part, Per, Scope, ShardError, TargetSpec};
use crate::plan::time_estimate::{Limits, TargetEstimate, estimate};

/// The most jobs that GitLab makes of one by `parallel`.
pub const MOST_PARTS: usize = 200;
/// The most characters of a wave's name: GitLab takes 255 for that of a job, which also says what it does and its number.
const MOST_NAME: usize = 230;
/// How many accounts a job has where nobody says it.
pub const ACCOUNTS: usize = 50;

/// How a fleet is divided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Division {
    /// How many jobs share a wave, at most.
    pub shards: Option<usize>,
    /// How many accounts one of them has, at most.
    pub max_accounts: Option<usize>,
}

/// The jobs of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The waves that have targets, in their order.
    pub stages: Vec<Stage>,
    /// How many targets there are.
    pub targets: usize,
    /// And of how many accounts.
    pub accounts: usize,
}

/// The jobs of a wave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// The wave.
    pub wave: String,
    /// Its place among the manifest's waves, from 1.
    pub number: usize,
    /// Whether somebody has to start it.
    pub gate: bool,
    /// How many jobs share it.
    pub parts: usize,
    /// The targets that it has.
    pub targets: usize,
    /// How many may fail.
    pub max_failures: usize,
    /// How many can have failed before the jobs notice, each by itself, or the gate does.
    pub worst_case_failures: usize,
    /// How long the longest of them can take, should every target take its whole timeout.
    pub worst_case: Duration,
    /// What is otherwise than one might expect, as lower-case fragments.
    pub notes: Vec<String>,
}

/// Why there is no pipeline for a fleet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// A wave cannot be divided as it should be.
    #[error(transparent)]
    Shard(#[from] ShardError),
    /// Jobs would have more accounts than they may.
    #[error(
        "a job of the wave `{wave}` would have {accounts} accounts, and --max-accounts-per-job is {most}: {reason}"
    )]
    Accounts {
        /// The wave.
        wave: String,
        /// How many accounts the fullest job would have.
        accounts: usize,
        /// How many it may have.
        most: usize,
        /// Why there cannot be more jobs, as a lower-case fragment.
        reason: String,
    },
    /// The rollback would be in other jobs.
    #[error(
        "the wave `{wave}` has `rollback_scope: run`: it rolls back earlier waves when it halts, and these are other jobs"
    )]
    GoesBack {
        /// The wave.
        wave: String,
    },
    /// A task that is run once is the work of several jobs.
    #[error(
        "the task `{task}` of `{service}` is run once for all of its targets{per}, and those of the waves {waves} are other jobs"
    )]
    SharedTask {
        /// The service.
        service: String,
        /// The task.
        task: String,
        /// ` in an account`, or nothing.
        per: &'static str,
        /// The waves, for a person.
        waves: String,
    },
    /// GitLab would refuse the names of its jobs.
    #[error(
        "the wave `{wave}` has {length} characters, and names of GitLab's jobs have at most 255, of which it may have {most}"
    )]
    Name {
        /// The wave.
        wave: String,
        /// How long its name is.
        length: usize,
        /// How long it may be.
        most: usize,
    },
    /// There is nothing to deploy.
    #[error("there are no targets, and a pipeline without jobs is an error in GitLab")]
    Nothing,
}

impl LayoutError {
    /// Returns what to do about it.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Shard(_) => "ask for fewer jobs with --shards",
            Self::Accounts { .. } => "let a job have more accounts, or change the wave",
            Self::GoesBack { .. } => "write `rollback_scope: wave` or `target` for it, or deploy in one job",
            Self::SharedTask { .. } => {
                "run it once for each target (`per: target`), in a job of its own before the pipeline, or deploy in one job"
            }
            Self::Name { .. } => "give the wave a shorter name",
            Self::Nothing => "the manifest or the selection has none",
        }
    }
}

/// Says which jobs a fleet needs. `from` is the wave whose gate is passed already.
///
/// # Errors
/// The jobs together would do something else than one job does, or there would be more of them than GitLab takes.
pub fn layout(fleet: &Fleet, division: Division, from: Option<&str>) -> Result<Layout, LayoutError> {
    let waves: Vec<usize> = (0..fleet.waves.len()).filter(|&number| !fleet.waves[number].targets.is_empty()).collect();
    if waves.is_empty() {
        return Err(LayoutError::Nothing);
    }
    for wave in waves.iter().map(|&number| fleet.waves[number].name.clone()) {
        let length = wave.chars().count();
        if length > MOST_NAME {
            return Err(LayoutError::Name { wave, length, most: MOST_NAME });
        }
    }
    let goes_back = |&&number: &&usize| fleet.waves[number].on_failure.scope() == Some(Scope::Run);
    if let Some(&number) = waves[1..].iter().find(goes_back) {
        return Err(LayoutError::GoesBack { wave: fleet.waves[number].name.clone() });
    }
    shared_tasks(fleet, &waves)?;
    let stages = waves.into_iter().map(|number| stage(fleet, number, division, from));
    let stages = stages.collect::<Result<_, _>>()?;
    Ok(Layout { stages, targets: fleet.targets.len(), accounts: fleet.accounts.len() })
}

/// Makes sure that no task that targets share has them in several waves, which are never one job.
fn shared_tasks(fleet: &Fleet, waves: &[usize]) -> Result<(), LayoutError> {
    let mut sharers: BTreeMap<(&str, &str, Moment, Option<&str>), Vec<&str>> = BTreeMap::new();
    for wave in waves.iter().map(|&number| &fleet.waves[number]) {
        for target in wave.targets.iter().map(|&index| &fleet.targets[index]) {
            for (moment, task) in target.desired.run_tasks.all() {
                let account = match task.per {
                    Per::Target => continue,
                    Per::Account => Some(target.account.id.as_str()),
                    Per::Run => None,
                };
                let names = sharers.entry((&target.id.service, &task.name, moment, account)).or_default();
                if names.last() != Some(&wave.name.as_str()) {
                    names.push(&wave.name);
                }
            }
        }
    }
    match sharers.into_iter().find(|(_, waves)| waves.len() > 1) {
        None => Ok(()),
        Some(((service, task, _, account), waves)) => Err(LayoutError::SharedTask {
            service: service.to_owned(),
            task: task.to_owned(),
            per: if account.is_some() { " in an account" } else { "" },
            waves: format!("`{}`", waves.join("`, `")),
        }),
    }
}

fn stage(fleet: &Fleet, number: usize, division: Division, from: Option<&str>) -> Result<Stage, LayoutError> {
    let wave = &fleet.waves[number];
    let mut notes = Vec::new();
    let whole = fleet.indivisible_because(number);
    let (window, accounts) = (fleet.window(number), fleet.parts(number, 1)?.iter().map(|part| part.accounts).sum());
    let limit = if whole.is_some() { 1 } else { window.min(accounts).min(MOST_PARTS) };
    let wanted = match division.shards {
        Some(shards) => shards,
        None => enough(fleet, number, division.max_accounts.unwrap_or(ACCOUNTS), limit)?,
    };
    let parts = fleet.parts(number, wanted.min(limit).max(1))?;
    let fullest = parts.iter().map(|part| part.accounts).max().unwrap_or_default();
    let why = match whole {
        _ if wanted <= limit => format!("--shards is {wanted}"),
        Some(reason) => reason,
        None if limit == window => format!("it lets {window} of its targets run at once"),
        None => format!("GitLab makes at most {MOST_PARTS} jobs of one by `parallel`"),
    };
    if let Some(most) = division.max_accounts.filter(|most| fullest > *most) {
        return Err(LayoutError::Accounts { wave: wave.name.clone(), accounts: fullest, most, reason: why });
    }
    if parts.len() < wanted.min(accounts) {
        let jobs = if parts.len() == 1 { "one job".to_owned() } else { format!("{} jobs", parts.len()) };
        notes.push(format!("the wave {} is {jobs}, since {why}", wave.name));
    }
    let max_failures = wave.failure_budget().0;
    // One job halts as it always does. Several halt each when it alone has too many failures.
    let most = |part: &Part| (max_failures + if wave.strict { 1 } else { part.window }).min(part.targets.len());
    Ok(Stage {
        wave: wave.name.clone(),
        number: number + 1,
        gate: wave.gate && from != Some(wave.name.as_str()),
        parts: parts.len(),
        targets: wave.targets.len(),
        max_failures,
        worst_case_failures: parts.iter().map(most).sum(),
        worst_case: worst_case(fleet, number, &parts),
        notes,
    })
}

/// Returns how many jobs are enough for none to have more accounts than it may, or more than there can be.
fn enough(fleet: &Fleet, number: usize, most: usize, limit: usize) -> Result<usize, LayoutError> {
    for count in 1..=limit {
        let fullest = fleet.parts(number, count)?.iter().map(|part| part.accounts).max();
        if fullest.unwrap_or_default() <= most {
            return Ok(count);
        }
    }
    Ok(limit + 1)
}

/// Returns how long the longest job of a wave can take, its bake included.
fn worst_case(fleet: &Fleet, number: usize, parts: &[Part]) -> Duration {
    let mut share = fleet.clone();
    share.waves.iter_mut().for_each(|wave| wave.targets = Vec::new());
    let tasks = |target: &TargetSpec| target.desired.run_tasks.all().map(|(_, task)| task.timeout).sum();
    let pace = fleet.targets.iter().map(|target| TargetEstimate { changes: true, last: None, tasks: tasks(target) });
    let pace: Vec<TargetEstimate> = pace.collect();
    let longest = parts.iter().map(|part| {
        let wave = &mut share.waves[number];
        wave.targets.clone_from(&part.targets);
        if parts.len() > 1 {
            wave.max_parallel = Parallelism::Window(Amount::Count(part.window));
        }
        estimate(&share, &pace, None, &Limits::default()).0[number].worst
    });
    longest.max().unwrap_or_default()
}

#[cfg(test)]
mod tests;
