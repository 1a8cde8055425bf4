//! What one failure comes to.

use std::collections::BTreeSet;
use std::collections::btree_map::Entry;

use proptest::prelude::*;
use serde_json::json;

use super::*;

#[test]
fn a_stopped_task_tells_its_code_reason_and_exit_codes() {
    let task = json!({
        "stopCode": "EssentialContainerExited", "stoppedReason": "Essential container in task exited",
        "containers": [
            { "name": "app", "exitCode": 137, "reason": "OutOfMemoryError: container killed" },
            { "name": "log", "exitCode": 0 },
            { "name": "side", "reason": "CannotPullContainerError: no such tag" },
        ],
    });
    assert_eq!(
        task_reason(&task),
        "EssentialContainerExited: Essential container in task exited (app exited with 137: OutOfMemoryError: \
         container killed; side: CannotPullContainerError: no such tag)"
    );
}

/// What a failed deployment left behind, in the words of ECS.
#[derive(Clone, Debug)]
struct Seen {
    cause: Cause,
    /// How many tasks stopped for the cause.
    tasks: u32,
    /// Whether the tasks that gave way, and each other source, were seen.
    gave_way: bool,
    health: bool,
    messages: bool,
    status: bool,
    breaker: bool,
    number: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cause {
    Crash,
    OtherCrash,
    NotFound,
    Unhealthy,
    Balancer,
}

impl Seen {
    /// Returns the reason that these sightings make.
    fn reason(&self) -> Reason {
        let image = format!("{:012}.dkr.ecr.eu-west-1.amazonaws.com/web:v2", self.number);
        let pull = format!("CannotPullContainerError: failed to resolve ref {image}: {image}: not found");
        let (code, reason, container) = match self.cause {
            Cause::Crash => {
                ("EssentialContainerExited", "Essential container in task exited".to_owned(), json!({ "exitCode": 1 }))
            }
            Cause::OtherCrash => {
                ("EssentialContainerExited", "Essential container in task exited".to_owned(), json!({ "exitCode": 2 }))
            }
            Cause::NotFound => ("TaskFailedToStart", pull.clone(), json!({ "reason": pull })),
            Cause::Unhealthy => (
                "ServiceSchedulerInitiated",
                "Task failed container health checks".to_owned(),
                json!({ "exitCode": 143 }),
            ),
            Cause::Balancer => {
                let group = format!("arn:aws:elasticloadbalancing:r:1:targetgroup/web-{0}/{0:016x}", self.number);
                (
                    "ServiceSchedulerInitiated",
                    format!("Task failed ELB health checks in (target-group {group})"),
                    json!({ "exitCode": 143 }),
                )
            }
        };
        let mut container = container;
        container["name"] = json!("app");
        let stops = |code: &str, reason: &str| json!({ "stopCode": code, "stoppedReason": reason, "containers": [container], "taskArn": format!("arn:aws:ecs:r:1:task/main/{:032x}", self.number) });
        let mut tasks: Vec<Value> = (0..self.tasks).map(|_| stops(code, &reason)).collect();
        if self.gave_way {
            tasks.push(stops(
                "ServiceSchedulerInitiated",
                &format!("Scaling activity initiated by (deployment ecs-svc/{})", self.number),
            ));
        }
        tasks.retain(|task| !gave_way(task));
        let log = vec![format!(
            "time=2026-11-29T21:00:{:02}Z msg=\"no database at 10.0.0.{}\"",
            self.number % 60,
            self.number % 250
        )];
        let stopped = tasks.first().map(|task| {
            let headline = headline::of_task(task, &log).map(|headline| headline.with_tasks(self.tasks));
            (of_tasks(general_message(&task_reason(task)), self.tasks, log), headline)
        });
        let health = (self.health && self.cause == Cause::Balancer).then(|| Evidence {
            cause: Some("target group: unhealthy (Target.Timeout: Request timed out)".to_owned()),
            ..format!("target group web-{}: {} unhealthy (Target.Timeout: Request timed out)", self.number, self.tasks)
                .into()
        });
        let id = format!("{:032x}", self.number);
        let said = match self.cause {
            Cause::Crash | Cause::OtherCrash => format!("(service api) (task {id}) failed: tasks failed to start."),
            Cause::NotFound => format!("(service api) was unable to place a task. Reason: {pull}."),
            Cause::Unhealthy => format!("(service api) (task {id}) failed container health checks."),
            Cause::Balancer => format!(
                "(service api) (task {id}) (port 80) is unhealthy in (target-group arn:aws:x:targetgroup/web/0a) due to (reason Request timed out)."
            ),
        };
        let mut messages = vec![format!(
            "(service api) (deployment ecs-svc/{}) deployment failed: tasks failed to start.",
            self.number
        )];
        messages.extend(self.messages.then_some(said));
        let status = self
            .status
            .then(|| "Service deployment rolled back because the circuit breaker threshold was exceeded".to_owned());
        let said = messages.iter().map(|text| general_message(text)).collect();
        let found = compose(status, stopped.into_iter().collect(), health.into_iter().collect(), said);
        let seen = self.breaker.then(|| "ECS deployment circuit breaker: tasks failed to start.".to_owned());
        found.reason(seen)
    }
}

fn seen() -> impl Strategy<Value = Seen> {
    let cause =
        prop::sample::select(vec![Cause::Crash, Cause::OtherCrash, Cause::NotFound, Cause::Unhealthy, Cause::Balancer]);
    (cause, 1..9_u32, any::<[bool; 5]>(), any::<u32>()).prop_map(
        |(cause, tasks, [gave_way, health, messages, status, breaker], number)| Seen {
            cause,
            tasks,
            gave_way,
            health,
            messages,
            status,
            breaker,
            number,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 32, ..ProptestConfig::default() })]
    #[test]
    fn one_cause_is_one_group_of_up_to_300_targets_and_two_causes_are_two(all in prop::collection::vec(seen(), 1..300)) {
        let causes: BTreeSet<Cause> = all.iter().map(|seen| seen.cause).collect();
        let mut groups: BTreeMap<Reason, Reason> = BTreeMap::new();
        for reason in all.iter().map(Seen::reason) {
            match groups.entry(reason.cause()) {
                Entry::Occupied(known) => known.into_mut().merge(&reason),
                Entry::Vacant(new) => drop(new.insert(reason)),
            }
        }
        prop_assert_eq!(groups.len(), causes.len(), "{:#?}", groups.keys());
        for reason in groups.values() {
            prop_assert!(!reason.summary.contains("circuit breaker"), "{}", reason.summary);
            let told = reason.evidence.iter().any(|evidence| evidence.text.contains("Scaling activity"));
            prop_assert!(!told, "{:?}", reason.evidence);
        }
        let tasks: u32 = all.iter().map(|seen| seen.tasks).sum();
        let counted: u32 = groups.values().flat_map(|reason| &reason.evidence).map(|evidence| evidence.tasks).sum();
        prop_assert_eq!(counted, tasks);
    }
}

