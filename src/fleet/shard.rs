//! One of several jobs that share a fleet: which targets it has, how many of them it may run at once.
//!
//! Who divides the work and who does a part of it compute the same thing out of the same fleet, so that a part needs no more
//! than its number. A wave whose rules hold for all of it at once is not divided.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use ring::digest;
use serde_json::json;

use crate::base::text::hex;
use crate::fleet::{AccountId, Amount, Fleet, Parallelism, Per, Scope};

/// The bytes of a digest that are written: enough that no two fleets have the same by chance.
const WRITTEN: usize = 8;

/// One of several jobs, from 1: `2/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    number: usize,
    of: usize,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("`{text}` is not one of several jobs: NUMBER/JOBS, such as 2/8");
        let (number, of) = text.split_once('/').ok_or_else(wrong)?;
        let shard = Self { number: number.parse().map_err(|_| wrong())?, of: of.parse().map_err(|_| wrong())? };
        if shard.number == 0 || shard.number > shard.of { Err(wrong()) } else { Ok(shard) }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

/// Why a fleet cannot be shared like that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShardError {
    /// A rule of the wave holds for all of it at once.
    #[error("several jobs cannot share the wave `{wave}`: {reason}")]
    Whole {
        /// The wave.
        wave: String,
        /// Which rule, as a lower-case fragment.
        reason: String,
    },
    /// Fewer targets may run at once than there are jobs.
    #[error("the wave `{wave}` lets {window} of its targets run at once, so {parts} jobs cannot share it")]
    Narrow {
        /// The wave.
        wave: String,
        /// How many may run at once.
        window: usize,
        /// The jobs.
        parts: usize,
    },
    /// There are fewer accounts than jobs.
    #[error("nothing is left for the job {0}: there are fewer accounts than jobs")]
    Empty(Shard),
    /// The manifest means other targets, or other rules, than the one that was divided.
    #[error(
        "the manifest means another fleet than the pipeline was made of: its fingerprint is {found}, and not {wanted}"
    )]
    Changed {
        /// That of this manifest.
        found: String,
        /// That of the pipeline's.
        wanted: String,
    },
}

/// What one job has of a wave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its targets, as indices into [`Fleet::targets`], in their order.
    pub targets: Vec<usize>,
    /// How many accounts they are of.
    pub accounts: usize,
    /// How many of them run at once: all parts together never more than the wave may.
    pub window: usize,
}

impl Fleet {
    /// Returns what tells this fleet from one with other targets, other waves or other rules: 16 hexadecimal digits. Images
    /// and settings of targets are no part of it.
    pub fn fingerprint(&self) -> String {
        let target = |target: &crate::fleet::TargetSpec| {
            json!([target.id.to_string(), target.account.id, target.cluster, target.service])
        };
        let targets: Vec<_> = self.targets.iter().map(target).collect();
        let text = json!([targets, self.waves]).to_string();
        let digest = digest::digest(&digest::SHA256, text.as_bytes());
        hex(&digest.as_ref()[..WRITTEN])
    }

    /// Makes sure that a fleet is the one that a fingerprint was made of.
    ///
    /// # Errors
    /// It is not.
    pub fn matches(&self, wanted: &str) -> Result<(), ShardError> {
        let found = self.fingerprint();
        if found == wanted { Ok(()) } else { Err(ShardError::Changed { found, wanted: wanted.to_owned() }) }
    }

    /// Keeps what one of several jobs has of every wave. The budget stays that of the whole wave, and the window is the job's
    /// own share of it; the gate of a wave of which it has nothing is left out. No webhook is called: one job of many knows
    /// only its own end.
    ///
    /// # Errors
    /// A wave cannot be shared by so many jobs, or there is nothing for this one.
    pub fn shard(mut self, shard: Shard) -> Result<Self, ShardError> {
        let mut kept = vec![false; self.targets.len()];
        for number in 0..self.waves.len() {
            let parts = self.parts(number, shard.of)?;
            let alone = parts.len() < 2;
            let part = parts.into_iter().nth(shard.number - 1);
            let wave = &mut self.waves[number];
            let total = wave.targets.len();
            wave.targets = part.as_ref().map(|part| part.targets.clone()).unwrap_or_default();
            wave.targets.iter().for_each(|&index| kept[index] = true);
            // A job does not stop before what it has nothing of.
            wave.gate &= !wave.targets.is_empty();
            if let (Some(part), false) = (part, alone) {
                wave.max_failures = Amount::Count(wave.max_failures.out_of(total));
                wave.max_parallel = Parallelism::Window(Amount::Count(part.window));
            }
        }
        if !kept.contains(&true) {
            return Err(ShardError::Empty(shard));
        }
        self.notify = Vec::new();
        Ok(self.retain(&kept))
    }

