//! The jobs of a child pipeline against one process: the same targets with the same faults come to the same end.

use roleout::base::exit::Exit;
use roleout::event::{Event, Stamped};
use roleout::fleet::{Outcome, Shard};
use roleout::pipeline::join::{JoinError, Joined, Part, join};
use roleout::pipeline::{Division, layout};
use roleout::report::Report;
use roleout::state::RunState;

use crate::harness::{Ran, Scene};

/// What the jobs of a pipeline left, and what they were as one run.
struct Pipeline {
    preflight: Part,
    parts: Vec<Part>,
    joined: Joined,
    state: RunState,
}

impl Pipeline {
    /// Runs the jobs as GitLab would: the waves one after the other, the jobs of each at once, a gate after each.
    async fn run(scene: &Scene, plan: &Ran, shards: usize, from: Option<&str>) -> Self {
        let preflight = preflight(plan);
        let layout = layout(&scene.fleet, Division { shards: Some(shards), max_accounts: None }, from).expect("jobs");
        let mut parts = Vec::new();
        for stage in &layout.stages {
            if stage.gate {
                break;
            }
            let jobs = (1..=stage.parts).map(|number| job(scene, &stage.wave, number, stage.parts));
            for (number, ran) in futures::future::join_all(jobs).await.into_iter().enumerate() {
                let name = format!("wave-{}/shard-{}", stage.number, number + 1);
                parts.push(Part { name, events: ran.events });
            }
            let gate = join(&preflight, &parts, &[], Some(&stage.wave)).expect("one run");
            let passed = |stamped: &Stamped| matches!(&stamped.event, Event::WaveFinished { wave, passed: false, .. } if *wave == stage.wave);
            if gate.events.iter().any(passed) || !gate.gaps.is_empty() {
                break;
            }
        }
        Self::of(preflight, parts)
    }

    fn of(preflight: Part, parts: Vec<Part>) -> Self {
        let joined = join(&preflight, &parts, &[], None).expect("one run");
        let state = folded(&joined.events);
        Self { preflight, parts, joined, state }
    }
}

/// What a preflight leaves: the plan of all targets, and nothing carried out.
fn preflight(plan: &Ran) -> Part {
    let (first, last) = (plan.events.first().expect("a start"), plan.events.last().expect("an end"));
    Part { name: "preflight".to_owned(), events: vec![first.clone(), last.clone()] }
}

async fn job(scene: &Scene, wave: &str, number: usize, of: usize) -> Ran {
    let shard: Shard = format!("{number}/{of}").parse().expect("a shard");
    let fleet = scene.fleet.clone().select(&[], &[wave.to_owned()]).expect("a wave").shard(shard).expect("a part");
    let mut own = Scene { fleet, ..scene.planning() };
    own.start.from = Some(wave.to_owned());
    own.deploy().await
}

fn folded(events: &[Stamped]) -> RunState {
    let mut state = RunState::new();
    events.iter().for_each(|event| state.apply(event));
    state
}

/// What must be the same, of every target and wave and of all.
fn essence(state: &RunState) -> Vec<String> {
    let report = Report::from_state(state);
    let mut lines = vec![format!("{:?} {:?}", state.exit(), report.counts())];
    lines.extend(state.halted().map(|halt| format!("halted in {} of {}", halt.wave, halt.max_failures)));
    lines.extend(state.gate().map(|gate| format!("gate {gate}")));
    for wave in &report.waves {
        lines.push(format!("{} {:?} {} {:?}", wave.name, wave.passed, wave.changing, wave.totals));
    }
    let mut targets: Vec<String> = report
        .targets
        .iter()
        .map(|it| {
            let reason = report.reason(it).map(|reason| reason.summary.clone());
            format!(
                "{} {:?} {:?} {:?} {:?} {:?} {:?}",
                it.target, it.outcome, it.action, it.from, it.to, it.runs, reason
            )
        })
        .collect();
    targets.sort();
    lines.extend(targets);
    lines
}

