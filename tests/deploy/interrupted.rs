//! A run that is killed at any moment, and the next one: it does what is left, and nothing twice.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use roleout::commands::deploy::run;
use roleout::commands::reach::Reach;
use roleout::exit::Exit;
use roleout::fleet::Outcome;
use roleout::view::{Format, Options, View};
use tokio::sync::Notify;

use crate::harness::{Scene, manifest};

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

/// Deploys until so many events have happened, and then is gone between one moment and the next. Returns whether it was
/// killed before its end.
async fn killed_after(scene: &Scene, events: usize) -> bool {
    let counting = Counting { left: Arc::new(AtomicUsize::new(events)), spent: Arc::default() };
    let options = Options { format: Format::Jsonl, quiet: true, ..Options::default() };
    let view = View::new(options, Box::new(counting.clone()), Box::new(io::sink()));
    let reach = Reach::sandbox(&scene.fleet, &scene.sandbox, scene.token.clone());
    let (fleet, choice, start) = (scene.fleet.clone(), scene.choice.clone(), scene.start.clone());
    let ran = run(fleet, &reach, choice, start, view, scene.cancel.clone());
    tokio::select! {
        biased;
        () = counting.spent.notified() => true,
        _ = ran => false,
    }
}

/// Two accounts with so many services, in two waves; each service has these keys besides.
fn scene(services: usize, keys: &str) -> Scene {
    let waves = "rollout:\n  waves:\n    - { name: canary, select: { ring: canary }, max_parallel: 10 }\n    \
                 - { name: rest, max_parallel: [1, 50%] }\n";
    let text = manifest(2, services, waves);
    Scene::new(&text.replace("    cluster: main\n", &format!("    cluster: main\n{keys}"))).quick()
}

/// Kills a run after its `first` event, and others later and later by `step`, each on a fleet of its own that a second
/// run then finishes. Returns how many events a run has.
async fn killed_at_every(services: usize, keys: &str, first: usize, step: usize) -> usize {
    let targets = 2 * services;
    let mut events = first;
    loop {
        let scene = scene(services, keys);
        if !killed_after(&scene, events).await {
            return events;
        }
        let ran = scene.planning().deploy().await;
        assert_eq!(ran.code(), Exit::Done, "after {events} events: {}", ran.said);
        let done = ran.count(Outcome::Succeeded) + ran.count(Outcome::Unchanged);
        assert_eq!(done, targets, "after {events} events: {}", ran.said);
        let writes = scene.sandbox.calls().writes;
        let count = |operation: &str| writes.iter().filter(|write| write.operation == operation).count();
        let counts = (count("UpdateService"), count("RegisterTaskDefinition"));
        assert_eq!(counts, (targets, targets), "after {events} events");
        events += step;
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_killed_after_any_event_is_finished_by_the_next_one() {
    assert!(killed_at_every(3, "", 1, 1).await > 40);
}

#[tokio::test(start_paused = true)]
async fn so_is_one_with_tasks_before_and_after() {
    let keys = "    before: [ { run_task: migrate, per: account } ]\n    after: [ { run_task: smoke }, { run_task: told, per: run } ]\n";
    assert!(killed_at_every(2, keys, 1, 1).await > 40);
}

/// `ROLEOUT_EVERY_EVENT=1` kills sixty targets after every single event, which takes minutes; otherwise at some.
#[tokio::test(start_paused = true)]
async fn so_are_sixty_targets() {
    let step = if std::env::var_os("ROLEOUT_EVERY_EVENT").is_some() { 1 } else { 37 };
    assert!(killed_at_every(30, "", 5, step).await > 400);
}
