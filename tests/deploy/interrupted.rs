//! A run that is killed at any moment, and the next one: it does what is left, and nothing twice.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use roleout::base::exit::Exit;
use roleout::connect::Connection;
use roleout::engine::cancel::Signal;
use roleout::fleet::Outcome;
use roleout::view::View;
use roleout::view::options::{Format, Options};
use tokio::sync::Notify;

use crate::harness::{Scene, manifest};
use crate::runs;

/// Takes events, and says when so many have been written.
#[derive(Clone)]
struct Counting {
    left: Arc<AtomicUsize>,
    spent: Arc<Notify>,
}

impl Write for Counting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.ends_with(b"\n") && self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.spent.notify_one();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How a run is interrupted.
#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    /// SIGKILL: it is gone between one moment and the next.
    Kill,
    /// SIGTERM: it winds down.
    Signal,
}

/// Deploys until so many events have happened. Returns whether it was interrupted before its end.
async fn interrupted_after(scene: &Scene, events: usize, by: By) -> bool {
    let counting = Counting { left: Arc::new(AtomicUsize::new(events)), spent: Arc::default() };
    let options = Options { format: Format::Jsonl, quiet: true, ..Options::default() };
    let view = View::new(options, Box::new(counting.clone()), Box::new(io::sink()));
    let reach = Connection::sandbox(&scene.fleet, &scene.sandbox, scene.token.clone());
    let (fleet, choice, start) = (scene.fleet.clone(), scene.choice.clone(), scene.start.clone());
    let ran = runs::deploy(fleet, &reach, choice, start, view, scene.cancel.clone());
    let mut ran = std::pin::pin!(ran);
    tokio::select! {
        biased;
        () = counting.spent.notified() => {}
        _ = &mut ran => return false,
    }
    if by == By::Signal {
        scene.cancel.cancel(Signal::Terminate);
        let began = tokio::time::Instant::now();
        let exit = ran.await.unwrap_or_else(|error| error.exit);
        assert!(began.elapsed() < Duration::from_secs(5), "after {events} events: {:?}", began.elapsed());
        if exit == Exit::Done {
            // Nothing was left to interrupt.
            return false;
        }
        assert_eq!(exit, Exit::Terminated, "after {events} events");
    }
    true
}

/// Two accounts with so many services, in two waves; each service has these keys besides.
fn scene(services: usize, keys: &str, on_cancel: &str) -> Scene {
    let waves = "waves:\n    - { name: canary, select: { ring: canary }, max_parallel: 10 }\n    \
                 - { name: rest, max_parallel: [1, 50%] }\n";
    let text = manifest(2, services, &format!("rollout:\n  on_cancel: {on_cancel}\n  {waves}"));
    Scene::new(&text.replace("    cluster: main\n", &format!("    cluster: main\n{keys}"))).quick()
}

/// Interrupts a run after its `first` event, and others later and later by `step`, each on a fleet of its own that a
/// second run then finishes. Returns how many events a run has.
async fn interrupted_at_every(
    (services, keys): (usize, &str),
    first: usize,
    step: usize,
    by: By,
    on_cancel: &str,
) -> usize {
    let targets = 2 * services;
    let mut events = first;
    loop {
        let scene = scene(services, keys, on_cancel);
        if !interrupted_after(&scene, events, by).await {
            return events;
        }
        let after = scene.sandbox.calls().writes;
        // One that had completed meanwhile is refused, and needs no second deployment.
        let stopped =
            after.iter().filter(|write| write.operation == "StopServiceDeployment" && write.error.is_none()).count();
        assert!(stopped == 0 || on_cancel == "rollback", "after {events} events");
        if on_cancel == "rollback" {
            // What ECS is rolling back is somebody else's to the next run until it has ended.
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        let ran = scene.planning().deploy().await;
        assert_eq!(ran.code(), Exit::Done, "after {events} events: {}", ran.said);
        let done = ran.count(Outcome::Succeeded) + ran.count(Outcome::Unchanged);
        assert_eq!(done, targets, "after {events} events: {}", ran.said);
        for target in &scene.fleet.targets {
            let (account, region) = (&*target.id.account, &*target.id.region);
            let image = scene.image(account, region, &target.service);
            assert!(image.ends_with(":v2"), "after {events} events: {} runs {image}", target.id);
        }
        let writes = scene.sandbox.calls().writes;
        let count = |operation: &str| writes.iter().filter(|write| write.operation == operation).count();
        assert_eq!(count("RegisterTaskDefinition"), targets, "no orphan, after {events} events");
        assert_eq!(count("UpdateService"), targets + stopped, "after {events} events");
        events += step;
    }
}

/// `ROLEOUT_EVERY_EVENT=1` interrupts sixty targets after every single event, which takes minutes; otherwise twenty-four, more
/// than one call describes, at some. Returns the services of an account, the step, and how many events there are at least.
fn many() -> (usize, usize, usize) {
    if std::env::var_os("ROLEOUT_EVERY_EVENT").is_some() { (30, 1, 400) } else { (12, 37, 160) }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_killed_after_any_event_is_finished_by_the_next_one() {
    assert!(interrupted_at_every((3, ""), 1, 1, By::Kill, "detach").await > 40);
}

#[tokio::test(start_paused = true)]
async fn a_killed_run_with_tasks_before_and_after_is_finished_by_the_next_one() {
    let keys = "    before: [ { run_task: migrate, per: account } ]\n    after: [ { run_task: smoke }, { run_task: told, per: run } ]\n";
    assert!(interrupted_at_every((1, keys), 1, 1, By::Kill, "detach").await > 30);
}

#[tokio::test(start_paused = true)]
async fn a_killed_run_of_many_targets_is_finished_by_the_next_one() {
    let (services, step, events) = many();
    assert!(interrupted_at_every((services, ""), 5, step, By::Kill, "detach").await > events);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_cancelled_after_any_event_is_finished_by_the_next_one() {
    assert!(interrupted_at_every((2, ""), 1, 1, By::Signal, "detach").await > 30);
    let (services, step, events) = many();
    assert!(interrupted_at_every((services, ""), 11, step, By::Signal, "detach").await > events);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_cancelled_with_on_cancel_rollback_is_finished_by_the_next_one() {
    assert!(interrupted_at_every((2, ""), 1, 1, By::Signal, "rollback").await > 30);
    let (services, step, events) = many();
    assert!(interrupted_at_every((services, ""), 17, step, By::Signal, "rollback").await > events);
}
