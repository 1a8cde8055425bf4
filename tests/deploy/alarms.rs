//! CloudWatch alarms in a bake: what goes off fails its targets, what cannot be seen does not pass, and what is in ALARM
//! already stops the run before any change.

use roleout::base::exit::Exit;
use roleout::fleet::Outcome;
use roleout::sandbox::{Timing, parse_fault};

use crate::harness::{Directory, Scene, fleet, manifest};

const A0: &str = "200000000000";
const REGION: &str = "eu-west-1";

/// A rollout of one wave, or of a canary and the rest, whose bake looks at alarms.
fn watching(alarms: &str) -> String {
    format!("rollout: {{ timeout: 10m, waves: [ {{ name: all, bake: 15m, alarms: [{alarms}] }} ] }}\n")
}

#[tokio::test(start_paused = true)]
async fn a_bake_without_alarms_going_off_passes_and_looks_at_each_place_once_a_time() {
    let scene = Scene::of(2, 3, &watching("\"errors-${region}\", \"${service.name}-latency\""));
    scene.sandbox.set_alarm(A0, REGION, "errors-eu-west-1", Some("INSUFFICIENT_DATA"));
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 6), "{}", ran.said);
    let looks = scene.sandbox.calls().operation("DescribeAlarms");
    // Two accounts, one look each beforehand and one every ten seconds of a quarter of an hour.
    assert!((2 * 90..=2 * 92).contains(&looks), "{looks} looks");
}

#[tokio::test(start_paused = true)]
async fn an_alarm_that_goes_off_fails_the_targets_that_name_it() {
    let rollout = "rollout: { timeout: 10m, max_failures: 1, waves: [ { name: all, bake: 15m, alarms: \
                   [\"${service.name}-5xx\"] } ] }\n";
    let scene = Scene::of(1, 2, rollout).fault("*/*/s1=bake-alarm");
    let ran = scene.deploy().await;
    assert_eq!(ran.code(), Exit::Tolerated, "{}", ran.said);
    assert_eq!(
        ran.reason("a0/eu-west-1/s1"),
        "the CloudWatch alarm s1-5xx is in ALARM\nThreshold Crossed: 1 datapoint [12.0] was greater than or equal to the \
         threshold (5.0)."
    );
    assert!(ran.seconds > 900, "the others bake to their end: {} s", ran.seconds);
}

#[tokio::test(start_paused = true)]
async fn an_alarm_of_the_account_fails_all_of_its_targets_and_stops_what_follows() {
    let rollout = "rollout:\n  timeout: 10m\n  alarms: [checkout]\n  waves:\n    \
                   - { name: canary, select: { ring: canary }, bake: 15m }\n    - { name: rest }\n";
    let scene = Scene::of(3, 2, rollout).fault("a0/*/s0=bake-alarm");
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::NotStarted)), (Exit::Failed, 4), "{}", ran.said);
    for target in ["a0/eu-west-1/s0", "a0/eu-west-1/s1"] {
        assert!(ran.reason(target).starts_with("the CloudWatch alarm checkout is in ALARM"), "{target}");
    }
}

