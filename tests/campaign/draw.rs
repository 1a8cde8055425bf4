//! Draws a scenario from a seed.

use crate::simulation::further;
use crate::simulation::random::Random;
use crate::simulation::scenario::{Account, Back, Deed, End, Fault, Other, Saved, Scenario, Service, Wave};

const REGIONS: [&str; 3] = ["eu-west-1", "us-east-1", "eu-central-1"];

/// Faults of tasks: they make a deployment fail, or take long.
const OF_TASKS: [&str; 18] = [
    "crash",
    "crash",
    "nopull",
    "hang",
    "unhealthy",
    "slow",
    "slow:2",
    "vanish",
    "supersede",
    "degrade",
    "stuck",
    "no-return",
    "task-fails",
    "task-hangs",
    "no-capacity",
    "hook-fails",
    "hook-hangs",
    "alarm",
];

/// Faults of calls.
const OF_CALLS: [&str; 24] = [
    "throttle:2",
    "throttle:8",
    "silent",
    "reset",
    "lost:20",
    "lost:60",
    "cut:30",
    "broken:30",
    "blind:4",
    "blind:25",
    "busy:50",
    "busy:90",
    "unavailable:10",
    "unavailable:40",
    "stale:3",
    "stale:8",
    "latency:100",
    "latency:2500",
    "lagging-lists:5",
    "no-service-deployments",
    "deny:ecs:UpdateService",
    "deny:ecs:RegisterTaskDefinition",
    "deny:ecs:StopServiceDeployment",
    "short-sessions:60",
];

/// Faults of the way into an account.
const OF_IDENTITY: [&str; 6] =
    ["wrong-account", "deny:sts:AssumeRole", "claim-rejected", "no-provider", "token-ends:60", "region-off"];

/// Draws the scenario of a seed.
pub fn scenario(seed: u64) -> Scenario {
    drawn(seed, false)
}

/// Draws a scenario of one to three targets, of which many can be run.
pub fn small(seed: u64) -> Scenario {
    drawn(seed, true)
}

/// Returns a scenario without targets in which nothing happens.
pub fn nothing(seed: u64) -> Scenario {
    Scenario {
        seed,
        accounts: Vec::new(),
        services: Vec::new(),
        rollout: Vec::new(),
        waves: Vec::new(),
        faults: Vec::new(),
        others: Vec::new(),
        end: End::Whole,
        realistic: false,
        saved: None,
        skip_blocked: false,
        back: None,
        on_disk: false,
        clock: Vec::new(),
        pipeline: None,
        decisions: None,
        watches: false,
        revoked: Vec::new(),
        pinned: None,
        lookups: None,
    }
}

fn drawn(seed: u64, small: bool) -> Scenario {
    let mut random = Random::new(seed);
    let large = random.happens(2) && !small;
    let (accounts, services, regions) = if small {
        random.pick(&[(1, 1, 1), (1, 2, 1), (2, 1, 1), (1, 3, 1), (3, 1, 1), (1, 1, 2)])
    } else if large && random.happens(50) {
        (random.count(1, 2), random.count(20, 40), 1)
    } else if large {
        (random.count(10, 34), random.count(1, 3), random.count(1, 2))
    } else {
        (random.count(1, 4), random.count(1, 3), random.count(1, 2))
    };
    let rings = random.count(0, 2);
    let mut scenario = nothing(seed);
    scenario.accounts = (0..accounts).map(|number| account(&mut random, number, rings, regions)).collect();
    scenario.realistic = !large && random.happens(15) && !small;
    scenario.services = (0..services).map(|number| service(&mut random, number, scenario.realistic)).collect();
    scenario.rollout = rollout(&mut random, scenario.realistic);
    let names = (0..rings).map(Some).chain([None]);
    scenario.waves = names.map(|ring| Wave { ring, keys: wave(&mut random, scenario.realistic) }).collect();
    let span = if scenario.realistic { 400_000 } else { 12_000 };
    scenario.faults = faults(&mut random, &scenario, span);
    if random.happens(25) {
        scenario.others = (0..random.count(1, 2)).map(|_| other(&mut random, &scenario, span)).collect();
    }
    let moment = if random.happens(50) { random.between(1, span / 10) } else { random.between(1, span) };
    scenario.end = match random.between(0, 9) {
        0..=1 => End::Signal(moment),
        2..=3 => End::Kill(moment),
        _ => End::Whole,
    };
    between_jobs(&mut random, &mut scenario);
    with_alarms(&mut random, &mut scenario);
    if random.happens(6) {
        scenario.faults.push(vanishes(&mut random, &scenario, span));
    }
    if random.happens(6) {
        let wrong = |random: &mut Random| {
            let most = if random.happens(20) { 3_600_000 } else { 240_000 };
            i64::try_from(random.between(0, 2 * most)).unwrap_or_default() - most as i64
        };
        scenario.clock = (0..random.count(1, 2)).map(|_| (random.between(0, span), wrong(&mut random))).collect();
        scenario.clock.sort_unstable();
    }
    // Kinds that chance alone would draw too seldom.
    match seed % 24 {
        7 => short_sessions(&mut scenario),
        10 if !small => crowded(&mut random, &mut scenario),
        13 if !small => unanswered(&mut random, &mut scenario),
        _ => further::add(&mut scenario),
    }
    scenario
}

