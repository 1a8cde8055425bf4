//! Links on the job's page, for `artifacts:reports:annotations`: the failures first, to the console and to the logs.
//!
//! GitLab takes sections of links, each with a label and an address, and nothing else. There is no point in thousands of
//! links on a page, so there are at most [`MOST`] in a section, and one to the job's artifacts for the rest.

use serde_json::{Map, Value, json};

use crate::base::text::{clean, cut};
use crate::report::{Report, Target};

/// The most links of a section.
pub const MOST: usize = 25;
/// The most columns of a label; GitLab takes 255 characters.
const LABEL: usize = 200;

/// Returns the sections as JSON. It is an empty object where there is nothing to link to.
pub fn text(report: &Report) -> String {
    let ordered = report.worst_first();
    let failed = || ordered.iter().filter(|target| target.outcome.weight() >= 3);
    let console = |target: &Target| target.console.clone();
    let logs = |target: &Target| target.logs.clone();
    let mut sections = Map::new();
    let deployed = ordered.iter().filter(|target| target.outcome.weight() < 3 && target.deployment.is_some());
    for (name, links) in [
        ("Failed targets: console", links(failed().copied(), console, report)),
        ("Failed targets: logs", links(failed().copied(), logs, report)),
        ("Deployed targets: console", links(deployed.copied(), console, report)),
    ] {
        if !links.is_empty() {
            sections.insert(name.to_owned(), Value::Array(links));
        }
    }
    crate::base::json::pretty(&Value::Object(sections)).unwrap_or_default()
}

fn links<'a>(
    targets: impl Iterator<Item = &'a Target>,
    address: impl Fn(&Target) -> String,
    report: &Report,
) -> Vec<Value> {
    let link = |label: &str, url: &str| json!({ "external_link": { "label": cut(label, LABEL), "url": url } });
    let targets: Vec<&Target> = targets.collect();
    let mut links: Vec<Value> = targets
        .iter()
        .take(MOST)
        .map(|target| {
            let label = format!("{} ({})", clean(&target.target.to_string()), target.outcome.words());
            link(&label, &address(target))
        })
        .collect();
    if let (Some(url), true) = (&report.run.job.url, targets.len() > MOST) {
        let more = format!("and {} more, in the report", targets.len() - MOST);
        links.push(link(&more, &format!("{url}/artifacts/browse")));
    }
    links
}
