//! What `roleout check` says of a manifest without faults.

use std::collections::BTreeMap;
use std::path::Path;

use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::base::json::pretty;
use crate::base::text::{clean, count, hex};
use crate::fleet::{Fleet, Wave};
use crate::manifest::fault::Fault;

/// How many accounts of a wave are named.
const NAMED: usize = 8;

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
        let accounts = accounts(fleet, wave);
        let more = accounts.len().saturating_sub(NAMED);
        let mut names = accounts.into_iter().take(NAMED).collect::<Vec<_>>().join(", ");
        if more > 0 {
            names.push_str(&format!(" and {more} more"));
        }
        let targets = count(wave.targets.len(), "target");
        text.push_str(&format!("  wave {}: {targets}: {}\n", clean(&wave.name), clean(&names)));
    }
    for (lookup, number) in lookups(fleet) {
        text.push_str(&format!("  known only online: {} of {}\n", clean(&lookup), count(number, "target")));
    }
    if !stood_in.is_empty() {
        text.push_str(&format!("note: checked with `0` in place of the job's variables: {}\n", stood_in.join(", ")));
    }
    for warning in &fleet.warnings {
        text.push_str(&format!("warning: {}\n", clean(warning)));
    }
    text
}

/// Returns what targets look up online, and how many do.
fn lookups(fleet: &Fleet) -> BTreeMap<String, usize> {
    let mut lookups = BTreeMap::new();
    for lookup in fleet.targets.iter().flat_map(|target| target.desired.lookups.keys()) {
        *lookups.entry(lookup.to_string()).or_default() += 1;
    }
    lookups
}

/// The accounts of a wave's targets, each once.
fn accounts<'f>(fleet: &'f Fleet, wave: &Wave) -> Vec<&'f str> {
    let mut names: Vec<&str> = Vec::new();
    for target in wave.targets.iter().filter_map(|index| fleet.targets.get(*index)) {
        if !names.contains(&target.account.name.as_str()) {
            names.push(&target.account.name);
        }
    }
    names
}

/// Returns what a check found as JSON, for programs.
pub fn json(file: &Path, checked: Result<&Fleet, &[Fault]>) -> String {
    let (errors, warnings, waves) = match checked {
        Ok(fleet) => {
            (Vec::new(), fleet.warnings.clone(), fleet.waves.iter().map(|wave| of_wave(fleet, wave)).collect())
        }
        Err(faults) => (faults.iter().map(error).collect(), Vec::new(), Vec::new()),
    };
    let totals = checked.ok().map(|fleet| (fleet.targets.len(), fleet.accounts.len()));
    let value = json!({
        "version": 1,
        "file": file.display().to_string(),
        "valid": checked.is_ok(),
        "targets": totals.map(|it| it.0),
        "accounts": totals.map(|it| it.1),
        "waves": Value::Array(waves),
        "known_only_online": checked.ok().map(|fleet| lookups(fleet).into_keys().collect::<Vec<_>>()).unwrap_or_default(),
        "errors": Value::Array(errors),
        "warnings": warnings,
    });
    pretty(&value).unwrap_or_default()
}

fn of_wave(fleet: &Fleet, wave: &Wave) -> Value {
    json!({ "name": wave.name, "targets": wave.targets.len(), "accounts": accounts(fleet, wave) })
}

fn error(fault: &Fault) -> Value {
    let position = fault.position();
    json!({
        "file": fault.file(),
        "line": position.map(|it| it.0),
        "column": position.map(|it| it.1),
        "message": fault.message(),
        "help": fault.advice(),
    })
}

/// Returns what a check found as GitLab's Code Quality report: an entry for each error and each warning.
pub fn code_quality(file: &Path, checked: Result<&Fleet, &[Fault]>) -> String {
    let name = file.display().to_string();
    let entries: Vec<Value> = match checked {
        Ok(fleet) => fleet.warnings.iter().map(|warning| entry(&name, warning, "minor", 1)).collect(),
        Err(faults) => {
            let of = |fault: &Fault| {
                let help = fault.advice().map(|help| format!(" ({help})")).unwrap_or_default();
                let line = fault.position().map_or(1, |it| it.0);
                entry(fault.file(), &format!("{}{help}", fault.message()), "blocker", line)
            };
            faults.iter().map(of).collect()
        }
    };
    pretty(&entries).unwrap_or_default()
}

fn entry(file: &str, description: &str, severity: &str, line: usize) -> Value {
    // The same finding keeps its name when lines above it change.
    let hash = digest(&SHA256, format!("{file}\n{description}").as_bytes());
    let fingerprint = hex(&hash.as_ref()[..16]);
    json!({
        "description": description,
        "check_name": "roleout check",
        "fingerprint": fingerprint,
        "severity": severity,
        "location": { "path": file.trim_start_matches("./"), "lines": { "begin": line } },
    })
}
