//! The foot of the terminal that is drawn again and again, and the lines that are kept above it.
//!
//! indicatif does the drawing: one bar, whose message is every line of the foot, so that a frame is one write however
//! many targets run. This file gives it a terminal: the writer that the view was given, and a size that may change.
//! It knows nothing of runs, and it reads no clock.

mod scrollback;

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use crate::base::text;

use crate::view::canvas::scrollback::Scrollback;

/// A terminal with a foot that changes.
pub struct Canvas {
    terminal: Terminal,
    foot: ProgressBar,
}

impl Canvas {
    /// Takes a terminal of so many columns and rows.
    pub fn new(out: Box<dyn Write + Send>, size: (usize, usize)) -> Self {
        let terminal = Terminal(Arc::new(Mutex::new(Screen {
            out,
            size,
            buffer: String::new(),
            foot: Vec::new(),
            lost: Scrollback::default(),
            line_is_full: false,
        })));
        let foot = ProgressBar::with_draw_target(None, ProgressDrawTarget::term_like(Box::new(terminal.clone())));
        foot.set_style(ProgressStyle::with_template("{msg}").expect("a template of one known key is valid"));
        Self { terminal, foot }
    }

    /// Takes note of the terminal's size before a frame.
    pub fn resize(&self, size: (usize, usize)) {
        self.terminal.screen().resize(size);
    }

    /// Writes lines above the foot for good, and then the foot. The caller cuts the foot to the terminal's size; a
    /// line of it is never empty. `widths` are the columns that its lines take.
    pub fn draw(&self, kept: &[String], foot: &[String], widths: Vec<usize>) {
        self.foot.set_message(foot.join("\n"));
        let kept: Vec<_> = kept.iter().flat_map(|kept| kept.split('\n')).collect();
        if !kept.is_empty() {
            // An empty line would be taken for indicatif's filling of the line before it; this one only looks empty.
            let kept: Vec<_> = kept.iter().map(|line| if line.is_empty() { "\x1b[m" } else { line }).collect();
            self.foot.println(kept.join("\n"));
        }
        let mut screen = self.terminal.screen();
        screen.foot = widths;
        let (rows, size) = (screen.rows(), screen.size);
        let width = |line: &&str| text::width(&anstream::adapter::strip_str(line).to_string());
        screen.lost.keep(kept.iter().map(width), rows, size);
        screen.commit();
    }

    /// Writes lines for good and clears the foot, so that others can write on the line below.
    pub fn leave(&self, kept: &[String]) {
        self.draw(kept, &[], Vec::new());
        let mut screen = self.terminal.screen();
        screen.next_line();
        // How much others write is not known.
        screen.lost = Scrollback::default();
        screen.commit();
    }

    /// Clears the foot and gives the writer back.
    pub fn close(self) -> Box<dyn Write + Send> {
        self.clear();
        std::mem::replace(&mut self.terminal.screen().out, Box::new(io::sink()))
    }

    fn clear(&self) {
        self.foot.finish_and_clear();
        let mut screen = self.terminal.screen();
        screen.next_line();
        screen.commit();
    }
}

impl Drop for Canvas {
    /// A run that ends in an error before its end leaves no half-drawn foot for the error to run into.
    fn drop(&mut self) {
        self.clear();
    }
}

/// What indicatif draws on.
#[derive(Clone)]
struct Terminal(Arc<Mutex<Screen>>);

struct Screen {
    out: Box<dyn Write + Send>,
    /// Columns and rows.
    size: (usize, usize),
    /// What was drawn and is not written yet.
    buffer: String,
    /// The columns that each line of the foot on the terminal takes.
    foot: Vec<usize>,
    lost: Scrollback,
    /// Whether the next text belongs on the next line.
    line_is_full: bool,
}

impl Terminal {
    fn screen(&self) -> MutexGuard<'_, Screen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Screen {
    /// Takes away what a terminal of another size shows of the foot beside what indicatif knows of, and puts the cursor
    /// where indicatif left it.
    fn resize(&mut self, size: (usize, usize)) {
        let old = std::mem::replace(&mut self.size, size);
        if size == old {
            return;
        }
        self.lost.widen(old.0, size.0);
        let (rows, lines) = (self.rows(), self.foot.len());
        // One that got narrower has broken the foot's lines.
        if size.0 < old.0 && rows > lines {
            // Row by row: tmux moves a whole screen that is erased at once into its history.
            self.buffer.push_str(&"\r\x1b[2K\x1b[1A".repeat(rows - 1));
            self.buffer.push_str("\r\x1b[2K");
            self.down(lines.saturating_sub(1));
        }
        // One that got shorter has pushed its top rows out, and brings them back when it gets taller.
        if rows > size.1 && size.1 < old.1 {
            self.lost.push(rows - size.1, self.foot.iter().copied().max().unwrap_or(0));
        } else if size.1 < old.1 {
            self.lost.keep(std::iter::empty(), rows, size);
        } else if let Some(back) = self.lost.grow(size.1 - old.1) {
            self.up(rows.saturating_sub(1) + back.since + back.rows);
            self.buffer.push_str(&format!("\r\x1b[{}M", back.rows));
            self.down(rows.saturating_sub(1) + back.since);
        }
    }

    /// Returns how many rows the foot takes on a terminal of the present size.
    fn rows(&self) -> usize {
        self.foot.iter().map(|width| width.div_ceil(self.size.0.max(1)).max(1)).sum()
    }

    fn down(&mut self, rows: usize) {
        self.line_is_full = false;
        if rows > 0 {
            self.buffer.push_str(&format!("\x1b[{rows}B"));
        }
    }

    fn up(&mut self, rows: usize) {
        if rows > 0 {
            self.line_is_full = false;
            self.buffer.push_str(&format!("\x1b[{rows}A"));
        }
    }

    fn next_line(&mut self) {
        if std::mem::take(&mut self.line_is_full) {
            self.buffer.push_str("\r\n");
        }
    }

    /// Writes the frame. A terminal that went away stops nothing.
    fn commit(&mut self) {
        let frame = std::mem::take(&mut self.buffer);
        let _ = self.out.write_all(frame.as_bytes()).and_then(|()| self.out.flush());
    }
}

impl TermLike for Terminal {
    fn width(&self) -> u16 {
        u16::try_from(self.screen().size.0).unwrap_or(u16::MAX).max(1)
    }

    fn height(&self) -> u16 {
        u16::try_from(self.screen().size.1).unwrap_or(u16::MAX).max(1)
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.screen().up(n);
        Ok(())
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.screen().down(n);
        Ok(())
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.screen().buffer.push_str(&format!("\x1b[{n}C"));
        Ok(())
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.screen().buffer.push_str(&format!("\x1b[{n}D"));
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        let mut screen = self.screen();
        screen.next_line();
        screen.buffer.push_str(text);
        screen.line_is_full = true;
        Ok(())
    }

    /// indicatif fills each line with spaces up to the edge and lets the terminal break it. Filled lines are broken anew
    /// by a terminal that gets narrower, so the filling is left out and the break is made here.
    fn write_str(&self, text: &str) -> io::Result<()> {
        let mut screen = self.screen();
        if text.bytes().all(|byte| byte == b' ') {
            screen.line_is_full = true;
        } else {
            screen.next_line();
            screen.buffer.push_str(text);
        }
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        let mut screen = self.screen();
        screen.line_is_full = false;
        screen.buffer.push_str("\r\x1b[2K");
        Ok(())
    }

    /// A frame may be several drawings of indicatif's: `Canvas::draw` writes it.
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terminal").field("size", &self.screen().size).finish_non_exhaustive()
    }
}
