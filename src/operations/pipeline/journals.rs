//! What the jobs of a pipeline left in a directory: their journals, and which waves somebody started.

use std::path::{Path, PathBuf};

use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::file;
use crate::operations::journal::last_run;
use crate::pipeline::join::Part;
use crate::pipeline::yaml::{JOURNAL, STARTED};
use crate::view::View;

/// The directory of the job that plans all of it.
const PREFLIGHT: &str = "preflight";

/// What the jobs left.
pub struct JobArtifacts {
    /// The preflight's journal.
    pub preflight: Part,
    /// Those of the other jobs, in the order of their paths.
    pub parts: Vec<Part>,
    /// The waves that somebody started.
    pub started: Vec<String>,
}

/// Reads what the jobs left.
pub fn read(directory: &Path, view: &mut View) -> Result<JobArtifacts, Error> {
    let first = directory.join(PREFLIGHT).join(JOURNAL);
    let unread = |error| Error::new(Exit::Usage, format!("the journals: {error}"));
    let mut paths = Vec::new();
    walk(directory, &mut paths).map_err(unread)?;
    paths.sort();
    let (marks, mut paths): (Vec<_>, Vec<_>) = paths.into_iter().partition(|path| path.ends_with(STARTED));
    let started =
        marks.iter().map(|path| Ok(String::from_utf8_lossy(&file::read(path, file::SMALL)?).trim().to_owned()));
    let started = started.collect::<std::io::Result<_>>().map_err(unread)?;
    paths.retain(|path| *path != first);
    let preflight = if first.is_file() {
        last_run(&first, view)?
    } else {
        Part { name: first.display().to_string(), events: Vec::new() }
    };
    let parts = paths.iter().map(|path| last_run(path, view)).collect::<Result<_, _>>()?;
    Ok(JobArtifacts { preflight, parts, started })
}

fn walk(directory: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs_err::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, found)?;
        } else if path.file_name().is_some_and(|name| name == JOURNAL || name == STARTED) {
            found.push(path);
        }
    }
    Ok(())
}
