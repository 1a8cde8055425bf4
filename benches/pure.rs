//! The hot parts of a run that only compute, for a hundred targets: `cargo bench`, or `cargo bench fold` for one. Nothing here
//! reaches AWS. What whole commands cost, benches/instructions.py and benches/growth.py measure.

use std::path::Path;
use std::sync::LazyLock;

use divan::{Bencher, black_box};
use roleout::base::clock::Clock;
use roleout::connect::{CommandContext, Connection};
use roleout::engine::Start;
use roleout::engine::cancel::Cancel;
use roleout::event::Stamped;
use roleout::fleet::Fleet;
use roleout::manifest::load::load_str;
use roleout::plan::diff::Differences;
use roleout::plan::saved::Saved;
use roleout::run::lifecycle::{PlanInput, plan_and_decide};
use roleout::sandbox::{Claims, Sandbox};
use roleout::state::RunState;
use roleout::task_definition::normalise::normalise;
use roleout::view::View;
use roleout::view::options::Options;
use serde_json::{Value, json};

fn main() {
    // What all of them share is made before the first is timed.
    let _ = (LazyLock::force(&FLEET), LazyLock::force(&SAVED));
    divan::main();
}

const ACCOUNTS: usize = 20;
const SERVICES: usize = 5;

static MANIFEST: LazyLock<String> = LazyLock::new(|| {
    let mut text = String::from(
        "version: 1\nidentity: { token_env: TOKEN, region: eu-west-1 }\n\
         roles: { leaf: { arn: \"arn:aws:iam::${account.id}:role/leaf\" } }\naccounts:\n",
    );
    for number in 0..ACCOUNTS {
        let id = 200_000_000_000_u64 + number as u64;
        text.push_str(&format!("  - {{ name: a{number}, id: \"{id}\", chain: [leaf], regions: [eu-west-1] }}\n"));
    }
    text.push_str("services:\n");
    for number in 0..SERVICES {
        let image = format!("registry.example.com/s{number}:v2");
        text.push_str(&format!("  - {{ name: s{number}, cluster: main, images: {{ app: \"{image}\" }} }}\n"));
    }
    text
});

static FLEET: LazyLock<Fleet> = LazyLock::new(|| load(&MANIFEST));

/// A saved plan of the fleet, as `plan --out` writes it.
static SAVED: LazyLock<String> = LazyLock::new(|| {
    let path = std::env::temp_dir().join(format!("roleout-bench-{}.json", std::process::id()));
    let sandbox = Sandbox::for_fleet(&FLEET, 1, Clock::tokio());
    let connection = Connection::sandbox(&FLEET, &sandbox, sandbox.id_token(Claims::default()));
    let mut view = View::new(Options::default(), Box::new(std::io::sink()), Box::new(std::io::sink()));
    let choice = PlanInput { dry_run: true, out: Some(path.clone()), ..PlanInput::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let context = &mut CommandContext { connection: &connection, view: &mut view, cancel: &Cancel::default() };
        plan_and_decide(FLEET.clone(), choice, Start::default(), context).await.expect("a plan");
    });
    let text = fs_err::read_to_string(&path).expect("it was saved");
    fs_err::remove_file(&path).expect("removed");
    text
});

fn load(text: &str) -> Fleet {
    let variables = |name: &str| (name == "TOKEN").then(|| "token".to_owned());
    load_str("deploy.yaml", Path::new("."), text, &variables)
        .unwrap_or_else(|error| panic!("{}", error.render(false, 100)))
}

