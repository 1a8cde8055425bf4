//! Rendering: every fault as a person reads it, with a snippet of the file.
//!
//! The text makes sense without colour, and is the same for the same manifest and width. Prints nothing itself.

use std::fmt;
use std::ops::Range;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, SourceCode,
    SourceSpan, SpanContents,
};

use crate::base::text::{clean, is_unsafe};
use crate::manifest::fault::{Fault, LoadError, plain};
use crate::manifest::spanned::Span;

/// More faults than this are counted and not shown: the first ones are what a person works on.
const SHOWN: usize = 50;
/// A line longer than this, such as a task definition on a single line, is cut to the part around the fault.
const LONG_LINE: usize = 240;
/// How much of a long line stays on either side of the fault, in bytes.
const AROUND: usize = 60;
/// Two places with no more lines than this between what is shown of them are shown in one piece. The handler asks how many lines
/// a snippet has, and nothing else of that number.
const NEAR: usize = 2;

impl LoadError {
    /// Renders every fault with its place, a snippet and what to do, `width` columns wide.
    pub fn render(&self, color: bool, width: usize) -> String {
        let theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let width = width.max(40);
        let handler =
            GraphicalReportHandler::new_themed(theme).with_width(width).with_links(false).with_wrap_lines(false);
        let mut text = String::new();
        for fault in self.faults.iter().take(SHOWN) {
            let start = text.len();
            if handler.render_report(&mut text, &Shown::new(fault, width)).is_err() {
                text.truncate(start);
                text.push_str(&plain(fault));
            }
            text.push('\n');
        }
        let hidden = self.faults.len().saturating_sub(SHOWN);
        if hidden > 0 {
            text.push_str(&format!("and {hidden} more\n"));
        }
        text.push_str(&self.summary());
        text.push('\n');
        text
    }
}

/// A fault as it is shown: its text wrapped at spaces, and an excerpt where the line is long. The handler's own wrapping
/// breaks at hyphens too, and a region or an ARN in two pieces can be neither read nor copied.
#[derive(Debug)]
struct Shown<'a> {
    fault: &'a Fault,
    message: String,
    help: Option<String>,
    excerpt: Excerpt<'a>,
}

impl<'a> Shown<'a> {
    fn new(fault: &'a Fault, width: usize) -> Self {
        // What the handler puts before the text: `  × ` and `  help: `.
        let message = match fault.position() {
            Some(_) => wrap(&clean(fault.message()), width - 4),
            // There is no snippet that names the file.
            None => wrap(&format!("{}: {}", clean(fault.file()), clean(fault.message())), width - 4),
        };
        let help = fault.advice().map(|help| wrap(&clean(help), width - 8));
        Self { fault, message, help, excerpt: Excerpt::new(fault) }
    }
}

fn wrap(text: &str, width: usize) -> String {
    let mut wrapped = String::with_capacity(text.len());
    let mut column = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > width {
            wrapped.push('\n');
            column = 0;
        } else if column > 0 {
            wrapped.push(' ');
            column += 1;
        }
        wrapped.push_str(word);
        column += length;
    }
    wrapped
}

/// Returns the text with a visible character of the same length in bytes for each one that a terminal could obey, so that
/// spans still fit.
fn visible(text: &str) -> String {
    let shown = |(at, char): (usize, char)| match char {
        '\n' | '\t' => char,
        // The handler takes the line end of Windows away with the line's own.
        '\r' if text[at + 1..].starts_with('\n') => char,
        '\r' => ' ',
        _ if !is_unsafe(char) => char,
        _ => match char.len_utf8() {
            1 => '?',
            2 => '¿',
            _ => '\u{fffd}',
        },
    };
    text.char_indices().map(shown).collect()
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Shown<'_> {}

impl Diagnostic for Shown<'_> {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.fault.position().map(|_| &self.excerpt as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.fault.position()?;
        // An excerpt of a long line has room for one place.
        let shown = if self.excerpt.is_cut() { 1 } else { usize::MAX };
        let labels = self.fault.places().take(shown).enumerate().map(|(index, (span, label))| {
            let (label, range) = (label.map(|label| clean(label).into_owned()), self.excerpt.within(span));
            match index {
                0 => LabeledSpan::new_primary_with_span(label, range),
                _ => LabeledSpan::new_with_span(label, range),
            }
        });
        Some(Box::new(labels))
    }
}

/// The lines of the file around the places of a fault, with long ones cut to the part around the place that is asked for. Most faults
/// need a few lines, and a file can have megabytes.
#[derive(Debug)]
struct Excerpt<'a> {
    fault: &'a Fault,
    /// Where in the file it begins, in bytes.
    from: usize,
    /// How many lines are above it.
    above: usize,
    /// Its text, with nothing that a terminal could obey and every character in its place.
    text: String,
}

impl<'a> Excerpt<'a> {
    fn new(fault: &'a Fault) -> Self {
        let file = fault.text();
        let first = fault.places().map(|(span, _)| span.start).min().unwrap_or_default();
        let last = fault.places().map(|(span, _)| span.end).max().unwrap_or_default();
        let (from, to) = around(file, first..last);
        Self { fault, from, above: file[..from].matches('\n').count(), text: visible(&file[from..to]) }
    }

    /// Returns where a place of the file is in it.
    fn within(&self, span: Span) -> Range<usize> {
        span.start - self.from..span.end - self.from
    }

    /// Whether a line that would be shown is too long.
    fn is_cut(&self) -> bool {
        self.fault.places().any(|(span, _)| {
            let (start, end) = around(&self.text, self.within(span));
            self.text[start..end].lines().any(|line| line.len() > LONG_LINE)
        })
    }
}

/// Returns where the lines of a span begin and end, with the one above and the one below, and its line end.
fn around(text: &str, span: Range<usize>) -> (usize, usize) {
    let before = &text[..span.start];
    let start = before.rfind('\n').map_or(0, |at| before[..at].rfind('\n').map_or(0, |at| at + 1));
    let end = text[span.end..].match_indices('\n').nth(1).map_or(text.len(), |(at, _)| span.end + at + 1);
    (start, end)
}

impl SourceCode for Excerpt<'_> {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let text = &self.text;
        let name = clean(self.fault.file()).into_owned();
        let whole = text.read_span(span, before, after)?;
        let shown = whole.span();
        // Without context, only the place itself is asked for.
        if !self.is_cut() || (before == 0 && after == 0) {
            let contents = MietteSpanContents::new_named(
                name,
                whole.data(),
                *shown,
                self.above + whole.line(),
                whole.column(),
                String::from_utf8_lossy(whole.data()).lines().count() + NEAR,
            );
            return Ok(Box::new(contents));
        }
        // Only the line itself, without the ones around it: any of them may be the long one.
        let boundary = |mut at: usize| {
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let offset = span.offset().min(text.len());
        let line_start = text[..boundary(offset)].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[line_start..].find('\n').map_or(text.len(), |at| line_start + at);
        let start = boundary(offset.saturating_sub(AROUND)).max(line_start);
        let end = boundary((offset + span.len().min(AROUND) + AROUND).min(line_end)).max(start);
        let line = self.above + text[..line_start].matches('\n').count();
        let column = text[line_start..start].chars().count();
        let excerpt = SourceSpan::from(start..end);
        Ok(Box::new(MietteSpanContents::new_named(name, &text.as_bytes()[start..end], excerpt, line, column, 1)))
    }
}
