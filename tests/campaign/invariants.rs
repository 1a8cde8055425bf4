//! What must hold of every run, whatever goes wrong: checked on the sandbox's records, and what the run said against them.

mod ending;
mod following;
mod jobs;
mod order;
mod outcomes;
mod pipelines;
mod values;

use crate::simulation::facts::Facts;
use crate::simulation::jobs::Command;
use crate::simulation::run::History;
use crate::simulation::scenario::Scenario;

/// What does not hold.
#[derive(Default)]
pub struct Broken(pub Vec<String>);

impl Broken {
    pub fn push(&mut self, invariant: &str, what: impl Into<String>) {
        self.0.push(format!("{invariant}: {}", what.into()));
    }
}

type Check = fn(&Facts<'_>, &mut Broken);

/// The checks of one run.
const OF_A_RUN: [Check; 25] = [
    order::preflight_comes_first,
    order::writes_have_a_plan,
    order::writes_stay_in_the_manifest,
    order::bounds_hold,
    order::waves_follow_each_other,
    order::nothing_starts_after_a_halt,
    order::nothing_starts_after_a_signal,
    outcomes::one_terminal_event_each,
    outcomes::outcomes_are_true,
    outcomes::one_deployment_each,
    outcomes::no_untold_revision,
    outcomes::rollbacks_restore,
    outcomes::others_are_not_overwritten,
    outcomes::counts_are_left_to_others,
    outcomes::the_harmless_does_no_harm,
    outcomes::a_bake_sees_alarms,
    outcomes::a_bake_sees_what_degrades,
    ending::nothing_secret_is_written,
    ending::it_ends_in_time,
    ending::calls_stay_in_their_buckets,
    ending::no_session_is_used_after_its_end,
    jobs::files_say_the_same,
    following::hooks_are_continued_by_whom_they_concern,
    values::one_value_everywhere,
    values::scaled_counts_stay,
];

/// The checks of `roleout watch`, which has deployments of others, too.
const OF_A_WATCH: [Check; 3] =
    [following::a_watch_only_reads, ending::nothing_secret_is_written, ending::it_ends_in_time];

/// The checks of several jobs' join, which is no run of its own: each of the jobs halts, and is ended, by itself.
const OF_A_JOIN: [Check; 8] = [
    order::writes_have_a_plan,
    order::writes_stay_in_the_manifest,
    order::bounds_hold,
    order::waves_follow_each_other,
    outcomes::one_terminal_event_each,
    outcomes::outcomes_are_true,
    outcomes::one_deployment_each,
    ending::nothing_secret_is_written,
];

/// Checks everything that happened.
pub fn check(scenario: &Scenario, history: &History) -> Vec<String> {
    let mut broken = Broken::default();
    for (number, ran) in history.runs.iter().enumerate() {
        let facts = Facts::new(scenario, history, ran);
        let mut found = Broken::default();
        let checks = match ran.job.command {
            Command::Watch => &OF_A_WATCH[..],
            _ if number == 0 && history.pipeline.is_some() => &OF_A_JOIN[..],
            _ => &OF_A_RUN[..],
        };
        checks.iter().for_each(|check| check(&facts, &mut found));
        broken.0.extend(found.0.into_iter().map(|what| format!("run {number}: {what}")));
    }
    pipelines::check(scenario, history, &mut broken);
    jobs::plans_are_true_or_refused(scenario, history, &mut broken);
    values::one_digest_everywhere(scenario, history, &mut broken);
    jobs::a_rollback_takes_the_run_back(scenario, history, &mut broken);
    ending::a_rerun_converges(scenario, history, &mut broken);
    broken.0
}
