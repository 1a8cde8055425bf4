//! What people see of a deployment with stages: its traffic, its bake, and the hook at which it waits; and of the tasks
//! that run before and after a deployment.

#[path = "view/fixture.rs"]
mod fixture;
#[path = "view/terminal.rs"]
mod terminal;

use fixture::{Run, id, reason, small, time, view};
use insta::assert_snapshot;
use roleout::event::{Event, Hook, TaskEnd};
use roleout::fleet::{Moment, Outcome};
use roleout::view::Options;
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
    00:00 wave canary (1 of 2): 1 target, all at once, none may fail
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
    assert_snapshot!(log(&run), @r"
    00:00 run-1: 3 to deploy, 1 unchanged, 1 blocked
    00:00 wave canary (1 of 2): 1 target, all at once, none may fail
    00:00 staging/eu-west-1/api  deploys api:13 as ecs-svc/900
    00:01 staging/eu-west-1/api  SCALE_UP
    00:09 staging/eu-west-1/api  PRIMARY api:13 desired:4 pending:0 running:4
    00:10 staging/eu-west-1/api  TEST_TRAFFIC_SHIFT, 100 % of test traffic
    00:12 staging/eu-west-1/api  POST_TEST_TRAFFIC_SHIFT, 100 % of test traffic
    00:13 staging/eu-west-1/api  ! waits at a PAUSE hook in POST_TEST_TRAFFIC_SHIFT until 2026-11-02T10:00:00Z, then ROLLBACK; let it go on with `roleout continue --only staging/eu-west-1/api`
    00:14 staging/eu-west-1/api  ! the PAUSE hook was not continued: denied
    20:00 staging/eu-west-1/api  ✖ timed out after 19m 59s, runs api:12: not complete within 20m: it waits at a PAUSE hook in POST_TEST_TRAFFIC_SHIFT
    20:00 ✖ wave canary: did not pass, 1 failed

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
    assert_snapshot!(rows.join("\n"), @r"
    canary  staging/eu-west-1/api  ████████  4/4  api:13  waits at PAUSE  00:19
    canary  staging/eu-west-1/api  ████████  4/4  api:13  scaling up  00:19
    canary  staging/eu-west-1/api  ████████  4/4  api:13  traffic 12.5 %, bakes 10m  00:19
    canary  staging/eu-west-1/api  ████████  4/4  api:13  traffic 100 %  00:19
    canary  staging/eu-west-1/api  ████████  4/4  api:13  bakes 5m    00:19
    canary  staging/eu-west-1/api  ████████  4/4  api:13  cleaning up  00:19
    canary  staging/eu-west-1/api  ████████  4/4  api:13  rolling back  00:19
    canary  staging/eu-west-1/api  ████████  4/4  api:13  SOME_NEW_STAGE  00:19
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
    assert_snapshot!(log(&run), @r"
    00:00 run-1: 3 to deploy, 1 unchanged, 1 blocked
    00:00 wave canary (1 of 2): 1 target, all at once, none may fail
    00:01 staging/eu-west-1/api  runs the task migrate before the deployment: 0a1b2c3d
    00:43 staging/eu-west-1/api  the task migrate succeeded after 42s
    00:44 staging/eu-west-1/api  deploys api:13 as ecs-svc/9
    01:30 staging/eu-west-1/api  runs the task smoke after the deployment: 0a1b2c3d
    01:35 staging/eu-west-1/api  the task smoke failed after 5s
    01:36 staging/eu-west-1/api  ✖ failed after 1m 35s, runs api:12: the task smoke failed; the deployment had completed
    01:36 ✖ wave canary: did not pass, 1 failed

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
    ");
}

#[test]
fn a_live_row_names_the_task_that_runs() {
    assert_snapshot!(row(&migrates()), @"canary  staging/eu-west-1/api  ░░░░░░░░    api:13  task migrate  00:19");
    let mut waits = migrates();
    task_ends(&mut waits, 2_000, "migrate", Moment::Before, TaskEnd::Succeeded);
    waits.at(3_000, Event::RunTaskAwaited { target: id(CANARY), name: "seed".to_owned() });
    assert_snapshot!(row(&waits), @"canary  staging/eu-west-1/api  ░░░░░░░░    api:13  awaits seed  00:19");
}
