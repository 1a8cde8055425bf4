//! Selection on the command line: `--only` and `--wave` narrow a fleet to some of its targets.
//!
//! The waves keep their order and their settings. A selection that matches nothing is an error, never an empty run.

use std::collections::BTreeSet;
use std::sync::Arc;

use globset::{GlobBuilder, GlobMatcher};

use crate::fleet::{Account, Fleet, TargetId};

/// Near misses that an error names.
const NAMED: usize = 3;

/// Why a selection cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// The pattern is not a glob of one to three parts.
    #[error("`{pattern}` is not a pattern: {reason}")]
    Pattern {
        /// The pattern, as given.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The pattern matches no target.
    #[error("`{pattern}` matches no target{}", near_misses(.near))]
    NoTarget {
        /// The pattern, as given.
        pattern: String,
        /// Patterns of the same shape that would match, nearest first; at most three.
        near: Vec<String>,
    },
    /// There is no wave of this name.
    #[error("there is no wave `{wave}`{}", near_misses(.known))]
    NoWave {
        /// The wave, as given.
        wave: String,
        /// The waves that there are, nearest first; at most three.
        known: Vec<String>,
    },
    /// There is no account of this name.
    #[error("there is no account `{account}`{}", near_misses(.known))]
    NoAccount {
        /// The account, as given.
        account: String,
        /// The accounts that there are, nearest first; at most three.
        known: Vec<String>,
    },
    /// The waves that are named have no targets.
    #[error("no target is in {waves}")]
    Empty {
        /// The waves, for a person.
        waves: String,
    },
    /// Every pattern and every wave matches something, but no target is in both.
    #[error("no target of {waves} matches {patterns}")]
    Disjoint {
        /// The patterns, for a person.
        patterns: String,
        /// The waves, for a person.
        waves: String,
    },
}

pub(super) fn near_misses(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [only] => format!("; did you mean `{only}`?"),
        names => format!("; the nearest are `{}`", names.join("`, `")),
    }
}

impl Fleet {
    /// Narrows the fleet to the targets that match any of `only` and are in any of `waves`; an empty list means all.
    ///
    /// A pattern is `account`, `account/region` or `account/region/service`, each part a glob: `*` and `?` stay within
    /// a part, `{a,b}` is either, `[ab]` is one of these letters. Waves without a target left stay, empty; accounts and
    /// regions without a target are dropped.
    ///
    /// # Errors
    /// A malformed pattern, an unknown wave, or one that matches no target, with near misses.
    pub fn select(self, only: &[String], waves: &[String]) -> Result<Self, SelectError> {
        let patterns = only.iter().map(|text| Pattern::parse(text)).collect::<Result<Vec<_>, _>>()?;
        for pattern in &patterns {
            if !self.targets.iter().any(|target| pattern.matches(&target.id)) {
                let ids = || self.targets.iter().map(|target| &target.id);
                let near = match pattern.meant(ids) {
                    Some(meant) => vec![meant],
                    None => pattern.near_misses(ids()),
                };
                return Err(SelectError::NoTarget { pattern: pattern.text.clone(), near });
            }
        }
        for name in waves {
            if !self.waves.iter().any(|wave| wave.name == *name) {
                let known = nearest(name, self.waves.iter().map(|wave| wave.name.clone()).collect());
                return Err(SelectError::NoWave { wave: name.clone(), known });
            }
        }
        let in_waves: BTreeSet<usize> = self
            .waves
            .iter()
            .filter(|wave| waves.is_empty() || waves.contains(&wave.name))
            .flat_map(|wave| wave.targets.iter().copied())
            .collect();
        let keep = |index: usize, id: &TargetId| {
            in_waves.contains(&index) && (patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(id)))
        };
        let kept: Vec<bool> = self.targets.iter().enumerate().map(|(index, target)| keep(index, &target.id)).collect();
        if !kept.contains(&true) && !self.targets.is_empty() {
            if only.is_empty() {
                return Err(SelectError::Empty { waves: format!("`{}`", waves.join("`, `")) });
            }
            let quoted = |names: &[String]| format!("`{}`", names.join("`, `"));
            return Err(SelectError::Disjoint { patterns: quoted(only), waves: quoted(waves) });
        }
        Ok(self.retain(&kept))
    }

    /// Returns the account of a name.
    ///
    /// # Errors
    /// There is no such account; with near misses.
    pub fn account(&self, name: &str) -> Result<&Arc<Account>, SelectError> {
        self.accounts.iter().find(|account| account.name == name).ok_or_else(|| {
            let names = self.accounts.iter().map(|account| account.name.clone()).collect();
            SelectError::NoAccount { account: name.to_owned(), known: nearest(name, names) }
        })
    }

    /// Returns the names of a wave and of those that follow it.
    ///
    /// # Errors
    /// There is no such wave; with near misses.
    pub fn waves_from(&self, name: &str) -> Result<Vec<String>, SelectError> {
        let names: Vec<String> = self.waves.iter().map(|wave| wave.name.clone()).collect();
        match names.iter().position(|wave| wave == name) {
            Some(first) => Ok(names[first..].to_vec()),
            None => Err(SelectError::NoWave { wave: name.to_owned(), known: nearest(name, names) }),
        }
    }

    /// Keeps the targets that are marked, in the order of [`Fleet::targets`], and re-numbers the waves. Accounts and
    /// regions without a target are dropped.
    pub fn retain(mut self, kept: &[bool]) -> Self {
        let mut numbers = Vec::with_capacity(kept.len());
        let mut next = 0;
        for keep in kept {
            numbers.push(keep.then_some(next));
            next += usize::from(*keep);
        }
        for wave in &mut self.waves {
            let renumbered = wave.targets.iter().filter_map(|index| numbers.get(*index).copied().flatten());
            wave.targets = renumbered.collect();
        }
        let mut keep = kept.iter().copied();
        self.targets.retain(|_| keep.next().unwrap_or(false));
        let used: BTreeSet<(&str, &str)> =
            self.targets.iter().map(|target| (&*target.id.account, &*target.id.region)).collect();
        let narrowed = |account: &Arc<Account>| {
            let has_targets = |region: &&String| used.contains(&(account.name.as_str(), region.as_str()));
            let regions: Vec<String> = account.regions.iter().filter(has_targets).cloned().collect();
            (!regions.is_empty()).then(|| Arc::new(Account { regions, ..(**account).clone() }))
        };
        self.accounts = self.accounts.iter().filter_map(narrowed).collect();
        for target in &mut self.targets {
            if let Some(account) = self.accounts.iter().find(|account| account.name == target.account.name) {
                target.account = Arc::clone(account);
            }
        }
        self
    }
}

