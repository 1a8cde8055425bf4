//! Answers of the size that AWS's usually have: task definitions of seven kilobytes, and as many events of a service as ECS
//! keeps. What is furnished otherwise is as small as it can be, and tells nothing of the memory that a real fleet takes.

use serde_json::{Value, json};

use crate::fleet::{Base, TargetSpec};
use crate::sandbox::account::partition;

/// How large the answers of a sandbox are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Size {
    /// As small as they can be.
    #[default]
    Small,
    /// As large as AWS's usually are.
    Aws,
}

/// Variables of a container.
const VARIABLES: usize = 45;
/// Secrets of a container.
const SECRETS: usize = 12;

/// Makes a target's definition as large as many are: variables, secrets, a log group, health checks, and a second container.
/// What a manifest says in a file stays as it is.
pub(crate) fn enlarge(definition: &mut Value, target: &TargetSpec) {
    if matches!(target.desired.task_definition, Base::File(_)) {
        return;
    }
    let (account, region, service) = (target.account.id.as_str(), &*target.id.region, target.service.as_str());
    let arn = |what: &str| format!("arn:{}:{what}", partition(region));
    definition["executionRoleArn"] = json!(arn(&format!("iam::{account}:role/ecsTaskExecutionRole")));
    definition["taskRoleArn"] = json!(arn(&format!("iam::{account}:role/{service}-task")));
    let logs = |prefix: &str| {
        json!({ "logDriver": "awslogs", "options": {
            "awslogs-group": format!("/ecs/{service}"), "awslogs-region": region, "awslogs-stream-prefix": prefix,
        } })
    };
    let secret = arn(&format!("secretsmanager:{region}:{account}:secret:{service}/application-a1B2c3"));
    let secrets: Vec<Value> = (0..SECRETS)
        .map(|number| {
            json!({ "name": format!("CREDENTIAL_{number:02}"), "valueFrom": format!("{secret}:credential_{number:02}::") })
        })
        .collect();
    let variables: Vec<Value> = (0..VARIABLES)
        .map(|number| {
            let value = format!("https://settings.{region}.internal.example.com/{service}/{number:02}");
            json!({ "name": format!("APPLICATION_SETTING_{number:02}"), "value": value })
        })
        .collect();
    let Some(containers) = definition["containerDefinitions"].as_array_mut() else { return };
    let Some(first) = containers.first_mut() else { return };
    first["environment"] = json!(variables);
    first["secrets"] = json!(secrets);
    first["logConfiguration"] = logs("app");
    first["healthCheck"] = json!({
        "command": ["CMD-SHELL", "curl --fail --silent http://localhost:8080/healthz || exit 1"],
        "interval": 15, "timeout": 5, "retries": 4, "startPeriod": 60,
    });
    first["ulimits"] = json!([{ "name": "nofile", "softLimit": 65_536, "hardLimit": 65_536 }]);
    containers.push(json!({
        "name": "telemetry",
        "image": "registry.sandbox.test/observability/collector:previous",
        "essential": false,
        "memoryReservation": 64,
        "environment": [
            { "name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://collector.internal.example.com:4317" },
            { "name": "OTEL_SERVICE_NAME", "value": service },
        ],
        "logConfiguration": logs("telemetry"),
    }));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use std::collections::BTreeMap;

    use super::*;
    use crate::base::clock::Clock;
    use crate::base::document::Document;
    use crate::manifest::load::load_str;
    use crate::sandbox::Sandbox;

    #[test]
    fn a_definition_has_seven_kilobytes_and_a_service_a_hundred_events() {
        let manifest = "version: 1\nidentity: { token_env: T, region: eu-west-1 }\nroles: { leaf: { arn: 'arn:aws:iam::${account.id}:role/leaf' } }\n\
                        accounts: [{ name: a, id: '222222222222', chain: [leaf], regions: [eu-west-1] }]\n\
                        services: [{ name: api, cluster: main, images: { app: 'r/api:2' } }]\n";
        let fleet = load_str("deploy.yaml", std::path::Path::new("."), manifest, &|_| None).expect("a manifest");
        let sandbox = Sandbox::for_fleet_of(Size::Aws, &fleet, (1, BTreeMap::new()), Clock::system());
        let asked = |operation: &str, input: Value| {
            sandbox.call_as_operator("a", "eu-west-1", operation, &input).expect("an answer")
        };
        let service = &asked("DescribeServices", json!({ "cluster": "main", "services": ["api"] }))["services"][0];
        let events = service["events"].as_array().expect("events");
        assert_eq!(events.len(), 100);
        let times: Vec<f64> = events.iter().filter_map(|event| event["createdAt"].as_f64()).collect();
        assert!(times.is_sorted_by(|newer, older| newer >= older), "newest first");
        let definition = asked("DescribeTaskDefinition", json!({ "taskDefinition": service["taskDefinition"] }));
        let bytes = Document::write(&definition["taskDefinition"]).text().len();
        assert!((6_500..8_000).contains(&bytes), "{bytes}");
    }
}