async fn both(make: impl Fn() -> Scene, shards: usize) -> (Ran, Pipeline) {
    let one = make().deploy().await;
    let many = Pipeline::run(&make(), &one, shards, None).await;
    (one, many)
}

const WAVES: &str = "rollout:\n  timeout: 5m\n  waves:\n    - { name: canary, select: { ring: canary } }\n    \
                     - { name: rest, max_failures: 1 }\n    - { name: never, select: { account: a9 } }\n";

fn fleet(rollout: &str) -> Scene {
    Scene::of(10, 2, rollout)
}

#[tokio::test(start_paused = true)]
async fn jobs_that_all_succeed_are_one_run_that_does() {
    let (one, many) = both(|| fleet(WAVES), 3).await;
    assert_eq!(many.parts.len(), 5, "one account, three jobs, one account");
    assert_eq!(one.code(), Exit::Done);
    assert_eq!(essence(&many.state), essence(&one.state));
    let numbers: Vec<u64> = many.joined.events.iter().map(|stamped| stamped.seq).collect();
    assert_eq!(numbers, (0..many.joined.events.len() as u64).collect::<Vec<_>>());
    assert!(many.joined.events.is_sorted_by_key(|stamped| stamped.at), "time does not go back");
}

#[tokio::test(start_paused = true)]
async fn a_failure_within_the_budget_of_the_wave_is_tolerated() {
    let (one, many) = both(|| fleet(WAVES).fault("a4/*/s1=crash"), 3).await;
    assert_eq!(one.code(), Exit::Tolerated);
    assert_eq!(essence(&many.state), essence(&one.state));
}

#[tokio::test(start_paused = true)]
async fn failures_that_only_together_exceed_the_budget_keep_later_waves_from_starting() {
    let (one, many) = both(|| fleet(WAVES).fault("a{1,2}/*/s0=crash"), 3).await;
    assert_eq!((one.code(), one.count(Outcome::NotStarted)), (Exit::RolledBack, 2));
    for part in &many.parts[1..] {
        let alone = folded(&part.events).exit();
        assert!([Exit::Done, Exit::Tolerated].contains(&alone), "each of them had at most one: {alone:?}");
    }
    assert_eq!(many.parts.len(), 4, "the last wave has no job");
    assert_eq!(essence(&many.state), essence(&one.state));
    let told = Report::from_state(&many.state);
    let cause = told.targets.iter().find(|it| &*it.target.account == "a9").and_then(|it| it.cause.as_ref());
    assert!(cause.is_some_and(|cause| ["a1", "a2"].contains(&&*cause.account)), "{cause:?}");
}

#[tokio::test(start_paused = true)]
async fn a_job_halts_by_itself_when_it_alone_exceeds_the_budget() {
    let rollout = WAVES.replace("max_failures: 1", "max_failures: 1, max_parallel: 3");
    let (one, many) = both(|| fleet(&rollout).fault("a{1,2,3,4,5,6,7,8}/*/*=crash"), 3).await;
    assert_eq!(one.code(), Exit::RolledBack);
    assert_eq!(many.state.exit(), Exit::RolledBack);
    let failed = many.state.totals().rolled_back;
    assert_eq!(failed, 6, "each of the three jobs, one at a time, stops after its second");
    assert!(many.state.totals().not_started > 0);
    assert_eq!(many.state.halted().map(|halt| (halt.failed, halt.max_failures)), Some((2, 1)));
}

#[tokio::test(start_paused = true)]
async fn a_degraded_target_counts_for_the_whole_wave() {
    let rollout = "rollout:\n  waves:\n    - { name: all, bake: 2m }\n";
    let (one, many) = both(|| fleet(rollout).fault("a3/*/s0=degrade"), 2).await;
    assert_eq!(one.code(), Exit::Failed);
    assert_eq!(essence(&many.state), essence(&one.state));
    let bakes = many.joined.events.iter().filter(|it| matches!(it.event, Event::BakeStarted { .. })).count();
    assert_eq!(bakes, 1);
}

