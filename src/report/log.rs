//! The whole log of one target, for a file of its own beside the job's log.

use super::{Report, Target};
use crate::view::style::clean;

/// Returns the path of a target's log in a directory of reports: `log/ACCOUNT/REGION/CLUSTER.SERVICE.log`. Whatever is no
/// letter, digit, `-`, `_` or `.` becomes `_`, so that no name leads elsewhere.
pub fn path(target: &Target) -> String {
    let cluster = target.cluster.rsplit('/').next().unwrap_or(&target.cluster);
    let (cluster, service) = (safe(cluster), safe(&target.service));
    format!("log/{}/{}/{cluster}.{service}.log", safe(&target.account), safe(&target.region))
}

fn safe(name: &str) -> String {
    let safe = |char: char| if char.is_alphanumeric() || "-_.".contains(char) { char } else { '_' };
    let name: String = name.chars().map(safe).collect();
    // Hidden files are left out of artifacts, and `..` leads elsewhere.
    if name.starts_with('.') || name.is_empty() { format!("_{name}") } else { name }
}

/// Returns the log: what it is, what happened, and why.
pub fn text(report: &Report, target: &Target) -> String {
    let mut lines = vec![
        format!("{} in wave {}: {}", target.target, target.wave, target.outcome.words()),
        format!("account {}, cluster {}, service {}", target.account_id, target.cluster, target.service),
    ];
    if !target.revisions().is_empty() {
        lines.push(target.revisions());
    }
    lines.extend(target.deployment.iter().map(|id| format!("deployment {id}")));
    lines.push(target.console.clone());
    lines.extend(target.changes.iter().map(|change| format!("change: {change}")));
    lines.push(String::new());
    lines.extend(target.events.iter().map(|line| format!("{} {}", line.at, line.text)));
    if let Some(reason) = report.reason(target) {
        lines.push(String::new());
        lines.push(reason.summary.clone());
        lines.extend(reason.lines(true, true).into_iter().map(|line| format!("  {line}")));
    }
    lines.iter().map(|line| format!("{}\n", clean(line))).collect()
}
