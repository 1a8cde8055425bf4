use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::event::{Event, Evidence, Hook, Job, Reason, RollbackStep, Stamped, Stamper, TaskEnd};
use crate::fleet::{Moment, OnCancel, OnFailure, Outcome, Revision, TargetId};
use crate::plan::outline::{Action, ChangeOutline, Outline, WaveOutline};

fn id(text: &str) -> TargetId {
    text.to_owned().try_into().expect("an id")
}

fn revision(text: &str) -> Revision {
    text.parse().expect("a revision")
}

fn plan() -> Outline {
    let change = |target: &str, wave: &str, action: Action| ChangeOutline {
        target: id(target),
        account_id: "111111111111".parse().expect("an id"),
        cluster: "web".into(),
        service: "api-v1".into(),
        wave: wave.into(),
        action,
        from: Some(revision("api:1")),
        to: None,
        summary: vec!["app: image shop:1 -> shop:2".to_owned()],
    };
    let wave = |name: &str, targets: usize| WaveOutline {
        name: name.into(),
        targets,
        changing: targets,
        max_parallel: "100%".into(),
        max_failures: 0,
        worst_case_failures: 1,
        bake_seconds: 0,
        alarms: 0,
        gate: false,
        on_failure: OnFailure::Stop,
        on_cancel: OnCancel::Detach,
    };
    let changes = vec![
        change("staging/eu-west-1/api", "canary", Action::Register),
        change("staging/eu-west-1/web", "canary", Action::Unchanged),
        change("prod/eu-west-1/api", "rest", Action::Register),
        change("prod/eu-west-2/api", "rest", Action::Register),
    ];
    Outline { waves: vec![wave("canary", 2), wave("rest", 2)], changes, console: None }
}

/// The events of a run with everything that has a span, and the second at which each happened.
fn events() -> Vec<(i64, Event)> {
    let (canary, failing, never) = (id("staging/eu-west-1/api"), id("prod/eu-west-1/api"), id("prod/eu-west-2/api"));
    let (one, two) = (|| revision("api:1"), || revision("api:2"));
    let job = Job {
        project: Some("team/shop".into()),
        id: Some("77".into()),
        name: Some("deploy".into()),
        url: Some("https://gitlab.example.com/team/shop/-/jobs/77".into()),
        pipeline_id: Some("7".into()),
        commit: Some("5f2c9d7be0a14c3f".into()),
        commit_url: Some("https://gitlab.example.com/team/shop/-/commit/5f2c9d7be0a14c3f".into()),
        reference: Some("main".into()),
        ..Job::default()
    };
    let registered =
        |target: &TargetId| Event::RevisionRegistered { target: target.clone(), revision: two(), reused: false };
    let deploys = |target: &TargetId, deployment: &str| Event::DeploymentStarted {
        target: target.clone(),
        deployment: deployment.into(),
        revision: two(),
        attached: false,
    };
    let stage = |name: &str, percent: Option<f64>| Event::StageChanged {
        target: canary.clone(),
        stage: name.into(),
        production_percent: percent,
        test_percent: None,
        bake_minutes: 0,
    };
    let hook = Hook { id: "h1".into(), stage: Some("POST_SCALE_UP".into()), expires_at: None, timeout_action: None };
    let (name, moment, task) = ("migrate".to_owned(), Moment::Before, "arn:aws:ecs:eu-west-1:1:task/web/t1".to_owned());
    let ended = (TaskEnd::Succeeded, name.clone());
    let reason = Reason {
        summary: "app exits with 1: \u{1b}[31mno database".into(),
        cause: Some("app exits with 1".into()),
        evidence: vec![Evidence { tasks: 2, ..Evidence::from("app exited with 1".to_owned()) }],
        help: Some("look at its log".into()),
    };
    let ends = |target: &TargetId, outcome: Outcome, reason: Option<Reason>, revision: Revision| {
        Event::RolloutFinished { target: target.clone(), outcome, reason, revision: Some(revision) }
    };
    let skipped = Event::RolloutSkipped {
        target: never,
        outcome: Outcome::NotStarted,
        cause: Some(failing.clone()),
        reason: "not started".into(),
    };
    let back = |target: &TargetId, cause: Option<TargetId>| Event::RollbackStarted {
        target: target.clone(),
        how: RollbackStep::StopDeployment,
        to: Some(one()),
        cause,
    };
    let returned = Event::RollbackFinished {
        target: canary.clone(),
        outcome: Outcome::RolledBack,
        cause: Some(failing.clone()),
        reason: Reason { summary: "rolled back because of prod/eu-west-1/api".into(), ..Reason::default() },
        revision: Some(one()),
    };
    let halted = Event::RunHalted { wave: "rest".into(), cause: failing.clone(), failed: 1, max_failures: 0 };
    vec![
        (0, Event::RunStarted { plan: plan(), sandbox: false, job }),
        (0, Event::WaveStarted { wave: "canary".into() }),
        (1, Event::RolloutStarted { target: canary.clone() }),
        (2, registered(&canary)),
        (2, Event::RunTaskStarted { target: canary.clone(), name, moment, task }),
        (5, Event::RunTaskFinished { target: canary.clone(), name: ended.1, moment, end: ended.0 }),
        (6, deploys(&canary, "ecs-svc/1")),
        (7, stage("SCALE_UP", None)),
        (9, Event::HookWaiting { target: canary.clone(), hook, continued: false }),
        (12, Event::HookEnded { target: canary.clone(), hook: "h1".into(), status: "SUCCEEDED".into() }),
        (13, stage("PRODUCTION_TRAFFIC_SHIFT", Some(100.0))),
        (20, ends(&canary, Outcome::Succeeded, None, two())),
        (20, Event::BakeStarted { wave: "canary".into(), seconds: 10 }),
        (30, Event::WaveFinished { wave: "canary".into(), failed: 0, passed: true }),
        (30, Event::WaveStarted { wave: "rest".into() }),
        (31, Event::RolloutStarted { target: failing.clone() }),
        (32, registered(&failing)),
        (33, deploys(&failing, "ecs-svc/2")),
        (40, back(&failing, None)),
        (45, halted),
        (50, ends(&failing, Outcome::RolledBack, Some(reason), one())),
        (50, skipped),
        (50, Event::WaveFinished { wave: "rest".into(), failed: 1, passed: false }),
        (51, back(&canary, Some(failing))),
        (60, returned),
        (61, Event::finished()),
    ]
}

