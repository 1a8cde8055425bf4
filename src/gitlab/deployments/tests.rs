use super::*;
use crate::event::{Reason, Stamper};
use crate::fleet::{OnCancel, OnFailure};
use crate::plan::outline::{Action, ChangeOutline, Outline, WaveOutline};

fn target(name: &str) -> TargetId {
    name.to_owned().try_into().expect("a target")
}

/// A run of targets in waves of their own names, and its progress: what each event makes of the environments.
struct Told {
    state: RunState,
    stamper: Stamper,
    progress: Progress,
}

impl Told {
    /// `targets` are target, wave and whether the wave bakes.
    fn new(environments: &[(&str, &str)], targets: &[(&str, &str, bool)]) -> Self {
        let change = |(name, wave, _): &(&str, &str, bool)| ChangeOutline {
            target: target(name),
            account_id: "111111111111".parse().expect("an id"),
            cluster: "web".into(),
            service: "api".into(),
            wave: (*wave).to_owned(),
            action: Action::Register,
            from: None,
            to: None,
            summary: Vec::new(),
        };
        let mut waves: Vec<WaveOutline> = Vec::new();
        for (_, wave, bakes) in targets {
            if !waves.iter().any(|known| known.name == *wave) {
                waves.push(WaveOutline {
                    name: (*wave).to_owned(),
                    targets: 1,
                    changing: 1,
                    max_parallel: "100%".into(),
                    max_failures: 0,
                    worst_case_failures: 1,
                    bake_seconds: u64::from(*bakes) * 300,
                    alarms: 0,
                    gate: false,
                    on_failure: OnFailure::Stop,
                    on_cancel: OnCancel::Detach,
                });
            }
        }
        let plan = Outline { waves, changes: targets.iter().map(change).collect(), console: None };
        let of_account = environments.iter().map(|(account, name)| ((*account).to_owned(), (*name).to_owned()));
        let progress = Progress::new(of_account.collect());
        let mut told = Self { state: RunState::new(), stamper: Stamper::new("r1"), progress };
        assert_eq!(told.event(Event::RunStarted { plan, sandbox: false, job: crate::event::Job::default() }), "");
        told
    }

    fn event(&mut self, event: Event) -> String {
        let stamped = self.stamper.stamp(jiff::Timestamp::default(), event);
        self.state.apply(&stamped);
        let changes = self.progress.event(&stamped.event, &self.state);
        changes.iter().map(|(name, status)| format!("{name} {}", status.word())).collect::<Vec<_>>().join(", ")
    }

    fn started(&mut self, name: &str) -> String {
        self.event(Event::RolloutStarted { target: target(name) })
    }

    fn ended(&mut self, name: &str, outcome: Outcome) -> String {
        self.event(Event::RolloutFinished { target: target(name), outcome, reason: None, revision: None })
    }
}

#[test]
fn an_environment_runs_from_its_first_target_to_its_last() {
    let accounts = [("a0", "production/a0"), ("a1", "production/a1")];
    let mut run = Told::new(
        &accounts,
        &[("a0/r/x", "w", false), ("a0/r/y", "w", false), ("a1/r/x", "w", false), ("a2/r/x", "w", false)],
    );
    assert_eq!(run.started("a0/r/x"), "production/a0 running");
    assert_eq!(run.started("a0/r/y"), "");
    assert_eq!(run.ended("a0/r/x", Outcome::Succeeded), "");
    assert_eq!(run.started("a2/r/x"), "", "an account without an environment");
    assert_eq!(run.started("a1/r/x"), "production/a1 running");
    assert_eq!(run.ended("a0/r/y", Outcome::Succeeded), "production/a0 success");
    assert_eq!(run.ended("a1/r/x", Outcome::RolledBack), "production/a1 failed");
    assert_eq!(run.event(Event::WaveFinished { wave: "w".into(), failed: 1, passed: false }), "");
    let returned = Event::RollbackFinished {
        target: target("a0/r/x"),
        outcome: Outcome::RolledBack,
        cause: Some(target("a1/r/x")),
        reason: Reason::default(),
        revision: None,
    };
    assert_eq!(run.event(returned), "production/a0 failed", "a later rollback is not a success");
    assert_eq!(run.event(Event::finished()), "");
}

#[test]
fn success_waits_for_the_bake() {
    let mut run = Told::new(&[("a0", "production")], &[("a0/r/x", "canary", true)]);
    assert_eq!(run.started("a0/r/x"), "production running");
    assert_eq!(run.ended("a0/r/x", Outcome::Succeeded), "");
    assert_eq!(run.event(Event::WaveFinished { wave: "canary".into(), failed: 0, passed: true }), "production success");

    let mut run = Told::new(&[("a0", "production")], &[("a0/r/x", "canary", true)]);
    run.started("a0/r/x");
    run.ended("a0/r/x", Outcome::Succeeded);
    assert_eq!(run.event(Event::TargetDegraded { target: target("a0/r/x"), reason: Reason::default() }), "");
    assert_eq!(run.event(Event::WaveFinished { wave: "canary".into(), failed: 1, passed: false }), "production failed");
}

#[test]
fn accounts_share_an_environment_and_what_is_cut_short_is_cancelled() {
    let accounts = [("a0", "production"), ("a1", "production"), ("a2", "other")];
    let mut run = Told::new(&accounts, &[("a0/r/x", "w", false), ("a1/r/x", "w", false), ("a2/r/x", "w", false)]);
    assert_eq!(run.started("a0/r/x"), "production running");
    assert_eq!(run.ended("a0/r/x", Outcome::Succeeded), "");
    let skipped = |name: &str| Event::RolloutSkipped {
        target: target(name),
        outcome: Outcome::Cancelled,
        cause: None,
        reason: "the run was cancelled".into(),
    };
    assert_eq!(run.event(skipped("a1/r/x")), "production canceled");
    assert_eq!(run.event(skipped("a2/r/x")), "", "what was never started has no deployment");
    assert_eq!(run.event(Event::finished()), "");

    // A run that breaks off leaves none as running.
    let mut run = Told::new(&accounts, &[("a0/r/x", "w", true)]);
    run.started("a0/r/x");
    assert_eq!(run.event(Event::finished()), "production canceled");
}
