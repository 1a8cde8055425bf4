//! A fixed handful of variables, for `artifacts:reports:dotenv`.
//!
//! GitLab refuses a file of 5 KB and more, takes a line for everything up to its end, and has as few as 20 variables on
//! some servers: so there is never one for each target, and values keep to letters, digits and marks that no shell gives a
//! meaning to. It is UTF-8, so letters are those of any script.
//! The names do not begin with ROLEOUT_, since those are this program's own flags in the jobs that get them.

use crate::report::{Ending, Report, Target};

/// The most bytes of the list of failed targets.
const LIST: usize = 2_000;
/// The most bytes of another value.
const VALUE: usize = 500;

/// Returns the lines.
pub fn text(report: &Report) -> String {
    let count = |ending| report.totals.get(&ending).copied().unwrap_or_default().to_string();
    let verdict = &report.verdict;
    let result = match verdict.exit_code {
        None => "unknown",
        Some(0) => "succeeded",
        Some(6) => "gate",
        Some(11) => "rolled_back",
        Some(12) => "stuck",
        Some(13) => "tolerated",
        Some(14) => "timed_out",
        Some(130 | 143) => "cancelled",
        Some(_) if verdict.refused.is_some() => "refused",
        Some(_) => "failed",
    };
    let run = &report.run;
    let pairs = [
        ("DEPLOY_RESULT", result.to_owned()),
        ("DEPLOY_EXIT_CODE", verdict.exit_code.map(|code| code.to_string()).unwrap_or_default()),
        ("DEPLOY_RUN", run.id.clone().unwrap_or_default()),
        ("DEPLOY_JOB_URL", run.job.url.clone().or_else(|| run.job.pipeline_url.clone()).unwrap_or_default()),
        ("DEPLOY_TARGETS", report.all().to_string()),
        ("DEPLOY_SUCCEEDED", count(Ending::Succeeded)),
        ("DEPLOY_UNCHANGED", count(Ending::Unchanged)),
        ("DEPLOY_FAILED", report.failures().to_string()),
    ];
    let mut text: String = pairs.iter().map(|(key, value)| format!("{key}={}\n", safe(value, VALUE))).collect();
    text.push_str(&format!("DEPLOY_FAILED_TARGETS={}\n", failed(report)));
    text
}

/// Returns the failed targets with commas between, as many as fit, and how many more there are.
fn failed(report: &Report) -> String {
    let names: Vec<String> = report
        .worst_first()
        .into_iter()
        .filter(|target: &&Target| target.outcome.is_failure())
        .map(|target| safe(&target.target.to_string(), VALUE))
        .collect();
    let mut list = String::new();
    for (place, name) in names.iter().enumerate() {
        if list.len() + name.len() + 1 > LIST - 20 {
            list.push_str(&format!(",and_{}_more", names.len() - place));
            break;
        }
        if place > 0 {
            list.push(',');
        }
        list.push_str(name);
    }
    list
}

/// Returns a value of letters and digits of any script and a few marks, at most so many bytes long.
fn safe(text: &str, most: usize) -> String {
    let safe = |char: char| if char.is_alphanumeric() || "_-./:,@+".contains(char) { char } else { '_' };
    let mut text: String = text.chars().map(safe).collect();
    text.truncate(text.floor_char_boundary(most));
    text
}
