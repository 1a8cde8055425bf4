//! The fold of events: exit codes, counts at every moment, and rebuilding from the written form.

#[path = "view/fixture.rs"]
mod fixture;

use fixture::{Run, change, id, outline, reason, revision, time};
use proptest::prelude::*;
use roleout::base::exit::Exit;
use roleout::event::{Event, Evidence, Hook, Job, Reason, RollbackStep, Stamped, TaskEnd};
use roleout::fleet::tasks::Tasks;
use roleout::fleet::{Moment, Outcome};
use roleout::plan::outline::{Action, Outline};
use roleout::state::{Phase, RunState, Totals};

fn fold(events: &[Stamped]) -> RunState {
    let mut state = RunState::new();
    events.iter().for_each(|event| state.apply(event));
    state
}

fn targets(number: usize) -> Vec<String> {
    (0..number).map(|index| format!("a{index}/eu-west-1/api")).collect()
}

fn plan(number: usize) -> Outline {
    outline(targets(number).iter().map(|target| change(target, "all", Action::Register)).collect())
}

/// A run of one wave whose targets end so.
fn ended(outcomes: &[Outcome]) -> Run {
    let mut run = Run::of(plan(outcomes.len()));
    run.wave(0, "all");
    for (target, outcome) in targets(outcomes.len()).iter().zip(outcomes) {
        run.deploys(1, target).ends(2, target, *outcome, None);
    }
    run
}

fn halt() -> Event {
    Event::RunHalted { wave: "all".into(), cause: id("a0/eu-west-1/api"), failed: 1, max_failures: 0 }
}

#[test]
fn exit_codes_say_what_asks_the_most_of_a_person() {
    use Outcome::{Cancelled, Detached, Failed, RolledBack, Stuck, Succeeded, Superseded, TimedOut};
    // Outcomes, whether the budget was exceeded, and the code.
    for (outcomes, exceeded, exit) in [
        (&[Succeeded, Succeeded][..], false, Exit::Done),
        (&[Succeeded, Failed], true, Exit::Failed),
        (&[Succeeded, Failed], false, Exit::Tolerated),
        (&[Succeeded, Superseded], true, Exit::Failed),
        (&[RolledBack, RolledBack], true, Exit::RolledBack),
        (&[RolledBack, Failed], true, Exit::Failed),
        (&[TimedOut, Succeeded], true, Exit::TimedOut),
        (&[TimedOut, RolledBack], true, Exit::Failed),
        (&[TimedOut, Succeeded], false, Exit::Tolerated),
        (&[Stuck, Succeeded], false, Exit::Stuck),
        (&[Stuck, TimedOut, Failed], true, Exit::Stuck),
        (&[Detached, Cancelled], false, Exit::Done),
    ] {
        let mut run = ended(outcomes);
        if exceeded {
            run.at(3, halt());
        }
        run.wave_ends(4, "all", 0, !exceeded).finished(5);
        assert_eq!(fold(&run.events).exit(), exit, "{outcomes:?} {exceeded}");
    }
}

#[test]
fn a_wave_that_did_not_pass_fails_the_run_even_without_a_halt() {
    let mut run = ended(&[Outcome::Failed]);
    run.wave_ends(3, "all", 1, false).finished(4);
    assert_eq!(fold(&run.events).exit(), Exit::Failed);
}

#[test]
fn signals_win_over_failures_and_stuck_wins_over_signals() {
    for (signal, outcome, exit) in [
        ("SIGINT", Outcome::Detached, Exit::Interrupted),
        ("SIGTERM", Outcome::Detached, Exit::Terminated),
        ("SIGHUP", Outcome::Detached, Exit::Terminated),
        ("SIGINT", Outcome::Failed, Exit::Interrupted),
        ("SIGTERM", Outcome::Stuck, Exit::Stuck),
    ] {
        let mut run = ended(&[outcome]);
        run.at(3, Event::RunCancelled { signal: signal.into() }).at(3, halt()).finished(4);
        assert_eq!(fold(&run.events).exit(), exit, "{signal} {outcome:?}");
    }
}

#[test]
fn a_gate_is_told_before_tolerated_failures() {
    for outcome in [Outcome::Succeeded, Outcome::Failed] {
        let mut run = ended(&[outcome]);
        run.wave_ends(3, "all", 0, true).at(4, Event::GateReached { wave: "rest".into() }).finished(5);
        assert_eq!(fold(&run.events).exit(), Exit::Gate, "{outcome:?}");
    }
}

