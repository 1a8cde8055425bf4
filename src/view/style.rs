//! Words, widths and colours of what people read. Text of others passes through [`clean`] here, and nowhere else.
//!
//! No colour carries meaning alone: a word or a symbol always says the same.

use anstyle::{AnsiColor, Style};

use crate::base::error::{Error, Next};
use crate::base::exit::Exit;
use crate::base::secrets;
use crate::base::text::{clean, clean_lines, clean_styled, width};
use crate::narrate::outcome::Tone;
use crate::plan::outline::Outline;

/// Whether to colour.
#[derive(Clone, Copy, Debug)]
pub struct Paint(pub bool);

impl Paint {
    /// Returns the text with the escape sequences of its tone, if any.
    pub fn paint(self, tone: Tone, text: &str) -> String {
        let style = match tone {
            Tone::Plain => Style::new(),
            Tone::Good => AnsiColor::Green.on_default(),
            Tone::Bad => AnsiColor::Red.on_default().bold(),
            Tone::Removed => AnsiColor::Red.on_default(),
            Tone::Warn => AnsiColor::Yellow.on_default(),
            Tone::Dim => Style::new().dimmed(),
            Tone::Strong => Style::new().bold(),
        };
        if self.0 && tone != Tone::Plain { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

/// Returns the columns that the names of a plan's changing targets take, so that what follows them stands aligned. A
/// name that is much longer than others does not push everyone's.
pub fn name_column(plan: &Outline) -> usize {
    let changing = plan.changes.iter().filter(|change| change.action.changes());
    changing.map(|change| width(&clean(&change.target.to_string()))).max().unwrap_or(0).min(44)
}

/// Writes out what ended a command early, with its hints, in colours that a stream may strip.
pub fn error(error: &Error) -> String {
    let paint = Paint(true);
    let next = next(&error.next, paint);
    if error.exit == Exit::Manifest {
        // The manifest's faults arrive rendered, with their snippets and colours.
        return format!("{}\n{next}", clean_styled(&secrets::scrub(&error.message)));
    }
    let lines =
        |text: &str, indent: &str| clean_lines(text.trim_end_matches('\n')).replace('\n', &format!("\n{indent}"));
    let mut text = format!("{} {}\n", paint.paint(Tone::Bad, "error:"), lines(&error.message, ""));
    for hint in &error.help {
        text.push_str(&format!("  help: {}\n", lines(hint, "        ")));
    }
    text + &next
}

/// Writes out the commands that come next, each of which can be pasted with what it is for: that is a comment of the shell.
pub fn next(next: &[Next], paint: Paint) -> String {
    let words = ["next:"].into_iter().chain(std::iter::repeat("or:  "));
    let line = |(word, next): (&str, &Next)| {
        let what = paint.paint(Tone::Dim, &format!("# {}", clean(&next.what)));
        format!("{} {}  {what}\n", paint.paint(Tone::Strong, word), clean(&next.command))
    };
    words.zip(next).map(line).collect()
}
