//! One line of a terminal: pieces of text with their tones, cut to a width that counts what is seen.

use crate::base::text;
use crate::narrate::outcome::Tone;
use crate::view::style::Paint;

/// A line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    pieces: Vec<(Tone, String)>,
}

impl Row {
    /// Starts an empty line.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a piece, after a space unless it is the first or follows a gap. An empty piece adds nothing.
    #[must_use]
    pub fn with(mut self, tone: Tone, text: &str) -> Self {
        if !text.is_empty() {
            if self.pieces.last().is_some_and(|(_, last)| !last.ends_with(' ')) {
                self.pieces.push((Tone::Plain, " ".to_owned()));
            }
            self.pieces.push((tone, text.to_owned()));
        }
        self
    }

    /// Adds the two spaces between columns.
    #[must_use]
    pub fn gap(mut self) -> Self {
        self.pieces.push((Tone::Plain, "  ".to_owned()));
        self
    }

    /// Adds a column after two spaces. An empty one adds nothing.
    #[must_use]
    pub fn column(self, tone: Tone, text: &str) -> Self {
        if text.is_empty() { self } else { self.gap().with(tone, text) }
    }

    /// Fills the line up with spaces to so many columns.
    #[must_use]
    pub fn fill(mut self, columns: usize) -> Self {
        let spaces = columns.saturating_sub(self.width());
        self.pieces.push((Tone::Plain, " ".repeat(spaces)));
        self
    }

    /// Cuts the line to so many columns; a line that was cut ends in `…`.
    #[must_use]
    pub fn cut(self, columns: usize) -> Self {
        if self.width() <= columns {
            return self;
        }
        let mut left = columns.saturating_sub(1);
        let mut pieces = Vec::new();
        for (tone, text) in self.pieces {
            let start = text::start(&text, left);
            left -= text::width(&start);
            let whole = start.len() == text.len();
            pieces.push((tone, start));
            if !whole {
                break;
            }
        }
        pieces.push((Tone::Dim, "…".to_owned()));
        Self { pieces }
    }

    /// Returns the columns that it takes.
    pub fn width(&self) -> usize {
        self.pieces.iter().map(|(_, text)| text::width(text)).sum()
    }

    /// Returns it with the escape sequences of its tones.
    pub fn text(&self, paint: Paint) -> String {
        self.pieces.iter().map(|(tone, text)| paint.paint(*tone, text)).collect()
    }
}
