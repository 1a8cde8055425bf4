//! Properties of the events of a run: what their fold and their reports keep to, whatever the events are and in whatever order
//! they come.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::{Index, select};
use quick_junit::{NonSuccessKind, TestCaseStatus};
use roleout::event::{Event, Stamped};
use roleout::fleet::{Amount, Outcome, failure_budget::FailureBudget};
use roleout::report::{Kind, Record};
use roleout::state::RunState;
use serde_json::{Value, json};

/// GitLab takes a dotenv file of less than 5 KB, with as few as 20 variables.
const DOTENV: (usize, usize) = (5_000, 20);
/// What a case of JUnit may take, so that 5,000 stay below GitLab's 30 MB.
const CASE: usize = 6_000;

const OUTCOMES: [&str; 9] =
    ["succeeded", "failed", "rolled_back", "timed_out", "superseded", "cancelled", "detached", "not_started", "stuck"];

/// The events of a target, in their order.
type Course = Vec<Value>;

fn config(cases: u32) -> ProptestConfig {
    // A failure is made smaller for so long, in milliseconds.
    ProptestConfig { cases, failure_persistence: None, max_shrink_time: 10_000, ..ProptestConfig::default() }
}

fn id(number: usize) -> String {
    format!("a{}/eu-west-1/{}-{number}", number % 3, "service".repeat(10))
}

/// Any text, of people, machines and enemies.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "[ -~]{0,40}",
        4 => any::<String>(),
        4 => r"[<>&'\x00-\x1f\x7f\u{85}\u{2028}\u{202e}\u{feff}\u{fffe}\u{ffff}\]]{0,20}",
        1 => "[<&\"ü\u{301}]{2000,4000}",
    ]
}

/// What speaks for a failure: one thing, or more than anybody reads.
fn evidence() -> impl Strategy<Value = Vec<Value>> {
    let one = |(text, log): (String, Vec<String>)| json!({ "text": text, "tasks": 2, "log": log });
    let short = (text(), prop::collection::vec(text(), 0..4)).prop_map(move |it| vec![one(it)]);
    let endless = ("[<&a-z]{400,800}", 20..40_usize).prop_map(move |(line, times)| {
        (0..times).map(|number| one((format!("{number}{line}"), vec![line.clone(); times]))).collect()
    });
    prop_oneof![9 => short, 1 => endless]
}

fn reason() -> impl Strategy<Value = Value> {
    (text(), text(), evidence())
        .prop_map(|(summary, help, evidence)| json!({ "summary": summary, "evidence": evidence, "help": help }))
}

fn course() -> impl Strategy<Value = Course> {
    let steps = (0..4_usize, prop::collection::vec(0..9_u32, 0..4), reason(), text());
    (steps, select(&OUTCOMES[..]), prop::option::of(reason()), any::<bool>(), prop::option::of(select(&OUTCOMES[..]))).prop_map(
        |((steps, running, why, message), outcome, degraded, skipped, again)| {
            if skipped {
                return vec![json!({ "kind": "rollout_skipped", "outcome": "not_started", "cause": null, "reason": message })];
            }
            let mut course = vec![
                json!({ "kind": "rollout_started" }),
                json!({ "kind": "revision_registered", "revision": "s:7", "reused": false }),
                json!({ "kind": "deployment_started", "deployment": "ecs-svc/1", "revision": "s:7", "attached": false }),
            ];
            course.truncate(steps);
            course.extend(running.into_iter().map(|running| {
                let tasks = json!({ "desired": 9, "running": running, "pending": 0, "failed": 1 });
                json!({ "kind": "tasks_changed", "tasks": tasks })
            }));
            course.push(json!({ "kind": "service_message", "text": message }));
            let revision = if steps > 2 { json!("s:7") } else { Value::Null };
            course.push(json!({ "kind": "rollout_finished", "outcome": outcome, "reason": why, "revision": revision }));
            // A second end, as a damaged journal may have it, is none.
            course.extend(again.map(|other| json!({ "kind": "rollout_finished", "outcome": other, "reason": null, "revision": null })));
            if let (Some(why), "succeeded") = (degraded, outcome) {
                course.push(json!({ "kind": "target_degraded", "reason": why }));
                course.push(json!({ "kind": "rollback_started", "how": "deploy", "to": "s:6", "cause": null }));
                course.push(json!({ "kind": "rollback_finished", "outcome": "rolled_back", "cause": null, "reason": why, "revision": "s:6" }));
            }
            course
        },
    )
}

