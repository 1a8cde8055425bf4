//! What `roleout check` says of a manifest without faults.

use std::path::Path;

use crate::base::text::{clean, count};
use crate::fleet::Fleet;

/// Returns what the manifest has; `stood_in` are the variables of a job that had a placeholder.
pub fn text(file: &Path, fleet: &Fleet, stood_in: &[String]) -> String {
    let mut text = format!(
        "{}: valid; {} in {}, {}\n",
        clean(&file.display().to_string()),
        count(fleet.targets.len(), "target"),
        count(fleet.accounts.len(), "account"),
        count(fleet.waves.len(), "wave"),
    );
    for wave in &fleet.waves {
        text.push_str(&format!("  wave {}: {}\n", clean(&wave.name), count(wave.targets.len(), "target")));
    }
    if !stood_in.is_empty() {
        text.push_str(&format!("note: checked with `0` in place of the job's variables: {}\n", stood_in.join(", ")));
    }
    for warning in &fleet.warnings {
        text.push_str(&format!("warning: {}\n", clean(warning)));
    }
    text
}
