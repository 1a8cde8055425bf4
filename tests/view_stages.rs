//! What people see of a deployment with stages: its traffic, its bake, and the hook at which it waits; and of the tasks
//! that run before and after a deployment.

#[path = "view/fixture.rs"]
mod fixture;
#[path = "view/terminal.rs"]
mod terminal;

use fixture::{Run, id, reason, small, time, view};
use insta::assert_snapshot;
use jiff::Timestamp;
use roleout::event::{Event, Hook, TaskEnd};
use roleout::fleet::{Moment, Outcome};
use roleout::report::{Record, Target};
use roleout::view::options::Options;
use terminal::Terminal;

const CANARY: &str = "staging/eu-west-1/api";

fn stage(run: &mut Run, ms: i64, stage: &str, production: f64, test: f64, bake_minutes: u64) {
    let (production_percent, test_percent) = (Some(production), Some(test));
    let (target, stage) = (id(CANARY), stage.to_owned());
    run.at(ms, Event::StageChanged { target, stage, production_percent, test_percent, bake_minutes });
}

fn waits(run: &mut Run, ms: i64, continued: bool) {
    let hook = Hook {
        id: "hook-1".into(),
        stage: Some("POST_TEST_TRAFFIC_SHIFT".into()),
        expires_at: Some(time(3_600_000)),
        timeout_action: Some("ROLLBACK".into()),
    };
    run.at(ms, Event::HookWaiting { target: id(CANARY), hook, continued });
}

/// A deployment up to the hook at which it waits.
fn paused(continued: bool) -> Run {
    let mut run = Run::of(small());
    run.wave(0, "canary").deploys(900, CANARY);
    stage(&mut run, 1_000, "SCALE_UP", 0.0, 0.0, 0);
    run.tasks(9_000, CANARY, 4, 0);
    stage(&mut run, 10_000, "TEST_TRAFFIC_SHIFT", 0.0, 100.0, 0);
    stage(&mut run, 12_000, "POST_TEST_TRAFFIC_SHIFT", 0.0, 100.0, 0);
    waits(&mut run, 13_000, continued);
    run
}

fn log(run: &Run) -> String {
    let (mut view, _, err) = view(Options::default());
    run.events.iter().for_each(|event| view.event(event));
    view.finish();
    err.text()
}

