//! What people read without a terminal: the lines of a job's log, the plan, the summary, and events for programs.

#[path = "view/fixture.rs"]
mod fixture;

use std::io::{self, Write};

use fixture::{Run, Shared, change, id, outline, reason, revision, small, time, view};
use insta::assert_snapshot;
use proptest::prelude::*;
use roleout::base::exit::Exit;
use roleout::event::{Event, Evidence, Reason, Stamped};
use roleout::fleet::Outcome;
use roleout::fleet::webhook::{Format as WebhookFormat, Occasion};
use roleout::narrate::next::{Flag, Invocation, next};
use roleout::notify;
use roleout::plan::outline::Action;
use roleout::report::Report;
use roleout::report::kind::Kind;
use roleout::state::RunState;
use roleout::view::View;
use roleout::view::options::{Format, Options};

const CANARY: &str = "staging/eu-west-1/api";
const EU: &str = "prod/eu-west-1/api";
const US: &str = "prod/us-east-1/api";

/// The small plan carried out: the canary goes well, one of the others fails.
fn story() -> Run {
    let mut run = Run::of(small());
    run.wave(0, "canary").deploys(900, CANARY).tasks(2_000, CANARY, 0, 0).tasks(3_000, CANARY, 2, 0);
    run.tasks(4_000, CANARY, 3, 0).tasks(5_000, CANARY, 4, 0);
    run.at(
        6_000,
        Event::ServiceMessage { target: id(CANARY), text: "(service api) has reached a steady state.".into() },
    );
    run.ends(12_000, CANARY, Outcome::Succeeded, None);
    run.at(12_000, Event::BakeStarted { wave: "canary".into(), seconds: 300 }).wave_ends(312_000, "canary", 0, true);
    run.wave(312_000, "rest").deploys(313_000, EU).deploys(313_000, US);
    run.tasks(315_000, EU, 1, 0).tasks(315_000, US, 0, 0).tasks(317_000, US, 0, 1);
    let text = "(service api) was unable to place a task.\u{1b}[2J\nNo capacity.".into();
    run.at(318_000, Event::ServiceMessage { target: id(US), text });
    run.tasks(320_000, EU, 4, 0).ends(321_000, EU, Outcome::Succeeded, None);
    let reason = Reason {
        summary: "tasks failed to start".into(),
        evidence: vec![
            "essential container `app` exited with code 1".to_owned().into(),
            "\u{1b}]0;title\u{7}".to_owned().into(),
        ],
        help: Some("read the container's log".into()),
        cause: None,
    };
    run.ends(395_000, US, Outcome::RolledBack, Some(reason)).wave_ends(395_000, "rest", 1, true).finished(395_100);
    run
}

fn shown(options: Options, events: &[Stamped]) -> (String, String) {
    let (mut view, out, err) = view(options);
    events.iter().for_each(|event| view.event(event));
    view.finish();
    (out.text(), err.text())
}