#[test]
fn each_thing_is_told_once_the_cause_first_and_ecs_own_sentence_last() {
    let seen = |cause| Seen {
        cause,
        tasks: 3,
        gave_way: true,
        health: true,
        messages: true,
        status: true,
        breaker: true,
        number: 7,
    };
    let told = |reason: &Reason| -> Vec<String> { reason.evidence.iter().map(ToString::to_string).collect() };
    let last = "ECS: Service deployment rolled back because the circuit breaker threshold was exceeded";
    let pull = seen(Cause::NotFound).reason();
    assert_eq!(pull.summary, "image not found: 000000000007.dkr.ecr.eu-west-1.amazonaws.com/web:v2");
    assert_eq!(pull.cause.as_deref(), Some("image not found: …/web:v2"));
    let all = told(&pull);
    assert_eq!(all.iter().filter(|line| line.contains("CannotPull")).count(), 1, "{all:#?}");
    assert_eq!(all.last().map(String::as_str), Some(last));
    let crash = seen(Cause::Crash).reason();
    assert_eq!(crash.summary, "app exits with 1: no database at 10.0.0.7");
    assert_eq!(
        told(&crash),
        ["3 tasks: EssentialContainerExited: Essential container in task exited (app exited with 1)", last]
    );
    assert_eq!(seen(Cause::Balancer).reason().summary, "load balancer health check fails: Request timed out");
}

#[test]
fn what_this_program_says_gives_way_to_a_cause_and_to_nothing_less() {
    let breaker = || compose(None, Vec::new(), Vec::new(), vec!["deployment failed: tasks failed to start".to_owned()]);
    let crash = || {
        let task = json!({ "stopCode": "EssentialContainerExited", "containers": [{ "name": "app", "exitCode": 1 }] });
        let evidence = Evidence { tasks: 2, ..task_reason(&task).into() };
        compose(None, vec![(evidence, headline::of_task(&task, &[]))], Vec::new(), Vec::new())
    };
    let own = || Evidence::from("not complete within 5m: 0 of 2 tasks run".to_owned());
    assert_eq!(breaker().reason_after(own()).summary, own().text);
    assert_eq!(breaker().reason(None).summary, "tasks fail to start, and ECS does not say why");
    assert_eq!(Found::default().reason(Some("words.".to_owned())).summary, "words");
    assert_eq!(Found::default().reason(None).summary, "ECS rolled the deployment back");
    let after = crash().reason_after(own());
    assert_eq!((after.summary.as_str(), &after.evidence[0]), ("app exits with 1", &own()));
    assert_eq!(crash().reason_of("ECS could not roll back").summary, "ECS could not roll back: app exits with 1");
    let told = crash().into_reason(own());
    assert_eq!((told.summary, told.cause.as_deref()), (own().text, Some("not complete within 5m: … of … tasks run")));
}

#[test]
fn messages_about_different_things_are_one_text() {
    for (text, general_text) in [
        (
            "(service api) (task 0123456789abcdef0123456789abcdef) failed container health checks.",
            "failed container health checks",
        ),
        (
            "(service api) (deployment ecs-svc/12) deployment failed: tasks failed to start.",
            "deployment failed: tasks failed to start",
        ),
        ("(service api) rolling back to deployment ecs-svc/1.", "rolling back to deployment ecs-svc/…"),
        (
            "(port 80) is unhealthy in (target-group arn:aws:elasticloadbalancing:r:1:targetgroup/web/0a1b) due to \
             (reason Timeout)",
            "(port 80) is unhealthy in (target-group web) due to (reason Timeout)",
        ),
    ] {
        assert_eq!(general_message(text), general_text, "{text}");
    }
}