#[tokio::test(start_paused = true)]
async fn with_rollback_an_alarm_sends_its_targets_back() {
    let rollout = "rollout: { timeout: 10m, on_failure: rollback, waves: [ { name: all, bake: 15m, alarms: [a] } ] }\n";
    let ran = Scene::of(1, 1, rollout).fault("*=bake-alarm").deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::RolledBack)), (Exit::RolledBack, 1), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn what_is_in_alarm_or_missing_beforehand_stops_the_run_before_any_change() {
    for (state, reason) in [
        (Some("ALARM"), "the CloudWatch alarm a is in ALARM already: Threshold Crossed"),
        (None, "the CloudWatch alarm a does not exist in eu-west-1"),
    ] {
        let scene = Scene::of(2, 1, &watching("a"));
        scene.sandbox.set_alarm(A0, REGION, "a", state);
        let ran = scene.deploy().await;
        assert_eq!(ran.code(), Exit::Blocked, "{state:?}: {}", ran.said);
        let message = ran.exit.expect_err("refused").message;
        assert!(
            message.contains(&format!("a0/eu-west-1/s0: {reason}")) && !message.contains("a1/"),
            "{state:?}: {message}"
        );
        assert_eq!(scene.sandbox.calls().writes, Vec::new(), "{state:?}");
        let mut scene = scene.planning();
        scene.choice.skip_blocked = true;
        assert_eq!(scene.deploy().await.count(Outcome::Succeeded), 1, "{state:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_goes_off_before_its_wave_begins_fails_its_targets_before_any_change() {
    let rollout = "rollout:\n  timeout: 10m\n  waves:\n    - { name: canary, select: { ring: canary } }\n    \
                   - { name: rest, max_parallel: 1, bake: 15m, alarms: [checkout] }\n";
    let scene = Scene::of(3, 1, rollout);
    let goes_off = async {
        tokio::time::sleep(std::time::Duration::from_secs(30)).await;
        scene.sandbox.set_alarm("200000000001", REGION, "checkout", Some("ALARM"));
    };
    let (ran, ()) = tokio::join!(scene.deploy(), goes_off);
    assert_eq!(ran.code(), Exit::Failed, "{}", ran.said);
    let (first, failed, last) = ("a0/eu-west-1/s0", "a1/eu-west-1/s0", "a2/eu-west-1/s0");
    assert_eq!(
        [first, failed, last].map(|target| ran.outcome(target)),
        [Some(Outcome::Succeeded), Some(Outcome::Failed), Some(Outcome::NotStarted)]
    );
    let reason = ran.reason(failed);
    assert!(
        reason.starts_with(
            "the CloudWatch alarm checkout is in ALARM before its wave began; nothing was changed\nThreshold"
        ),
        "{reason}"
    );
    assert!(ran.said.contains("halted in wave rest"), "{}", ran.said);
    let writes = scene.sandbox.calls().writes;
    assert!(writes.iter().all(|write| write.account == A0), "{writes:?}");
}

#[tokio::test(start_paused = true)]
async fn alarms_that_may_not_be_seen_are_noted_and_do_not_pass() {
    let scene = Scene::of(1, 1, &watching("a")).fault("*=deny:cloudwatch:*");
    let ran = scene.deploy().await;
    assert_eq!(ran.code(), Exit::Failed, "{}", ran.said);
    assert!(ran.said.contains("note: not checked in a0: cloudwatch:DescribeAlarms is not allowed"), "{}", ran.said);
    let reason = ran.reason("a0/eu-west-1/s0");
    assert!(reason.starts_with("inconclusive: DescribeAlarms: AccessDenied"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn an_alarm_that_is_deleted_during_the_bake_does_not_pass() {
    let scene = Scene::of(1, 1, &watching("a"));
    let (sandbox, deploy) = (scene.sandbox.clone(), scene.deploy());
    let deletes = async {
        tokio::time::sleep(std::time::Duration::from_secs(400)).await;
        sandbox.set_alarm(A0, REGION, "a", None);
    };
    let (ran, ()) = tokio::join!(deploy, deletes);
    assert_eq!(ran.reason("a0/eu-west-1/s0"), "inconclusive: there is no CloudWatch alarm a\ns0:10 still runs in a0");
}

#[tokio::test(start_paused = true)]
async fn looks_that_are_throttled_for_a_moment_hurt_nothing() {
    let scene = Scene::of(1, 1, &watching("a"));
    let (sandbox, deploy) = (scene.sandbox.clone(), scene.deploy());
    let throttles = async {
        tokio::time::sleep(std::time::Duration::from_secs(300)).await;
        let (pattern, fault) = parse_fault("*=deny:cloudwatch:*").expect("a fault");
        sandbox.fault(&pattern, fault).expect("a pattern");
        tokio::time::sleep(std::time::Duration::from_secs(120)).await;
        sandbox.clear_faults();
    };
    let (ran, ()) = tokio::join!(deploy, throttles);
    assert_eq!(ran.code(), Exit::Done, "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn more_names_than_one_call_takes_are_looked_at_in_several() {
    let names: Vec<String> = (0..230).map(|number| format!("alarm-{number}")).collect();
    let scene = Scene::of(1, 1, &watching(&names.join(", ")).replace("15m", "1s"));
    scene.sandbox.set_timing(Timing::default());
    scene.sandbox.set_alarm(A0, REGION, "alarm-229", Some("ALARM"));
    let ran = scene.deploy().await;
    assert_eq!(ran.code(), Exit::Blocked, "{}", ran.said);
    assert_eq!(scene.sandbox.calls().operation("DescribeAlarms"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_saved_plan_keeps_its_alarms_and_the_plan_counts_them() {
    let scene = Scene::of(2, 1, &watching("a, b"));
    let directory = Directory::new("alarms");
    let planned = scene.planning().dry_run_to(directory.plan()).deploy().await;
    assert_eq!(planned.code(), Exit::Done, "{}", planned.said);
    assert!(planned.said.contains("then 15m of bake with 4 alarms"), "{}", planned.said);
    let saved = roleout::run::saved_file::read(&directory.plan()).expect("a plan");
    let (restored, _) = saved.into_parts();
    assert!(restored.targets.iter().all(|target| target.alarms == ["a", "b"]));
    let own = fleet(&manifest(1, 1, "rollout: { alarms: [a], waves: [ { name: all, bake: 1m, alarms: [] } ] }\n"));
    assert!(own.targets.iter().all(|target| target.alarms.is_empty()), "a wave's own take the place of the rollout's");
}