/// The plan of targets in two waves, and the event of the beginning.
fn begin(targets: usize) -> Value {
    let change = |number: usize| {
        json!({
            "target": id(number), "account_id": "111122223333", "cluster": "main", "service": format!("s{number}"),
            "wave": if number.is_multiple_of(2) { "canary" } else { "rest" }, "action": { "kind": "register" },
            "from": "s:6", "to": null, "summary": [],
        })
    };
    let wave = |name: &str| {
        json!({
            "name": name, "targets": targets, "changing": targets, "max_parallel": "100%", "max_failures": targets,
            "worst_case_failures": targets, "bake_seconds": 0, "gate": false,
        })
    };
    let changes: Vec<Value> = (0..targets).map(change).collect();
    json!({ "kind": "run_started", "sandbox": false, "plan": { "waves": [wave("canary"), wave("rest")], "changes": changes } })
}

fn stamped((seq, mut event): (usize, Value)) -> Stamped {
    // Later in a course is later on the clock, and nothing else is said of the order.
    let second = event.as_object_mut().and_then(|event| event.remove("second")).and_then(|at| at.as_i64());
    let at = jiff::Timestamp::from_second(1_793_610_000 + second.unwrap_or(99)).expect("a time");
    let stamped = json!({ "version": 1, "run": "r1", "seq": seq, "at": at, "event": event });
    serde_json::from_value(stamped).expect("an event")
}

/// The events of a run in which the courses go on side by side: `pick` says which goes on of so many that are left.
fn run(courses: &[Course], mut pick: impl FnMut(usize) -> usize) -> Vec<Stamped> {
    let mut queues: Vec<_> = courses.iter().map(|course| course.iter().enumerate()).collect();
    let mut events = vec![begin(courses.len())];
    loop {
        let left: Vec<usize> = (0..queues.len()).filter(|&number| queues[number].len() > 0).collect();
        if left.is_empty() {
            break;
        }
        let number = left[pick(left.len())];
        let Some((second, event)) = queues[number].next() else { break };
        let mut event = event.clone();
        (event["target"], event["second"]) = (json!(id(number)), json!(second));
        events.push(event);
    }
    events.push(json!({ "kind": "run_finished" }));
    events.into_iter().enumerate().map(stamped).collect()
}

/// The events in an order that was drawn.
fn mixed(courses: &[Course], order: &[Index]) -> Vec<Stamped> {
    let mut order = order.iter().cycle();
    run(courses, |left| order.next().map_or(0, |index| index.index(left)))
}

fn fold<'a>(events: impl IntoIterator<Item = &'a Stamped>) -> RunState {
    let mut state = RunState::new();
    events.into_iter().for_each(|event| state.apply(event));
    state
}

fn courses() -> impl Strategy<Value = (Vec<Course>, Vec<Index>)> {
    (prop::collection::vec(course(), 1..6), prop::collection::vec(any::<Index>(), 1..60))
}

/// Returns the first outcome that the events tell of each target.
fn first_outcomes(events: &[Stamped]) -> BTreeMap<String, Outcome> {
    let mut first = BTreeMap::new();
    for event in events {
        if let Event::RolloutFinished { target, outcome, .. } | Event::RolloutSkipped { target, outcome, .. } =
            &event.event
        {
            first.entry(target.to_string()).or_insert(*outcome);
        }
    }
    first
}

