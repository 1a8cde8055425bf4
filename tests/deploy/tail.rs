//! The last lines of a crashed container's log, as evidence.

use roleout::base::exit::Exit;
use roleout::event::{Event, Evidence};
use roleout::fleet::Outcome;

use crate::harness::{Ran, Scene, manifest};

/// Services whose containers write to a log group.
fn logging(accounts: usize) -> Scene {
    let text = manifest(accounts, 1, "rollout: { waves: [ { name: all, max_failures: 100% } ] }\n");
    Scene::new(
        &text.replace("    cluster: main\n", "    cluster: main\n    task_definition: tests/deploy/named.json\n"),
    )
}

/// The evidence of the first target that failed.
fn evidence(ran: &Ran) -> Vec<Evidence> {
    let reasons = ran.events.iter().filter_map(|stamped| match &stamped.event {
        Event::RolloutFinished { reason: Some(reason), .. } => Some(reason.evidence.clone()),
        _ => None,
    });
    reasons.into_iter().next().unwrap_or_else(|| panic!("nothing failed: {}", ran.said))
}

#[tokio::test(start_paused = true)]
async fn a_crash_shows_the_end_of_its_log_without_secrets() {
    let scene = logging(1).fault("*=crash");
    let ran = scene.deploy().await;
    assert_eq!(ran.count(Outcome::RolledBack), 1, "{}", ran.said);
    let crash = evidence(&ran).into_iter().find(|one| one.tasks > 0).expect("stopped tasks");
    assert_eq!(crash.log.len(), 5, "{crash:?}");
    assert!(crash.log[1].ends_with("postgres://app:[redacted]@db.internal:5432/app\""), "{crash:?}");
    assert_eq!(crash.log[2], "Error: connect ECONNREFUSED 10.0.3.17:5432");
    assert!(!ran.said.contains("open-sesame"), "{}", ran.said);
    let (name, _) = ran
        .said
        .split_once("\n    app exits with 1: no database, exiting with code 1\n")
        .expect("the cause is the headline");
    assert!(name.contains("✖ rolled back  a0/eu-west-1/s0"), "{}", ran.said);
    // Where it failed, and again in the summary.
    assert_eq!(ran.said.matches("        | Error: connect ECONNREFUSED 10.0.3.17:5432\n").count(), 2, "{}", ran.said);
    assert_eq!(scene.sandbox.calls().operation("GetLogEvents"), 1, "one task is an example of all");
}

#[tokio::test(start_paused = true)]
async fn equal_crashes_are_one_cause_with_one_log() {
    let scene = logging(12).fault("*=crash");
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::RolledBack)), (Exit::Tolerated, 12), "{}", ran.said);
    assert!(ran.said.contains("rolled back, the same in 12 targets"), "{}", ran.said);
    assert!(ran.said.contains("\n    app exits with 1: no database, exiting with code 1\n"), "{}", ran.said);
    assert_eq!(ran.said.matches("| Error: connect ECONNREFUSED").count(), 2, "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_may_not_be_read_is_told_and_one_that_is_not_there_is_not() {
    let ran = logging(2).fault("*=crash").fault("*=deny:logs:GetLogEvents").deploy().await;
    let found = evidence(&ran);
    assert!(found.iter().all(|one| one.log.is_empty()), "{found:?}");
    let told: Vec<_> = found.iter().filter(|one| one.text.contains("could not be read")).collect();
    assert_eq!(told.len(), 1, "{found:?}");
    assert_eq!(told[0].text, "the log of app could not be read: logs:GetLogEvents is not allowed to leaf");
    assert!(ran.said.contains("the same in 2 targets"), "{}", ran.said);

    let mut scene = logging(1).fault("*=crash").fault("*=log-group-missing");
    scene.choice.no_verify = true;
    let found = evidence(&scene.deploy().await);
    assert!(found.iter().all(|one| one.log.is_empty() && !one.text.contains("could not be read")), "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn what_never_ran_and_what_has_no_log_cost_no_call() {
    let scene = logging(1).fault("*=nopull");
    assert_eq!(scene.deploy().await.count(Outcome::RolledBack), 1);
    assert_eq!(scene.sandbox.calls().operation("GetLogEvents"), 0);
    let scene = Scene::of(1, 1, "").quick().fault("*=crash");
    assert_eq!(scene.deploy().await.count(Outcome::RolledBack), 1);
    assert_eq!(scene.sandbox.calls().operation("GetLogEvents"), 0);
}