#[tokio::test(start_paused = true)]
async fn a_gate_holds_what_follows_until_somebody_starts_it() {
    let gated = WAVES.replace("max_failures: 1", "gate: manual");
    let (one, many) = both(|| fleet(&gated), 3).await;
    assert_eq!((one.code(), one.count(Outcome::Succeeded)), (Exit::Gate, 2));
    assert_eq!(essence(&many.state), essence(&one.state));

    let mut scene = fleet(&gated);
    scene.start.from = Some("rest".to_owned());
    let one = scene.deploy().await;
    assert_eq!(one.code(), Exit::Done);
    let plan = Ran { events: plan_of(&one, "canary"), ..one };
    let mut later = fleet(&gated);
    later.fleet = later.fleet.select(&[], &["rest".to_owned(), "never".to_owned()]).expect("waves");
    let many = Pipeline::run(&later, &plan, 3, Some("rest")).await;
    assert_eq!(many.state.exit(), Exit::Done);
    assert_eq!(many.state.totals().good(), 18, "{:?}", many.state.totals());
}

/// The plan of a run without the targets of a wave.
fn plan_of(ran: &Ran, without: &str) -> Vec<Stamped> {
    let mut events = ran.events.clone();
    if let Some(Stamped { event: Event::RunStarted { plan, .. }, .. }) = events.first_mut() {
        plan.changes.retain(|change| change.wave != without);
        plan.recount();
    }
    events
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_run_again_does_only_what_is_left() {
    let one = fleet(WAVES).deploy().await;
    let scene = fleet(WAVES).fault("a{1,2}/*/s0=nopull");
    let mut many = Pipeline::run(&scene, &one, 3, None).await;
    assert_eq!(many.state.exit(), Exit::RolledBack);
    scene.sandbox.clear_faults();
    for number in 1..=3 {
        let ran = job(&scene, "rest", number, 3).await;
        let worked = ran.count(Outcome::Succeeded);
        assert!(worked <= 1, "{number}: only what had failed: {worked}");
        many.parts[number].events = ran.events;
    }
    let last = job(&scene, "never", 1, 1).await;
    many.parts.push(Part { name: "wave-3/shard-1".to_owned(), events: last.events });
    let whole = Pipeline::of(many.preflight, many.parts);
    assert_eq!(whole.state.exit(), Exit::Done);
    assert_eq!((whole.state.totals().good(), whole.state.totals().all()), (20, 20));
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_is_named_and_nothing_follows() {
    let one = fleet(WAVES).deploy().await;
    let whole = Pipeline::run(&fleet(WAVES), &one, 3, None).await;

    let mut lost = whole.parts.clone();
    lost.remove(2);
    lost.pop();
    let broken = Pipeline::of(whole.preflight.clone(), lost);
    assert_eq!(broken.state.exit(), Exit::Unexpected);
    assert_eq!(broken.joined.gaps.len(), 1, "{:?}", broken.joined.gaps);
    assert!(
        broken.joined.gaps[0].starts_with("wave rest: no job left a journal that has a"),
        "{:?}",
        broken.joined.gaps
    );
    assert!(broken.joined.gaps[0].ends_with("and 3 more") || broken.joined.gaps[0].ends_with("and 1 more"));

    let mut killed = whole.parts.clone();
    killed[1].events.truncate(12);
    killed.pop();
    let broken = Pipeline::of(whole.preflight.clone(), killed);
    let gap = "wave-2/shard-1: the run breaks off; what was under way may go on in ECS";
    assert_eq!((broken.state.exit(), broken.joined.gaps), (Exit::Unexpected, vec![gap.to_owned()]));

    let refusal = Event::RunRefused {
        plan: None,
        sandbox: true,
        job: roleout::event::Job::default(),
        exit_code: 4,
        message: "preflight failed".to_owned(),
        help: Vec::new(),
    };
    let mut refused = whole.parts.clone();
    refused[3].events.truncate(1);
    refused[3].events[0].event = refusal.clone();
    refused.pop();
    let broken = join(&whole.preflight, &refused, &[], Some("rest")).expect("one run");
    assert_eq!(broken.refused, Some(Exit::Preflight));
    assert_eq!(broken.gaps[0], "wave-2/shard-3: nothing was started: preflight failed");

    let mut nothing = whole.preflight.clone();
    nothing.events.truncate(1);
    nothing.events[0].event = refusal;
    let refused = Pipeline::of(nothing, Vec::new());
    assert_eq!((refused.state.exit(), refused.joined.events.len()), (Exit::Preflight, 1));
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_somebody_passed_hides_no_lost_jobs() {
    let gated = WAVES.replace("max_failures: 1", "gate: manual");
    let one = fleet(&gated).deploy().await;
    let many = Pipeline::run(&fleet(&gated), &one, 3, None).await;
    assert_eq!((many.parts.len(), many.state.exit()), (1, Exit::Gate), "the jobs of `rest` left nothing");
    let gap = "wave rest: no job left a journal that has a1/eu-west-1/s0, a1/eu-west-1/s1, a2/eu-west-1/s0 and 13 more";
    for (started, until) in [(vec![], Some("rest")), (vec!["rest".to_owned()], None)] {
        let joined = join(&many.preflight, &many.parts, &started, until).expect("one run");
        assert_eq!(joined.gaps, [gap], "{started:?} {until:?}");
        assert!(!joined.events.iter().any(|it| matches!(it.event, Event::GateReached { .. })), "{started:?}");
        assert_eq!(folded(&joined.events).exit(), Exit::Unexpected, "{started:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_gate_before_which_nothing_waits_is_none() {
    let gated = WAVES.replace("max_failures: 1", "gate: manual");
    let mut scene = fleet(&gated);
    scene.start.from = Some("rest".to_owned());
    assert_eq!(scene.deploy().await.code(), Exit::Done);
    let mut later = scene.planning();
    later.start.from = None;
    let one = later.deploy().await;
    assert_eq!(one.count(Outcome::Succeeded), 2, "{}", one.said);
    let canary = job(&later, "canary", 1, 1).await;
    let parts = [Part { name: "wave-1/shard-1".to_owned(), events: canary.events }];
    let joined = join(&preflight(&one), &parts, &[], None).expect("one run");
    assert_eq!((folded(&joined.events).exit(), joined.gaps.len()), (Exit::Done, 0));
    assert!(matches!(joined.events.last().map(|it| &it.event), Some(Event::RunFinished { exit_code: Some(_), .. })));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_job_cancels_what_follows() {
    let one = fleet(WAVES).deploy().await;
    let mut whole = Pipeline::run(&fleet(WAVES), &one, 3, None).await;
    whole.parts.pop();
    let at = whole.parts[2].events.len() - 1;
    let cancelled =
        Stamped { event: Event::RunCancelled { signal: "SIGTERM".to_owned() }, ..whole.parts[2].events[at].clone() };
    whole.parts[2].events.insert(at, cancelled);
    let joined = Pipeline::of(whole.preflight, whole.parts);
    assert_eq!((joined.state.exit(), joined.state.totals().cancelled), (Exit::Terminated, 2));
}

#[tokio::test(start_paused = true)]
async fn journals_of_two_pipelines_are_no_run() {
    let one = fleet(WAVES).deploy().await;
    let whole = Pipeline::run(&fleet(WAVES), &one, 2, None).await;
    let error = |parts: &[Part], until| join(&whole.preflight, parts, &[], until).expect_err("no run").to_string();
    let mut twice = whole.parts.clone();
    twice.push(Part { name: "other".to_owned(), ..whole.parts[0].clone() });
    assert!(
        error(&twice, None).starts_with("a0/eu-west-1/s0 is in other and in wave-1/shard-1"),
        "{}",
        error(&twice, None)
    );
    assert_eq!(error(&whole.parts, Some("nope")), "there is no wave `nope` in the plan of the preflight");
    let small = preflight(&Ran { events: plan_of(&one, "rest"), ..one });
    assert!(matches!(join(&small, &whole.parts, &[], None), Err(JoinError::Stranger { .. })));
    let empty = Part { name: "p".to_owned(), events: Vec::new() };
    assert!(matches!(join(&empty, &whole.parts, &[], None), Err(JoinError::NoPreflight(_))));
}
