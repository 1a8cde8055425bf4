//! What ECS refuses of CPU and memory, of the task and of its containers together.

use serde_json::Value;

use crate::task_definition::rules::{Rules, list};
use crate::task_definition::{entry, member};

impl Rules<'_> {
    /// Refuses containers that get more than their task has.
    pub(super) fn sizes(&mut self) {
        let definition = self.definition;
        // Windows has no sizes of a task.
        let system = definition["runtimePlatform"]["operatingSystemFamily"].as_str().unwrap_or_default();
        if system.starts_with("WINDOWS") {
            return;
        }
        let containers = list(definition, "containerDefinitions");
        let sum = |name: &str| {
            containers.iter().filter_map(|container| container[name].as_u64()).fold(0, u64::saturating_add)
        };
        let path = member(&[], "containerDefinitions");
        let sizes = [("cpu", "vcpu", "cpu"), ("memory", "gb", "memoryReservation")];
        for (size, unit, name) in sizes {
            let Some(most) = in_units(&definition[size], unit).filter(|_| sum(name) > 0) else { continue };
            if sum(name) > most {
                let message = format!("has `{name}` of {} in all, and the task has {most}", sum(name));
                self.refuse(path.clone(), message, format!("give the containers less, or raise the task's `{size}`"));
            }
        }
        let Some(most) = in_units(&definition["memory"], "gb") else { return };
        for (index, container) in containers.iter().enumerate() {
            if let Some(memory) = container["memory"].as_u64().filter(|memory| *memory > most) {
                let path = member(&entry(&path, index), "memory");
                let message = format!("is {memory}, and the task has {most}");
                self.refuse(path, message, "give the container less, or raise the task's `memory`");
            }
        }
    }
}

/// Returns `1024` for `1 vCPU`, `1024`, `1GB` and 1024.
pub(super) fn in_units(value: &Value, unit: &str) -> Option<u64> {
    let text = match value {
        Value::String(text) => text.trim().to_ascii_lowercase(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    match text.strip_suffix(unit) {
        // The sizes that Fargate has are small and exact in this unit.
        Some(number) => ["0.25", ".25", "0.5", ".5"]
            .into_iter()
            .zip([256, 256, 512, 512])
            .find(|it| it.0 == number.trim())
            .map(|it| it.1)
            .or_else(|| number.trim().parse::<u64>().ok().and_then(|it| it.checked_mul(1024))),
        None => text.parse().ok(),
    }
}
