//! Sessions that are granted, and rollouts that go well.

use std::time::Duration;

use crate::fixture::{CLUSTER, Fixture, PROD, advance};
use aws_sdk_ecs::types::{DeploymentRolloutState, ServiceDeploymentStatus};
use roleout::sandbox::{Claims, Timing};

#[tokio::test(start_paused = true)]
async fn a_web_identity_becomes_a_session_in_every_account() {
    let fixture = Fixture::new().await;
    let hub = fixture.hub_session(&Claims::default(), None).await.expect("the hub trusts the token");
    let prod = fixture.chained(&hub, PROD, |call| call).await.expect("prod trusts the hub");
    let identity = fixture.sts(&prod).get_caller_identity().send().await.expect("nobody can be denied this");
    assert_eq!(identity.account(), Some(PROD));
    assert_eq!(identity.arn(), Some("arn:aws:sts::222222222222:assumed-role/deployer/gl-1-2-3"));
    let hub_identity = fixture.sts(&hub).get_caller_identity().send().await.expect("nobody can be denied this");
    assert_eq!(hub_identity.account(), Some("111111111111"));
}

#[tokio::test(start_paused = true)]
async fn a_rollout_goes_as_ecs_does_it() {
    let fixture = Fixture::new().await;
    fixture.sandbox.set_timing(Timing::realistic());
    let ecs = fixture.ecs().await;
    let before = fixture.service().await;
    assert_eq!(before.deployments().len(), 1);
    let old = before.deployments()[0].clone();
    assert_eq!(old.rollout_state(), Some(&DeploymentRolloutState::Completed));
    let old_record = before.current_service_deployment().expect("a history").to_owned();

    let revision = fixture.register("registry.example.com/api:2").await;
    let updated = ecs.update_service().cluster(CLUSTER).service("api").task_definition(&revision).send().await;
    let service = updated.expect("an update").service.expect("a service");
    let primary = service.deployments()[0].clone();
    assert_eq!((primary.status(), primary.task_definition()), (Some("PRIMARY"), Some(revision.as_str())));
    assert_eq!((primary.desired_count(), primary.running_count(), primary.pending_count()), (0, 0, 0));
    let id = primary.id().expect("an id").to_owned();
    assert_eq!(primary.rollout_state_reason(), Some(format!("ECS deployment {id} in progress.").as_str()));
    assert_eq!(service.deployments()[1].status(), Some("ACTIVE"));
    assert_eq!(service.deployments()[1].id(), old.id());
    assert_eq!(service.current_service_deployment(), Some(old_record.as_str()), "the new one appears late");

    let (mut seen_both, mut statuses) = (false, Vec::new());
    for _ in 0..200 {
        advance(Duration::from_secs(1)).await;
        let service = fixture.service().await;
        if let Some(record) = service.current_service_deployment().filter(|arn| *arn != old_record) {
            let described = ecs.describe_service_deployments().service_deployment_arns(record).send().await;
            let record = described.expect("a description").service_deployments.expect("a list").remove(0);
            let status = record.status().cloned().expect("a status");
            if statuses.last() != Some(&status) {
                statuses.push(status);
            }
        }
        let primary = &service.deployments()[0];
        assert_eq!(primary.id(), Some(id.as_str()));
        assert!(service.running_count() >= 2, "100 percent stay");
        assert!(service.running_count() + service.pending_count() <= 4, "200 percent are not exceeded");
        seen_both |= service.running_count() == 4;
        if primary.rollout_state() == Some(&DeploymentRolloutState::Completed) {
            assert_eq!(primary.rollout_state_reason(), Some(format!("ECS deployment {id} completed.").as_str()));
            assert_eq!(service.deployments().len(), 1, "the old deployment is gone");
            assert_eq!(service.events()[0].message(), Some("(service api) has reached a steady state."));
            let completed = format!("(service api) (deployment {id}) deployment completed.");
            assert_eq!(service.events()[1].message(), Some(completed.as_str()));
            break;
        }
    }
    assert!(seen_both, "old and new tasks overlap");
    use ServiceDeploymentStatus::{InProgress, Pending, Successful};
    let tail = fixture.history().await;
    statuses.push(tail[0].status().cloned().expect("a status"));
    statuses.dedup();
    assert!(statuses == [Pending, InProgress, Successful] || statuses == [InProgress, Successful], "{statuses:?}");
}
