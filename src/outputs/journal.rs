//! The journal: every event of a run as a line of JSON in a file, which is there however the run ends.
//!
//! Each line is written by one call as soon as the event has happened, so that after `kill -9` the file holds all that
//! had happened until then; the file is synced when the run ends. Runs are appended: each line names its run.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use fs_err::File;

use crate::base::file::append;
use crate::base::{json, secrets};
use crate::event::Stamped;

/// A file of events.
#[derive(Debug)]
pub struct Journal {
    file: Option<File>,
}

impl Journal {
    /// Opens a file to append to, and makes it where it is not there. A link is not followed.
    ///
    /// # Errors
    /// The file cannot be opened or written.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = append(path)?;
        // Where the last run was killed within a line, that line ends here.
        let mut last = [b'\n'];
        if file.metadata()?.len() > 0 {
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
        }
        if last != [b'\n'] {
            file.write_all(b"\n")?;
        }
        Ok(Self { file: Some(file) })
    }

    /// Writes an event. Returns the error that ends the journal, once.
    pub fn event(&mut self, event: &Stamped) -> Option<io::Error> {
        let file = self.file.as_mut()?;
        let written = json::line(event).and_then(|line| file.write_all(secrets::scrub(&line).as_bytes()));
        let error = written.err()?;
        self.file = None;
        Some(error)
    }

    /// Sees to it that all of it is on the disk.
    pub fn finish(&mut self) -> Option<io::Error> {
        self.file.take()?.sync_all().err()
    }
}
