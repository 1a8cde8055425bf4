//! When AWS misbehaves: lost answers, throttling, silence, resets.

use std::collections::{BTreeMap, BTreeSet};

use roleout::base::exit::Exit;
use roleout::fleet::Outcome;

use crate::harness::Scene;

const ROLLOUT: &str = "rollout: { timeout: 30m }\n";

#[tokio::test(start_paused = true)]
async fn lost_answers_start_no_second_deployment_and_leave_no_orphan_revision() {
    let scene = Scene::of(10, 3, ROLLOUT).fault("*=lost:20");
    let before: BTreeMap<String, usize> = revisions(&scene);
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 30), "{}", ran.said);
    let writes = scene.sandbox.calls().writes;
    let count = |operation: &str| {
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        for write in writes.iter().filter(|write| write.operation == operation && write.error.is_none()) {
            let what = write.input.get("service").or(write.input.get("family")).cloned().unwrap_or_default();
            *counts.entry(format!("{} {what}", write.account)).or_default() += 1;
        }
        counts
    };
    let updates = count("UpdateService");
    assert!(updates.len() == 30 && updates.values().all(|count| *count == 1), "{updates:?}");
    for (family, number) in revisions(&scene) {
        assert_eq!(number, before[&family] + 1, "{family}");
    }
}

/// How many ACTIVE revisions each family of each account has.
fn revisions(scene: &Scene) -> BTreeMap<String, usize> {
    let each = scene.fleet.targets.iter().map(|target| {
        let (account, region) = (target.account.id.as_str(), &*target.id.region);
        (target.id.to_string(), scene.sandbox.revisions(account, region, &target.service).len())
    });
    each.collect()
}

#[tokio::test(start_paused = true)]
async fn one_throttled_account_does_not_slow_the_others() {
    let rollout = "rollout: { timeout: 60m }\n";
    let calm = Scene::of(10, 3, rollout).deploy().await;
    assert_eq!(calm.code(), Exit::Done, "{}", calm.said);
    let ran = Scene::of(10, 3, rollout).fault("a3=throttle:1").deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 30), "{}", ran.said);
    let finished = |ran: &crate::harness::Ran| {
        let others = ran.state.targets().filter(|it| &*it.target.account != "a3");
        others.filter_map(|it| it.elapsed_ms(None)).max().expect("others finished")
    };
    assert!(finished(&ran) <= finished(&calm) + 3_000, "{} and {} ms", finished(&ran), finished(&calm));
}

