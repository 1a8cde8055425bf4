//! Waves: what runs when, what stops them, and that the budget is exact.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use roleout::base::exit::Exit;
use roleout::engine::cancel::Signal;
use roleout::event::Event;
use roleout::fleet::{Outcome, TargetId};

use crate::harness::{Ran, Scene};

const CANARY: &str =
    "rollout:\n  timeout: 30m\n  waves:\n    - { name: canary, select: { ring: canary } }\n    - { name: rest }\n";

/// How many rollouts ran at once, at the most, over all and in one account.
fn most_at_once(ran: &Ran) -> (usize, usize) {
    let mut running: BTreeSet<TargetId> = BTreeSet::new();
    let (mut most, mut most_in_one) = (0, 0);
    for stamped in &ran.events {
        match &stamped.event {
            Event::RolloutStarted { target } => {
                running.insert(target.clone());
            }
            Event::RolloutFinished { target, .. } => {
                running.remove(target);
            }
            _ => {}
        }
        let mut accounts: BTreeMap<&str, usize> = BTreeMap::new();
        running.iter().for_each(|target| *accounts.entry(&target.account).or_default() += 1);
        most = most.max(running.len());
        most_in_one = most_in_one.max(accounts.into_values().max().unwrap_or_default());
    }
    (most, most_in_one)
}

#[tokio::test(start_paused = true)]
async fn a_failure_in_the_canary_leaves_the_rest_untouched() {
    let scene = Scene::of(4, 2, CANARY).fault("a0/*/s0=crash");
    let ran = scene.deploy().await;
    assert_eq!(ran.code(), Exit::RolledBack, "{}", ran.said);
    assert_eq!(ran.outcome("a0/eu-west-1/s0"), Some(Outcome::RolledBack));
    assert_eq!(ran.outcome("a0/eu-west-1/s1"), Some(Outcome::Succeeded), "what ran is watched to its end");
    assert_eq!(ran.count(Outcome::NotStarted), 6);
    assert!(
        ran.state
            .targets()
            .filter(|it| it.outcome() == Some(Outcome::NotStarted))
            .all(|it| { it.cause.as_ref().is_some_and(|cause| cause.to_string() == "a0/eu-west-1/s0") })
    );
    let touched: BTreeSet<String> = scene.sandbox.calls().writes.into_iter().map(|write| write.account).collect();
    assert_eq!(touched, BTreeSet::from(["200000000000".to_owned()]), "nothing of wave two is touched");
}

#[tokio::test(start_paused = true)]
async fn failures_within_tolerance_pass_and_the_exit_code_says_so() {
    let rollout = CANARY.replace("{ name: rest }", "{ name: rest, max_failures: 1 }");
    let ran = Scene::of(4, 1, &rollout).fault("a2/*/*=crash").deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Tolerated, 3), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn a_window_slides_and_an_account_has_its_own_bound() {
    let rollout = "rollout: { waves: [ { name: all, max_parallel: 4, max_parallel_per_account: 1 } ] }\n";
    let ran = Scene::of(6, 3, rollout).deploy().await;
    assert_eq!((ran.code(), most_at_once(&ran)), (Exit::Done, (4, 1)), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn batches_have_a_barrier_and_the_last_repeats() {
    let rollout = "rollout: { waves: [ { name: all, max_parallel: [1, 25%] } ] }\n";
    let ran = Scene::of(9, 1, rollout).deploy().await;
    assert_eq!(ran.code(), Exit::Done, "{}", ran.said);
    let mut batches = Vec::new();
    let mut running = 0_usize;
    let mut started = 0;
    for stamped in &ran.events {
        match &stamped.event {
            Event::RolloutStarted { .. } => {
                running += 1;
                started += 1;
            }
            Event::RolloutFinished { .. } => {
                running -= 1;
                if running == 0 {
                    batches.push(std::mem::take(&mut started));
                }
            }
            _ => {}
        }
    }
    assert_eq!(batches, [1, 2, 2, 2, 2]);
}

#[tokio::test(start_paused = true)]
async fn strict_never_risks_more_than_the_budget() {
    let rollout = "rollout: { timeout: 30m, waves: [ { name: all, max_failures: 2, strict: true } ] }\n";
    let ran = Scene::of(12, 1, rollout).fault("*=crash").deploy().await;
    assert_eq!(ran.count(Outcome::RolledBack), 3, "{}", ran.said);
    assert_eq!((most_at_once(&ran).0, ran.count(Outcome::NotStarted)), (3, 9));
}

#[tokio::test(start_paused = true)]
async fn a_gate_before_nothing_to_do_stops_nothing() {
    let rollout = CANARY.replace("{ name: rest }", "{ name: rest, gate: manual }");
    let scene = Scene::of(3, 1, &rollout).quick();
    assert_eq!(scene.deploy().await.code(), Exit::Gate);
    let mut rest = scene.planning();
    rest.start.from = Some("rest".into());
    assert_eq!(rest.deploy().await.code(), Exit::Done);
    let ran = scene.planning().deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::Unchanged)), (Exit::Done, 3), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn a_gate_stops_the_run_and_from_goes_on() {
    let rollout = CANARY.replace("{ name: rest }", "{ name: rest, gate: manual }");
    let mut scene = Scene::of(3, 1, &rollout);
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::NotStarted)), (Exit::Gate, 2), "{}", ran.said);
    scene.start.from = Some("rest".into());
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 2), "{}", ran.said);
    assert!(!ran.said.contains("warning"), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn what_from_passes_over_is_said() {
    let mut scene = Scene::of(3, 1, CANARY);
    scene.start.from = Some("rest".into());
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 2), "{}", ran.said);
    let warning = "warning: --from rest: 1 target of an earlier wave has something to do, and is left as it is";
    assert!(ran.said.contains(warning), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn cancelling_starts_nothing_more_and_names_what_goes_on() {
    let rollout = "rollout: { waves: [ { name: all, max_parallel: 2 } ] }\n";
    let scene = Scene::of(5, 1, rollout);
    let cancel = scene.cancel.clone();
    let (ran, ()) = tokio::join!(scene.deploy(), async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        cancel.cancel(Signal::Interrupt);
    });
    assert_eq!(ran.code(), Exit::Interrupted, "{}", ran.said);
    assert_eq!((ran.count(Outcome::Detached), ran.count(Outcome::Cancelled)), (2, 3), "{}", ran.said);
    assert!(ran.seconds <= 25, "{} s", ran.seconds);
}