#[test]
fn a_log_that_breaks_off_is_no_success() {
    let run = ended(&[Outcome::Succeeded]);
    assert_eq!(fold(&run.events).exit(), Exit::Unexpected);
    assert_eq!(RunState::new().exit(), Exit::Done);
}

#[test]
fn a_degraded_target_counts_as_failed_once() {
    let mut run = ended(&[Outcome::Succeeded, Outcome::Succeeded]);
    let target = id("a1/eu-west-1/api");
    run.at(3, Event::TargetDegraded { target: target.clone(), reason: reason("2 of 4 tasks run") });
    run.at(4, Event::TargetDegraded { target: target.clone(), reason: reason("1 of 4 tasks run") });
    run.at(5, halt()).wave_ends(6, "all", 1, false).finished(7);
    let state = fold(&run.events);
    let degraded = state.target(&target).expect("planned");
    assert_eq!((degraded.ended, degraded.outcome()), (Some(Outcome::Succeeded), Some(Outcome::Failed)));
    assert_eq!(degraded.why(), Some(&reason("2 of 4 tasks run")));
    assert_eq!((state.totals().succeeded, state.totals().failed), (1, 1));
    assert_eq!(state.exit(), Exit::Failed);
}

#[test]
fn targets_remember_their_way() {
    let mut run = Run::of(fixture::small());
    run.wave(0, "canary").deploys(1_000, "staging/eu-west-1/api").tasks(2_000, "staging/eu-west-1/api", 3, 0);
    let state = fold(&run.events);
    let target = state.target(&id("staging/eu-west-1/api")).expect("planned");
    assert_eq!((target.phase, target.outcome()), (Phase::Deploying, None));
    assert_eq!(target.tasks, Some(Tasks { desired: 4, running: 3, pending: 1, failed: 0 }));
    assert_eq!((target.from.as_ref(), target.to.as_ref()), (Some(&revision("api:12")), Some(&revision("api:13"))));
    assert_eq!(target.deployment.as_deref(), Some("ecs-svc/1000"));
    assert_eq!(target.elapsed_ms(Some(fixture::time(5_000))), Some(4_000));
    let (place, wave) = state.current_wave().expect("a wave runs");
    assert_eq!((place, wave.outline.name.as_str()), (1, "canary"));
    let totals = state.totals();
    assert_eq!((totals.running, totals.waiting, totals.unchanged, totals.blocked), (1, 2, 1, 1));
}

#[test]
fn what_had_succeeded_and_is_returned_runs_again_and_counts_once() {
    let mut run = ended(&[Outcome::Succeeded, Outcome::RolledBack, Outcome::Succeeded]);
    let (target, cause) = ("a0/eu-west-1/api", "a1/eu-west-1/api");
    run.at(3, halt()).rolls_back(1_003, target, Some(cause));
    let state = fold(&run.events);
    let going = state.target(&id(target)).expect("planned");
    assert_eq!((going.phase, state.totals().running, state.totals().succeeded), (Phase::RollingBack, 1, 1));
    assert_eq!(going.elapsed_ms(Some(fixture::time(3_003))), Some(2_000), "its way back has a time of its own");
    assert_eq!(going.deploys(), Some(&revision("api:12")));
    run.returned(9, target).returned(9, target).rolls_back(9, target, None).wave_ends(9, "all", 1, false).finished(9);
    let state = fold(&run.events);
    let returned = state.target(&id(target)).expect("planned");
    assert_eq!((returned.phase, returned.outcome()), (Phase::Ended, Some(Outcome::RolledBack)));
    assert_eq!(returned.cause.as_ref(), Some(&id(cause)));
    assert_eq!((state.totals().rolled_back, state.totals().succeeded, state.exit()), (2, 1, Exit::RolledBack));
}

#[test]
fn what_does_not_belong_to_the_plan_is_ignored() {
    let mut run = ended(&[Outcome::Succeeded]);
    let before = fold(&run.events).totals();
    run.deploys(3, "who/eu-west-1/api").ends(4, "a0/eu-west-1/api", Outcome::Failed, None).wave(5, "what");
    assert_eq!(fold(&run.events).totals(), before);
}

