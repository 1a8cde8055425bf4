//! The three counts that GitLab's merge-request widget shows, for `artifacts:reports:terraform`.
//!
//! GitLab knows no other form for "what would change": it wants exactly `create`, `update` and `delete`. Every target is a
//! service that exists, so one with something to do is an update; nothing is ever created or deleted.

use serde_json::json;

use crate::plan::preview::{Kind, Preview};
use crate::report::Report;

/// Returns the counts of a run: of what its plan had to do.
pub fn text(report: &Report) -> String {
    counts(report.targets.iter().map(|target| target.action))
}

/// Returns the counts of a plan.
pub fn of_plan(preview: &Preview) -> String {
    counts(preview.targets.iter().map(|target| target.action))
}

fn counts(actions: impl Iterator<Item = Kind>) -> String {
    let changes = |kind: &Kind| matches!(kind, Kind::Register | Kind::Deploy | Kind::Update);
    format!("{}\n", json!({ "create": 0, "update": actions.filter(changes).count(), "delete": 0 }))
}
