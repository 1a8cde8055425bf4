//! Loading the manifest for a command: variables, faults as an error, and the selection.

use std::io::IsTerminal;
use std::path::Path;

use crate::cli::{Instead, Selection};
use crate::error::Error;
use crate::exit::Exit;
use crate::fleet::Fleet;
use crate::manifest::load;

/// Looks a variable up in the environment; an empty one is there, and empty.
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Loads and checks a manifest.
pub fn fleet(path: &Path, variables: &dyn Fn(&str) -> Option<String>) -> Result<Fleet, Error> {
    load::load(path, variables).map_err(|error| {
        let color = std::io::stderr().is_terminal()
            && anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
        let width = terminal_size::terminal_size().map_or(100, |(width, _)| usize::from(width.0));
        Error::new(Exit::Manifest, error.render(color, width).trim_end())
    })
}

/// Loads a manifest and keeps the targets that the command line selects.
pub fn selected(selection: &Selection, variables: &dyn Fn(&str) -> Option<String>) -> Result<Fleet, Error> {
    fleet(&selection.file, variables)?
        .select(&selection.only, &selection.wave)
        .map_err(|error| Error::new(Exit::Usage, error.to_string()))
}

/// Puts the images of the command line in the place of the manifest's.
pub fn choose_images(fleet: &mut Fleet, instead: &Instead) -> Result<(), Error> {
    fleet.choose_images(&instead.image).map_err(|error| Error::new(Exit::Usage, error.to_string()))
}
