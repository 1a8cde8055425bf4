//! Where a container's log goes, if the driver is awslogs.

use serde_json::Value;

use crate::references::finding::Finding;

/// A log group.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogGroup {
    /// Its region.
    pub region: String,
    /// Its name.
    pub name: String,
}

/// The log of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Where it is.
    pub group: LogGroup,
    /// Whether the container creates the group where it is missing.
    pub creates: bool,
    /// What the names of its streams begin with.
    pub prefix: Option<String>,
}

impl Log {
    /// Reads a container definition's `logConfiguration`; `region` is the service's. `None` for other drivers.
    pub fn from_container(container: &Value, region: &str) -> Option<Self> {
        let configuration = &container["logConfiguration"];
        let options = &configuration["options"];
        let option = |name: &str| options[name].as_str().filter(|text| !text.is_empty());
        let name = option("awslogs-group").filter(|_| configuration["logDriver"] == "awslogs")?;
        Some(Self {
            group: LogGroup { region: option("awslogs-region").unwrap_or(region).to_owned(), name: name.to_owned() },
            creates: option("awslogs-create-group").is_some_and(|text| text.eq_ignore_ascii_case("true")),
            prefix: option("awslogs-stream-prefix").map(str::to_owned),
        })
    }

    /// Returns the stream of a container of a task: `PREFIX/CONTAINER/TASK`, and without a prefix the runtime's own id of
    /// the container.
    pub fn stream(&self, container: &str, task: &str, runtime: Option<&str>) -> Option<String> {
        match &self.prefix {
            Some(prefix) => Some(format!("{prefix}/{container}/{task}")),
            None => runtime.map(str::to_owned),
        }
    }
}

impl LogGroup {
    /// Says that it does not exist.
    pub fn missing(&self) -> Finding {
        Finding::new(
            format!("the log group {} does not exist in {}", self.name, self.region),
            "create it, or set awslogs-create-group to \"true\" and allow logs:CreateLogGroup to the execution role",
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_awslogs_has_a_group() {
        let of = |driver: &str, options: Value| {
            Log::from_container(
                &json!({ "logConfiguration": { "logDriver": driver, "options": options } }),
                "eu-west-1",
            )
        };
        let log = of("awslogs", json!({ "awslogs-group": "/ecs/api" })).expect("a group");
        assert_eq!((&*log.group.name, &*log.group.region, log.creates), ("/ecs/api", "eu-west-1", false));
        assert_eq!(log.stream("app", "0123", Some("0123-9")), Some("0123-9".to_owned()));
        assert_eq!(log.stream("app", "0123", None), None);
        let options = json!({
            "awslogs-group": "g", "awslogs-region": "us-east-1", "awslogs-create-group": "true", "awslogs-stream-prefix": "api",
        });
        let log = of("awslogs", options).expect("a group");
        assert_eq!((&*log.group.region, log.creates), ("us-east-1", true));
        assert_eq!(log.stream("app", "0123", None), Some("api/app/0123".to_owned()));
        assert_eq!(of("splunk", json!({ "awslogs-group": "g" })), None);
        assert_eq!(of("awslogs", json!({})), None);
        assert_eq!(Log::from_container(&json!({}), "eu-west-1"), None);
    }
}