#[tokio::test(start_paused = true)]
async fn cancelling_while_aws_is_silent_still_ends_within_five_seconds() {
    let scene = Scene::of(3, 1, "rollout: { timeout: 30m }\n");
    let (cancel, sandbox) = (scene.cancel.clone(), scene.sandbox.clone());
    let (ran, seconds) = tokio::join!(scene.deploy(), async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        sandbox.fault("*", roleout::sandbox::Fault::Silent).expect("a fault");
        tokio::time::sleep(Duration::from_secs(20)).await;
        cancel.cancel(Signal::Terminate);
        40
    });
    assert_eq!((ran.code(), ran.count(Outcome::Detached)), (Exit::Terminated, 3), "{}", ran.said);
    assert!(ran.seconds <= seconds + 5, "{} s", ran.seconds);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever fails: no more than the budget allows start after it, every target has one end, waves do not overlap.
    #[test]
    fn the_budget_is_exact_and_every_target_ends_once(
        failing in proptest::collection::btree_set(0_usize..8, 0..5),
        window in 1_usize..5,
        budget in 0_usize..3,
    ) {
        let rollout = format!(
            "rollout: {{ timeout: 5m, waves: [ {{ name: canary, select: {{ ring: canary }} }}, \
             {{ name: rest, max_parallel: {window}, max_failures: {budget} }} ] }}\n"
        );
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let ran = runtime.block_on(async {
            let mut scene = Scene::of(8, 1, &rollout);
            scene.sandbox.set_timing(roleout::sandbox::Timing::default());
            for number in &failing {
                scene = scene.fault(&format!("a{number}/*/*=crash"));
            }
            scene.deploy().await
        });
        let mut ends: BTreeMap<String, u32> = BTreeMap::new();
        let mut rest_started = false;
        for stamped in &ran.events {
            match &stamped.event {
                Event::RolloutFinished { target, .. } | Event::RolloutSkipped { target, .. } => {
                    *ends.entry(target.to_string()).or_default() += 1;
                }
                Event::WaveStarted { wave } => rest_started = wave == "rest",
                Event::RolloutStarted { target } => {
                    prop_assert_eq!(&*target.account != "a0", rest_started, "{} outside its wave", target);
                }
                _ => {}
            }
        }
        prop_assert!(ends.len() == 8 && ends.values().all(|count| *count == 1), "{ends:?}");
        let failed = ran.state.targets().filter(|it| it.outcome().is_some_and(Outcome::is_failure)).count();
        if failing.contains(&0) {
            prop_assert_eq!((failed, ran.count(Outcome::NotStarted)), (1, 7));
        } else if failing.len() <= budget {
            prop_assert_eq!((failed, ran.count(Outcome::NotStarted)), (failing.len(), 0));
        } else {
            prop_assert!(failed > budget && failed <= budget + window, "{failed} failed");
        }
    }
}
