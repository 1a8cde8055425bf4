//! A service deployment as DescribeServiceDeployments gives it: its stage, its traffic, its hooks and its alarms.
//!
//! Stages and statuses stay ECS's own words, since ECS adds to them. ROLLING has no stage and no weights.

use jiff::Timestamp;
use serde_json::Value;

/// How far a service deployment is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Its ARN.
    pub arn: String,
    /// `IN_PROGRESS`, `ROLLBACK_IN_PROGRESS` and so on.
    pub status: String,
    /// Its lifecycle stage, `BAKE_TIME` for one.
    pub stage: Option<String>,
    /// The share of the production traffic that goes to the new revision, in percent.
    pub production_percent: Option<f64>,
    /// The share of the test traffic, in percent.
    pub test_percent: Option<f64>,
    /// For how many minutes the stage bakes; 0 where it does not.
    pub bake_minutes: u64,
    /// The lifecycle hooks that were called.
    pub hooks: Vec<Hook>,
    /// The deployment alarms that went off.
    pub alarms: Vec<String>,
}

/// A lifecycle hook that was called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Its id in this deployment.
    pub id: String,
    /// The ARN of its Lambda function; `None` for PAUSE.
    pub function: Option<String>,
    /// `AWAITING_ACTION`, `IN_PROGRESS`, `SUCCEEDED`, `FAILED` or `TIMED_OUT`.
    pub status: String,
    /// When ECS waits for it no longer.
    pub expires_at: Option<Timestamp>,
    /// What ECS does then: `CONTINUE` or `ROLLBACK`.
    pub timeout_action: Option<String>,
}

impl Progress {
    /// Reads a service deployment.
    pub fn read(object: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let texts = |value: &Value| value.as_array().into_iter().flatten().map(text).collect();
        let hooks = object["lifecycleHookDetails"].as_array().into_iter().flatten();
        let target = &object["targetServiceRevision"];
        let stage = object["lifecycleStage"].as_str().filter(|stage| !stage.is_empty()).map(str::to_owned);
        let production_percent = target["requestedProductionTrafficWeight"].as_f64();
        let configuration = &object["deploymentConfiguration"];
        let minutes = match (stage.as_deref(), configuration["strategy"].as_str()) {
            (Some("BAKE_TIME"), _) => &configuration["bakeTimeInMinutes"],
            (Some("PRODUCTION_TRAFFIC_SHIFT"), _) if production_percent.is_none_or(|it| it >= 100.0) => &Value::Null,
            (Some("PRODUCTION_TRAFFIC_SHIFT"), Some("LINEAR")) => {
                &configuration["linearConfiguration"]["stepBakeTimeInMinutes"]
            }
            (Some("PRODUCTION_TRAFFIC_SHIFT"), Some("CANARY")) => {
                &configuration["canaryConfiguration"]["canaryBakeTimeInMinutes"]
            }
            _ => &Value::Null,
        };
        Self {
            arn: text(&object["serviceDeploymentArn"]),
            status: text(&object["status"]),
            bake_minutes: minutes.as_u64().unwrap_or_default(),
            production_percent,
            test_percent: target["requestedTestTrafficWeight"].as_f64(),
            hooks: hooks.map(Hook::read).collect(),
            alarms: texts(&object["alarms"]["triggeredAlarmNames"]),
            stage,
        }
    }

    /// Whether the object is surely of a deployment `ecs-svc/N`: the number of its target revision is N. Nothing that AWS
    /// documents promises it, so an object without it decides nothing.
    pub fn is_of(object: &Value, deployment: &str) -> bool {
        let revision = object["targetServiceRevision"]["arn"].as_str().and_then(|arn| arn.rsplit('/').next());
        revision.is_some() && deployment.rsplit('/').next() == revision
    }

    /// Whether it goes on, and not back.
    pub fn is_under_way(&self) -> bool {
        matches!(self.status.as_str(), "PENDING" | "IN_PROGRESS")
    }

