//! What ECS refuses of CPU and memory, of the task and of its containers together.

use serde_json::Value;

use crate::task_definition::rules::{Rules, list};
use crate::task_definition::{entry, member};

impl Rules<'_> {
    /// Refuses a size of the task that is no number.
    pub(super) fn size_words(&mut self) {
        let definition = self.definition;
        for (size, unit, example) in [("cpu", "vcpu", "\"256\" or \"1 vCPU\""), ("memory", "gb", "\"512\" or \"1 GB\"")]
        {
            let text = definition[size].as_str().filter(|text| !text.is_empty() && !text.contains("${"));
            if let Some(text) = text.filter(|text| !is_number(text, unit)) {
                self.refuse(
                    member(&[], size),
                    format!("cannot be `{text}`"),
                    format!("write a size such as {example}"),
                );
            }
        }
    }

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

/// Whether a text is a number, such as `256`, `0.125 vCPU` and `1GB`.
fn is_number(text: &str, unit: &str) -> bool {
    let text = text.trim().to_ascii_lowercase();
    let number = text.strip_suffix(unit).unwrap_or(&text).trim();
    let is_decimal = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    is_decimal && number.parse::<f64>().is_ok_and(|number| number > 0.0)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_number_with_or_without_its_unit() {
        for text in ["256", " 1024 ", "1 vCPU", "1vcpu", "0.125 vCPU", ".5 vCPU", "10 VCPU"] {
            assert!(is_number(text, "vcpu"), "{text}");
        }
        for text in ["abc", "-5", "1 GB", "vCPU", "1e3", "inf", "nan", ".", "1.2.3", "0", "1,024", ""] {
            assert!(!is_number(text, "vcpu"), "{text}");
        }
        assert!(is_number("0.5GB", "gb") && !is_number("lots", "gb"));
    }
}
