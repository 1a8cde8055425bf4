//! What a target had before its change, so that a rollback can restore it. Pure. A rollback restores only settings that the
//! change touched, and only if they still have its values: it keeps what somebody else, or autoscaling, has set since.

use serde_json::{Map, Value, json};

use crate::fleet::Revision;
use crate::observe::service::LiveService;
use crate::plan::settings;
use crate::plan::work::{Definition, PreviousState, Work};

impl PreviousState {
    /// Takes down what a service has before a definition is deployed to it.
    pub fn capture(service: &LiveService, definition: &Definition) -> Self {
        let wanted = match definition {
            Definition::Existing { arn, .. } => Some(arn.as_str()),
            Definition::Follow { .. } | Definition::Return { .. } => Some(service.task_definition.as_str()),
            Definition::Keep | Definition::Register { .. } => None,
        };
        Self {
            task_definition: completed(service).filter(|arn| Some(*arn) != wanted).map(str::to_owned),
            desired_count: service.desired,
            deployment: service.configuration.clone(),
        }
    }

    /// Returns the revision that a rollback deploys.
    pub fn revision(&self) -> Option<Revision> {
        self.task_definition.as_deref()?.parse().ok()
    }

    /// Returns the settings to restore: those that the work changed and that nobody else has changed since. They are the
    /// desired count and members of `deploymentConfiguration`. With `may_lag`, what was read may be older than the work: what
    /// it shows as before is restored too, which changes nothing if it was not changed.
    pub fn settings(&self, work: &Work, now: &LiveService, may_lag: bool) -> (Option<u32>, Option<Value>) {
        let was = self.desired_count;
        let is_ours = |count: &u32| *count != was && (now.desired == *count || may_lag && now.desired == was);
        let count = work.desired_count.filter(is_ours).map(|_| was);
        let is_ours = |declared: &&Value| {
            settings::settings_hold(declared, &now.configuration.value())
                || may_lag && now.configuration == self.deployment
        };
        let was_set = self.deployment.value();
        let members: Map<String, Value> = work
            .deployment
            .as_ref()
            .filter(is_ours)
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .filter_map(|(name, declared)| Some((name.clone(), restored(name, declared, &was_set)?)))
            .collect();
        (count, (!members.is_empty()).then_some(Value::Object(members)))
    }
}

/// Returns a member of a `deploymentConfiguration` as it was. One that was absent cannot be taken away again: it is switched
/// off, emptied, or set to ECS's default. Those of LINEAR and CANARY have none, and mean nothing once the strategy is another
/// one.
fn restored(name: &str, declared: &Value, was: &Value) -> Option<Value> {
    match (&was[name], declared) {
        (Value::Null, Value::Array(_)) => Some(json!([])),
        (Value::Null, Value::Object(_)) => {
            let mut off = declared.clone();
            *off.get_mut("enable")? = json!(false);
            Some(off)
        }
        (Value::Null, _) => settings::setting_defaults().get(name).cloned(),
        (was, _) => Some(was.clone()),
    }
}

/// Returns the task definition of the newest deployment that completed. A service behind a Classic load balancer has no
/// rollout state: its PRIMARY stands for it.
fn completed(service: &LiveService) -> Option<&str> {
    let completed = service.deployments.iter().find(|one| one.is("COMPLETED"));
    let stateless = || service.primary().filter(|primary| primary.rollout_state.is_none());
    completed.or_else(stateless).map(|deployment| deployment.task_definition.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::document::Document;

    fn service(states: &[(&str, &str, &str)]) -> LiveService {
        let deployments: Vec<Value> = states
            .iter()
            .enumerate()
            .map(|(number, (status, definition, state))| {
                json!({ "id": format!("ecs-svc/{number}"), "status": status, "rolloutState": state,
                    "taskDefinition": definition })
            })
            .collect();
        LiveService::read(&json!({
            "status": "ACTIVE", "taskDefinition": states[0].1, "desiredCount": 2, "deployments": deployments,
            "deploymentConfiguration": { "maximumPercent": 200, "minimumHealthyPercent": 100 },
        }))
    }

    fn existing(arn: &str) -> Definition {
        Definition::Existing { arn: arn.to_owned(), force: true }
    }

    #[test]
    fn what_completed_last_is_gone_back_to_and_never_the_wanted() {
        let back = |states: &[_], definition: &Definition| {
            PreviousState::capture(&service(states), definition).task_definition
        };
        let steady = [("PRIMARY", "td/api:1", "COMPLETED")];
        assert_eq!(back(&steady, &existing("td/api:2")).as_deref(), Some("td/api:1"));
        assert_eq!(back(&steady, &existing("td/api:1")), None);
        assert_eq!(back(&[("PRIMARY", "td/api:1", "FAILED")], &existing("td/api:2")), None);
        let failed = [("PRIMARY", "td/api:2", "FAILED"), ("ACTIVE", "td/api:1", "COMPLETED")];
        assert_eq!(back(&failed, &existing("td/api:2")).as_deref(), Some("td/api:1"));
        let follow = Definition::Follow { deployment: "ecs-svc/0".to_owned() };
        let going = [("PRIMARY", "td/api:2", "IN_PROGRESS"), ("ACTIVE", "td/api:1", "COMPLETED")];
        assert_eq!(back(&going, &follow).as_deref(), Some("td/api:1"));
        assert_eq!(back(&[("PRIMARY", "td/api:2", "IN_PROGRESS")], &follow), None);
    }

    #[test]
    fn only_what_was_changed_and_still_is_so_is_given_back() {
        let was = service(&[("PRIMARY", "td/api:1", "COMPLETED")]);
        let mut work = Work::new(Definition::Keep, &was);
        assert_eq!(work.before.settings(&work, &was, false), (None, None));
        work.desired_count = Some(4);
        work.deployment = Some(json!({ "maximumPercent": 150, "alarms": { "enable": true, "alarmNames": ["a"] } }));
        let mut now = was.clone();
        assert_eq!(work.before.settings(&work, &now, false), (None, None), "nothing of it was set");
        now.desired = 4;
        now.configuration = Document::write(&json!({
            "maximumPercent": 150, "minimumHealthyPercent": 100, "alarms": { "enable": true, "alarmNames": ["a"] },
        }));
        let off = json!({ "maximumPercent": 200, "alarms": { "enable": false, "alarmNames": ["a"] } });
        assert_eq!(work.before.settings(&work, &now, false), (Some(2), Some(off)));
        now.desired = 7;
        assert_eq!(work.before.settings(&work, &now, false).0, None, "autoscaling moved it since");
    }

    #[test]
    fn what_there_was_not_is_emptied_or_set_to_the_default_of_ecs() {
        let was = service(&[("PRIMARY", "td/api:1", "COMPLETED")]);
        let mut work = Work::new(Definition::Keep, &was);
        let declared = json!({
            "strategy": "CANARY", "bakeTimeInMinutes": 9, "canaryConfiguration": { "canaryPercent": 5.0 },
            "lifecycleHooks": [{ "targetType": "PAUSE", "lifecycleStages": ["POST_SCALE_UP"] }],
        });
        work.deployment = Some(declared.clone());
        let mut now = was.clone();
        now.configuration = Document::write(&declared);
        let back = json!({ "strategy": "ROLLING", "bakeTimeInMinutes": 0, "lifecycleHooks": [] });
        assert_eq!(work.before.settings(&work, &now, false), (None, Some(back)));
    }
}
