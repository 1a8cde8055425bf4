//! CloudWatch: DescribeAlarms. Alarms are metric alarms; they are OK until a fault or [`super::Sandbox::set_alarm`] says
//! otherwise.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::fleet::TargetSpec;
use crate::sandbox::account::partition;
use crate::sandbox::ecs::{list_of, text_of};
use crate::sandbox::fault::Fault;
use crate::sandbox::moment::{Moment, epoch, millis};
use crate::sandbox::service::RolloutState;
use crate::sandbox::wire::AwsError;
use crate::sandbox::world::{Call, World};

/// The most alarms on a page, and how many there are unless the request says.
const MOST: u64 = 100;
const PAGE: u64 = 50;

/// Every alarm, by account, region and name.
pub(crate) type Alarms = BTreeMap<(String, String, String), Alarm>;

/// An alarm.
#[derive(Clone, Debug, Default)]
pub(crate) struct Alarm {
    /// The services, by their names in ECS, whose bakes look at it.
    services: BTreeSet<String>,
    /// The state that it is kept in.
    state: Option<String>,
}

impl World {
    /// Makes the alarms that a target names exist.
    pub(crate) fn add_alarms(&mut self, target: &TargetSpec) {
        for name in &target.alarms {
            let key = (target.account.id.to_string(), target.id.region.to_string(), name.clone());
            self.alarms.entry(key).or_default().services.insert(target.service.clone());
        }
    }

    /// Keeps an alarm in a state, or deletes it.
    pub(crate) fn set_alarm(&mut self, key: (String, String, String), state: Option<&str>) {
        match state {
            Some(state) => self.alarms.entry(key).or_default().state = Some(state.to_owned()),
            None => drop(self.alarms.remove(&key)),
        }
    }

    /// Whether the fault `bake-alarm` has set in: some time after a new revision was deployed.
    fn is_raised(&mut self, call: &Call, alarm: &Alarm) -> bool {
        let pace = self.pace();
        let after: Moment = millis(pace.timing.healthy);
        let faulty: Vec<&String> = alarm
            .services
            .iter()
            .filter(|service| self.service_faults(&call.account, &call.region, service).contains(&Fault::BakeAlarm))
            .collect();
        let region = self.region(&call.account, &call.region);
        let mut services = region.clusters.values_mut().flat_map(|cluster| &mut cluster.services);
        services.any(|(name, service)| {
            service.advance(call.now, pace);
            let due = |primary: &crate::sandbox::service::Deployment| {
                primary.raises && primary.progress == RolloutState::Completed && call.now >= primary.updated + after
            };
            faulty.contains(&name) && service.primary().is_some_and(due)
        })
    }
}

pub(crate) fn describe(world: &mut World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    let names = list_of(input, "AlarmNames");
    let prefix = text_of(input, "AlarmNamePrefix").unwrap_or_default();
    let types = list_of(input, "AlarmTypes");
    let limit = input.get("MaxRecords").and_then(Value::as_u64).unwrap_or(PAGE).clamp(1, MOST);
    let next = text_of(input, "NextToken").unwrap_or_default();
    let wanted = |name: &str| {
        (names.is_empty() || names.contains(&name)) && name.starts_with(prefix) && (next.is_empty() || name > next)
    };
    let own: Vec<(String, Alarm)> = world
        .alarms
        .iter()
        .filter(|((account, region, name), _)| *account == call.account && *region == call.region && wanted(name))
        .filter(|_| types.is_empty() || types.contains(&"MetricAlarm"))
        .map(|((_, _, name), alarm)| (name.clone(), alarm.clone()))
        .collect();
    let limit = usize::try_from(limit).unwrap_or(100);
    let mut described = Vec::new();
    for (name, alarm) in own.iter().take(limit) {
        let state = match &alarm.state {
            Some(state) => state.as_str(),
            None if world.is_raised(call, alarm) => "ALARM",
            None => "OK",
        };
        described.push(body(call, name, state));
    }
    let mut output = json!({ "CompositeAlarms": [], "MetricAlarms": described });
    if own.len() > limit {
        output["NextToken"] = json!(own[limit - 1].0);
    }
    Ok(output)
}

fn body(call: &Call, name: &str, state: &str) -> Value {
    let reason = match state {
        "ALARM" => "Threshold Crossed: 1 datapoint [12.0] was greater than or equal to the threshold (5.0).",
        "INSUFFICIENT_DATA" => "Insufficient Data: 1 datapoint was unknown.",
        _ => "Threshold Crossed: 1 datapoint [0.0] was not greater than or equal to the threshold (5.0).",
    };
    let (partition, region, account) = (partition(&call.region), &call.region, &call.account);
    json!({
        "AlarmName": name,
        "AlarmArn": format!("arn:{partition}:cloudwatch:{region}:{account}:alarm:{name}"),
        "AlarmConfigurationUpdatedTimestamp": epoch(call.now),
        "ActionsEnabled": true,
        "OKActions": [],
        "AlarmActions": [],
        "InsufficientDataActions": [],
        "StateValue": state,
        "StateReason": reason,
        "StateUpdatedTimestamp": epoch(call.now),
        "MetricName": "HTTPCode_Target_5XX_Count",
        "Namespace": "AWS/ApplicationELB",
        "Statistic": "Sum",
        "Dimensions": [],
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 5.0,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "StateTransitionedTimestamp": epoch(call.now),
    })
}