#[test]
fn a_log_tells_each_change_once_and_the_summary_last() {
    let (out, err) = shown(Options::default(), &story().events);
    assert_eq!(out, "");
    assert_snapshot!(err, @r#"
    00:00 run-1: 3 to deploy, 1 unchanged, 1 blocked
    00:00 wave canary (1 of 2): 1 target, all at once; tolerates no failure
    00:00 staging/eu-west-1/api  deploys api:13 as ecs-svc/900
    00:02 staging/eu-west-1/api  PRIMARY api:13 desired:4 pending:4 running:0
    00:05 staging/eu-west-1/api  PRIMARY api:13 desired:4 pending:0 running:4
    00:12 staging/eu-west-1/api  ✔ succeeded in 11s, runs api:13
    00:12 wave canary: bakes for 5m
    05:12 ✔ wave canary: passed
    05:12 wave rest (2 of 2): 2 targets, 1 first, then 5, then 25% at a time; tolerates 1 failure
    05:13 prod/eu-west-1/api     deploys api:13 as ecs-svc/313000
    05:13 prod/us-east-1/api     deploys api:13 as ecs-svc/313000
    05:15 prod/eu-west-1/api     PRIMARY api:13 desired:4 pending:3 running:1
    05:15 prod/us-east-1/api     PRIMARY api:13 desired:4 pending:4 running:0
    05:17 prod/us-east-1/api     PRIMARY api:13 desired:4 pending:4 running:0 failed:1
    05:18 prod/us-east-1/api     ! (service api) was unable to place a task.\u{1b}[2J No capacity.
    05:20 prod/eu-west-1/api     PRIMARY api:13 desired:4 pending:0 running:4
    05:21 prod/eu-west-1/api     ✔ succeeded in 8s, runs api:13
    06:35 prod/us-east-1/api     ✖ rolled back after 1m 22s, runs api:12: tasks failed to start
    06:35 ! wave rest: passed with 1 failure, within its tolerance

    wave canary: 1 succeeded
      ✔ succeeded    staging/eu-west-1/api  api:12 -> api:13  11s

    wave rest: 1 succeeded, 1 unchanged, 1 blocked, 1 rolled back
      ✔ succeeded    prod/eu-west-1/api     api:12 -> api:13            8s
      ✖ rolled back  prod/us-east-1/api     api:12 -> api:13 -> api:12  1m 22s
      = unchanged    prod/us-east-1/worker  api:12

    blocked by the plan, and left out: 1 target
      old/us-east-1/worker

    ✖ rolled back  prod/us-east-1/api after 1m 22s, runs api:12
        tasks failed to start
          essential container `app` exited with code 1
          \u{1b}]0;title\u{7}
        help: read the container's log

    5 targets: 2 succeeded, 1 unchanged, 1 blocked, 1 rolled back, in 6m 35s
    ! done, with failures within tolerance (exit code 13)
    next: roleout deploy --only prod/us-east-1/api  # deploys 1 target, once the cause is fixed
    "#);
}

#[test]
fn a_quiet_view_has_failures_and_the_verdict() {
    let options = Options { quiet: true, ..Options::default() };
    let (mut view, out, err) = view(options);
    view.phase("walking 6 role chains");
    view.warning("nobody reads this");
    story().events.iter().for_each(|event| view.event(event));
    view.tick(time(900_000));
    assert_eq!(err.text(), "");
    assert_eq!(view.finish().exit(), Exit::Tolerated);
    assert_eq!(out.text(), "");
    assert_snapshot!(err.text(), @r#"
    ✖ rolled back  prod/us-east-1/api after 1m 22s, runs api:12
        tasks failed to start
          essential container `app` exited with code 1
          \u{1b}]0;title\u{7}
        help: read the container's log

    ! done, with failures within tolerance (exit code 13)
    next: roleout deploy --only prod/us-east-1/api  # deploys 1 target, once the cause is fixed
    "#);
}

#[test]
fn a_verbose_view_tells_every_event() {
    let run = story();
    let (_, err) = shown(Options { verbose: true, ..Options::default() }, &run.events[..14]);
    let lines: Vec<_> = err.lines().take_while(|line| !line.is_empty()).collect();
    assert_snapshot!(lines.join("\n"), @"
    00:00 run-1: 3 to deploy, 1 unchanged, 1 blocked
    00:00 wave canary (1 of 2): 1 target, all at once; tolerates no failure
    00:00 staging/eu-west-1/api  started, runs api:12 now
    00:00 staging/eu-west-1/api  registered api:13
    00:00 staging/eu-west-1/api  deploys api:13 as ecs-svc/900
    00:02 staging/eu-west-1/api  PRIMARY api:13 desired:4 pending:4 running:0
    00:03 staging/eu-west-1/api  PRIMARY api:13 desired:4 pending:2 running:2
    00:04 staging/eu-west-1/api  PRIMARY api:13 desired:4 pending:1 running:3
    00:05 staging/eu-west-1/api  PRIMARY api:13 desired:4 pending:0 running:4
    00:06 staging/eu-west-1/api  (service api) has reached a steady state.
    00:12 staging/eu-west-1/api  ✔ succeeded in 11s, runs api:13
    00:12 wave canary: bakes for 5m
    05:12 ✔ wave canary: passed
    05:12 wave rest (2 of 2): 2 targets, 1 first, then 5, then 25% at a time; tolerates 1 failure
    ");
}

#[test]
fn nothing_of_others_reaches_a_terminal_as_a_command() {
    let mut run = story();
    let evil = "evil\u{1b}[31m\u{9b}0m\r\n\u{202e}x\u{7f}";
    run.events.truncate(2);
    run.deploys(1, CANARY).at(2, Event::ServiceMessage { target: id(CANARY), text: format!("{evil} failed") });
    let bad =
        Reason { summary: evil.into(), evidence: vec![evil.to_owned().into()], help: Some(evil.into()), cause: None };
    run.ends(3, CANARY, Outcome::Failed, Some(bad.clone()));
    run.at(4, Event::RolloutSkipped { target: id(EU), outcome: Outcome::NotStarted, cause: None, reason: evil.into() });
    run.at(4, Event::SessionLost { account: evil.into(), reason: evil.into() });
    run.at(4, Event::TagsRefused { account: evil.into(), reason: evil.into(), help: evil.into() });
    run.at(4, Event::DefinitionAltered { family: evil.into(), differences: vec![evil.into()], help: evil.into() });
    run.at(4, Event::RunCancelled { signal: evil.into() }).wave_ends(5, "canary", 1, false).finished(5);
    for (live, verbose) in [(false, false), (false, true), (true, false)] {
        let (mut view, out, err) = view(Options { live, verbose, ..Options::default() });
        view.warning(evil);
        view.note(evil);
        view.phase(evil);
        let mut plan = small();
        plan.changes[0].summary = vec![evil.into()];
        plan.changes[4].action = Action::Blocked { reason: evil.into(), help: Some(evil.into()) };
        plan.waves[0].max_parallel = evil.into();
        view.plan(&plan);
        run.events.iter().for_each(|event| view.event(event));
        view.finish();
        for text in [out.text(), err.text()] {
            assert!(text.contains("evil"), "{live}, {text:?}");
            // A live view moves the cursor itself, by sequences that end in A, B or K.
            assert!(
                !text.contains("\u{1b}[31m") && !text.contains(['\u{9b}', '\u{202e}', '\u{7f}', '\u{7}']),
                "{live}: {text:?}"
            );
            assert!(live || !text.contains(['\u{1b}', '\r']), "{live}: {text:?}");
        }
    }
}

#[test]
fn task_counts_are_told_when_they_say_something_new() {
    let run = story();
    let (mut view, _, err) = view(Options::default());
    run.events.iter().take(5).for_each(|event| view.event(event));
    err.take();
    // The first counts at once; a step on the way rests, and is told when its rest is over.
    for (ms, running) in [(2_000, 0), (3_000, 1), (4_000, 2)] {
        view.event(&counted(ms, running, 0));
        view.tick(time(ms + 500));
    }
    assert_eq!(err.take().lines().count(), 1);
    view.tick(time(7_000));
    assert_eq!(err.take(), "00:07 staging/eu-west-1/api  PRIMARY api:13 desired:4 pending:2 running:2\n");
    view.tick(time(15_000));
    assert_eq!(err.take(), "");
    // A failed task and the last task are told at once.
    view.event(&counted(16_000, 2, 0));
    view.event(&counted(16_100, 2, 1));
    view.event(&counted(16_200, 4, 1));
    assert_eq!(err.take().lines().count(), 2);
}

fn counted(ms: i64, running: u32, failed: u32) -> Stamped {
    let mut run = Run::of(small());
    run.tasks(ms, CANARY, running, failed);
    run.events.remove(1)
}

#[test]
fn a_complaint_of_ecs_is_told_once_and_three_of_one_target() {
    let mut run = Run::of(small());
    run.wave(0, "canary").deploys(1, CANARY);
    let reasons = ["no image", "no image", "no room", "no role", "no disk", "no image"];
    for (index, reason) in (0..).zip(reasons) {
        let text = format!("(service api) was unable to place a task (task 0123456789ab{index:04}). Reason: {reason}.");
        run.at(index, Event::ServiceMessage { target: id(CANARY), text });
    }
    let (_, err) = shown(Options::default(), &run.events);
    let told: Vec<&str> = err.lines().filter_map(|line| Some(line.split_once("Reason: ")?.1)).collect();
    assert_eq!(told, ["no image.", "no room.", "no role."]);
}

#[test]
fn a_silent_job_has_a_heartbeat_every_30_seconds() {
    let run = story();
    let (mut view, _, err) = view(Options::default());
    view.tick(time(0));
    run.events.iter().take(9).for_each(|event| view.event(event));
    err.take();
    (5_000..100_000).step_by(200).for_each(|ms| view.tick(time(ms)));
    assert_snapshot!(err.take(), @"
    00:35 still running: 1 of 5 (1 done, 2 waiting): staging/eu-west-1/api 4/4
    01:05 still running: 1 of 5 (1 done, 2 waiting): staging/eu-west-1/api 4/4
    01:35 still running: 1 of 5 (1 done, 2 waiting): staging/eu-west-1/api 4/4
    ");
    run.events[9..12].iter().for_each(|event| view.event(event));
    err.take();
    (12_000..73_000).step_by(1_000).for_each(|ms| view.tick(time(ms)));
    assert_snapshot!(err.take(), @"
    00:42 wave canary bakes for 4m 30s more
    01:12 wave canary bakes for 4m more
    ");
    run.events[12..].iter().for_each(|event| view.event(event));
    err.take();
    view.tick(time(9_000_000));
    assert_eq!(err.take(), "", "a run that is over has no heart");
}

/// A folded view of the small plan with both of the wave `rest` under way, and what it has written since.
fn folded() -> (View, Shared, Run) {
    let (mut view, _, err) = view(Options::default());
    view.fold();
    let mut run = Run::of(small());
    run.wave(0, "canary").deploys(900, CANARY).ends(1_000, CANARY, Outcome::Succeeded, None);
    run.wave(1_000, "rest").deploys(1_000, EU).deploys(1_000, US).tasks(2_000, EU, 1, 0).tasks(2_000, US, 1, 0);
    run.events.drain(..).for_each(|event| view.event(&event));
    err.take();
    (view, err, run)
}

#[test]
fn a_target_that_fails_is_told_at_once_in_a_log_of_sections() {
    let (mut view, err, mut run) = folded();
    let says = |target, text: &str| Event::ServiceMessage { target: id(target), text: format!("(service api) {text}") };
    let mut told = |run: &mut Run| {
        run.events.drain(..).for_each(|event| view.event(&event));
        err.take()
    };
    // What crashes: ECS says no more than that tasks are stopped.
    run.at(3_000, says(US, "has stopped 1 running tasks: (task 7\u{1b}[2J).")).tasks(3_000, US, 0, 1);
    assert_snapshot!(told(&mut run), @r"00:03 prod/us-east-1/api     ! tasks fail: PRIMARY api:13 desired:4 pending:4 running:0 failed:1; has stopped 1 running tasks: (task 7\u{1b}[2J).");
    run.tasks(4_000, US, 0, 2).tasks(5_000, US, 0, 3);
    assert_eq!(told(&mut run), "", "once");
    // What cannot be placed: ECS says why, and it is not said twice.
    run.at(6_000, says(EU, "was unable to place a task. Reason: CannotPullContainerError: pull access denied."));
    run.tasks(6_000, EU, 1, 1).at(7_000, says(EU, "was unable to place a task. Reason: again."));
    assert_snapshot!(told(&mut run), @r"
    00:06 prod/eu-west-1/api     ! (service api) was unable to place a task. Reason: CannotPullContainerError: pull access denied.
    00:06 prod/eu-west-1/api     ! tasks fail: PRIMARY api:13 desired:4 pending:3 running:1 failed:1
    ");
    // The way back is another deployment.
    run.rolls_back(8_000, US, None).tasks(9_000, US, 0, 0).tasks(10_000, US, 0, 1);
    assert_snapshot!(told(&mut run), @"00:10 prod/us-east-1/api     ! tasks fail: PRIMARY api:12 desired:4 pending:4 running:0 failed:1");
    // The section has it all.
    run.ends(20_000, US, Outcome::Stuck, Some(reason("the rollback failed")));
    let section = told(&mut run);
    assert_eq!(section.matches(" failed:").count(), 4, "{section}");
}

#[test]
fn how_many_tasks_ran_makes_no_cause_of_its_own() {
    for (other, wanted) in [
        ("not complete within 10m: 1 of 3 tasks run", "    not complete within 10m: … of … tasks run\n"),
        ("not complete within 10m: 0 of 4 tasks run", "    not complete within 10m: 0 of 4 tasks run\n"),
    ] {
        let (mut view, err, mut run) = folded();
        run.ends(20_000, US, Outcome::TimedOut, Some(reason("not complete within 10m: 0 of 4 tasks run")));
        run.ends(21_000, EU, Outcome::TimedOut, Some(reason(other)));
        run.events.drain(..).for_each(|event| view.event(&event));
        view.finish();
        let said = err.text();
        assert!(said.contains("timed out, the same in 2 targets"), "{other}: {said}");
        assert!(said.contains(wanted), "{other}: {said}");
    }
}

#[test]
fn a_heartbeat_names_those_first_that_fail() {
    let (mut view, err, mut run) = folded();
    run.tasks(3_000, US, 0, 7);
    run.events.drain(..).for_each(|event| view.event(&event));
    err.take();
    view.tick(time(33_000));
    assert_snapshot!(err.take(), @"00:33 still running: 2 of 5 (2 done, 1 failing): prod/us-east-1/api 0/4 (7 crashed), prod/eu-west-1/api 1/4");
}

#[test]
fn a_plan_says_what_is_the_same_once_and_what_is_blocked_last() {
    let (mut view, out, err) = view(Options::default());
    let mut plan = small();
    plan.waves[1].gate = true;
    plan.changes[2].to = Some(revision("api:14"));
    plan.changes[2].action = Action::Deploy;
    for index in 0..3 {
        plan.changes.push(change(&format!("eu-{index}/eu-west-1/api"), "rest", Action::Register));
    }
    plan.changes[6].from = Some(revision("api:7"));
    view.plan(&plan);
    view.finish();
    assert_eq!(err.text(), "", "a plan alone needs no summary");
    assert_snapshot!(out.text(), @"
    ~ will change, = is unchanged, ✖ is blocked; - is the present value, + the new one

    ~ new revision, the same in 5 of 6 targets  (2 revisions -> new)
      api: staging, prod, eu-0, eu-1, eu-2
        image app: api:1 -> api:2

    ~ deploy  prod/us-east-1/api  (api:12 -> api:14)
        image app: api:1 -> api:2

    = unchanged, 1 target
      worker: prod

    ✖ blocked  old/us-east-1/worker
        the service does not exist
        help: create the service first

                                failures                 time
    wave    targets  to change   allowed  at worst  estimated  at worst  how
    canary        1          1         0         1          -         -  all at once, then 5m of bake
    rest          4          2         1         4          -         -  1 first, then 5, then 25% at a time
    canary: staging
    rest: prod, old, eu-0, eu-1, eu-2
    the run stops at a gate before wave rest

    up to 4 targets can fail before this halts

    plan: 6 to deploy, 1 unchanged, 1 blocked
    ");
}

#[test]
fn a_plan_on_the_way_to_jsonl_is_for_people() {
    let (mut view, out, err) = view(Options { format: Format::Jsonl, ..Options::default() });
    view.plan(&small());
    assert_eq!(out.text(), "");
    assert!(err.text().ends_with("plan: 3 to deploy, 1 unchanged, 1 blocked\n"), "{}", err.text());
}

#[test]
fn identical_failures_are_told_once_and_what_goes_on_has_its_command() {
    let names: Vec<_> = (0..5).map(|index| format!("prod-{index}/cn-north-1/api")).collect();
    let mut plan = outline(names.iter().map(|name| change(name, "all", Action::Register)).collect());
    plan.changes[3].cluster = "arn:aws-cn:ecs:cn-north-1:111122223333:cluster/web".into();
    let mut run = Run::of(plan);
    run.wave(0, "all");
    for name in &names[..4] {
        run.deploys(1_000, name);
    }
    let pull = Reason {
        summary: "CannotPullContainerError".into(),
        evidence: vec!["manifest for api:2 not found".to_owned().into()],
        help: Some("push the image before the deployment".into()),
        cause: None,
    };
    run.ends(61_000, &names[0], Outcome::Failed, Some(pull.clone()));
    let cause = id(&names[0]);
    run.at(61_000, Event::RunHalted { wave: "all".into(), cause: cause.clone(), failed: 1, max_failures: 0 });
    run.ends(62_000, &names[1], Outcome::Failed, Some(pull));
    run.ends(63_000, &names[2], Outcome::Stuck, Some(reason("the rollback was refused: AccessDenied")));
    run.ends(1_201_000, &names[3], Outcome::TimedOut, Some(reason("not stable after 20m")));
    let why = "1 failed in wave all, and none may".to_owned();
    run.at(
        1_201_000,
        Event::RolloutSkipped { target: id(&names[4]), outcome: Outcome::NotStarted, cause: Some(cause), reason: why },
    );
    run.wave_ends(1_201_000, "all", 4, false).finished(1_201_500);
    let (_, err) = shown(Options::default(), &run.events);
    let summary = err.split_once("\n\n").expect("a gap before the summary").1;
    assert_snapshot!(summary, @"
    wave all: 1 not started, 1 timed out, 2 failed, 1 stuck
      ✖ failed       prod-0/cn-north-1/api  api:12 -> api:13  1m
      ✖ failed       prod-1/cn-north-1/api  api:12 -> api:13  1m 01s
      ✖ stuck        prod-2/cn-north-1/api  api:12 -> api:13  1m 02s
      ✖ timed out    prod-3/cn-north-1/api  api:12 -> api:13  20m

    not started: 1 target, because of prod-0/cn-north-1/api
      1 failed in wave all, and none may
      prod-4/cn-north-1/api

    may still be rolling out in ECS: 1 target
      prod-3/cn-north-1/api  ecs-svc/1000 in account 111122223333
          aws ecs describe-services --region cn-north-1 --cluster arn:aws-cn:ecs:cn-north-1:111122223333:cluster/web --services api
          https://cn-north-1.console.amazonaws.cn/ecs/v2/clusters/web/services/api/deployments?region=cn-north-1

    ✖ timed out  prod-3/cn-north-1/api after 20m, runs api:12
        not stable after 20m

    ✖ failed, the same in 2 targets:
        prod-0/cn-north-1/api, prod-1/cn-north-1/api
        CannotPullContainerError
          manifest for api:2 not found
        help: push the image before the deployment

    ✖ stuck  prod-2/cn-north-1/api after 1m 02s, runs api:12
        the rollback was refused: AccessDenied

    5 targets: 1 not started, 1 timed out, 2 failed, 1 stuck, in 20m 01s
    ✖ a rollback failed; somebody must look at it; halted in wave all (exit code 12)
    next: roleout status --only prod-2/cn-north-1/api  # shows what 1 target runs now; its rollback is not complete
    or:   roleout watch --only prod-3/cn-north-1/api  # follows 1 deployment to the end
    ");
}

#[test]
fn a_way_back_is_told_where_it_begins_and_where_it_ends() {
    let names: Vec<_> = (0..4).map(|index| format!("a{index}/eu-west-1/api")).collect();
    let mut run = Run::of(outline(names.iter().map(|name| change(name, "all", Action::Register)).collect()));
    run.wave(0, "all");
    for name in &names {
        run.deploys(1_000, name);
    }
    run.ends(61_000, &names[0], Outcome::Succeeded, None).ends(62_000, &names[2], Outcome::Succeeded, None);
    run.rolls_back(600_000, &names[1], None).tasks(601_000, &names[1], 4, 0);
    let cause = id(&names[1]);
    run.at(600_000, Event::RunHalted { wave: "all".into(), cause, failed: 1, max_failures: 0 });
    run.ends(660_000, &names[1], Outcome::RolledBack, Some(reason("not complete within 10m: 0 of 4 tasks run")));
    run.ends(660_000, &names[3], Outcome::Succeeded, None);
    run.rolls_back(661_000, &names[2], Some(&names[1])).rolls_back(661_000, &names[0], Some(&names[1]));
    run.returned(720_000, &names[2]).returned(725_000, &names[0]);
    run.at(725_000, Event::RollbackImpossible { target: id(&names[3]), reason: "nothing else had completed".into() });
    run.wave_ends(725_000, "all", 1, false).finished(725_100);
    let (_, err) = shown(Options::default(), &run.events);
    assert_snapshot!(err, @"
    00:00 run-1: 4 to deploy
    00:00 wave all (1 of 1): 4 targets, all at once; tolerates no failure
    00:01 a0/eu-west-1/api  deploys api:13 as ecs-svc/1000
    00:01 a1/eu-west-1/api  deploys api:13 as ecs-svc/1000
    00:01 a2/eu-west-1/api  deploys api:13 as ecs-svc/1000
    00:01 a3/eu-west-1/api  deploys api:13 as ecs-svc/1000
    01:01 a0/eu-west-1/api  ✔ succeeded in 1m, runs api:13
    01:02 a2/eu-west-1/api  ✔ succeeded in 1m 01s, runs api:13
    10:00 a1/eu-west-1/api  ↩ rolls back to api:12: ECS is asked to roll its deployment back
    10:01 a1/eu-west-1/api  PRIMARY api:12 desired:4 pending:0 running:4
    10:00 ✖ halted in wave all: 1 failure (0 allowed), first a1/eu-west-1/api; nothing new will start; 1 still runs to its end
    11:00 a1/eu-west-1/api  ✖ rolled back after 10m 59s, runs api:12: not complete within 10m: 0 of 4 tasks run
    11:00 a3/eu-west-1/api  ✔ succeeded in 10m 59s, runs api:13
    11:01 a2/eu-west-1/api  ↩ rolls back to api:12: the previous revision is deployed, because of a1/eu-west-1/api
    11:01 a0/eu-west-1/api  ↩ rolls back to api:12: the previous revision is deployed, because of a1/eu-west-1/api
    12:00 a2/eu-west-1/api  ✖ rolled back, runs api:12: rolled back, since a1/eu-west-1/api failed
    12:05 a0/eu-west-1/api  ✖ rolled back, runs api:12: rolled back, since a1/eu-west-1/api failed
    12:05 a3/eu-west-1/api  ! stays as it is: nothing else had completed
    12:05 ✖ wave all failed: 1 target

    wave all: 1 succeeded, 3 rolled back
      ✖ rolled back  a0/eu-west-1/api  api:12 -> api:13 -> api:12  1m
      ✖ rolled back  a1/eu-west-1/api  api:12 -> api:13 -> api:12  10m 59s
      ✖ rolled back  a2/eu-west-1/api  api:12 -> api:13 -> api:12  1m 01s
      ✔ succeeded    a3/eu-west-1/api  api:12 -> api:13            10m 59s

    not rolled back: 1 target
      nothing else had completed
      a3/eu-west-1/api

    ✖ rolled back, the same in 2 targets:
        a0/eu-west-1/api, a2/eu-west-1/api
        rolled back, since a1/eu-west-1/api failed

    ✖ rolled back  a1/eu-west-1/api after 10m 59s, runs api:12
        not complete within 10m: 0 of 4 tasks run

    4 targets: 1 succeeded, 3 rolled back, in 12m 05s
    ✖ targets failed and were rolled back; halted in wave all (exit code 11)
    next: roleout rollback --only a3/eu-west-1/api  # takes back the target that runs the new revision
    or:   roleout deploy  # does what is left, once the cause is fixed
    ");
}

#[test]
fn a_big_fleet_counts_what_went_well() {
    let names: Vec<_> = (0..100).map(|index| format!("prod-{index:03}/eu-west-1/api")).collect();
    let plan = outline(names.iter().map(|name| change(name, "all", Action::Register)).collect());
    let mut run = Run::of(plan);
    run.wave(0, "all");
    for (index, name) in names.iter().enumerate() {
        run.deploys(0, name);
        match index % 2 {
            0 => run.ends(60_000, name, Outcome::Succeeded, None),
            _ => run.ends(60_000, name, Outcome::RolledBack, Some(reason("tasks failed to start"))),
        };
    }
    let cause = id(&names[1]);
    run.at(60_000, Event::RunHalted { wave: "all".into(), cause, failed: 50, max_failures: 0 });
    run.wave_ends(60_000, "all", 50, false).finished(60_000);
    let (_, err) = shown(Options { width: 80, ..Options::default() }, &run.events);
    let summary = err.split_once("\n\n").expect("a gap before the summary").1;
    assert_snapshot!(summary, @"
    wave all: 50 succeeded, 50 rolled back

    ✖ rolled back, the same in 50 targets:
        prod-001/eu-west-1/api, prod-003/eu-west-1/api, prod-005/eu-west-1/api,
        prod-007/eu-west-1/api, prod-009/eu-west-1/api, prod-011/eu-west-1/api,
        prod-013/eu-west-1/api, prod-015/eu-west-1/api, prod-017/eu-west-1/api,
        prod-019/eu-west-1/api, prod-021/eu-west-1/api, prod-023/eu-west-1/api,
        prod-025/eu-west-1/api, prod-027/eu-west-1/api, prod-029/eu-west-1/api,
        prod-031/eu-west-1/api, prod-033/eu-west-1/api, prod-035/eu-west-1/api,
        prod-037/eu-west-1/api, prod-039/eu-west-1/api, prod-041/eu-west-1/api,
        prod-043/eu-west-1/api, prod-045/eu-west-1/api, prod-047/eu-west-1/api,
        prod-049/eu-west-1/api, prod-051/eu-west-1/api, prod-053/eu-west-1/api,
        prod-055/eu-west-1/api, prod-057/eu-west-1/api, prod-059/eu-west-1/api,
        prod-061/eu-west-1/api, prod-063/eu-west-1/api, prod-065/eu-west-1/api,
        prod-067/eu-west-1/api, prod-069/eu-west-1/api, prod-071/eu-west-1/api,
        prod-073/eu-west-1/api, prod-075/eu-west-1/api, prod-077/eu-west-1/api,
        … and 11 more
        tasks failed to start

    100 targets: 50 succeeded, 50 rolled back, in 1m
    ✖ targets failed and were rolled back; halted in wave all (exit code 11)
    next: roleout rollback  # takes back the 50 targets that run the new revision
    or:   roleout deploy  # does what is left, once the cause is fixed
    ");
}

#[test]
fn the_last_line_says_what_it_all_means() {
    let mut gate = Run::of(small());
    gate.wave(0, "canary").deploys(0, CANARY).ends(1, CANARY, Outcome::Succeeded, None).wave_ends(1, "canary", 0, true);
    gate.at(2, Event::GateReached { wave: "rest".into() }).finished(3);
    let mut idle = Run::of(outline(vec![change(CANARY, "canary", Action::Unchanged)]));
    idle.finished(1);
    let mut cut = Run::of(small());
    cut.wave(0, "canary").deploys(0, CANARY).at(1, Event::RunCancelled { signal: "SIGTERM".into() });
    cut.ends(2, CANARY, Outcome::Detached, None).finished(3);
    let last = |run: &Run| {
        let told = shown(Options::default(), &run.events).1;
        told.lines().rfind(|line| !line.starts_with("next: ") && !line.starts_with("or:  ")).map(str::to_owned)
    };
    let mut hung_up = Run::of(small());
    hung_up.at(1, Event::RunCancelled { signal: "SIGHUP".into() }).finished(3);
    assert_eq!(last(&hung_up).as_deref(), Some("! cancelled by SIGHUP (exit code 143)"));
    assert_eq!(
        [&gate, &idle, &cut].map(|run| last(run).expect("a verdict")),
        [
            "! stopped at a gate before wave rest; go on with --from rest (exit code 6)",
            "✔ nothing to do (exit code 0)",
            "! cancelled by SIGTERM (exit code 143)",
        ]
    );
}

#[test]
fn colours_are_only_added_to_words() {
    let run = story();
    let (_, plain) = shown(Options::default(), &run.events);
    let (_, coloured) = shown(Options { color: true, ..Options::default() }, &run.events);
    assert_ne!(plain, coloured);
    assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), plain);
}

#[test]
fn jsonl_has_every_event_and_stderr_the_lines() {
    let run = story();
    let (out, err) = shown(Options { format: Format::Jsonl, ..Options::default() }, &run.events);
    let read: Vec<Stamped> = out.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert_eq!(read, run.events);
    assert_eq!(err, shown(Options::default(), &run.events).1);
}

/// A stdout whose reader leaves after some lines.
struct Leaving(usize, io::ErrorKind);

impl Write for Leaving {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(1).ok_or(self.1)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_stdout_that_goes_away_stops_nothing() {
    for (kind, warnings) in [(io::ErrorKind::BrokenPipe, 0), (io::ErrorKind::StorageFull, 1)] {
        let err = Shared::default();
        let options = Options { format: Format::Jsonl, ..Options::default() };
        let mut view = View::new(options, Box::new(Leaving(3, kind)), Box::new(err.clone()));
        story().events.iter().for_each(|event| view.event(event));
        assert_eq!(view.finish().exit(), Exit::Tolerated, "{kind:?}");
        assert_eq!(err.text().matches("warning: events are no longer written").count(), warnings, "{kind:?}");
    }
}

#[test]
fn a_stderr_that_goes_away_stops_nothing() {
    for live in [false, true] {
        let options = Options { live, ..Options::default() };
        let err = Box::new(Leaving(2, io::ErrorKind::BrokenPipe));
        let mut view = View::new(options, Box::new(io::sink()), err);
        story().events.iter().for_each(|event| view.event(event));
        assert_eq!(view.finish().exit(), Exit::Tolerated, "{live}");
    }
}

/// A failure of one of two causes, as one target has it: the counts, the names and the log lines are its own.
fn failure(cause: u8, number: usize, tasks: u32) -> Reason {
    let crash = Evidence {
        tasks,
        log: vec![format!("logged by cause-{cause} in {number}")],
        ..format!("exit code {cause}").into()
    };
    let health = Evidence {
        cause: Some("target group: initial".into()),
        ..format!("target group web-{number}: {tasks} initial").into()
    };
    Reason {
        summary: "tasks failed to start".into(),
        cause: None,
        evidence: vec![crash, health],
        help: Some("look".into()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn one_cause_is_one_group_whatever_its_order_its_times_and_its_counts(
        ends in prop::collection::vec((0..2_u8, 1..9_u32, 1_000..900_000_i64), 1..12),
    ) {
        let names: Vec<String> = (0..ends.len()).map(|number| format!("a{number}/eu-west-1/api")).collect();
        let mut run = Run::of(outline(names.iter().map(|name| change(name, "all", Action::Register)).collect()));
        run.wave(0, "all");
        for name in &names {
            run.deploys(500, name);
        }
        let mut order: Vec<usize> = (0..ends.len()).collect();
        order.sort_by_key(|&number| ends[number].2);
        for number in order {
            let (cause, tasks, ms) = ends[number];
            run.ends(ms, &names[number], Outcome::RolledBack, Some(failure(cause, number, tasks)));
        }
        run.wave_ends(900_000, "all", ends.len(), false).finished(900_100);

        let of_cause = |cause: u8| ends.iter().filter(|end| end.0 == cause).collect::<Vec<_>>();
        let causes: Vec<u8> = (0..2).filter(|cause| !of_cause(*cause).is_empty()).collect();
        let mut state = RunState::new();
        run.events.iter().for_each(|event| state.apply(event));
        let report = Report::from_state(&state);
        prop_assert_eq!(report.reasons.len(), causes.len());
        let (_, log) = shown(Options::default(), &run.events);
        let groups = log.lines().filter(|line| line.starts_with("✖ rolled back")).count();
        prop_assert_eq!(groups, causes.len(), "{}", log);
        for &cause in &causes {
            let of_cause = of_cause(cause);
            let tasks: u32 = of_cause.iter().map(|end| end.1).sum();
            let text = format!("exit code {cause}");
            let reason = report.reasons.iter().find(|reason| reason.evidence[0].text == text).expect("a reason of it");
            prop_assert_eq!((reason.targets, reason.evidence[0].tasks), (of_cause.len(), tasks));
            if of_cause.len() > 1 {
                prop_assert!(log.contains(&format!("✖ rolled back, the same in {} targets:", of_cause.len())), "{}", log);
            }
            // A log line is an example: each form has one of a cause.
            for kind in [Kind::Json, Kind::Junit, Kind::Markdown] {
                let text = kind.text(&report).expect("a report");
                let examples = text.matches(&format!("logged by cause-{cause} in ")).count();
                prop_assert_eq!(examples, 1, "{:?}: {}", kind, text);
            }
        }
        let body = notify::body(&state, Occasion::End, WebhookFormat::Json).expect("a body");
        prop_assert_eq!(body["reasons"].as_array().map(Vec::len), Some(causes.len()));
        let message = notify::body(&state, Occasion::End, WebhookFormat::Slack).expect("a body")["text"].to_string();
        prop_assert_eq!(message.matches("• ").count(), causes.len(), "{}", message);
    }
}

/// The commands that come next after a run, as they are typed.
fn commands(run: &Run, exit: Exit, line: &Invocation) -> Vec<String> {
    let mut state = RunState::new();
    run.events.iter().for_each(|event| state.apply(event));
    if run.events.len() > 1 {
        assert_eq!(state.exit(), exit);
    }
    next(exit, &state, line).into_iter().map(|next| next.command).collect()
}

#[test]
fn every_exit_code_but_0_has_the_command_that_comes_next() {
    let [a, b, c] = ["a/eu-west-1/api", "a/eu-west-1/web", "b/eu-west-1/api"];
    let plan = || outline([a, b, c].into_iter().map(|name| change(name, "all", Action::Register)).collect());
    // How the three end, in a wave that tolerates so many failures.
    let ended = |outcomes: [Outcome; 3], tolerated: usize| {
        let mut plan = plan();
        plan.waves[0].max_failures = tolerated;
        let mut run = Run::of(plan);
        run.wave(0, "all");
        for (name, outcome) in [a, b, c].into_iter().zip(outcomes) {
            run.deploys(10, name).ends(20, name, outcome, None);
        }
        let failed = outcomes.into_iter().filter(|outcome| outcome.is_failure()).count();
        run.wave_ends(30, "all", failed, failed <= tolerated).finished(40);
        run
    };
    let cancelled = |outcomes: [Outcome; 3]| {
        let mut run = ended(outcomes, 0);
        let last = run.events.pop();
        run.at(35, Event::RunCancelled { signal: "SIGINT".into() });
        run.events.extend(last);
        run
    };
    let mut turning = cancelled([Outcome::Succeeded, Outcome::Succeeded, Outcome::Succeeded]);
    turning.events.retain(|event| !matches!(&event.event, Event::RolloutFinished { target, .. } if *target == id(c)));
    turning.rolls_back(36, c, None).ends(37, c, Outcome::Detached, None);
    let mut gate = ended([Outcome::Succeeded; 3], 0);
    gate.at(39, Event::GateReached { wave: "rest".into() });
    let (good, bad, back) = (Outcome::Succeeded, Outcome::Failed, Outcome::RolledBack);
    let nothing = Run::of(plan());
    let deploy = Invocation { verb: "deploy".into(), ..Invocation::default() };
    let of = |verb: &str| Invocation { verb: verb.into(), ..Invocation::default() };
    let (rollback, watch) = (of("rollback"), of("watch"));
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let flag = |name: &str, written: &[&str], commands: &[&str]| Flag {
        name: name.to_owned(),
        words: words(written),
        commands: words(commands),
    };
    let runs = ["plan", "deploy", "rollback", "watch", "status", "doctor"];
    let narrow = Invocation {
        flags: vec![
            flag("file", &["-f", "prod.yaml"], &[&runs[..], &["check"]].concat()),
            flag("sandbox", &["--sandbox"], &runs),
        ],
        selection: vec![flag("only", &["--only", "'a b'"], &runs)],
        ..of("deploy")
    };
    let cases: Vec<(Exit, &Run, &Invocation, &[&str])> = vec![
        (Exit::Done, &nothing, &deploy, &[]),
        (Exit::Unexpected, &nothing, &deploy, &["roleout status"]),
        (Exit::Usage, &nothing, &deploy, &["roleout help deploy"]),
        (Exit::Manifest, &nothing, &narrow, &["roleout check -f prod.yaml"]),
        (
            Exit::Preflight,
            &nothing,
            &narrow,
            &["roleout doctor -f prod.yaml --sandbox --only 'a b'", "roleout plan -f prod.yaml --sandbox --only 'a b'"],
        ),
        (Exit::Blocked, &nothing, &deploy, &["roleout plan"]),
        (Exit::Pending, &nothing, &deploy, &["roleout deploy"]),
    ];
    for (exit, run, line, expected) in cases {
        assert_eq!(commands(run, exit, line), expected, "{exit:?}");
    }
    let run_cases: Vec<(Exit, Run, &Invocation, &[&str])> = vec![
        (Exit::Gate, gate, &narrow, &["roleout deploy -f prod.yaml --sandbox --from rest --only 'a b'"]),
        (Exit::Failed, ended([good, good, bad], 0), &deploy, &["roleout rollback --only a", "roleout deploy"]),
        (
            Exit::Failed,
            ended([good, good, bad], 0),
            &narrow,
            &[
                "roleout rollback -f prod.yaml --sandbox --only 'a/eu-west-1/api a/eu-west-1/web'",
                "roleout deploy -f prod.yaml --sandbox --only 'a b'",
            ],
        ),
        (
            Exit::Failed,
            ended([good, good, Outcome::Superseded], 0),
            &deploy,
            &["roleout status --only b/eu-west-1/api", "roleout deploy"],
        ),
        (Exit::RolledBack, ended([back; 3], 0), &deploy, &["roleout deploy"]),
        (Exit::Stuck, ended([good, good, Outcome::Stuck], 0), &deploy, &["roleout status --only b/eu-west-1/api"]),
        (Exit::Tolerated, ended([good, good, back], 1), &deploy, &["roleout deploy --only b/eu-west-1/api"]),
        (Exit::TimedOut, ended([Outcome::TimedOut; 3], 0), &deploy, &["roleout watch --only 'a b/eu-west-1/api'"]),
        (Exit::Failed, ended([good, bad, Outcome::TimedOut], 0), &deploy, &["roleout watch --only b/eu-west-1/api"]),
        (
            Exit::Interrupted,
            cancelled([good, good, Outcome::Detached]),
            &deploy,
            &["roleout watch --only b/eu-west-1/api", "roleout deploy"],
        ),
        (Exit::Interrupted, turning, &deploy, &["roleout watch --only b/eu-west-1/api"]),
        (Exit::Failed, ended([good, good, bad], 0), &rollback, &["roleout rollback --only b/eu-west-1/api"]),
        (Exit::Failed, ended([good, good, bad], 0), &watch, &["roleout status --only b/eu-west-1/api"]),
    ];
    let told: Vec<Exit> = run_cases.iter().map(|(exit, ..)| *exit).collect();
    for (exit, run, line, expected) in run_cases {
        assert_eq!(commands(&run, exit, line), expected, "{exit:?}");
    }
    let plain =
        [Exit::Done, Exit::Unexpected, Exit::Usage, Exit::Manifest, Exit::Preflight, Exit::Blocked, Exit::Pending];
    for exit in Exit::ALL {
        let is_alike = exit == Exit::Terminated;
        assert!(is_alike || told.contains(&exit) || plain.contains(&exit), "{exit:?} is not in the table");
        assert_eq!(next(exit, &RunState::new(), &deploy).is_empty(), exit == Exit::Done, "{exit:?}");
    }
}

#[test]
fn what_is_shipped_and_by_whom_begins_the_log_and_ends_the_summary() {
    let mut plan = outline(vec![change(CANARY, "all", Action::Register), change(EU, "all", Action::Register)]);
    let sha = "5f2c9d7be0a14c3f8b6d2e91a7c4f05d3b8e6a12";
    plan.changes
        .iter_mut()
        .for_each(|it| it.summary = vec![format!("app: image r.example.com/api:previous -> r.example.com/api:{sha}")]);
    let variables = |name: &str| match name {
        "CI_COMMIT_SHA" => Some(sha.to_owned()),
        "CI_COMMIT_AUTHOR" => Some("Jane Doe <jane@example.com>".to_owned()),
        "CI_PROJECT_URL" => Some("https://gitlab.example.com/shop".to_owned()),
        _ => None,
    };
    let mut run = Run::of(plan);
    if let Event::RunStarted { job, .. } = &mut run.events[0].event {
        *job = roleout::event::Job::read(&variables);
    }
    run.wave(0, "all").deploys(1, CANARY).deploys(1, EU);
    run.ends(2, CANARY, Outcome::Succeeded, None).ends(2, EU, Outcome::Succeeded, None).finished(3);
    let told = shown(Options::default(), &run.events).1;
    let page = format!("commit 5f2c9d7b by Jane Doe  https://gitlab.example.com/shop/-/commit/{sha}");
    let lines: Vec<&str> = told.lines().map(str::trim).collect();
    assert_eq!(lines[1..3], ["api: previous -> 5f2c9d7b  2 targets", &page], "{told}");
    assert_eq!(lines[lines.len() - 5..lines.len() - 3], ["api: previous -> 5f2c9d7b  2 targets", &page], "{told}");
    assert!(!told.contains("jane@example.com"));
    let mut state = RunState::new();
    run.events.iter().for_each(|event| state.apply(event));
    let report = Report::from_state(&state);
    assert_eq!((report.ships.len(), report.ships[0].targets), (1, 2));
    let merged = Report::merge(vec![report.clone(), report.clone()]).expect("two");
    assert_eq!((merged.ships.len(), merged.ships[0].targets), (1, 2), "its targets are those of the first, again");
    let markdown = roleout::report::markdown::text(&report);
    assert!(
        markdown.contains("api: previous -&gt; 5f2c9d7b") || markdown.contains("api: previous -> 5f2c9d7b"),
        "{markdown}"
    );
    assert!(
        markdown.contains(&format!("[5f2c9d7b](<https://gitlab.example.com/shop/-/commit/{sha}>) by Jane Doe")),
        "{markdown}"
    );
    // Made again from the journal it is the same.
    let again: Vec<Stamped> = run
        .events
        .iter()
        .map(|it| serde_json::from_str(&serde_json::to_string(it).expect("JSON")).expect("an event"))
        .collect();
    let mut other = RunState::new();
    again.iter().for_each(|event| other.apply(event));
    assert_eq!(Report::from_state(&other), report);
}