/// Draws what others do to a service.
pub fn other(random: &mut Random, scenario: &Scenario, span: u64) -> Other {
    let account = random.count(0, scenario.accounts.len() - 1);
    let region = random.pick(&scenario.accounts[account].regions);
    let what = random.pick(&[Deed::Deploys, Deed::Deploys, Deed::Scales, Deed::Repeats, Deed::Returns, Deed::Stops]);
    Other { at: random.between(0, span), account, region, service: random.count(0, scenario.services.len() - 1), what }
}

/// Draws what is more than one run: saved plans, rollbacks, and what runs leave on the disk.
fn between_jobs(random: &mut Random, scenario: &mut Scenario) {
    scenario.skip_blocked = random.happens(12);
    scenario.on_disk = random.happens(12);
    let back = random.pick(&[Back::OfRun, Back::OfRun, Back::OfManifest, Back::All]);
    scenario.back = random.happens(15).then_some(back);
    if random.happens(12) {
        let age = if random.happens(10) { random.between(1_441, 5_000) } else { random.between(0, 1_200) };
        let others = if random.happens(50) { random.count(1, 2) } else { 0 };
        let meanwhile = (0..others).map(|_| other(random, scenario, 0)).collect();
        scenario.saved = Some(Saved { age, meanwhile, skip_stale: random.happens(50), signed: None });
    }
}

/// Draws alarms that bakes read, and one that goes off.
fn with_alarms(random: &mut Random, scenario: &mut Scenario) {
    if !random.happens(10) {
        return;
    }
    let names = random.pick(&["[\"${service.name}-5xx\"]", "[\"errors-${region}\"]"]);
    for wave in &mut scenario.waves {
        wave.keys.retain(|key| !key.starts_with("bake"));
        let bake = if scenario.realistic { "5m" } else { "20s" };
        wave.keys.extend([format!("bake: {bake}"), format!("alarms: {names}")]);
    }
    if random.happens(70) {
        let account = &scenario.accounts[random.count(0, scenario.accounts.len() - 1)];
        let service = &scenario.services[random.count(0, scenario.services.len() - 1)];
        let place = random
            .pick(&[format!("*/*/s{}", service.number), account.name()].each_ref().map(String::as_str))
            .to_owned();
        scenario.faults.retain(|_| random.happens(30));
        scenario.faults.push(Fault { text: format!("{place}=bake-alarm"), from: 0, until: None });
    }
}

/// Draws an account that cannot be reached for some time.
fn vanishes(random: &mut Random, scenario: &Scenario, span: u64) -> Fault {
    let account = &scenario.accounts[random.count(0, scenario.accounts.len() - 1)];
    let how = random.pick(&["region-off", "no-provider", "deny:sts:AssumeRole", "silent", "unavailable:100"]);
    let from = random.between(0, span);
    let until = Some(from + random.between(500, span));
    Fault { text: format!("{}={how}", account.name()), from, until }
}

/// Nothing goes wrong but that sessions end soon, so that they are renewed again and again.
fn short_sessions(scenario: &mut Scenario) {
    scenario.faults = vec![Fault { text: "*=short-sessions:20".to_owned(), from: 0, until: None }];
    // Longer than a session.
    for wave in &mut scenario.waves {
        wave.keys.retain(|key| !key.starts_with("bake"));
        wave.keys.push("bake: 20s".to_owned());
    }
    scenario.others.clear();
    scenario.clock.clear();
    scenario.saved = None;
    scenario.end = End::Whole;
}

