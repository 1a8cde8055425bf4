//! `roleout check`: the manifest alone, offline.

use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::cli::{self, CheckFormat};
use crate::load::{as_written, environment, narrow, placeholder_ci_variable, selected_as_written};
use crate::view::View;
use crate::view::check::{code_quality, json, text};

/// Checks the manifest, and says what it means. Outside of a job it needs none of a job's variables.
pub fn check(args: &cli::Check, mut view: View) -> Result<Exit, Error> {
    let in_a_job = environment("CI").is_some_and(|value| !value.is_empty());
    let stood_in = RefCell::new(BTreeSet::new());
    let stand_in = |name: &str| {
        placeholder_ci_variable(name)
            .filter(|_| !in_a_job)
            .inspect(|_| _ = stood_in.borrow_mut().insert(name.to_owned()))
    };
    let file = &args.selection.file;
    if args.format != CheckFormat::Text {
        let (told, exit) = match as_written(&args.selection, &stand_in) {
            Ok(whole) => (Ok(narrow(whole, &args.selection)?), Exit::Done),
            Err(error) => (Err(error.faults), Exit::Manifest),
        };
        let told = told.as_ref().map_err(Vec::as_slice);
        view.data(&match args.format {
            CheckFormat::Codequality => code_quality(file, told),
            CheckFormat::Json | CheckFormat::Text => json(file, told),
        });
        return Ok(exit);
    }
    let fleet = selected_as_written(&args.selection, &stand_in)?;
    let stood_in: Vec<String> = stood_in.into_inner().into_iter().collect();
    view.data(&text(file, &fleet, &stood_in));
    Ok(Exit::Done)
}
