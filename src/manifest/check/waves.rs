//! `rollout:`: the waves, and which target is in which.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::fleet::{Amount, Parallelism, Wave};
use crate::manifest::check::accounts::Accounts;
use crate::manifest::check::draft::Targets;
use crate::manifest::check::policy::Policy;
use crate::manifest::check::{Checker, given};
use crate::manifest::scalar::{AmountValue, Count, parse_count};
use crate::manifest::select::{Candidate, Vocabulary};
use crate::manifest::spanned::{OneOrMany, Span, Spanned};
use crate::manifest::{Manifest, Rollout, Wave as Written};

/// How long a target may take where the manifest does not say.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(20 * 60);
/// Targets that one message names; the rest is counted.
const NAMED: usize = 5;

type Parallel = Option<Spanned<OneOrMany<AmountValue>>>;

/// What every wave begins with.
struct Defaults {
    max_parallel: Parallelism,
    max_parallel_per_account: Option<usize>,
    max_failures: Amount,
    strict: bool,
    policy: Policy,
}

/// Warns of waves that are written and have no targets.
pub fn warn_of_empty(manifest: &Manifest, waves: &[Wave], warnings: &mut Vec<String>) {
    let written = given(&manifest.rollout).is_some_and(|rollout| rollout.waves.is_some());
    let empty = waves.iter().filter(|wave| written && wave.targets.is_empty());
    warnings.extend(empty.map(|wave| format!("wave `{}` has no targets", wave.name)));
}