/// A signal comes while calls are on their way that are never answered.
fn unanswered(random: &mut Random, scenario: &mut Scenario) {
    crowded(random, scenario);
    // Long enough before for writes to be among them, which wait for their turn in ECS's limits.
    let (silent, moment) = (random.between(600, 6_000), random.between(900, 2_500));
    scenario.faults = vec![Fault { text: "*=silent".to_owned(), from: silent, until: None }];
    scenario.end = End::Signal(silent + moment);
    (scenario.back, scenario.on_disk) = (None, false);
}

/// All targets are in one account and region, and none waits for another: they wait for ECS's limits.
fn crowded(random: &mut Random, scenario: &mut Scenario) {
    scenario.accounts.truncate(1);
    scenario.accounts[0].regions.truncate(1);
    scenario.services = (0..random.count(24, 32)).map(|number| service(random, number, false)).collect();
    scenario.rollout = vec!["timeout: 2m".to_owned()];
    scenario.waves = vec![Wave { ring: None, keys: Vec::new() }];
    (scenario.faults, scenario.others, scenario.realistic) = (Vec::new(), Vec::new(), false);
    (scenario.saved, scenario.clock) = (None, Vec::new());
    let moment = random.between(300, 9_000);
    scenario.end = random.pick(&[End::Whole, End::Whole, End::Signal(moment)]);
}

pub fn account(random: &mut Random, number: usize, rings: usize, regions: usize) -> Account {
    let first = random.count(0, 2);
    let regions = (0..random.count(1, regions)).map(|step| REGIONS[(first + step) % 3]).collect();
    Account { number, regions, chain: random.pick(&[2, 2, 2, 1, 3, 4]), ring: random.count(0, rings) }
}

fn service(random: &mut Random, number: usize, realistic: bool) -> Service {
    let long = if realistic { "5m" } else { "20s" };
    let (mut keys, mut new_keys) = (Vec::new(), Vec::new());
    let minutes = random.between(0, 3);
    match random.between(0, 19) {
        0..=6 => {}
        7 => keys.push(
            "deployment: { alarms: { alarm_names: [errors], enable: true, rollback: true } }".to_owned(),
        ),
        8..=9 => keys.push("deployment: { circuit_breaker: { enable: false, rollback: false } }".to_owned()),
        10..=11 => keys.push("deployment: { circuit_breaker: { enable: true, rollback: false } }".to_owned()),
        12..=13 => new_keys.push("deployment: { minimum_healthy_percent: 50, maximum_percent: 150 }".to_owned()),
        14 => keys.push(format!("deployment: {{ strategy: BLUE_GREEN, bake_time_in_minutes: {minutes} }}")),
        15 => keys.push(format!(
            "deployment: {{ strategy: LINEAR, bake_time_in_minutes: {minutes}, linear_configuration: {{ step_percent: 40, \
             step_bake_time_in_minutes: 1 }} }}"
        )),
        16 => keys.push(format!(
            "deployment: {{ strategy: CANARY, bake_time_in_minutes: {minutes}, canary_configuration: {{ canary_percent: 20, \
             canary_bake_time_in_minutes: 1 }} }}"
        )),
        17 if random.happens(50) => {
            let stage = random.pick(&["PRE_SCALE_UP", "POST_SCALE_UP", "POST_TEST_TRAFFIC_SHIFT"]);
            keys.push(format!(
                "deployment: {{ strategy: BLUE_GREEN, bake_time_in_minutes: {minutes}, lifecycle_hooks: [ {{ hook_target_arn: \
                 \"arn:aws:lambda:eu-west-1:200000000000:function:check\", role_arn: \"arn:aws:iam::200000000000:role/hooks\", \
                 lifecycle_stages: [{stage}] }} ] }}"
            ));
        }
        17 => keys.push(format!(
            "deployment: {{ strategy: BLUE_GREEN, bake_time_in_minutes: {minutes}, lifecycle_hooks: [ {{ target_type: PAUSE, \
             lifecycle_stages: [POST_TEST_TRAFFIC_SHIFT], timeout: {{ timeout_in_minutes: 2 }} }} ] }}"
        )),
        _ => keys.push(
            "codedeploy: { application: shop, deployment_group: \"${service.name}\", container: app, port: 8080 }".to_owned(),
        ),
    }
    if random.happens(15) {
        let per = random.pick(&["target", "account", "run"]);
        keys.push(format!("before: [ {{ run_task: migrate, per: {per}, timeout: {long} }} ]"));
    }
    if random.happens(15) {
        let per = random.pick(&["target", "account", "run"]);
        keys.push(format!("after: [ {{ run_task: smoke, per: {per}, timeout: {long} }} ]"));
    }
    if random.happens(20) {
        new_keys.push(format!("desired_count: {}", random.between(2, 4)));
    }
    Service { number, cluster: random.pick(&["main", "main", "side"]), keys, new_keys }
}

