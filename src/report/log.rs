//! The whole log of one target, for a file of its own beside the job's log.

use std::collections::HashMap;

use crate::base::text::{clean, hash};
use crate::report::{Report, Target};

/// The most bytes of a part of a path: file systems take 255, and the end of a file's name comes to it.
const PART: usize = 200;

/// Returns the path of each target's log in a directory of reports: `log/ACCOUNT/REGION/CLUSTER.SERVICE.log`. Whatever is no
/// letter, digit, `-`, `_` or `.` becomes `_`, so that no name leads elsewhere; a part of more than 200 bytes is cut. Where
/// two would be the same file then, also on file systems that do not tell `A` from `a`, each has a hash of its names.
pub fn paths(targets: &[Target]) -> Vec<String> {
    let plain: Vec<String> = targets.iter().map(|target| path(target, "")).collect();
    let mut files: HashMap<String, usize> = HashMap::new();
    for path in &plain {
        *files.entry(path.to_lowercase()).or_default() += 1;
    }
    let alone = |path: &str| files.get(&path.to_lowercase()) == Some(&1);
    let paths = targets.iter().zip(plain);
    paths
        .map(|(target, plain)| if alone(&plain) { plain } else { path(target, &format!("-{}", hash(&names(target)))) })
        .collect()
}

/// All that tells a target from others.
fn names(target: &Target) -> String {
    [target.account_id.as_str(), &target.account, &target.region, &target.cluster, target.ecs_service()].join("\n")
}

fn path(target: &Target, mark: &str) -> String {
    let cluster = target.cluster.rsplit('/').next().unwrap_or(&target.cluster);
    let file = safe(&format!("{cluster}.{}", target.ecs_service()));
    format!("log/{}/{}/{file}{mark}.log", safe(&target.account), safe(&target.region))
}

/// Returns a part of a path; one that is cut ends in a hash of the whole.
fn safe(name: &str) -> String {
    let safe = |char: char| if char.is_alphanumeric() || "-_.".contains(char) { char } else { '_' };
    let mut part: String = name.chars().map(safe).collect();
    // Hidden files are left out of artifacts, and `..` leads elsewhere.
    if part.starts_with('.') || part.is_empty() {
        part.insert(0, '_');
    }
    if part.len() > PART {
        part.truncate(part.floor_char_boundary(PART - 9));
        part = format!("{part}-{}", hash(name));
    }
    part
}

/// Returns the log: what it is, what happened, and why.
pub fn text(report: &Report, target: &Target) -> String {
    let mut lines = vec![
        format!("{} in wave {}: {}", target.target, target.wave, target.outcome.words()),
        format!("account {}, cluster {}, service {}", target.account_id, target.cluster, target.ecs_service()),
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
