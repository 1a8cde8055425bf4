//! `roleout check`: the manifest alone, offline.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::Write;

use super::manifest::{environment, final_fleet, of_a_job, selected};
use crate::cli;
use crate::error::Error;
use crate::exit::Exit;
use crate::view::style::{clean, count};

/// Checks the manifest, and says on `out` what it means. Outside of a job it needs none of a job's variables.
pub fn check(args: &cli::Check, out: &mut dyn Write) -> Result<Exit, Error> {
    let in_a_job = environment("CI").is_some_and(|value| !value.is_empty());
    let stood_in = RefCell::new(BTreeSet::new());
    let variables = |name: &str| {
        let stand_in =
            || of_a_job(name).filter(|_| !in_a_job).inspect(|_| _ = stood_in.borrow_mut().insert(name.to_owned()));
        environment(name).or_else(stand_in)
    };
    final_fleet(&args.selection.file, &variables)?;
    let fleet = selected(&args.selection, &variables)?;
    let mut text = format!(
        "{}: no faults; {} in {}, {}\n",
        clean(&args.selection.file.display().to_string()),
        count(fleet.targets.len(), "target"),
        count(fleet.accounts.len(), "account"),
        count(fleet.waves.len(), "wave"),
    );
    for wave in &fleet.waves {
        text.push_str(&format!("  wave {}: {}\n", clean(&wave.name), count(wave.targets.len(), "target")));
    }
    let stood_in: Vec<String> = stood_in.into_inner().into_iter().collect();
    if !stood_in.is_empty() {
        text.push_str(&format!("note: checked with `0` for what a job has: {}\n", stood_in.join(", ")));
    }
    for warning in &fleet.warnings {
        text.push_str(&format!("warning: {}\n", clean(warning)));
    }
    // A reader that has seen enough is no error.
    let _ = out.write_all(text.as_bytes());
    Ok(Exit::Done)
}