fn rollout(random: &mut Random, realistic: bool) -> Vec<String> {
    let mut keys = wave(random, realistic).into_iter().filter(|key| !key.starts_with("gate")).collect::<Vec<_>>();
    keys.retain(|key| !key.starts_with("bake"));
    let timeout = if realistic { random.pick(&["15m", "20m"]) } else { random.pick(&["30s", "60s", "2m"]) };
    keys.push(format!("timeout: {timeout}"));
    if random.happens(25) {
        keys.push(format!("on_busy: {}", random.pick(&["wait", "supersede"])));
    }
    keys
}

fn wave(random: &mut Random, realistic: bool) -> Vec<String> {
    let mut keys = Vec::new();
    if random.happens(50) {
        let parallel = random.pick(&["1", "2", "3", "50%", "[1, 50%]", "[1, 2]", "[25%]"]);
        keys.push(format!("max_parallel: {parallel}"));
    }
    if random.happens(20) {
        keys.push(format!("max_parallel_per_account: {}", random.between(1, 2)));
    }
    if random.happens(50) {
        keys.push(format!("max_failures: {}", random.pick(&["1", "2", "25%", "100%"])));
    }
    if random.happens(15) {
        keys.push("strict: true".to_owned());
    }
    if random.happens(50) {
        keys.push(format!("bake: {}", random.pick(if realistic { &["1m", "5m"] } else { &["3s", "20s"] })));
    }
    if random.happens(45) {
        keys.push("on_failure: rollback".to_owned());
        if random.happens(50) {
            keys.push(format!("rollback_scope: {}", random.pick(&["wave", "run"])));
        }
        if random.happens(30) {
            keys.push(format!("rollback_timeout: {}", if realistic { "10m" } else { "30s" }));
        }
    }
    if random.happens(30) {
        keys.push("on_cancel: rollback".to_owned());
    }
    if random.happens(8) {
        keys.push("gate: manual".to_owned());
    }
    keys
}

fn faults(random: &mut Random, scenario: &Scenario, span: u64) -> Vec<Fault> {
    let many = random.pick(&[0, 1, 1, 2, 2, 3]);
    let draw = |_| {
        let account = &scenario.accounts[random.count(0, scenario.accounts.len() - 1)];
        let service = &scenario.services[random.count(0, scenario.services.len() - 1)];
        let place = match random.between(0, 3) {
            0 => "*".to_owned(),
            1 => account.name(),
            2 => format!("*/*/s{}", service.number),
            _ => format!("{}/*/s{}", account.name(), service.number),
        };
        let account = if random.happens(50) { "*".to_owned() } else { account.name() };
        match random.between(0, 19) {
            0..=9 => Fault { text: format!("{place}={}", random.pick(&OF_TASKS)), from: 0, until: None },
            10..=17 => {
                let from = if random.happens(50) { 0 } else { random.between(0, span) };
                let until = random.happens(60).then(|| from + random.between(500, span));
                let place = if random.happens(60) { account } else { place };
                Fault { text: format!("{place}={}", random.pick(&OF_CALLS)), from, until }
            }
            18 => Fault { text: format!("{account}={}", random.pick(&OF_IDENTITY)), from: 0, until: None },
            _ => {
                let text = format!(
                    "{account}/*/sts={}",
                    random.pick(&["unavailable:40", "latency:1500", "throttle:3", "reset"])
                );
                Fault { text, from: 0, until: random.happens(70).then(|| random.between(500, span)) }
            }
        }
    };
    (0..many).map(draw).collect()
}
