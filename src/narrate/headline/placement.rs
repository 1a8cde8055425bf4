//! Why ECS places no task.

use crate::narrate::headline::{Headline, Weight, start};

/// ECS's words, and what they mean. The first that occurs decides.
const MEANINGS: [(&str, &[&str]); 10] = [
    ("the cluster has no container instance", &["no container instances were found"]),
    ("no instance has enough memory", &["insufficient memory", "resource:memory"]),
    ("no instance has enough CPU", &["insufficient cpu", "resource:cpu"]),
    ("no instance has the port free", &["already using a port", "resource:ports"]),
    ("no instance has a network interface free", &["resource:eni"]),
    ("no instance has enough GPUs", &["insufficient gpu", "resource:gpu"]),
    ("no instance has the attributes that the task asks for", &["missing an attribute"]),
    ("the account's limit of tasks or vCPUs is reached", &["reached the limit", "limit on the number of"]),
    ("AWS has none at this time", &["capacity is unavailable", "insufficient capacity", "capacity is not available"]),
    ("no instance meets what the task asks for", &["met all of its requirements"]),
];

/// Reads `was unable to place a task. Reason: …`, and a failure of RunTask.
pub fn read(text: &str) -> Option<Headline> {
    let lower = text.to_ascii_lowercase();
    let unable = lower.contains("unable to place a task");
    if !unable && !lower.starts_with("resource:") && !lower.starts_with("capacity is unavailable") {
        return None;
    }
    let reason = text.split_once("Reason: ").map_or(text, |(_, reason)| reason);
    if let Some(headline) = start(reason, None, None) {
        return Some(headline);
    }
    // The reason decides: what comes before it is the same for several.
    let because = reason.to_ascii_lowercase();
    let meaning = |text: &str| MEANINGS.iter().find(|(_, words)| words.iter().any(|word| text.contains(word)));
    Some(match meaning(&because).or_else(|| meaning(&lower)) {
        Some((why, _)) => Headline::new(Weight::Placement, format!("no capacity: {why}")),
        None => Headline::new(Weight::Placement, "tasks cannot be placed").with(reason),
    })
}
