//! How soon an end is noticed, and what that costs: polls, calls a target, and the time of a rollback beside a deploy's.

use std::time::Duration;

use roleout::base::clock::Clock;
use roleout::base::exit::Exit;
use roleout::event::Event;
use roleout::fleet::Outcome;
use roleout::observe::service::LiveService;
use roleout::sandbox::{Claims, Sandbox, Timing};
use serde_json::json;
use tokio::time::Instant;

use crate::harness::{Ran, Scene, everything};

/// The same fleet in another sandbox.
fn seeded(scene: Scene, seed: u64) -> Scene {
    let sandbox = Sandbox::for_fleet(&scene.fleet, seed, Clock::tokio());
    let token = sandbox.id_token(Claims::default());
    Scene { sandbox, token, ..scene }
}

/// Rollouts that take so many times as long as two minutes.
fn timing(factor: f64) -> Timing {
    let Timing { schedule, provision, start, healthy, drain, appear, minute, backoff } = Timing::realistic();
    let times = |duration: Duration| duration.mul_f64(factor);
    let (schedule, provision, start) = (times(schedule), times(provision), times(start));
    Timing { schedule, provision, start, healthy: times(healthy), drain: times(drain), appear, minute, backoff }
}

/// A service as ECS has it.
fn live(scene: &Scene, account: &str, service: &str) -> LiveService {
    let input = json!({ "cluster": "main", "services": [service] });
    let seen = scene.sandbox.call_as_operator(account, "eu-west-1", "DescribeServices", &input).expect("services");
    LiveService::read(&seen["services"][0])
}

/// For each target how long its rollout took, and how long after its end that was noticed, in seconds.
fn lateness(scene: &Scene, ran: &Ran) -> Vec<(f64, f64)> {
    let ends = ran.events.iter().filter_map(|stamped| match &stamped.event {
        Event::RolloutFinished { target, .. } => Some((target, stamped.at)),
        _ => None,
    });
    let late = |(target, at): (&roleout::fleet::TargetId, jiff::Timestamp)| {
        let service = live(scene, &target.account, &target.service);
        let primary = service.primary().expect("a deployment");
        let took = service.took.expect("it completed").as_secs_f64();
        let since = at.duration_since(primary.created.expect("a time")).as_secs_f64();
        (took, since - took)
    };
    ends.map(late).collect()
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}

#[tokio::test(start_paused = true)]
async fn nothing_but_aws_shows_in_the_time_of_the_reference_fleet() {
    const LATENCY: f64 = 0.04;
    for (seed, has_past) in [(1, true), (2, true), (3, false), (4, false)] {
        let scene = seeded(Scene::of(20, 3, ""), seed);
        if has_past {
            scene.sandbox.add_history(&scene.fleet);
        }
        let scene = scene.fault("*=latency:40");
        let start = Instant::now();
        let ran = scene.deploy().await;
        let took = start.elapsed().as_secs_f64();
        assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 60));
        let slowest = lateness(&scene, &ran).into_iter().map(|(took, _)| took).fold(0.0, f64::max);
        // Two roles, the service, its definition, a revision, the update, the rollout, and the poll that shows its end.
        let floor = slowest + 7.0 * LATENCY;
        assert!(took <= floor * 1.15, "seed {seed}: {took:.2} s, and {floor:.2} s are AWS's");
    }
}

#[tokio::test(start_paused = true)]
async fn rollouts_of_four_minutes_cost_a_poll_in_four_seconds_and_their_ends_are_noticed_soon() {
    let mut all = Vec::new();
    for seed in 0..6_u32 {
        let scene = seeded(Scene::of(1, 10, "rollout: { timeout: 30m }\n"), u64::from(seed));
        scene.sandbox.set_timing(timing(2.0 + 0.081 * f64::from(seed)));
        scene.sandbox.add_history(&scene.fleet);
        let scene = scene.fault("*=latency:40");
        let start = Instant::now();
        let ran = scene.deploy().await;
        let took = start.elapsed().as_secs_f64();
        assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 10));
        // The preflight's, and the reads right before the writes.
        let polls = scene.sandbox.calls().operation("DescribeServices") - 2;
        let seen = lateness(&scene, &ran);
        assert!(polls as f64 <= took / 4.0, "seed {seed}: {polls} polls in {took:.0} s");
        all.extend(seen);
    }
    let (shortest, longest) =
        all.iter().fold((f64::MAX, 0.0_f64), |(least, most), (took, _)| (least.min(*took), most.max(*took)));
    assert!(shortest < 225.0 && longest > 255.0, "{shortest:.0} to {longest:.0} s");
    let late = mean(all.iter().map(|(_, late)| *late));
    assert!(late <= 1.5, "noticed after {late:.2} s on average");
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_fails_is_noticed_within_five_seconds_on_average() {
    let mut all = Vec::new();
    for seed in 0..6_u32 {
        let scene = seeded(Scene::of(1, 10, "rollout: { timeout: 60m }\n"), u64::from(seed));
        scene.sandbox.set_timing(timing(2.0 + 0.081 * f64::from(seed)));
        scene.sandbox.add_history(&scene.fleet);
        let scene = scene.fault("*=latency:40").fault("*=crash");
        let ran = scene.deploy().await;
        assert_eq!(ran.count(Outcome::RolledBack), 10, "{}", ran.said);
        for number in 0..10 {
            let service = live(&scene, "a0", &format!("s{number}"));
            let failed = service.messages.iter().find(|message| message.failed().is_some()).expect("it failed");
            let noticed = ran.events.iter().find(|stamped| match &stamped.event {
                Event::ServiceMessage { target, text } => {
                    *target.service == service.name && text.contains("deployment failed")
                }
                _ => false,
            });
            let noticed = noticed.expect("it is told").at;
            all.push(noticed.duration_since(failed.at.expect("a time")).as_secs_f64());
        }
    }
    let late = mean(all.iter().copied());
    assert!(late <= 5.0, "noticed after {late:.2} s on average");
}

#[tokio::test(start_paused = true)]
async fn calls_grow_with_the_targets_and_a_rollback_of_four_hundred_takes_as_long_as_their_deploy() {
    let mut by_size = Vec::new();
    for accounts in [4, 20, 80] {
        let scene = Scene::of(accounts, 5, "").quick().fault("*=latency:150");
        let targets = accounts * 5;
        let start = Instant::now();
        let ran = scene.deploy().await;
        let deploy = start.elapsed();
        assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, targets));
        let calls = scene.sandbox.calls();
        assert_eq!(calls.throttled, 0);
        by_size.push(calls.total() as f64 / targets as f64);
        if accounts == 80 {
            let (fleet, choice, options) = (scene.fleet.clone(), scene.choice.clone(), everything());
            let (start, cancel) = (scene.start.clone(), scene.cancel.clone());
            let began = Instant::now();
            let command = async |reach: &_, view| {
                crate::runs::roll_back(fleet, reach, choice, options, start, view, cancel).await
            };
            let ran = scene.ran(command).await;
            let rollback = began.elapsed();
            assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, targets), "{}", ran.said);
            assert!(rollback <= deploy.mul_f64(1.3), "{rollback:?}, and a deploy {deploy:?}");
        }
    }
    let (least, most) = by_size.iter().fold((f64::MAX, 0.0_f64), |(least, most), it| (least.min(*it), most.max(*it)));
    assert!(most <= least * 1.1, "calls a target: {by_size:?}");
}
