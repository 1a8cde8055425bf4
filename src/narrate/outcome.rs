//! Words, symbols and tones of outcomes.

use crate::fleet::Outcome;
use crate::state::Totals;

/// What a piece of text means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Nothing special.
    Plain,
    /// It went well.
    Good,
    /// It went wrong.
    Bad,
    /// It is taken away.
    Removed,
    /// Worth a look.
    Warn,
    /// Less important than the rest.
    Dim,
    /// A heading.
    Strong,
}

/// Returns the symbol and the tone of an outcome.
pub fn mark(outcome: Outcome) -> (&'static str, Tone) {
    match outcome {
        Outcome::Succeeded => ("✔", Tone::Good),
        Outcome::Unchanged => ("=", Tone::Dim),
        Outcome::RolledBack | Outcome::Failed | Outcome::Stuck | Outcome::TimedOut | Outcome::Superseded => {
            ("✖", Tone::Bad)
        }
        Outcome::Cancelled | Outcome::Detached | Outcome::NotStarted => ("-", Tone::Warn),
    }
}

/// Returns the counts that are not zero: `2 succeeded, 1 failed`.
pub fn counts(totals: &Totals) -> String {
    let named = totals.named();
    let words: Vec<_> =
        named.iter().filter(|(_, count)| *count > 0).map(|(word, count)| format!("{count} {word}")).collect();
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}