#[test]
fn a_log_has_a_line_a_stage() {
    let mut run = paused(true);
    run.at(14_000, Event::HookEnded { target: id(CANARY), hook: "hook-1".into(), status: "SUCCEEDED".into() });
    stage(&mut run, 15_000, "PRODUCTION_TRAFFIC_SHIFT", 12.5, 100.0, 10);
    stage(&mut run, 615_000, "PRODUCTION_TRAFFIC_SHIFT", 100.0, 100.0, 0);
    stage(&mut run, 616_000, "BAKE_TIME", 100.0, 0.0, 5);
    run.ends(920_000, CANARY, Outcome::Succeeded, None).wave_ends(920_000, "canary", 0, true).finished(920_000);
    assert_snapshot!(log(&run), @r"
    00:00 run-1: 3 to deploy, 1 unchanged, 1 blocked
    00:00 wave canary (1 of 2): 1 target, all at once; tolerates no failure
    00:00 staging/eu-west-1/api  deploys api:13 as ecs-svc/900
    00:01 staging/eu-west-1/api  SCALE_UP
    00:09 staging/eu-west-1/api  PRIMARY api:13 desired:4 pending:0 running:4
    00:10 staging/eu-west-1/api  TEST_TRAFFIC_SHIFT, 100 % of test traffic
    00:12 staging/eu-west-1/api  POST_TEST_TRAFFIC_SHIFT, 100 % of test traffic
    00:13 staging/eu-west-1/api  waits at a PAUSE hook in POST_TEST_TRAFFIC_SHIFT until 2026-11-02T10:00:00Z, then ROLLBACK, which this run continues
    00:14 staging/eu-west-1/api  the PAUSE hook ended: SUCCEEDED
    00:15 staging/eu-west-1/api  PRODUCTION_TRAFFIC_SHIFT, 12.5 % of production traffic, bakes for 10m
    10:15 staging/eu-west-1/api  PRODUCTION_TRAFFIC_SHIFT, 100 % of production traffic
    10:16 staging/eu-west-1/api  BAKE_TIME, 100 % of production traffic, bakes for 5m
    15:20 staging/eu-west-1/api  ✔ succeeded in 15m 19s, runs api:13
    15:20 ✔ wave canary: passed

    wave canary: 1 succeeded
      ✔ succeeded    staging/eu-west-1/api  api:12 -> api:13  15m 19s

    wave rest: 1 unchanged, 2 waiting, 1 blocked
      = unchanged    prod/us-east-1/worker  api:12

    blocked by the plan, and left out: 1 target
      old/us-east-1/worker

    5 targets: 1 succeeded, 1 unchanged, 2 waiting, 1 blocked, in 15m 20s
    ✔ done (exit code 0)
    ");
}

#[test]
fn a_target_that_is_left_waiting_says_how_to_go_on() {
    let mut run = paused(false);
    run.at(14_000, Event::HookNotContinued { target: id(CANARY), hook: "hook-1".into(), reason: "denied".into() });
    let why = reason("not complete within 20m: it waits at a PAUSE hook in POST_TEST_TRAFFIC_SHIFT");
    run.ends(1_200_000, CANARY, Outcome::TimedOut, Some(why))
        .wave_ends(1_200_000, "canary", 1, false)
        .finished(1_200_000);
    assert_snapshot!(log(&run), @"
    00:00 run-1: 3 to deploy, 1 unchanged, 1 blocked
    00:00 wave canary (1 of 2): 1 target, all at once; tolerates no failure
    00:00 staging/eu-west-1/api  deploys api:13 as ecs-svc/900
    00:01 staging/eu-west-1/api  SCALE_UP
    00:09 staging/eu-west-1/api  PRIMARY api:13 desired:4 pending:0 running:4
    00:10 staging/eu-west-1/api  TEST_TRAFFIC_SHIFT, 100 % of test traffic
    00:12 staging/eu-west-1/api  POST_TEST_TRAFFIC_SHIFT, 100 % of test traffic
    00:13 staging/eu-west-1/api  ! waits at a PAUSE hook in POST_TEST_TRAFFIC_SHIFT until 2026-11-02T10:00:00Z, then ROLLBACK; let it go on with `roleout continue --only staging/eu-west-1/api`
    00:14 staging/eu-west-1/api  ! the PAUSE hook was not continued: denied
    20:00 staging/eu-west-1/api  ✖ timed out after 19m 59s, runs api:12: not complete within 20m: it waits at a PAUSE hook in POST_TEST_TRAFFIC_SHIFT
    20:00 ✖ wave canary failed: 1 target

    wave canary: 1 timed out
      ✖ timed out    staging/eu-west-1/api  api:12 -> api:13  19m 59s

    wave rest: 1 unchanged, 2 waiting, 1 blocked
      = unchanged    prod/us-east-1/worker  api:12

    blocked by the plan, and left out: 1 target
      old/us-east-1/worker

    may still be rolling out in ECS: 1 target
      staging/eu-west-1/api  ecs-svc/900 in account 111122223333
          waits at a PAUSE hook in POST_TEST_TRAFFIC_SHIFT until 2026-11-02T10:00:00Z, then ROLLBACK
          roleout continue --only staging/eu-west-1/api
          aws ecs describe-services --region eu-west-1 --cluster web --services api
          https://eu-west-1.console.aws.amazon.com/ecs/v2/clusters/web/services/api/deployments?region=eu-west-1

    ✖ timed out  staging/eu-west-1/api after 19m 59s, runs api:12
        not complete within 20m: it waits at a PAUSE hook in POST_TEST_TRAFFIC_SHIFT

    5 targets: 1 unchanged, 2 waiting, 1 blocked, 1 timed out, in 20m
    ✖ timed out; deployments may still be running (exit code 14)
    next: roleout continue --only staging/eu-west-1/api  # lets 1 deployment go on
    or:   roleout watch --only staging/eu-west-1/api  # follows 1 deployment to the end
    ");
}

/// The live row of the one target that runs.
fn row(run: &Run) -> String {
    let options = Options { live: true, width: 100, height: 24, ..Options::default() };
    let mut terminal = Terminal::new(options.width, options.height);
    let (mut view, _, err) = view(options);
    run.events.iter().for_each(|event| view.event(event));
    view.tick(time(20_000));
    terminal.feed(&err.take());
    let text = terminal.text();
    text.lines().rev().nth(1).unwrap_or_default().to_owned()
}

#[test]
fn a_row_tells_the_stage_at_a_glance() {
    let mut rows = vec![row(&paused(false))];
    for (name, production, bake) in [
        ("SCALE_UP", 0.0, 0),
        ("PRODUCTION_TRAFFIC_SHIFT", 12.5, 10),
        ("PRODUCTION_TRAFFIC_SHIFT", 100.0, 0),
        ("BAKE_TIME", 100.0, 5),
        ("CLEAN_UP", 100.0, 0),
        ("ROLLBACK_IN_PROGRESS", 0.0, 0),
        ("SOME_NEW_STAGE", 0.0, 0),
    ] {
        let mut run = Run::of(small());
        run.wave(0, "canary").deploys(900, CANARY).tasks(2_000, CANARY, 4, 0);
        stage(&mut run, 3_000, name, production, 0.0, bake);
        rows.push(row(&run));
    }
    assert_snapshot!(rows.join("\n"), @"
    ! staging/eu-west-1/api  waits at PAUSE    ━━━━━───  4/4      api:13                          00:19
      staging/eu-west-1/api  scaling up        ━━━━────  4/4      api:13                          00:19
      staging/eu-west-1/api  traffic 12.5 %    ━━━━━━──  4/4      api:13   bakes 10m              00:19
      staging/eu-west-1/api  traffic 100 %     ━━━━━━──  4/4      api:13                          00:19
      staging/eu-west-1/api  bakes 5m          ━━━━━━━─  4/4      api:13                          00:19
      staging/eu-west-1/api  cleaning up       ━━━━━━━─  4/4      api:13                          00:19
    ↩ staging/eu-west-1/api  rolling back      ━━━━━━──  4/4      api:13                          00:19
      staging/eu-west-1/api  SOME_NEW_STAGE    ━━━━━━──  4/4      api:13                          00:19
    ");
}

fn runs_task(run: &mut Run, ms: i64, name: &str, moment: Moment) {
    let task = "arn:aws:ecs:eu-west-1:111122223333:task/web/0a1b2c3d".to_owned();
    run.at(ms, Event::RunTaskStarted { target: id(CANARY), name: name.to_owned(), moment, task });
}

fn task_ends(run: &mut Run, ms: i64, name: &str, moment: Moment, end: TaskEnd) {
    run.at(ms, Event::RunTaskFinished { target: id(CANARY), name: name.to_owned(), moment, end });
}

/// A target with a task before its deployment.
fn migrates() -> Run {
    let mut run = Run::of(small());
    let revision = "api:13".parse().expect("a revision");
    run.wave(0, "canary").at(100, Event::RolloutStarted { target: id(CANARY) });
    run.at(900, Event::RevisionRegistered { target: id(CANARY), revision, reused: false });
    runs_task(&mut run, 1_000, "migrate", Moment::Before);
    run
}

#[test]
fn a_log_tells_the_tasks_before_and_after_a_deployment() {
    let mut run = migrates();
    task_ends(&mut run, 43_000, "migrate", Moment::Before, TaskEnd::Succeeded);
    let (deployment, revision) = ("ecs-svc/9".to_owned(), "api:13".parse().expect("a revision"));
    run.at(44_000, Event::DeploymentStarted { target: id(CANARY), deployment, revision, attached: false });
    runs_task(&mut run, 90_000, "smoke", Moment::After);
    task_ends(&mut run, 95_000, "smoke", Moment::After, TaskEnd::Failed);
    let why = reason("the task smoke failed; the deployment had completed");
    run.ends(96_000, CANARY, Outcome::Failed, Some(why)).wave_ends(96_000, "canary", 1, false).finished(96_000);
    assert_snapshot!(log(&run), @"
    00:00 run-1: 3 to deploy, 1 unchanged, 1 blocked
    00:00 wave canary (1 of 2): 1 target, all at once; tolerates no failure
    00:01 staging/eu-west-1/api  runs the task migrate before the deployment: 0a1b2c3d
    00:43 staging/eu-west-1/api  the task migrate succeeded after 42s
    00:44 staging/eu-west-1/api  deploys api:13 as ecs-svc/9
    01:30 staging/eu-west-1/api  runs the task smoke after the deployment: 0a1b2c3d
    01:35 staging/eu-west-1/api  the task smoke failed after 5s
    01:36 staging/eu-west-1/api  ✖ failed after 1m 35s, runs api:12: the task smoke failed; the deployment had completed
    01:36 ✖ wave canary failed: 1 target

    wave canary: 1 failed
      ✖ failed       staging/eu-west-1/api  api:12 -> api:13  1m 35s

    wave rest: 1 unchanged, 2 waiting, 1 blocked
      = unchanged    prod/us-east-1/worker  api:12

    blocked by the plan, and left out: 1 target
      old/us-east-1/worker

    task migrate before the deployment: 1 succeeded
    task smoke after the deployment: 1 failed

    ✖ failed  staging/eu-west-1/api after 1m 35s, runs api:12
        the task smoke failed; the deployment had completed

    5 targets: 1 unchanged, 2 waiting, 1 blocked, 1 failed, in 1m 36s
    ✖ targets failed (exit code 10)
    next: roleout deploy  # does what is left, once the cause is fixed
    ");
}

#[test]
fn a_live_row_names_the_task_that_runs() {
    assert_snapshot!(row(&migrates()).trim_start(), @"staging/eu-west-1/api  task migrate      ━───────           api:13                          00:19");
    let mut waits = migrates();
    task_ends(&mut waits, 2_000, "migrate", Moment::Before, TaskEnd::Succeeded);
    waits.at(3_000, Event::RunTaskAwaited { target: id(CANARY), name: "seed".to_owned() });
    assert_snapshot!(row(&waits).trim_start(), @"staging/eu-west-1/api  awaits seed       ━───────           api:13                          00:19");
}

/// What the report says of the one target that is deployed.
fn reported(run: &Run) -> Target {
    let mut record = Record::new();
    run.events.iter().for_each(|event| record.apply(event));
    let report = record.take_report();
    report.targets.into_iter().find(|target| target.target == id(CANARY)).expect("a target")
}

/// The stages and pauses of a target, a line each, in seconds.
fn course(target: &Target) -> String {
    let second = |at: Timestamp| (at.as_millisecond() - fixture::START) / 1000;
    let until = |at: Option<Timestamp>| at.map_or("on".to_owned(), |at| second(at).to_string());
    let stages = target.stages.iter().map(|stage| {
        let percent = stage.production_percent.unwrap_or_default();
        format!("{} {percent} %: {} to {}", stage.name, second(stage.started_at), until(stage.ended_at))
    });
    let pauses = target.pauses.iter().map(|pause| {
        let status = pause.status.as_deref().unwrap_or("no word");
        format!("{} waits: {} to {}, {status}", pause.hook, second(pause.started_at), until(pause.ended_at))
    });
    stages.chain(pauses).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_report_has_each_stage_until_the_next_and_the_pause_until_it_was_continued() {
    let mut run = paused(false);
    waits(&mut run, 13_500, false);
    run.at(14_000, Event::HookEnded { target: id(CANARY), hook: "hook-1".into(), status: "SUCCEEDED".into() });
    stage(&mut run, 15_000, "PRODUCTION_TRAFFIC_SHIFT", 12.5, 100.0, 10);
    stage(&mut run, 615_000, "PRODUCTION_TRAFFIC_SHIFT", 100.0, 100.0, 0);
    stage(&mut run, 616_000, "BAKE_TIME", 100.0, 0.0, 5);
    run.ends(920_000, CANARY, Outcome::Succeeded, None).finished(980_000);
    let target = reported(&run);
    assert_snapshot!(course(&target), @r"
    SCALE_UP 0 %: 1 to 10
    TEST_TRAFFIC_SHIFT 0 %: 10 to 12
    POST_TEST_TRAFFIC_SHIFT 0 %: 12 to 15
    PRODUCTION_TRAFFIC_SHIFT 12.5 %: 15 to 615
    PRODUCTION_TRAFFIC_SHIFT 100 %: 615 to 616
    BAKE_TIME 100 %: 616 to 920
    hook-1 waits: 13 to 14, SUCCEEDED
    ");
    assert_eq!((target.stage.as_deref(), target.stages[3].bake_minutes), (Some("BAKE_TIME"), 10));
    assert_eq!(target.pauses[0].stage.as_deref(), Some("POST_TEST_TRAFFIC_SHIFT"));
    assert_eq!(target.pauses[0].timeout_action.as_deref(), Some("ROLLBACK"));
}

#[test]
fn what_the_run_left_has_no_end_and_what_went_back_has() {
    let with = |act: &dyn Fn(&mut Run)| {
        let mut run = paused(false);
        act(&mut run);
        course(&reported(&run)).lines().skip(2).collect::<Vec<_>>().join(", ")
    };
    let on = "POST_TEST_TRAFFIC_SHIFT 0 %: 12 to on, hook-1 waits: 13 to on, no word";
    assert_eq!(with(&|_| {}), on, "the events break off");
    for outcome in [Outcome::TimedOut, Outcome::Detached] {
        let left = with(&|run| _ = run.ends(60_000, CANARY, outcome, Some(reason("left"))));
        assert_eq!(left, on, "{outcome:?}");
    }
    let superseded = with(&|run| _ = run.ends(60_000, CANARY, Outcome::Superseded, Some(reason("another"))));
    assert_eq!(superseded, "POST_TEST_TRAFFIC_SHIFT 0 %: 12 to 60, hook-1 waits: 13 to 60, no word");

    let timed_out = |run: &mut Run| {
        run.at(30_000, Event::HookEnded { target: id(CANARY), hook: "hook-1".into(), status: "TIMED_OUT".into() });
        stage(run, 31_000, "ROLLBACK_IN_PROGRESS", 0.0, 0.0, 0);
        run.ends(60_000, CANARY, Outcome::RolledBack, Some(reason("timed out")));
    };
    let wanted = "POST_TEST_TRAFFIC_SHIFT 0 %: 12 to 31, ROLLBACK_IN_PROGRESS 0 %: 31 to 60, \
                  hook-1 waits: 13 to 30, TIMED_OUT";
    assert_eq!(with(&timed_out), wanted);

    // The run goes back itself; what ECS says of the hook may come later.
    let rolled_back = |run: &mut Run| {
        run.rolls_back(40_000, CANARY, None);
        run.at(41_000, Event::HookEnded { target: id(CANARY), hook: "hook-1".into(), status: "FAILED".into() });
        run.ends(60_000, CANARY, Outcome::RolledBack, Some(reason("rolled-back")));
    };
    assert_eq!(with(&rolled_back), "POST_TEST_TRAFFIC_SHIFT 0 %: 12 to 40, hook-1 waits: 13 to 40, FAILED");
}

#[test]
fn a_deployment_without_stages_says_nothing_of_them() {
    let mut run = Run::of(small());
    run.wave(0, "canary").deploys(900, CANARY).ends(60_000, CANARY, Outcome::Succeeded, None).finished(61_000);
    let json = serde_json::to_value(reported(&run)).expect("JSON");
    assert_eq!((json.get("stages"), json.get("pauses")), (None, None));
    assert!(serde_json::from_value::<Target>(json).expect("it is read back").stages.is_empty());
}