/// The events of a run of so many targets, each with six changes of its tasks.
fn events(targets: usize) -> Vec<Stamped> {
    let change = |number: usize| {
        json!({ "target": format!("a{}/eu-west-1/s{number}", number / 5), "account_id": "111122223333", "cluster": "main",
                "service": format!("s{number}"), "wave": "all", "action": { "kind": "register" },
                "from": format!("s{number}:1"), "to": null, "summary": ["container app image: a -> b"] })
    };
    let changes: Vec<Value> = (0..targets).map(change).collect();
    let wave = json!({ "name": "all", "targets": targets, "changing": targets, "max_parallel": "100%", "max_failures": 0,
                       "worst_case_failures": 1, "bake_seconds": 0, "gate": false });
    let plan = json!({ "waves": [wave], "changes": changes });
    let mut events = vec![json!({ "kind": "run_started", "plan": plan, "sandbox": false })];
    for target in changes.iter().map(|change| &change["target"]) {
        events.push(json!({ "kind": "rollout_started", "target": target }));
        for running in 0..6 {
            let tasks = json!({ "desired": 6, "running": running, "pending": 6 - running, "failed": 0 });
            events.push(json!({ "kind": "tasks_changed", "target": target, "tasks": tasks }));
        }
        events.push(json!({ "kind": "rollout_finished", "target": target, "outcome": "succeeded", "reason": null,
                            "revision": "s:2" }));
    }
    events.push(json!({ "kind": "run_finished" }));
    let stamped = |(seq, event): (usize, Value)| {
        let stamped = json!({ "version": 1, "run": "r1", "seq": seq, "at": "2026-11-30T12:00:00Z", "event": event });
        serde_json::from_value(stamped).expect("an event")
    };
    events.into_iter().enumerate().map(stamped).collect()
}

/// A task definition of the usual size: 45 variables, 12 secrets and a second container.
fn definition(image: &str) -> Value {
    let variables: Vec<Value> =
        (0..45).map(|it| json!({ "name": format!("VARIABLE_{it}"), "value": format!("value of {it}") })).collect();
    let secret = |it: usize| json!({ "name": format!("SECRET_{it}"), "valueFrom": format!("arn:aws:ssm:eu-west-1:111122223333:parameter/{it}") });
    let secrets: Vec<Value> = (0..12).map(secret).collect();
    json!({
        "family": "api", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "512", "memory": "1024",
        "containerDefinitions": [
            { "name": "app", "image": image, "essential": true, "environment": variables, "secrets": secrets,
              "portMappings": [{ "containerPort": 8080 }] },
            { "name": "proxy", "image": "registry.example.com/proxy:1", "essential": true },
        ],
    })
}

#[divan::bench]
fn load_of_a_manifest(bencher: Bencher<'_, '_>) {
    bencher.bench(|| load(black_box(&MANIFEST)));
}

#[divan::bench]
fn fold_of_events(bencher: Bencher<'_, '_>) {
    let events = events(ACCOUNTS * SERVICES);
    bencher.bench(|| {
        let mut state = RunState::new();
        black_box(&events).iter().for_each(|event| state.apply(event));
        state
    });
}

#[divan::bench]
fn normalise_of_a_definition(bencher: Bencher<'_, '_>) {
    let definition = definition("registry.example.com/api:1");
    bencher.bench(|| normalise(black_box(&definition)));
}

#[divan::bench]
fn diff_of_two_definitions(bencher: Bencher<'_, '_>) {
    let [live, wanted] = [definition("registry.example.com/api:1"), definition("registry.example.com/api:2")];
    bencher.bench(|| {
        let mut differences = Differences::default();
        differences.definition(black_box(&live), black_box(&wanted));
        differences
    });
}

#[divan::bench]
fn shards_of_a_wave(bencher: Bencher<'_, '_>) {
    bencher.bench(|| black_box(&*FLEET).parts(0, 1).map(|parts| parts.len()));
}

#[divan::bench]
fn writing_of_a_saved_plan(bencher: Bencher<'_, '_>) {
    let saved = Saved::parse(&SAVED).expect("a saved plan");
    bencher.bench(|| black_box(&saved).to_json(None));
}

#[divan::bench]
fn reading_of_a_saved_plan(bencher: Bencher<'_, '_>) {
    bencher.bench(|| Saved::parse(black_box(&SAVED)).is_ok());
}