fn stamped(events: Vec<(i64, Event)>) -> Vec<Stamped> {
    let mut stamper = Stamper::new("r1");
    let at = |second: i64| Timestamp::default() + SignedDuration::from_secs(second);
    events.into_iter().map(|(second, event)| stamper.stamp(at(second), event)).collect()
}

fn folded(events: Vec<(i64, Event)>) -> RunState {
    let mut state = RunState::new();
    stamped(events).iter().for_each(|event| state.apply(event));
    state
}

fn trace() -> Trace {
    Trace::fold(&folded(events())).expect("a trace")
}

/// Draws the spans: their seconds, and what is wrong.
fn drawn(trace: &Trace) -> String {
    let depth = |span: &Span| span.path.matches('/').count();
    let line = |span: &Span| {
        let error = span.error.as_ref().map(|error| format!("  ! {error}")).unwrap_or_default();
        let (start, end) = (span.start.as_second(), span.end.as_second());
        format!("{}{} {start}..{end}{error}", "  ".repeat(depth(span)), span.name)
    };
    trace.spans.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn list(attributes: &Attributes) -> String {
    let line = |(name, value): (&str, &Value)| format!("{name} = {value:?}");
    attributes.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_run_is_a_tree_of_waves_targets_and_phases_with_the_times_of_its_events() {
    insta::assert_snapshot!(drawn(&trace()), @r"
    run 0..61  ! targets failed and were rolled back
      wave canary 0..30
        rollout api 1..20  ! rolled back because of prod/eu-west-1/api
          register 1..2
          task migrate 2..5
          update 5..6
          deploy 6..20
            stage SCALE_UP 7..13
            stage PRODUCTION_TRAFFIC_SHIFT 13..20
            hook 9..12
        bake 20..30
      wave rest 30..50  ! 1 failed, 0 allowed
        rollout api 31..50  ! app exits with 1: \u{1b}[31mno database
          register 31..32
          update 32..33
          deploy 33..40
          rollback 40..50
      rollback api 51..60  ! rolled back because of prod/eu-west-1/api
    ");
}

#[test]
fn what_is_said_of_a_run_and_of_a_target_that_failed() {
    let trace = trace();
    let of = |name: &str, place: usize| {
        list(&trace.spans.iter().filter(|span| span.name == name).nth(place).expect("a span").attributes)
    };
    insta::assert_snapshot!(list(&trace.resource), @r#"
    cicd.pipeline.run.id = Text("7")
    vcs.repository.name = Text("shop")
    vcs.repository.url.full = Text("https://gitlab.example.com/team/shop")
    vcs.ref.head.name = Text("main")
    vcs.ref.head.revision = Text("5f2c9d7be0a14c3f")
    "#);
    let all = [("run", 0), ("wave rest", 0), ("rollout api", 1), ("task migrate", 0), ("hook", 0)];
    let all = all.map(|(name, place)| format!("# {name}\n{}", of(name, place)));
    insta::assert_snapshot!(all.join("\n"), @r#"
    # run
    cicd.pipeline.task.name = Text("deploy")
    cicd.pipeline.task.run.id = Text("77")
    cicd.pipeline.task.run.url.full = Text("https://gitlab.example.com/team/shop/-/jobs/77")
    cicd.pipeline.task.type = Text("deploy")
    cicd.pipeline.task.run.result = Text("failure")
    error.type = Text("rolled_back")
    roleout.run.id = Text("r1")
    roleout.exit_code = Number(11)
    roleout.verdict = Text("targets failed and were rolled back")
    roleout.ships = Texts(["api: 1 -> 2 (3 targets)"])
    roleout.targets = Texts(["1 unchanged", "1 not started", "2 rolled back"])
    roleout.halted.wave = Text("rest")
    roleout.halted.cause = Text("prod/eu-west-1/api")
    # wave rest
    roleout.wave.name = Text("rest")
    roleout.wave.targets = Number(2)
    roleout.wave.failed = Number(1)
    roleout.wave.max_failures = Number(0)
    roleout.wave.passed = Flag(false)
    # rollout api
    cloud.provider = Text("aws")
    cloud.platform = Text("aws_ecs")
    cloud.account.id = Text("111111111111")
    cloud.region = Text("eu-west-1")
    cloud.resource_id = Text("arn:aws:ecs:eu-west-1:111111111111:service/web/api-v1")
    aws.ecs.cluster.arn = Text("arn:aws:ecs:eu-west-1:111111111111:cluster/web")
    aws.ecs.task.family = Text("api")
    aws.ecs.task.revision = Text("2")
    deployment.id = Text("ecs-svc/2")
    deployment.name = Text("prod/eu-west-1/api")
    deployment.status = Text("failed")
    error.type = Text("rolled_back")
    roleout.account = Text("prod")
    roleout.service = Text("api")
    roleout.wave.name = Text("rest")
    roleout.outcome = Text("rolled_back")
    roleout.revision.from = Text("api:1")
    roleout.revision.runs = Text("api:1")
    roleout.changes = Texts(["app: image shop:1 -> shop:2"])
    roleout.console = Text("https://eu-west-1.console.aws.amazon.com/ecs/v2/clusters/web/services/api-v1/deployments?region=eu-west-1")
    roleout.cause = Text("app exits with 1")
    roleout.evidence = Texts(["2 tasks: app exited with 1"])
    roleout.help = Text("look at its log")
    # task migrate
    aws.ecs.task.arn = Text("arn:aws:ecs:eu-west-1:1:task/web/t1")
    aws.ecs.task.id = Text("t1")
    # hook
    roleout.hook.stage = Text("POST_SCALE_UP")
    roleout.hook.status = Text("SUCCEEDED")
    "#);
}

#[test]
fn every_span_has_an_id_of_its_own_which_the_same_events_have_again() {
    let (one, again) = (trace(), trace());
    let mut ids: Vec<[u8; 8]> = one.spans.iter().map(|span| one.span_id(span)).collect();
    assert_eq!((ids.clone(), one.id()), (again.spans.iter().map(|span| again.span_id(span)).collect(), again.id()));
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), one.spans.len());
    let later = events().into_iter().map(|(second, event)| (second + 1, event)).collect();
    assert_ne!(Trace::fold(&folded(later)).expect("a trace").id(), one.id(), "another run is another trace");
}

#[test]
fn every_span_lies_below_an_earlier_one_and_none_ends_before_it_begins() {
    let trace = trace();
    for (place, span) in trace.spans.iter().enumerate() {
        assert_eq!(span.parent.is_none(), place == 0, "{}", span.path);
        assert!(span.parent.is_none_or(|parent| parent < place) && span.start <= span.end, "{}", span.path);
    }
}

#[test]
fn a_run_without_its_last_event_has_no_trace() {
    let mut cut = events();
    cut.pop();
    assert_eq!(Trace::fold(&folded(cut)), None);
    assert_eq!(Trace::fold(&RunState::new()), None);
}
