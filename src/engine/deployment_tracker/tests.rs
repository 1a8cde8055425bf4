use serde_json::json;

use super::*;

fn followed() -> DeploymentTracker {
    DeploymentTracker::new("td/api:2".into(), "td/api:1".into(), vec!["ecs-svc/1".into()])
}

fn deployment(id: u32, status: &str, definition: u32, state: &str) -> Value {
    json!({
        "id": format!("ecs-svc/{id}"), "status": status, "taskDefinition": format!("td/api:{definition}"),
        "rolloutState": state, "rolloutStateReason": format!("{state} of {id}."),
        "desiredCount": 2, "runningCount": 2,
    })
}

fn service(deployments: &[Value]) -> LiveService {
    LiveService::read(&json!({ "status": "ACTIVE", "serviceName": "api", "deployments": deployments }))
}

fn rolls_back(deployments: &[Value]) -> LiveService {
    let breaker = json!({ "deploymentCircuitBreaker": { "enable": true, "rollback": true } });
    LiveService::read(&json!({
        "status": "ACTIVE", "deployments": deployments, "deploymentConfiguration": breaker,
    }))
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn success_is_our_own_deployment_complete_and_primary() {
    let mut followed = followed();
    let old = deployment(1, "ACTIVE", 1, "COMPLETED");
    let look = service(&[deployment(2, "PRIMARY", 2, "IN_PROGRESS"), old]);
    assert_eq!(followed.judge(&look, None, at(1)), Verdict::Wait);
    let look = service(&[deployment(2, "PRIMARY", 2, "COMPLETED")]);
    assert_eq!(followed.judge(&look, None, at(2)), Verdict::Succeeded);
}

#[test]
fn a_primary_that_stays_old_is_not_success() {
    let look = service(&[deployment(1, "PRIMARY", 1, "COMPLETED")]);
    assert_eq!(followed().judge(&look, None, at(600)), Verdict::Wait);
}

#[test]
fn the_old_id_back_as_primary_is_a_rollback() {
    let mut followed = followed();
    followed.ours = Some("ecs-svc/2".into());
    let failed = deployment(2, "ACTIVE", 2, "FAILED");
    let look = service(&[deployment(1, "PRIMARY", 1, "IN_PROGRESS"), failed]);
    assert_eq!(followed.judge(&look, None, at(1)), Verdict::RollingBack);
    assert_eq!(followed.why.as_deref(), Some("FAILED of 2."));
    let look = service(&[deployment(1, "PRIMARY", 1, "COMPLETED")]);
    assert_eq!(followed.judge(&look, None, at(2)), Verdict::RolledBack);
}

#[test]
fn a_rollback_of_a_forced_deployment_of_the_same_revision_is_told_by_its_id() {
    let mut followed = DeploymentTracker::new("td/api:1".into(), "td/api:1".into(), vec!["ecs-svc/1".into()]);
    followed.ours = Some("ecs-svc/2".into());
    let look = service(&[deployment(1, "PRIMARY", 1, "COMPLETED"), deployment(2, "DRAINING", 1, "FAILED")]);
    assert_eq!(followed.judge(&look, None, at(1)), Verdict::RolledBack);
}

#[test]
fn a_look_from_before_our_deployment_is_no_rollback_however_often_it_comes() {
    let mut followed = followed();
    let (old, new) = (deployment(1, "PRIMARY", 1, "COMPLETED"), deployment(2, "PRIMARY", 2, "IN_PROGRESS"));
    let both = service(&[new, deployment(1, "ACTIVE", 1, "COMPLETED")]);
    assert_eq!(followed.judge(&both, None, at(0)), Verdict::Wait, "UpdateService's answer");
    for state in ["COMPLETED", "FAILED", "IN_PROGRESS"] {
        let stale = service(&[deployment(1, "PRIMARY", 1, state)]);
        assert_eq!(followed.judge(&stale, None, at(1)), Verdict::Wait, "{state}");
        assert_eq!(followed.judge(&both, None, at(40)), Verdict::Wait);
        assert_eq!(followed.judge(&stale, None, at(41)), Verdict::Wait, "{state} once more");
    }
    let done = service(&[deployment(2, "PRIMARY", 2, "COMPLETED")]);
    assert_eq!(followed.clone().judge(&done, None, at(42)), Verdict::Succeeded);
    let failed = rolls_back(&[deployment(2, "PRIMARY", 2, "FAILED")]);
    assert_eq!(followed.clone().judge(&failed, None, at(80)), Verdict::RollingBack, "another doubt");
    assert_eq!(followed.judge(&service(&[old]), None, at(71)), Verdict::RolledBack, "it stays so");
}

#[test]
fn what_is_told_of_our_deployment_is_believed_at_once() {
    let look = service(&[deployment(1, "PRIMARY", 1, "COMPLETED")]);
    let gone = || DeploymentTracker { ours: Some("ecs-svc/2".into()), ..followed() };
    assert_eq!(gone().judge(&look, None, at(1)), Verdict::Wait);
    assert_eq!(gone().judge(&look, Some(&object("ROLLBACK_SUCCESSFUL")), at(1)), Verdict::RolledBack);
    let mut back = deployment(1, "PRIMARY", 1, "IN_PROGRESS");
    back["rolloutStateReason"] = json!("ECS deployment circuit breaker: rolling back to deploymentId ecs-svc/1.");
    let mut followed = gone();
    assert_eq!(followed.judge(&service(&[back]), None, at(1)), Verdict::RollingBack);
    assert_eq!(followed.judge(&look, None, at(2)), Verdict::RolledBack);
}

#[test]
fn one_that_failed_before_it_was_seen_is_ours_all_the_same() {
    let (back, failed) = (deployment(1, "PRIMARY", 1, "IN_PROGRESS"), deployment(2, "ACTIVE", 2, "FAILED"));
    let mut followed = followed();
    assert_eq!(followed.judge(&service(&[back, failed]), None, at(1)), Verdict::RollingBack);
    assert_eq!((followed.ours.as_deref(), followed.why.as_deref()), (Some("ecs-svc/2"), Some("FAILED of 2.")));
    let back = service(&[deployment(1, "PRIMARY", 1, "COMPLETED")]);
    assert_eq!(followed.judge(&back, None, at(2)), Verdict::RolledBack);
}

#[test]
fn a_rollback_between_two_looks_is_told_by_ecs_messages_about_ours() {
    let message = |number: u32| {
        let text = format!("(service api) (deployment ecs-svc/{number}) deployment failed: tasks failed to start.");
        json!([{ "id": "1", "message": text }])
    };
    let look = |number: u32| {
        LiveService::read(&json!({ "status": "ACTIVE", "events": message(number),
            "deployments": [deployment(1, "PRIMARY", 1, "COMPLETED")] }))
    };
    let gone = || DeploymentTracker { ours: Some("ecs-svc/2".into()), ..followed() };
    assert_eq!(gone().judge(&look(2), None, at(1)), Verdict::RolledBack);
    assert_eq!(gone().judge(&look(22), None, at(1)), Verdict::Wait, "another one failed once");
}

#[test]
fn a_rollback_to_a_deployment_that_was_not_listed_is_one_when_it_is_complete_too() {
    // It deploys what ran before, again: ECS returns to an older deployment of the same revision.
    let followed = || DeploymentTracker::attached("ecs-svc/3".into(), "td/api:1".into(), vec!["ecs-svc/2".into()]);
    let mut back = deployment(1, "PRIMARY", 1, "IN_PROGRESS");
    back["rolloutStateReason"] = json!("ECS deployment rolling back to deploymentId ecs-svc/1.");
    let failing = deployment(3, "ACTIVE", 1, "FAILED");
    let done = deployment(1, "PRIMARY", 1, "COMPLETED");
    let mut seen = followed();
    assert_eq!(seen.judge(&service(&[back, failing]), None, at(1)), Verdict::RollingBack);
    assert_eq!(seen.judge(&service(std::slice::from_ref(&done)), None, at(2)), Verdict::RolledBack);
    // Between two looks, ECS's messages have it.
    let told = |texts: [&str; 2]| {
        let events: Vec<_> = texts.iter().map(|text| json!({ "id": text, "message": text })).collect();
        LiveService::read(&json!({ "status": "ACTIVE", "events": events, "deployments": [done.clone()] }))
    };
    let failed = "(service api) (deployment ecs-svc/3) deployment failed: hook execution failure(s) detected.";
    let returns = "(service api) rolling back to deployment ecs-svc/1.";
    assert_eq!(followed().judge(&told([returns, failed]), None, at(1)), Verdict::RolledBack);
    assert!(matches!(followed().judge(&told([failed, ""]), None, at(1)), Verdict::Superseded(_)), "nobody says so");
    let elsewhere = "(service api) rolling back to deployment ecs-svc/11.";
    assert!(matches!(followed().judge(&told([elsewhere, failed]), None, at(1)), Verdict::Superseded(_)));
}

#[test]
fn a_strangers_failure_that_ecs_rolls_back_is_not_ours() {
    let dated = |mut deployment: Value, at: u32| {
        deployment["createdAt"] = json!(at);
        deployment
    };
    let back = || {
        let mut back = deployment(1, "PRIMARY", 1, "IN_PROGRESS");
        back["rolloutStateReason"] = json!("ECS deployment circuit breaker: rolling back to deploymentId ecs-svc/1.");
        dated(back, 100)
    };
    let (ours, stranger) = (deployment(2, "PRIMARY", 2, "IN_PROGRESS"), deployment(3, "ACTIVE", 7, "FAILED"));
    let text = "another deployment, ecs-svc/3 of api:7, took its place";
    let mut followed = followed();
    assert_eq!(followed.judge(&service(&[dated(ours.clone(), 200)]), None, at(1)), Verdict::Wait);
    let look = service(&[back(), dated(stranger.clone(), 300)]);
    assert_eq!(followed.clone().judge(&look, None, at(2)), Verdict::Superseded(text.into()));
    let older = service(&[back(), dated(stranger, 150)]);
    assert_eq!(followed.judge(&older, None, at(2)), Verdict::RollingBack, "it began before ours");
    // The service did not list the rollback's deployment before: ECS says that it is the rollback, and ours is there.
    let mut unknown = DeploymentTracker::new("td/api:2".into(), "td/api:9".into(), vec!["ecs-svc/9".into()]);
    assert_eq!(unknown.judge(&service(&[ours]), None, at(1)), Verdict::Wait);
    assert!(matches!(unknown.clone().judge(&service(&[back()]), None, at(2)), Verdict::Superseded(_)));
    let look = service(&[back(), deployment(2, "DRAINING", 2, "IN_PROGRESS")]);
    assert_eq!(unknown.judge(&look, None, at(2)), Verdict::RollingBack);
}

#[test]
fn a_strangers_deployment_that_ours_replaced_does_not_supersede_it() {
    let mut followed = followed();
    let stranger = deployment(7, "PRIMARY", 5, "COMPLETED");
    let look = service(&[deployment(8, "PRIMARY", 2, "IN_PROGRESS"), deployment(7, "ACTIVE", 5, "COMPLETED")]);
    assert_eq!(followed.judge(&look, None, at(0)), Verdict::Wait);
    assert_eq!(followed.judge(&service(&[stranger]), None, at(1)), Verdict::Wait);
}

#[test]
fn a_rollback_that_fails_is_stuck() {
    let mut followed = followed();
    followed.ours = Some("ecs-svc/2".into());
    let look = service(&[deployment(1, "PRIMARY", 1, "FAILED"), deployment(2, "ACTIVE", 2, "FAILED")]);
    assert_eq!(followed.judge(&look, None, at(1)), Verdict::Stuck("FAILED of 1".into()));
}

#[test]
fn a_failure_waits_for_its_rollback_only_where_one_will_come() {
    let failed = [deployment(2, "PRIMARY", 2, "FAILED"), deployment(1, "ACTIVE", 1, "COMPLETED")];
    assert_eq!(followed().judge(&service(&failed), None, at(1)), Verdict::Failed("FAILED of 2".into()));
    let mut followed = followed();
    assert_eq!(followed.judge(&rolls_back(&failed), None, at(1)), Verdict::RollingBack);
    assert_eq!(followed.judge(&rolls_back(&failed), None, at(32)), Verdict::Failed("FAILED of 2".into()));
}

#[test]
fn a_stranger_as_primary_supersedes() {
    let mut followed = followed();
    followed.ours = Some("ecs-svc/2".into());
    let look = service(&[deployment(3, "PRIMARY", 3, "COMPLETED")]);
    let text = "another deployment, ecs-svc/3 of api:3, took its place";
    assert_eq!(followed.judge(&look, None, at(1)), Verdict::Superseded(text.into()));
    assert_eq!(
        crate::engine::deployment_tracker::tests::followed().judge(&look, None, at(1)),
        Verdict::Superseded(text.into())
    );
}

#[test]
fn somebody_who_deploys_what_ran_before_supersedes_and_ecs_after_a_failure_rolls_back() {
    let back = service(&[deployment(3, "PRIMARY", 1, "COMPLETED")]);
    let mut followed = followed();
    followed.ours = Some("ecs-svc/2".into());
    assert!(matches!(followed.clone().judge(&back, None, at(2)), Verdict::Superseded(_)));
    let failed = deployment(2, "ACTIVE", 2, "FAILED");
    let look = service(&[deployment(3, "PRIMARY", 1, "IN_PROGRESS"), failed]);
    assert_eq!(followed.judge(&look, None, at(1)), Verdict::RollingBack);
    assert_eq!(followed.judge(&back, None, at(2)), Verdict::RolledBack);
}

#[test]
fn a_service_that_is_deleted_fails() {
    let look = LiveService::read(&json!({ "status": "DRAINING" }));
    assert!(matches!(followed().judge(&look, None, at(1)), Verdict::Failed(_)));
}

#[test]
fn the_service_deployment_decides_only_where_it_is_ours() {
    let look = service(&[deployment(2, "PRIMARY", 2, "COMPLETED")]);
    let object = |number: u32, status: &str| json!({ "status": status, "targetServiceRevision": { "arn": format!("arn:x:service-revision/c/s/{number}") } });
    for (object, verdict) in [
        (object(2, "SUCCESSFUL"), Verdict::Succeeded),
        (object(2, "IN_PROGRESS"), Verdict::Wait),
        (object(2, "STOPPED"), Verdict::Failed("the deployment was stopped".into())),
        (object(2, "ROLLBACK_IN_PROGRESS"), Verdict::RollingBack),
        (object(1, "ROLLBACK_SUCCESSFUL"), Verdict::Succeeded),
        (json!({ "status": "STOPPED" }), Verdict::Succeeded),
    ] {
        assert_eq!(followed().judge(&look, Some(&object), at(1)), verdict, "{object}");
    }
}

fn staged(deployments: &[Value]) -> LiveService {
    let configuration = json!({ "strategy": "BLUE_GREEN" });
    LiveService::read(&json!({
        "status": "ACTIVE", "deployments": deployments, "deploymentConfiguration": configuration,
    }))
}

fn object(status: &str) -> Value {
    json!({ "status": status, "targetServiceRevision": { "arn": "arn:x:service-revision/c/s/2" } })
}

#[test]
fn a_new_revision_with_stages_may_become_primary_late() {
    let (old, new) = (deployment(1, "PRIMARY", 1, "COMPLETED"), deployment(2, "ACTIVE", 2, "IN_PROGRESS"));
    for object in [Some(object("IN_PROGRESS")), None] {
        let mut followed = followed();
        let look = staged(&[old.clone(), new.clone()]);
        assert_eq!(followed.judge(&look, object.as_ref(), at(1)), Verdict::Wait);
        assert_eq!(followed.ours.as_deref(), Some("ecs-svc/2"));
        let look = staged(&[deployment(2, "PRIMARY", 2, "COMPLETED")]);
        assert_eq!(followed.judge(&look, None, at(2)), Verdict::Succeeded);
    }
    let mut followed = followed();
    assert_eq!(followed.judge(&service(&[old.clone(), new.clone()]), None, at(1)), Verdict::Wait);
    assert_eq!(followed.ours, None, "ROLLING has it PRIMARY at once");
    followed.ours = Some("ecs-svc/2".into());
    let back = followed.judge(&staged(&[old, new]), Some(&object("ROLLBACK_SUCCESSFUL")), at(2));
    assert_eq!(back, Verdict::RolledBack);
}

#[test]
fn the_service_deployment_of_a_strategy_may_know_its_end_first() {
    let look = staged(&[deployment(2, "PRIMARY", 2, "IN_PROGRESS"), deployment(1, "ACTIVE", 1, "COMPLETED")]);
    for (status, soon, late) in [
        ("IN_PROGRESS", Verdict::Wait, Verdict::Wait),
        ("ROLLBACK_IN_PROGRESS", Verdict::Wait, Verdict::Wait),
        ("ROLLBACK_SUCCESSFUL", Verdict::RollingBack, Verdict::RolledBack),
        ("STOPPED", stopped(), stopped()),
    ] {
        let mut followed = followed();
        assert_eq!(followed.judge(&look, Some(&object(status)), at(1)), soon, "{status}");
        assert_eq!(followed.judge(&look, Some(&object(status)), at(40)), late, "{status}");
    }
    let failed = staged(&[deployment(2, "PRIMARY", 2, "FAILED")]);
    assert_eq!(followed().judge(&failed, Some(&object("ROLLBACK_REQUESTED")), at(1)), Verdict::RollingBack);
    assert_eq!(followed().judge(&failed, Some(&object("STOPPED")), at(1)), Verdict::Failed("FAILED of 2".into()));
}

fn stopped() -> Verdict {
    Verdict::Failed("the deployment was stopped".into())
}

#[test]
fn without_a_rollout_state_completeness_is_counted() {
    let bare = |id: u32, status: &str, definition: u32, running: u32| {
        let mut value = deployment(id, status, definition, "");
        value.as_object_mut().expect("an object").remove("rolloutState");
        value["runningCount"] = json!(running);
        value
    };
    let mut followed = followed();
    let both = service(&[bare(2, "PRIMARY", 2, 2), bare(1, "ACTIVE", 1, 1)]);
    assert_eq!(followed.judge(&both, None, at(1)), Verdict::Wait);
    assert_eq!(followed.judge(&service(&[bare(2, "PRIMARY", 2, 1)]), None, at(2)), Verdict::Wait);
    assert_eq!(followed.judge(&service(&[bare(2, "PRIMARY", 2, 2)]), None, at(3)), Verdict::Succeeded);
}
