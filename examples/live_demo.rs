//! Shows the views with a run that nobody makes: `cargo run --example live_demo -- 300`.
//!
//! The second argument is `live`, `lines` or `verbose`; the third a number of milliseconds for each step.

use std::io::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use roleout::clock::Clock;
use roleout::event::{Event, Reason, Stamper, Tasks};
use roleout::fleet::{Outcome, Revision, TargetId};
use roleout::plan::{Action, ChangeOutline, Outline, WaveOutline};
use roleout::view::{Format, Options, View};

fn size() -> Option<(usize, usize)> {
    let tty = std::fs::File::open("/dev/tty").ok()?;
    let out = std::process::Command::new("stty").arg("size").stdin(tty).output().ok()?;
    let text = String::from_utf8(out.stdout).ok()?;
    let (rows, columns) = text.trim().split_once(' ')?;
    Some((columns.parse().ok()?, rows.parse().ok()?))
}

fn target(index: usize) -> TargetId {
    let account = ["prod-eu", "prod-us", "결제-서비스", "staging"][index % 4];
    TargetId {
        account: format!("{account}-{}", index / 12).into(),
        region: ["eu-west-1", "us-east-1", "ap-northeast-2"][index % 3].into(),
        service: ["api", "worker", "a-service-with-a-long-name"][index / 4 % 3].into(),
    }
}

fn revision(number: u32) -> Revision {
    Revision { family: "api".into(), number }
}

fn outline(number: usize) -> Outline {
    let canary = number.div_ceil(10);
    let wave = |name: &str, targets: usize, bake_seconds: u64| WaveOutline {
        name: name.into(),
        targets,
        changing: targets,
        max_parallel: "100%".into(),
        max_failures: 1,
        worst_case_failures: targets,
        bake_seconds,
        gate: false,
    };
    let change = |index: usize| ChangeOutline {
        target: target(index),
        account_id: "111122223333".parse().expect("12 digits"),
        cluster: "web".into(),
        service: "api".into(),
        wave: if index < canary { "canary".into() } else { "rest".into() },
        action: if index % 17 == 16 { Action::Unchanged } else { Action::Register },
        from: Some(revision(12)),
        to: None,
        summary: vec!["image app: registry.example.com/api:1 -> registry.example.com/api:2".into()],
    };
    Outline {
        waves: vec![wave("canary", canary, 20), wave("rest", number - canary, 0)],
        changes: (0..number).map(change).collect(),
    }
}

/// The events of a wave, step by step.
fn steps(plan: &Outline, wave: &str) -> Vec<Vec<Event>> {
    let mut steps: Vec<Vec<Event>> = vec![vec![Event::WaveStarted { wave: wave.into() }]];
    let mut at = |step: usize, event: Event| {
        while steps.len() <= step {
            steps.push(Vec::new());
        }
        steps[step].push(event);
    };
    let changes = plan.changes.iter().filter(|change| change.wave == wave && change.action.changes());
    for (index, change) in changes.enumerate() {
        let target = change.target.clone();
        let start = 1 + index / 8;
        at(start, Event::RolloutStarted { target: target.clone() });
        at(start + 2, Event::RevisionRegistered { target: target.clone(), revision: revision(13), reused: false });
        let deployment = format!("ecs-svc/{index:019}");
        at(
            start + 3,
            Event::DeploymentStarted { target: target.clone(), deployment, revision: revision(13), attached: false },
        );
        let fails = index % 29 == 5;
        for running in 0..=4 {
            let failed = if fails { running } else { 0 };
            let tasks = Tasks { desired: 4, running: if fails { 0 } else { running }, pending: 1, failed };
            at(start + 6 + running as usize * 5 + index % 3, Event::TasksChanged { target: target.clone(), tasks });
        }
        if fails {
            let text = "(service api) is unable to consistently start tasks successfully.\u{1b}[31m".into();
            at(start + 20, Event::ServiceMessage { target: target.clone(), text });
        }
        let reason = fails.then(|| Reason {
            summary: "tasks failed to start".into(),
            evidence: vec!["essential container `app` exited with code 1".into()],
            help: Some("look at the log of the container".into()),
        });
        let outcome = if fails { Outcome::RolledBack } else { Outcome::Succeeded };
        at(start + 30 + index % 7, Event::RolloutFinished { target, outcome, reason, revision: Some(revision(13)) });
    }
    let bake = plan.waves.iter().find(|other| other.name == wave).map_or(0, |wave| wave.bake_seconds);
    let end = steps.len();
    steps.push(if bake > 0 { vec![Event::BakeStarted { wave: wave.into(), seconds: bake }] } else { vec![] });
    steps.resize(end + 1 + bake as usize * 2, Vec::new());
    steps.push(vec![Event::WaveFinished { wave: wave.into(), failed: 0, passed: true }]);
    steps
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let number = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(3);
    let mode = arguments.next().unwrap_or_default();
    let step = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(200);
    let mut options = Options::detect(Format::Text, false, mode == "verbose", size);
    options.live = options.live && mode != "lines";
    let mut view = View::new(options, Box::new(std::io::stdout()), Box::new(std::io::stderr()));
    let plan = outline(number);
    view.phase("walking 6 role chains");
    let clock = Clock::system();
    for _ in 0..10 {
        view.tick(clock.timestamp());
        tokio::time::sleep(Duration::from_millis(step)).await;
    }
    view.warning("wave `late` has no targets");
    view.plan(&plan);
    let mut stamper = Stamper::new("run-1");
    let mut send = |view: &mut View, at: Timestamp, event: Event| view.event(&stamper.stamp(at, event));
    send(&mut view, clock.timestamp(), Event::RunStarted { plan: plan.clone(), sandbox: true });
    for wave in ["canary", "rest"] {
        for events in steps(&plan, wave) {
            for event in events {
                send(&mut view, clock.timestamp(), event);
            }
            for _ in 0..step / 100 + 1 {
                view.tick(clock.timestamp());
                tokio::time::sleep(Duration::from_millis(step.min(100))).await;
            }
        }
    }
    send(&mut view, clock.timestamp(), Event::RunFinished);
    let exit = view.finish().exit();
    let _ = std::io::stdout().flush();
    std::process::exit(exit.code().into());
}
