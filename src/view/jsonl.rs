//! Events for programs: one JSON object a line, on stdout.
//!
//! A reader that goes away ends the lines and nothing else.

use std::io::{self, Write};

use crate::base::json;
use crate::event::Stamped;

/// Lines of JSON on a writer.
pub struct Jsonl {
    broken: bool,
}

impl Jsonl {
    /// Writes everything until the writer refuses.
    pub fn new() -> Self {
        Self { broken: false }
    }

    /// Writes an event. Returns the error that ends the lines, once, unless it only says that the reader has left.
    pub fn event(&mut self, out: &mut dyn Write, event: &Stamped) -> Option<io::Error> {
        if self.broken {
            return None;
        }
        let error = write(out, event).err()?;
        self.broken = true;
        (error.kind() != io::ErrorKind::BrokenPipe).then_some(error)
    }
}

impl Default for Jsonl {
    fn default() -> Self {
        Self::new()
    }
}

fn write(out: &mut dyn Write, event: &Stamped) -> io::Result<()> {
    out.write_all(json::line(event)?.as_bytes())?;
    out.flush()
}