/// One `--only`.
struct Pattern {
    text: String,
    parts: Vec<GlobMatcher>,
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, SelectError> {
        let wrong = |reason: String| SelectError::Pattern { pattern: text.to_owned(), reason };
        let parts: Vec<&str> = text.split('/').collect();
        if parts.len() > 3 || parts.iter().any(|part| part.is_empty()) {
            return Err(wrong("write account, account/region or account/region/service".to_owned()));
        }
        let glob = |part: &str| {
            let built = GlobBuilder::new(part).literal_separator(true).backslash_escape(false).build();
            built.map(|glob| glob.compile_matcher()).map_err(|error| wrong(error.kind().to_string()))
        };
        let parts = parts.into_iter().map(glob).collect::<Result<_, _>>()?;
        Ok(Self { text: text.to_owned(), parts })
    }

    fn matches(&self, id: &TargetId) -> bool {
        let names = [&id.account, &id.region, &id.service];
        self.parts.iter().zip(names).all(|(part, name)| part.is_match(&**name))
    }

    /// Returns the pattern that was meant, where a service, a region or the beginning of an account stands where an account is
    /// expected.
    fn meant<'a, I: Iterator<Item = &'a TargetId>>(&self, ids: impl Fn() -> I) -> Option<String> {
        let parts: Vec<&str> = self.text.split('/').collect();
        let candidates = match parts.as_slice() {
            [word] => vec![format!("*/*/{word}"), format!("*/{word}"), format!("{word}-*"), format!("*-{word}")],
            [first, second] => vec![format!("{first}/*/{second}"), format!("*/{first}/{second}")],
            _ => Vec::new(),
        };
        candidates.into_iter().find(|text| Self::parse(text).is_ok_and(|pattern| ids().any(|id| pattern.matches(id))))
    }

    /// Returns what could have been meant: targets cut to the pattern's number of parts.
    fn near_misses<'a>(&self, ids: impl Iterator<Item = &'a TargetId>) -> Vec<String> {
        let cut = |id: &TargetId| {
            let names = [&*id.account, &*id.region, &*id.service];
            names.into_iter().take(self.parts.len()).collect::<Vec<_>>().join("/")
        };
        nearest(&self.text, ids.map(cut).collect::<BTreeSet<_>>().into_iter().collect())
    }
}

/// Returns the names that are nearest to `word`, nearest first: those that are one slip away where there are any.
pub(super) fn nearest(word: &str, names: Vec<String>) -> Vec<String> {
    let slip = (word.chars().count() / 3).max(1);
    let mut names: Vec<(usize, String)> =
        names.into_iter().map(|name| (strsim::damerau_levenshtein(word, &name), name)).collect();
    names.sort();
    if let Some((best, _)) = names.first()
        && *best <= slip
    {
        let best = *best;
        names.retain(|(distance, _)| *distance == best);
    }
    names.into_iter().take(NAMED).map(|(_, name)| name).collect()
}
