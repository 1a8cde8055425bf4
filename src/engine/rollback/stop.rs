//! Stopping our service deployment with a rollback: finding it, and asking ECS.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::aws::ecs::Ecs;
use crate::aws::error::CallError;
use crate::aws::permit::Permit;
use crate::engine::exactly_once::Write;
use crate::engine::service_deployments::is_of;
use crate::fleet::TargetSpec;

/// How long ECS is asked to roll back after a signal. The process must be gone within five seconds of it.
const STOP_TIMEOUT: Duration = Duration::from_millis(2_500);

/// After a signal, at `cancelled`: asks ECS once to roll our deployment back, for a short while. Says what came of it.
pub async fn stop_on_cancel(ecs: &Ecs, target: &TargetSpec, deployment: &str, cancelled: Option<Instant>) -> String {
    let until = cancelled.unwrap_or_else(Instant::now) + STOP_TIMEOUT;
    let asked = async {
        let (arn, status) = service_deployment(ecs, target, deployment, until).await?;
        if is_returning(&status) {
            return Ok("ECS rolls it back already");
        }
        ecs.stop_service_deployment(&arn, &Permit::default().with_deadline(until))
            .await
            .map_err(|error| format!("{error:#}"))?;
        Ok("ECS was asked to roll it back")
    };
    let said: Result<&str, String> = match tokio::time::timeout_at(until, asked).await {
        Ok(said) => said,
        Err(_) => Err("ECS did not answer in time".to_owned()),
    };
    match said {
        Ok(said) => format!("the run was cancelled; {said}: {deployment}"),
        Err(why) => {
            format!("the run was cancelled, and ECS could not be asked to roll back ({why}): {deployment} goes on")
        }
    }
}

/// Finds the service deployment of our deployment, by the number that both have, with its status. Waits for it to be
/// listed. Never that of another deployment.
pub async fn service_deployment(
    ecs: &Ecs,
    target: &TargetSpec,
    deployment: &str,
    until: Instant,
) -> Result<(String, String), String> {
    loop {
        match ecs.list_service_deployments(&target.cluster, &target.service).await {
            Ok(briefs) => {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                if let Some(brief) = briefs.iter().find(|brief| is_of(brief, deployment)) {
                    return Ok((text(&brief["serviceDeploymentArn"]), text(&brief["status"])));
                }
            }
            Err(error) if error.is_transient() => {}
            Err(error) => return Err(format!("{error:#}")),
        }
        let pause = Duration::from_millis(400);
        if Instant::now() + pause > until {
            return Err("ECS does not list its service deployment".to_owned());
        }
        tokio::time::sleep(pause).await;
    }
}

/// Whether a service deployment of this status is being stopped or rolled back.
pub fn is_returning(status: &str) -> bool {
    matches!(status, "STOP_REQUESTED" | "ROLLBACK_REQUESTED" | "ROLLBACK_IN_PROGRESS")
}

/// One StopServiceDeployment.
pub struct StopDeployment<'a> {
    /// Of its account and region.
    pub ecs: &'a Ecs,
    /// Its ARN.
    pub arn: &'a str,
}

impl Write for StopDeployment<'_> {
    type Answer = Value;

    async fn send(&self, permit: &Permit) -> Result<Value, CallError> {
        self.ecs.stop_service_deployment(self.arn, permit).await
    }

    async fn took_effect(&self) -> Result<Option<Value>, CallError> {
        let described = self.ecs.describe_service_deployments(&[self.arn]).await?;
        let status = described.first().and_then(|object| object["status"].as_str()).unwrap_or_default();
        let landed = is_returning(status) || status.starts_with("ROLLBACK_");
        Ok(landed.then(|| json!({ "serviceDeploymentArn": self.arn })))
    }
}