#[tokio::test(start_paused = true)]
async fn an_account_that_stops_answering_times_out_and_the_others_succeed() {
    let rollout = "rollout: { timeout: 10m, max_failures: 1 }\n";
    let scene = Scene::of(3, 1, rollout);
    let sandbox = scene.sandbox.clone();
    let (ran, ()) = tokio::join!(scene.deploy(), async {
        tokio::time::sleep(std::time::Duration::from_secs(30)).await;
        sandbox.fault("a1", roleout::sandbox::Fault::Silent).expect("a fault");
    });
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Tolerated, 2), "{}", ran.said);
    assert_eq!(ran.outcome("a1/eu-west-1/s0"), Some(Outcome::TimedOut));
    assert!(ran.reason("a1/eu-west-1/s0").starts_with("ECS gave no answer"), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn resets_and_5xx_are_ridden_out() {
    let ran = Scene::of(5, 2, ROLLOUT).fault("*=unavailable:20").deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 10), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_account_fails_preflight_within_a_minute() {
    let scene = Scene::of(3, 1, ROLLOUT).fault("a2=silent");
    let ran = scene.deploy().await;
    assert_eq!(ran.code(), Exit::Preflight, "{}", ran.said);
    assert!(ran.seconds <= 100, "{} s", ran.seconds);
    assert_eq!(scene.sandbox.calls().writes, Vec::new());
}

#[tokio::test(start_paused = true)]
async fn a_denied_update_fails_its_target_and_says_what_to_allow() {
    let ran = Scene::of(2, 1, "rollout: { max_failures: 1 }\n").fault("a1=deny:ecs:UpdateService").deploy().await;
    assert_eq!((ran.code(), ran.outcome("a1/eu-west-1/s0")), (Exit::Tolerated, Some(Outcome::Failed)), "{}", ran.said);
    assert!(ran.said.contains("allow ecs:UpdateService to arn:aws:iam::200000000001:role/leaf"), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn a_revision_that_cannot_be_read_blocks_and_is_not_taken_for_a_new_family() {
    let ran = Scene::of(2, 2, ROLLOUT).fault("a1=deny:ecs:DescribeTaskDefinition").deploy().await;
    let error = ran.exit.expect_err("refused");
    assert_eq!(error.exit, Exit::Preflight);
    assert!(error.message.contains("a1/eu-west-1/s0") && error.message.contains("DescribeTaskDefinition"), "{error}");
    assert!(error.help.iter().any(|help| help.contains("role/leaf")), "{:?}", error.help);
}

#[tokio::test(start_paused = true)]
async fn a_reason_that_targets_share_is_told_once() {
    let mut scene = Scene::of(1, 3, ROLLOUT);
    for service in ["s0", "s1", "s2"] {
        let update = serde_json::json!({"cluster": "main", "service": service, "force": true});
        scene.sandbox.call_as_operator("a0", "eu-west-1", "DeleteService", &update).expect("deleted");
    }
    scene.choice.dry_run = true;
    let error = scene.deploy().await.exit.expect_err("refused");
    let expected = "targets are blocked:\n  a0/eu-west-1/s0, a0/eu-west-1/s1, a0/eu-west-1/s2: the service is being deleted (DRAINING)";
    assert_eq!(error.message, expected);
}

#[tokio::test(start_paused = true)]
async fn one_cause_is_one_reason_whenever_it_was_looked_at() {
    let scene = Scene::of(8, 1, "rollout: { timeout: 30m, max_failures: 100% }\n").quick().fault("*=crash");
    let scene = (0..8).fold(scene, |scene, account| scene.fault(&format!("a{account}=latency:{}", 130 * account + 1)));
    let ran = scene.deploy().await;
    assert_eq!(ran.count(Outcome::RolledBack), 8, "{}", ran.said);
    let reasons: BTreeSet<String> = (0..8).map(|account| ran.reason(&format!("a{account}/eu-west-1/s0"))).collect();
    let summaries: BTreeSet<&str> = reasons.iter().filter_map(|reason| reason.lines().next()).collect();
    assert_eq!(summaries.into_iter().collect::<Vec<_>>(), ["app exits with 1"]);
    assert!(ran.said.contains("rolled back, the same in 8 targets"), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn fifteen_services_of_an_account_with_one_cause_are_one_group() {
    for (fault, headline, is_quick) in [
        ("unhealthy", "container health check fails", false),
        ("unhealthy", "container health check fails", true),
        ("crash", "app exits with 1", true),
        ("hang", "not complete within 30m: ", true),
    ] {
        let scene = Scene::of(1, 15, "rollout: { timeout: 30m, max_failures: 100% }\n").fault(&format!("*={fault}"));
        let scene = if is_quick { scene.quick() } else { scene };
        let ran = scene.fault("*=latency:150").deploy().await;
        assert_eq!(ran.state.totals().failures(), 15, "{fault}: {}", ran.said);
        let groups = ran.said.lines().filter(|line| line.contains("the same in 15 targets")).count();
        assert_eq!(groups, 1, "{fault}: {}", ran.said);
        let end = ran.said.split("the same in 15 targets").last().unwrap_or_default();
        assert!(end.contains(headline) && !end.contains("Scaling activity"), "{fault}: {end}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_answer_is_named_with_what_may_be_in_its_way() {
    let help = |ran: &crate::harness::Ran| ran.exit.as_ref().expect_err("refused").help.join("\n");
    let silent = Scene::of(2, 1, ROLLOUT).fault("a1=silent").deploy().await;
    let (error, told) = (silent.exit.clone().expect_err("refused"), help(&silent));
    assert!(error.message.contains("no answer within 43s, in tries of 10s each"), "{error}");
    for words in ["ecs.eu-west-1.amazonaws.com", "HTTPS_PROXY", "VPC endpoint com.amazonaws.eu-west-1.ecs"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    let unavailable = Scene::of(2, 1, ROLLOUT).fault("a1=unavailable:100").deploy().await;
    assert!(help(&unavailable).contains("AWS answers 503"), "{}", help(&unavailable));
}