/// Returns a run that keeps every promise of `event`, steered by `choices`.
fn steered(number: usize, choices: &[u8]) -> Vec<Stamped> {
    let split = number / 2;
    let changes = targets(number).into_iter().enumerate().map(|(index, target)| {
        let action = match index % 5 {
            3 => Action::Unchanged,
            _ => Action::Register,
        };
        change(&target, if index < split { "first" } else { "second" }, action)
    });
    let plan = outline(changes.collect());
    let mut run = Run::of(plan.clone());
    let mut choices = choices.iter().copied().cycle();
    let mut choose = |limit: usize| usize::from(choices.next().unwrap_or(0)) % limit.max(1);
    let (mut ms, mut stopped, mut cause) = (0, None, None);
    for wave in &plan.waves {
        if stopped.is_none() {
            run.wave(ms, &wave.name);
        }
        let changing = plan.changes.iter().filter(|change| change.wave == wave.name && change.action.changes());
        let mut open: Vec<_> = changing.map(|change| (change.target.clone(), 0)).collect();
        let mut failed = 0;
        while !open.is_empty() {
            ms += 700;
            let place = choose(open.len());
            let (target, stage) = open[place].clone();
            if let (Some(outcome), 0) = (stopped, stage) {
                let reason = "the run stopped".to_owned();
                run.at(ms, Event::RolloutSkipped { target, outcome, cause: cause.clone(), reason });
                open.remove(place);
                continue;
            }
            match stage {
                0 => run.at(ms, Event::RolloutStarted { target: target.clone() }),
                1 => run
                    .at(ms, Event::RevisionRegistered { target, revision: revision("api:13"), reused: choose(2) == 0 }),
                2 => {
                    let deployment = "ecs-svc/1".to_owned();
                    run.at(
                        ms,
                        Event::DeploymentStarted { target, deployment, revision: revision("api:13"), attached: false },
                    )
                }
                3 | 4 => run.tasks(ms, &target.to_string(), choose(5) as u32, choose(3) as u32),
                5 if choose(4) == 0 => run.rolls_back(ms, &target.to_string(), None),
                _ => {
                    let outcome = match (stopped, choose(12)) {
                        (Some(Outcome::Cancelled), _) => Outcome::Detached,
                        (_, 0) => Outcome::Failed,
                        (_, 1) => Outcome::RolledBack,
                        (_, 2) => Outcome::TimedOut,
                        (_, 3) => Outcome::Superseded,
                        (_, 4) => Outcome::Stuck,
                        _ => Outcome::Succeeded,
                    };
                    run.ends(ms, &target.to_string(), outcome, outcome.is_failure().then(|| reason("it broke")));
                    open.remove(place);
                    if outcome.is_failure() {
                        failed += 1;
                        if failed > 1 && stopped.is_none() {
                            stopped = Some(Outcome::NotStarted);
                            cause = Some(target.clone());
                            run.at(
                                ms,
                                Event::RunHalted { wave: wave.name.clone(), cause: target, failed, max_failures: 1 },
                            );
                        }
                    }
                    continue;
                }
            };
            open[place].1 += 1;
            if choose(40) == 0 && stopped.is_none() {
                stopped = Some(Outcome::Cancelled);
                run.at(ms, Event::RunCancelled { signal: "SIGTERM".into() });
            }
        }
        if stopped.is_none() {
            run.at(ms, Event::BakeStarted { wave: wave.name.clone(), seconds: 60 });
            if choose(4) == 0
                && let Some(change) =
                    plan.changes.iter().find(|change| change.wave == wave.name && change.action.changes())
            {
                run.at(ms, Event::TargetDegraded { target: change.target.clone(), reason: reason("unhealthy") });
            }
            let last = plan.changes.iter().rfind(|change| change.wave == wave.name && change.action.changes());
            if let Some(change) = last.filter(|_| choose(4) == 0) {
                let name = change.target.to_string();
                run.rolls_back(ms, &name, Some("a0/eu-west-1/api")).tasks(ms + 1, &name, 2, 0).returned(ms + 2, &name);
            }
        }
        run.wave_ends(ms, &wave.name, failed, stopped.is_none());
    }
    run.finished(ms);
    run.events
}

