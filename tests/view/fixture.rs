//! Runs that nobody made, for the tests of the state and the views.

#![allow(dead_code, reason = "each test file uses its part")]

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use roleout::event::{Event, Job, Reason, RollbackStep, Stamped, Stamper};
use roleout::fleet::tasks::Tasks;
use roleout::fleet::{OnCancel, OnFailure, Outcome, Revision, TargetId};
use roleout::plan::outline::{Action, ChangeOutline, Outline, WaveOutline};
use roleout::view::View;
use roleout::view::options::Options;

pub const START: i64 = 1_793_610_000_000;

/// `account/region/service`.
pub fn id(text: &str) -> TargetId {
    text.to_owned().try_into().expect("a target's name")
}

pub fn revision(text: &str) -> Revision {
    text.parse().expect("a revision")
}

pub fn time(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(START + ms).expect("a date")
}

pub fn reason(summary: &str) -> Reason {
    Reason { summary: summary.into(), ..Reason::default() }
}

pub fn change(target: &str, wave: &str, action: Action) -> ChangeOutline {
    ChangeOutline {
        target: id(target),
        account_id: "111122223333".parse().expect("12 digits"),
        cluster: "web".into(),
        service: id(target).service.to_string(),
        wave: wave.into(),
        action,
        from: Some(revision("api:12")),
        to: None,
        summary: vec!["image app: api:1 -> api:2".into()],
    }
}

pub fn wave(name: &str, changes: &[ChangeOutline]) -> WaveOutline {
    let of = || changes.iter().filter(|change| change.wave == name);
    WaveOutline {
        name: name.into(),
        targets: of().count(),
        changing: of().filter(|change| change.action.changes()).count(),
        max_parallel: "100%".into(),
        max_failures: 0,
        worst_case_failures: of().count(),
        bake_seconds: 0,
        alarms: 0,
        gate: false,
        on_failure: OnFailure::Stop,
        on_cancel: OnCancel::Detach,
    }
}

/// A plan of waves in the order in which its changes name them.
pub fn outline(changes: Vec<ChangeOutline>) -> Outline {
    let mut names: Vec<&str> = changes.iter().map(|change| change.wave.as_str()).collect();
    names.dedup();
    let waves = names.iter().map(|name| wave(name, &changes)).collect();
    Outline { waves, changes: changes.clone(), console: None }
}

/// One canary, and two more in a wave with one that is unchanged and one that is blocked.
pub fn small() -> Outline {
    let help = Some("create the service first".to_owned());
    let blocked = Action::Blocked { reason: "the service does not exist".into(), help };
    let mut outline = outline(vec![
        change("staging/eu-west-1/api", "canary", Action::Register),
        change("prod/eu-west-1/api", "rest", Action::Register),
        change("prod/us-east-1/api", "rest", Action::Register),
        change("prod/us-east-1/worker", "rest", Action::Unchanged),
        change("old/us-east-1/worker", "rest", Action::Blocked { reason: String::new(), help: None }),
    ]);
    outline.changes[4].action = blocked;
    outline.changes[4].from = None;
    outline.waves[0].bake_seconds = 300;
    outline.waves[1].max_parallel = "1, 5, 25%".into();
    outline.waves[1].max_failures = 1;
    outline
}

/// A run that is told step by step: `run.at(12_000, event)`.
pub struct Run {
    stamper: Stamper,
    pub events: Vec<Stamped>,
}

impl Run {
    pub fn of(plan: Outline) -> Self {
        let mut run = Self { stamper: Stamper::new("run-1"), events: Vec::new() };
        run.at(0, Event::RunStarted { plan, sandbox: false, job: Job::default() });
        run
    }

    pub fn at(&mut self, ms: i64, event: Event) -> &mut Self {
        self.events.push(self.stamper.stamp(time(ms), event));
        self
    }

    pub fn wave(&mut self, ms: i64, wave: &str) -> &mut Self {
        self.at(ms, Event::WaveStarted { wave: wave.into() })
    }

    pub fn deploys(&mut self, ms: i64, target: &str) -> &mut Self {
        let target = id(target);
        let revision = revision("api:13");
        let deployment = format!("ecs-svc/{ms}");
        self.at(ms, Event::RolloutStarted { target: target.clone() });
        let registered =
            Event::RevisionRegistered { target: target.clone(), revision: revision.clone(), reused: false };
        self.at(ms, registered);
        self.at(ms, Event::DeploymentStarted { target, deployment, revision, attached: false })
    }

    pub fn tasks(&mut self, ms: i64, target: &str, running: u32, failed: u32) -> &mut Self {
        let tasks = Tasks { desired: 4, running, pending: 4 - running, failed };
        self.at(ms, Event::TasksChanged { target: id(target), tasks })
    }

    pub fn ends(&mut self, ms: i64, target: &str, outcome: Outcome, reason: Option<Reason>) -> &mut Self {
        let runs = if outcome == Outcome::Succeeded { "api:13" } else { "api:12" };
        let revision = Some(revision(runs));
        self.at(ms, Event::RolloutFinished { target: id(target), outcome, reason, revision })
    }

    pub fn rolls_back(&mut self, ms: i64, target: &str, cause: Option<&str>) -> &mut Self {
        let how = if cause.is_some() { RollbackStep::Deploy } else { RollbackStep::StopDeployment };
        let (target, cause) = (id(target), cause.map(id));
        self.at(ms, Event::RollbackStarted { target, how, to: Some(revision("api:12")), cause })
    }

    pub fn returned(&mut self, ms: i64, target: &str) -> &mut Self {
        let (outcome, reason) = (Outcome::RolledBack, reason("rolled back, since a1/eu-west-1/api failed"));
        let cause = Some(id("a1/eu-west-1/api"));
        self.at(
            ms,
            Event::RollbackFinished { target: id(target), outcome, cause, reason, revision: Some(revision("api:12")) },
        )
    }

    pub fn wave_ends(&mut self, ms: i64, wave: &str, failed: usize, passed: bool) -> &mut Self {
        self.at(ms, Event::WaveFinished { wave: wave.into(), failed, passed })
    }

    pub fn finished(&mut self, ms: i64) -> &mut Self {
        self.at(ms, Event::finished())
    }
}

/// A writer that can be read.
#[derive(Clone, Default)]
pub struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no panic").clone()).expect("text")
    }

    pub fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().expect("no panic"))).expect("text")
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A view whose stdout and stderr can be read.
pub fn view(options: Options) -> (View, Shared, Shared) {
    let (out, err) = (Shared::default(), Shared::default());
    (View::new(options, Box::new(out.clone()), Box::new(err.clone())), out, err)
}