proptest! {
    #![proptest_config(config(48))]

    #[test]
    fn targets_that_go_on_side_by_side_end_as_one_after_the_other((courses, order) in courses()) {
        let (mixed, apart) = (fold(&mixed(&courses, &order)), fold(&run(&courses, |_| 0)));
        prop_assert_eq!(mixed.totals(), apart.totals());
        for target in apart.targets() {
            prop_assert_eq!(mixed.target(&target.target), Some(target));
        }
    }

    #[test]
    fn whatever_comes_in_whatever_order_each_target_has_one_end(
        (courses, order) in courses(),
        keys in prop::collection::vec((any::<u32>(), 0..3_usize), 1..80),
    ) {
        let whole = mixed(&courses, &order);
        // Lost, told twice, and in any order, but that the plan comes first.
        let mut events: Vec<(u32, &Stamped)> = Vec::new();
        for (event, (key, times)) in whole[1..].iter().zip(keys.iter().cycle()) {
            events.extend((0..*times).map(|time| (key.wrapping_add(u32::MAX / 2 * time as u32), event)));
        }
        events.sort_by_key(|(key, _)| *key);
        let events: Vec<Stamped> =
            whole[..1].iter().chain(events.into_iter().map(|(_, event)| event)).cloned().collect();
        let (state, first) = (fold(&events), first_outcomes(&events));
        prop_assert_eq!(state.totals().all(), courses.len());
        for target in state.targets() {
            let told = first.get(&target.target.to_string()).copied();
            let taken_back = target.degraded.is_some() || target.rollback_outcome.is_some();
            if !taken_back {
                prop_assert_eq!(target.outcome(), told, "{}", target.target);
            }
        }
        let mut record = Record::new();
        events.iter().for_each(|event| record.apply(event));
        let report = record.take_report();
        for kind in Kind::ALL {
            prop_assert!(kind.text(&report).is_ok(), "{:?}", kind);
        }
    }

    #[test]
    fn the_reports_for_gitlab_stay_within_its_limits(
        (courses, order) in courses(),
        copies in prop_oneof![5 => 1..8_usize, 1 => 60..80_usize],
        refused in prop::option::of((text(), text())),
    ) {
        let courses: Vec<Course> = courses.iter().cycle().take(courses.len() * copies).cloned().collect();
        let mut events = mixed(&courses, &order);
        if let Some((message, help)) = refused {
            let plan = json!(events[0].event)["plan"].clone();
            let refusal = json!({ "kind": "run_refused", "plan": plan, "sandbox": false, "exit_code": 5, "message": message, "help": [help] });
            events = vec![stamped((0, refusal))];
        }
        let mut record = Record::new();
        events.iter().for_each(|event| record.apply(event));
        let report = record.take_report();

        let dotenv = Kind::Dotenv.text(&report).expect("a dotenv");
        prop_assert!(dotenv.len() < DOTENV.0 && dotenv.lines().count() <= DOTENV.1, "{} bytes", dotenv.len());
        let mut names = BTreeSet::new();
        for line in dotenv.split_terminator('\n') {
            let (name, value) = line.split_once('=').expect("a variable");
            prop_assert!(name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') && names.insert(name.to_owned()));
            prop_assert!(value.chars().all(|char| char.is_alphanumeric() || "_-./:,@+".contains(char)), "{}", line);
        }

        let junit = Kind::Junit.text(&report).expect("JUnit");
        let read = quick_junit::Report::deserialize_from_str(&junit).expect("XML");
        let cases: Vec<_> = read.test_suites.iter().flat_map(|suite| &suite.test_cases).collect();
        let targets: Vec<_> = cases.iter().filter(|case| case.name.as_str() != "preflight").collect();
        prop_assert_eq!(targets.len(), report.targets.len());
        prop_assert!(junit.len() <= CASE * (cases.len() + 1), "{} bytes for {}", junit.len(), cases.len());
        // GitLab takes the first of those with the same class and name.
        let names: BTreeSet<_> = cases.iter().map(|case| (case.classname.clone(), case.name.clone())).collect();
        prop_assert_eq!(names.len(), cases.len());
        let is_red = |status: &TestCaseStatus| matches!(status, TestCaseStatus::NonSuccess { kind: NonSuccessKind::Failure, .. });
        let failed = report.targets.iter().filter(|target| target.outcome.is_failure()).count();
        if report.verdict.refused.is_none() {
            prop_assert_eq!(targets.iter().filter(|case| is_red(&case.status)).count(), failed);
        }
    }

    #[test]
    fn a_failure_budget_is_exceeded_by_the_first_failure_more(percent in 0..=100_u8, total in 0..2_000_usize, count in 0..3_000_usize) {
        for amount in [Amount::Percent(percent), Amount::Count(count)] {
            let budget = FailureBudget(amount.out_of(total));
            // A percentage is never more than that part of the targets, and no whole target less.
            if let Amount::Percent(percent) = amount {
                let percent = usize::from(percent);
                prop_assert!(budget.0 * 100 <= total * percent && (budget.0 + 1) * 100 > total * percent);
            }
            for failed in [0, budget.0.saturating_sub(1), budget.0, budget.0 + 1, budget.0 + 7] {
                prop_assert_eq!(budget.is_exceeded(failed), failed > budget.0);
                prop_assert_eq!(budget.failures_until_halt(failed), (budget.0 + 1).saturating_sub(failed));
            }
        }
    }
}
