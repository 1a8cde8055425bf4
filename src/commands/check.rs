//! `roleout check`: the manifest alone, offline.

use std::io::Write;

use super::manifest::{environment, selected};
use crate::cli;
use crate::error::Error;
use crate::exit::Exit;
use crate::view::style::count;

/// Checks the manifest, and says on `out` what it means.
pub fn check(args: &cli::Check, out: &mut dyn Write) -> Result<Exit, Error> {
    let fleet = selected(&args.selection, &environment)?;
    let mut text = format!(
        "{}: no faults; {} in {}, {}\n",
        args.selection.file.display(),
        count(fleet.targets.len(), "target"),
        count(fleet.accounts.len(), "account"),
        count(fleet.waves.len(), "wave"),
    );
    for wave in &fleet.waves {
        text.push_str(&format!("  wave {}: {}\n", wave.name, count(wave.targets.len(), "target")));
    }
    for warning in &fleet.warnings {
        text.push_str(&format!("warning: {warning}\n"));
    }
    // A reader that has seen enough is no error.
    let _ = out.write_all(text.as_bytes());
    Ok(Exit::Done)
}