impl Checker<'_> {
    /// Returns how long each target may take.
    pub fn timeout(self, manifest: &Manifest) -> Duration {
        let Some(written) = given(&manifest.rollout).and_then(|rollout| rollout.timeout.as_ref()) else {
            return DEFAULT_TIMEOUT;
        };
        let timeout = written.get().map_or(DEFAULT_TIMEOUT, |timeout| timeout.0);
        if timeout.is_zero() {
            self.fault(written.span, "the timeout is 0: every target would time out", "write how long one may take");
        }
        timeout
    }

    /// Resolves the waves. Records targets that are not in exactly one of them.
    pub fn waves(
        self,
        manifest: &Manifest,
        targets: &Targets,
        accounts: &Accounts,
        vocabulary: &Vocabulary,
        timeout: Duration,
    ) -> Option<Vec<Wave>> {
        let rollout = match &manifest.rollout {
            Some(rollout) => Some(rollout.get()?),
            None => None,
        };
        let defaults = self.defaults(rollout, timeout);
        let Some(list) = rollout.and_then(|rollout| rollout.waves.as_ref()) else {
            return Some(vec![Wave {
                name: "all".to_owned(),
                targets: (0..targets.list.len()).collect(),
                max_parallel: defaults.max_parallel,
                max_parallel_per_account: defaults.max_parallel_per_account,
                max_failures: defaults.max_failures,
                strict: defaults.strict,
                bake: Duration::ZERO,
                gate: false,
                on_failure: defaults.policy.on_failure(),
                on_cancel: defaults.policy.on_cancel,
            }]);
        };
        let span = list.span;
        let list = list.get()?;
        if list.is_empty() {
            self.fault(span, "there are no waves", "add one, or remove `waves` for a single wave named `all`");
        }
        let mut whole = targets.complete;
        let mut seen = BTreeMap::new();
        let mut waves = Vec::new();
        let mut rest: Option<(usize, Span)> = None;
        for written in list {
            let Some(wave) = written.get() else {
                whole = false;
                continue;
            };
            let name = self.name(&wave.name, written.span, "a wave");
            let place = wave.name.as_ref().map_or(written.span, |name| name.span);
            if let Some(name) = name {
                self.unique(&mut seen, "waves", name, place);
            }
            whole &= self.selector(&wave.select, vocabulary);
            if wave.select.is_none() && self.context.is_meant(written.span, "select") {
                whole = false;
            } else if wave.select.is_none() {
                match rest {
                    Some((_, first)) => {
                        let fault = self.context.fault(place, "two waves have no `select`: only one can take the rest");
                        let fault = fault.label("this one").also(first, "and this one");
                        self.context.push(fault.help("give one of them a `select`"));
                        whole = false;
                    }
                    None => rest = Some((waves.len(), place)),
                }
            }
            waves.push((self.wave(wave, name.unwrap_or("?"), &defaults), wave, place));
        }
        if whole {
            self.assign(span, targets, accounts, rest.map(|(index, _)| index), &mut waves);
        }
        Some(waves.into_iter().map(|(wave, _, _)| wave).collect())
    }

    fn defaults(self, rollout: Option<&Rollout>, timeout: Duration) -> Defaults {
        let parallel = rollout.and_then(|rollout| self.parallelism(&rollout.max_parallel));
        let per_account = rollout.and_then(|rollout| self.per_account(&rollout.max_parallel_per_account));
        Defaults {
            max_parallel: parallel.unwrap_or(Parallelism::Window(Amount::Percent(100))),
            max_parallel_per_account: per_account,
            max_failures: rollout
                .and_then(|rollout| given(&rollout.max_failures))
                .map_or(Amount::Count(0), |value| value.0),
            strict: rollout.and_then(|rollout| given(&rollout.strict)).copied().unwrap_or(false),
            policy: self.failure_policy(rollout, timeout),
        }
    }

    fn wave(self, written: &Written, name: &str, defaults: &Defaults) -> Wave {
        let policy = self.policy_of_wave(written, &defaults.policy);
        Wave {
            name: name.to_owned(),
            targets: Vec::new(),
            max_parallel: self.parallelism(&written.max_parallel).unwrap_or_else(|| defaults.max_parallel.clone()),
            max_parallel_per_account: self
                .per_account(&written.max_parallel_per_account)
                .or(defaults.max_parallel_per_account),
            max_failures: given(&written.max_failures).map_or(defaults.max_failures, |value| value.0),
            strict: given(&written.strict).copied().unwrap_or(defaults.strict),
            bake: given(&written.bake).map_or(Duration::ZERO, |bake| bake.0),
            gate: given(&written.gate).is_some(),
            on_failure: policy.on_failure(),
            on_cancel: policy.on_cancel,
        }
    }

    fn parallelism(self, written: &Parallel) -> Option<Parallelism> {
        let value = given(written)?;
        let mut amounts = Vec::new();
        for item in &value.items {
            let Some(AmountValue(amount)) = item.get() else { continue };
            if matches!(amount, Amount::Count(0) | Amount::Percent(0)) {
                let help = "write 1 or more; for a person's go-ahead before a wave, use `gate: manual`";
                self.fault(item.span, "`max_parallel` is 0: nothing would ever start", help);
            }
            amounts.push(*amount);
        }
        match (value.listed, amounts.first()) {
            (true, Some(_)) => Some(Parallelism::Batches(amounts)),
            (false, Some(amount)) => Some(Parallelism::Window(*amount)),
            (_, None) => None,
        }
    }

    fn per_account(self, written: &Option<Spanned<Count>>) -> Option<usize> {
        let place = written.as_ref()?.span;
        let Count(template) = given(written)?;
        let text = self.resolve_at(template, place, &Default::default())?;
        match parse_count(&text) {
            Ok(0) => {
                let help = "write 1 or more, or remove the key for no bound";
                self.fault(place, "`max_parallel_per_account` is 0: nothing would ever start", help);
                None
            }
            Ok(count) => usize::try_from(count).ok(),
            Err(error) => {
                self.split_fault(place, &error);
                None
            }
        }
    }

    fn assign(
        self,
        span: Span,
        targets: &Targets,
        accounts: &Accounts,
        rest: Option<usize>,
        waves: &mut [(Wave, &Written, Span)],
    ) {
        let mut lost: Vec<String> = Vec::new();
        // Pairs of waves that claim the same target, in the order in which they are found.
        let mut doubled: indexmap::IndexMap<(usize, usize), Vec<String>> = indexmap::IndexMap::new();
        for (index, target) in targets.list.iter().enumerate() {
            let Some(account) = accounts.list.get(target.account) else { continue };
            let candidate = Candidate {
                account: &account.name,
                labels: &account.labels,
                region: &target.id.region,
                service: &target.id.service,
            };
            let claims = |written: &Written| given(&written.select).is_some_and(|select| select.matches(candidate));
            let claimed: Vec<usize> =
                waves.iter().enumerate().filter(|(_, (_, written, _))| claims(written)).map(|(at, _)| at).collect();
            match (claimed.as_slice(), rest) {
                (&[], None) => lost.push(target.id.to_string()),
                (&[], Some(wave)) | (&[wave], _) => {
                    if let Some((wave, _, _)) = waves.get_mut(wave) {
                        wave.targets.push(index);
                    }
                }
                (&[first, second, ..], _) => doubled.entry((first, second)).or_default().push(target.id.to_string()),
            }
        }
        if !lost.is_empty() {
            let message = format!("{} in no wave: {}", counted(lost.len()), named(&lost));
            self.fault(self.head(span), message, "add a wave without `select`: it takes the rest");
        }
        for ((first, second), ids) in doubled {
            let (Some((one, _, first)), Some((two, _, second))) = (waves.get(first), waves.get(second)) else {
                continue;
            };
            let message = format!("{} in both `{}` and `{}`: {}", counted(ids.len()), one.name, two.name, named(&ids));
            let fault = self.context.fault(*second, message).also(*first, "the other wave");
            self.context.push(
                fault.help(format!("exclude them with `not` in one of the two, or let `{}` take the rest", two.name)),
            );
        }
    }
}

fn counted(count: usize) -> String {
    if count == 1 { "1 target is".to_owned() } else { format!("{count} targets are") }
}

fn named(ids: &[String]) -> String {
    let shown = ids.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match ids.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