    /// Divides a wave, by its place, into so many parts, or as many as it has accounts. An account is in one part, and the
    /// parts have about as many targets each. The same fleet always has the same parts.
    ///
    /// # Errors
    /// A rule of the wave holds for all of it at once, or fewer targets may run at once than there would be parts.
    pub fn parts(&self, number: usize, most: usize) -> Result<Vec<Part>, ShardError> {
        let wave = &self.waves[number];
        let mut accounts: BTreeMap<&AccountId, Vec<usize>> = BTreeMap::new();
        for &index in &wave.targets {
            accounts.entry(&self.targets[index].account.id).or_default().push(index);
        }
        let count = most.min(accounts.len());
        let window = self.window(number);
        if count > 1 {
            let name = wave.name.clone();
            if let Some(reason) = self.indivisible_because(number) {
                return Err(ShardError::Whole { wave: name, reason });
            }
            if count > window {
                return Err(ShardError::Narrow { wave: name, window, parts: count });
            }
        }
        let mut accounts: Vec<Vec<usize>> = accounts.into_values().collect();
        // The largest first, each to the part that has the least: none is then much larger than another.
        accounts.sort_by_key(|targets| (std::cmp::Reverse(targets.len()), targets[0]));
        let mut parts = vec![Part { targets: Vec::new(), accounts: 0, window: 0 }; count];
        for targets in accounts {
            if let Some(part) = parts.iter_mut().min_by_key(|part| (part.targets.len(), part.accounts)) {
                part.targets.extend(targets);
                part.accounts += 1;
            }
        }
        let sizes: Vec<usize> = parts.iter().map(|part| part.targets.len()).collect();
        for (part, window) in parts.iter_mut().zip(shares(&sizes, window)) {
            part.targets.sort_unstable();
            part.window = window;
        }
        Ok(parts)
    }

    /// Returns how many targets of a wave, by its place, may run at once.
    pub fn window(&self, number: usize) -> usize {
        let total = self.waves[number].targets.len();
        let most = match &self.waves[number].max_parallel {
            Parallelism::Window(amount) => amount.out_of(total),
            Parallelism::Batches(amounts) => amounts.iter().map(|amount| amount.out_of(total)).max().unwrap_or(total),
        };
        most.clamp(1, total.max(1))
    }

    /// Returns why a wave, by its place, is the work of one job: a rule of it that holds for all of its targets at once.
    pub fn indivisible_because(&self, number: usize) -> Option<String> {
        let wave = &self.waves[number];
        if matches!(wave.max_parallel, Parallelism::Batches(_)) {
            return Some(
                "its `max_parallel` is a list, and the next batch waits for the whole of the last one".to_owned(),
            );
        }
        if wave.strict {
            return Some("it is `strict`, and counts all that is under way".to_owned());
        }
        if wave.on_failure.scope().is_some_and(|scope| scope > Scope::Target) {
            let scope = wave.on_failure.scope().map(|scope| scope.to_string()).unwrap_or_default();
            return Some(format!(
                "its `rollback_scope` is `{scope}`, and targets that succeeded are rolled back with those that failed"
            ));
        }
        let mut sharers: BTreeMap<(&str, &str), BTreeSet<&AccountId>> = BTreeMap::new();
        for target in wave.targets.iter().map(|&index| &self.targets[index]) {
            for (_, task) in target.desired.run_tasks.all().filter(|(_, task)| task.per == Per::Run) {
                sharers.entry((&target.id.service, &task.name)).or_default().insert(&target.account.id);
            }
        }
        let ((service, task), _) = sharers.into_iter().find(|(_, accounts)| accounts.len() > 1)?;
        Some(format!("the task `{task}` of `{service}` is run once for all of its targets (`per: run`)"))
    }
}

/// Shares a window out by the sizes of parts: at least 1 each, never more than a part has targets, and `window` or less in
/// all. There are at most as many parts as the window is wide.
fn shares(sizes: &[usize], window: usize) -> Vec<usize> {
    let total: usize = sizes.iter().sum();
    if window >= total {
        return sizes.to_vec();
    }
    // One each, and the rest by what is left of each, with the largest remainders rounded up.
    let (rest, left) = (window.saturating_sub(sizes.len()), total - sizes.len());
    let mut shares: Vec<usize> = sizes.iter().map(|size| 1 + rest * (size - 1) / left).collect();
    let mut remainders: Vec<usize> = (0..sizes.len()).collect();
    remainders.sort_by_key(|&place| (std::cmp::Reverse(rest * (sizes[place] - 1) % left), place));
    let over = window.saturating_sub(shares.iter().sum());
    for place in remainders.into_iter().take(over) {
        shares[place] += 1;
    }
    shares
}

#[cfg(test)]
mod tests;