fn is_terminal(event: &Event) -> bool {
    match event {
        Event::RolloutFinished { .. } | Event::RolloutSkipped { .. } => true,
        Event::RunStarted { .. }
        | Event::RunRefused { .. }
        | Event::WaveStarted { .. }
        | Event::RolloutStarted { .. }
        | Event::RevisionRegistered { .. }
        | Event::TagsRefused { .. }
        | Event::SessionLost { .. }
        | Event::DefinitionAltered { .. }
        | Event::DeploymentStarted { .. }
        | Event::TasksChanged { .. }
        | Event::StageChanged { .. }
        | Event::HookWaiting { .. }
        | Event::HookEnded { .. }
        | Event::HookNotContinued { .. }
        | Event::RunTaskStarted { .. }
        | Event::RunTaskFinished { .. }
        | Event::RunTaskAwaited { .. }
        | Event::RunTaskNotRun { .. }
        | Event::ServiceMessage { .. }
        | Event::TargetDegraded { .. }
        | Event::RollbackStarted { .. }
        | Event::RollbackFinished { .. }
        | Event::RollbackImpossible { .. }
        | Event::BakeStarted { .. }
        | Event::WaveFinished { .. }
        | Event::RunHalted { .. }
        | Event::GateReached { .. }
        | Event::RunCancelled { .. }
        | Event::RunFinished { .. }
        | Event::Unknown => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn every_target_is_counted_once_at_every_moment(number in 1usize..14, choices in prop::collection::vec(any::<u8>(), 1..200)) {
        let events = steered(number, &choices);
        let mut state = RunState::new();
        let unchanged = (0..number).filter(|index| index % 5 == 3).count();
        let mut terminal = 0;
        for event in &events {
            state.apply(event);
            terminal += usize::from(is_terminal(&event.event));
            prop_assert_eq!(state.totals().all(), number);
            prop_assert_eq!(state.totals(), Totals::count(state.targets()));
            prop_assert_eq!(state.targets().filter(|target| target.ended.is_some()).count(), terminal + unchanged);
        }
        prop_assert_eq!((state.totals().running, state.totals().waiting), (0, 0));
        prop_assert_ne!(state.exit(), Exit::Unexpected);
        // Hearing the end twice changes nothing.
        let once = state.clone();
        for event in events.iter().filter(|event| is_terminal(&event.event)) {
            state.apply(event);
        }
        prop_assert_eq!(state.totals(), once.totals());
    }

    #[test]
    fn a_state_rebuilt_from_its_lines_is_equal(number in 1usize..14, choices in prop::collection::vec(any::<u8>(), 1..200)) {
        let events = steered(number, &choices);
        let lines: Vec<_> = events.iter().map(|event| serde_json::to_string(event).expect("events are JSON")).collect();
        let read: Vec<Stamped> = lines.iter().map(|line| serde_json::from_str(line).expect("our own line")).collect();
        prop_assert_eq!(&read, &events);
        prop_assert_eq!(fold(&read), fold(&events));
    }
}

#[test]
fn kinds_of_a_newer_version_are_read_and_ignored() {
    let mut run = ended(&[Outcome::Succeeded]);
    run.finished(9);
    let state = fold(&run.events);
    let line = r#"{"version":2,"run":"run-1","seq":99,"at":"2026-11-02T09:00:00.009Z","event":{"kind":"moon_rose","height":[1]}}"#;
    let event: Stamped = serde_json::from_str(line).expect("tolerated");
    assert_eq!(event.event, Event::Unknown);
    let mut after = state.clone();
    after.apply(&event);
    assert_eq!(after, state);
}

/// Makes a sample of every kind of event. The `match` names the kinds that have one: without a sample for a new kind, it does
/// not compile.
macro_rules! samples {
    ($($kind:ident { $($field:ident: $value:expr),* $(,)? }),* $(,)?) => {{
        const fn has_a_sample(event: &Event) {
            match event {
                $(Event::$kind { .. })|* => {}
            }
        }
        let samples = vec![$(Event::$kind { $($field: $value),* }),*];
        samples.iter().for_each(has_a_sample);
        samples
    }};
}

fn one_event_of_each_kind() -> Vec<Event> {
    let target = || id("a0/eu-west-1/api");
    let (why, help) = (|| "no\u{7} \u{1b}[31m\n\"quoted\"".to_owned(), || "일".to_owned());
    let full = || Reason {
        summary: why(),
        cause: Some(help()),
        evidence: vec![Evidence { text: "하나".into(), tasks: 2, ..String::new().into() }, String::new().into()],
        help: Some(help()),
    };
    let job = || Job { pipeline_id: Some("4711".into()), ..Job::default() };
    let hook = Hook { id: "h".into(), stage: None, expires_at: Some(time(9)), timeout_action: Some("CONTINUE".into()) };
    let task = || "arn:aws:ecs:eu-west-1:111122223333:task/web/1".to_owned();
    samples![
        RunStarted { plan: plan(2), sandbox: true, job: job() },
        RunRefused { plan: None, sandbox: false, job: job(), exit_code: 3, message: why(), help: vec![help()] },
        WaveStarted { wave: "all".into() },
        RolloutStarted { target: target() },
        RevisionRegistered { target: target(), revision: revision("api:13"), reused: true },
        TagsRefused { account: "prod".into(), reason: why(), help: help() },
        SessionLost { account: "prod".into(), reason: why() },
        DefinitionAltered { family: "api".into(), differences: vec![why()], help: help() },
        RunTaskStarted { target: target(), name: "migrate".into(), moment: Moment::Before, task: task() },
        RunTaskFinished { target: target(), name: "migrate".into(), moment: Moment::After, end: TaskEnd::Cancelled },
        RunTaskAwaited { target: target(), name: "migrate".into() },
        RunTaskNotRun { service: "api".into(), name: "migrate".into(), account_id: None, missing: 2 },
        DeploymentStarted {
            target: target(),
            deployment: "ecs-svc/1".into(),
            revision: revision("api:13"),
            attached: true,
        },
        TasksChanged { target: target(), tasks: Tasks { desired: 4, running: 1, pending: 3, failed: 2 } },
        StageChanged {
            target: target(),
            stage: "PRODUCTION_TRAFFIC_SHIFT".into(),
            production_percent: Some(12.5),
            test_percent: None,
            bake_minutes: 10,
        },
        HookWaiting { target: target(), hook: hook, continued: true },
        HookEnded { target: target(), hook: "h".into(), status: "SUCCEEDED".into() },
        HookNotContinued { target: target(), hook: "h".into(), reason: why() },
        ServiceMessage { target: target(), text: help() },
        RolloutFinished { target: target(), outcome: Outcome::Stuck, reason: Some(full()), revision: None },
        RolloutSkipped { target: target(), outcome: Outcome::NotStarted, cause: Some(target()), reason: why() },
        TargetDegraded { target: target(), reason: full() },
        RollbackStarted { target: target(), how: RollbackStep::Settings, to: Some(revision("api:12")), cause: None },
        RollbackFinished {
            target: target(),
            outcome: Outcome::RolledBack,
            cause: Some(target()),
            reason: full(),
            revision: Some(revision("api:12")),
        },
        RollbackImpossible { target: target(), reason: why() },
        BakeStarted { wave: "all".into(), seconds: u64::MAX },
        WaveFinished { wave: "all".into(), failed: 1, passed: false },
        RunHalted { wave: "all".into(), cause: target(), failed: 1, max_failures: 0 },
        GateReached { wave: "rest".into() },
        RunCancelled { signal: "SIGINT".into() },
        RunFinished { exit_code: Some(13), verdict: Some(why()), totals: [("rolled_back".to_owned(), 2)].into() },
        Unknown {},
    ]
}

#[test]
fn every_kind_of_event_survives_its_written_form() {
    let mut run = ended(&[Outcome::Succeeded]);
    for event in one_event_of_each_kind() {
        run.at(3, event);
    }
    for event in &run.events {
        let line = serde_json::to_string(event).expect("events are JSON");
        assert!(!line.contains('\n'), "{line}");
        assert_eq!(&serde_json::from_str::<Stamped>(&line).expect(&line), event);
    }
}

#[test]
fn the_old_words_for_a_rollback_are_read_and_the_new_ones_are_written() {
    let (target, cause) = ("prod/eu-west-1/api", "staging/eu-west-1/api");
    for (old, new, fields, means) in [
        (
            "undo_started",
            "rollback_started",
            format!(r#""target":"{target}","how":"deploy","to":"api:12","cause":"{cause}""#),
            Event::RollbackStarted {
                target: id(target),
                how: RollbackStep::Deploy,
                to: Some(revision("api:12")),
                cause: Some(id(cause)),
            },
        ),
        (
            "target_returned",
            "rollback_finished",
            format!(
                r#""target":"{target}","outcome":"rolled_back","cause":"{cause}","reason":{{"summary":"returned","evidence":[],"help":null}},"revision":"api:12""#
            ),
            Event::RollbackFinished {
                target: id(target),
                outcome: Outcome::RolledBack,
                cause: Some(id(cause)),
                reason: reason("returned"),
                revision: Some(revision("api:12")),
            },
        ),
        (
            "undo_impossible",
            "rollback_impossible",
            format!(r#""target":"{target}","reason":"nothing ran before""#),
            Event::RollbackImpossible { target: id(target), reason: "nothing ran before".into() },
        ),
    ] {
        let line = |kind: &str| {
            format!(
                r#"{{"version":1,"run":"run-1","seq":0,"at":"2026-11-02T09:00:00Z","event":{{"kind":"{kind}",{fields}}}}}"#
            )
        };
        let read: Stamped = serde_json::from_str(&line(old)).expect(old);
        assert_eq!(read.event, means, "{old}");
        assert_eq!(serde_json::to_string(&read).expect(new), line(new), "{old}");
    }
}