    /// Returns its stage, or its status if it rolls back or is being stopped. `None` for ROLLING, and once it has ended.
    pub fn stage_or_status(&self) -> Option<&str> {
        let stage = self.stage.as_deref()?;
        match self.status.as_str() {
            _ if self.is_under_way() => Some(stage),
            status if status.ends_with("_REQUESTED") || status.ends_with("_IN_PROGRESS") => Some(status),
            _ => None,
        }
    }

    /// Returns the PAUSE hooks that somebody has to continue.
    pub fn waiting(&self) -> impl Iterator<Item = &Hook> {
        let waits = |hook: &&Hook| hook.is_waiting();
        self.hooks.iter().filter(|_| self.is_under_way()).filter(waits)
    }
}

impl Hook {
    fn read(hook: &Value) -> Self {
        let text = |key: &str| hook[key].as_str().map(str::to_owned);
        Self {
            id: text("hookId").unwrap_or_default(),
            function: text("targetArn").filter(|arn| !arn.is_empty()),
            status: text("status").unwrap_or_default(),
            expires_at: hook["expiresAt"].as_f64().and_then(moment),
            timeout_action: text("timeoutAction"),
        }
    }

    /// Whether it waits for a person.
    pub fn is_waiting(&self) -> bool {
        self.status == "AWAITING_ACTION"
    }

    /// Returns `PAUSE hook`, or what its function is called.
    pub fn name(&self) -> String {
        match &self.function {
            Some(arn) => format!("hook {}", arn.rsplit(':').next().unwrap_or(arn)),
            None => "PAUSE hook".to_owned(),
        }
    }
}

/// Reads a time as awsJson has it, to the second.
pub(super) fn moment(seconds: f64) -> Option<Timestamp> {
    #[expect(clippy::cast_possible_truncation, reason = "a time that does not fit is none")]
    Timestamp::from_second(seconds.round() as i64).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_step_bakes_and_the_last_one_does_not() {
        let at = |stage: &str, weight: f64| {
            let object = json!({
                "lifecycleStage": stage, "status": "IN_PROGRESS",
                "targetServiceRevision": { "requestedProductionTrafficWeight": weight },
                "deploymentConfiguration": {
                    "strategy": "LINEAR", "bakeTimeInMinutes": 15, "linearConfiguration": { "stepBakeTimeInMinutes": 6 },
                },
            });
            Progress::read(&object).bake_minutes
        };
        assert_eq!(at("PRODUCTION_TRAFFIC_SHIFT", 30.0), 6);
        assert_eq!(at("PRODUCTION_TRAFFIC_SHIFT", 100.0), 0);
        assert_eq!(at("BAKE_TIME", 100.0), 15);
        assert_eq!(at("SCALE_UP", 0.0), 0);
    }

    #[test]
    fn rolling_has_no_stage_and_nothing_waits_once_it_goes_back() {
        assert_eq!(Progress::read(&json!({ "status": "IN_PROGRESS", "lifecycleStage": "" })).stage, None);
        let hooks = json!([{ "hookId": "h", "targetType": "PAUSE", "status": "AWAITING_ACTION", "expiresAt": 60.0 }]);
        let waiting = |status: &str| {
            Progress::read(&json!({ "status": status, "lifecycleHookDetails": hooks })).waiting().count()
        };
        assert_eq!((waiting("IN_PROGRESS"), waiting("ROLLBACK_IN_PROGRESS")), (1, 0));
    }

    #[test]
    fn a_service_deployment_is_known_by_its_target_revision() {
        let object = json!({ "targetServiceRevision": { "arn": "arn:x:service-revision/c/s/12" } });
        assert!(Progress::is_of(&object, "ecs-svc/12"));
        assert!(!Progress::is_of(&object, "ecs-svc/1"));
        assert!(!Progress::is_of(&json!({}), "ecs-svc/12"));
    }
}
