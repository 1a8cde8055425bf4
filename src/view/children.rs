//! What children of `exec` say, each line after its account, and how they ended.

use std::time::Duration;

use crate::base::text::{clean, count, duration, pad, width};
use crate::narrate::outcome::Tone;
use crate::view::style::Paint;

/// How the child of one account ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The account's name.
    pub account: String,
    /// What became of it.
    pub end: End,
}

/// What became of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It ended.
    Code {
        /// Its exit code, or 128 and the number of the signal that ended it.
        code: u8,
        /// How long it ran.
        after: Duration,
    },
    /// Its account could not be reached.
    Unreachable,
    /// It was not started, since a signal came before.
    NotStarted,
}

/// Returns the columns that the names of accounts take.
pub fn column<'a>(accounts: impl Iterator<Item = &'a str>) -> usize {
    accounts.map(|name| width(&clean(name))).max().unwrap_or(0)
}

/// Returns a line with its account before it. What a child says is its own matter, and is passed on as it is.
pub fn line(account: &str, column: usize, bytes: &[u8]) -> Vec<u8> {
    [format!("{} | ", pad(&clean(account), column)).as_bytes(), bytes, b"\n"].concat()
}

/// Returns how all of them ended; where little is to be said, only what went wrong.
pub fn summary(ended: &[Ended], paint: Paint, quiet: bool) -> String {
    let column = column(ended.iter().map(|one| one.account.as_str()));
    let mut text = String::new();
    for one in ended {
        let (mark, tone, words) = match one.end {
            End::Code { code: 0, .. } if quiet => continue,
            End::Code { code, after } => {
                let signal = code.checked_sub(128).filter(|number| (1..65).contains(number));
                let signal = signal.map_or(String::new(), |number| format!(", as by signal {number}"));
                let after = duration(u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
                let (mark, tone) = if code == 0 { ("✔", Tone::Good) } else { ("✖", Tone::Bad) };
                (mark, tone, format!("exit code {code}{signal}, after {after}"))
            }
            End::Unreachable => ("-", Tone::Warn, "could not be reached".to_owned()),
            End::NotStarted => ("-", Tone::Warn, "not started".to_owned()),
        };
        text.push_str(&format!("{} {}  {words}\n", paint.paint(tone, mark), pad(&clean(&one.account), column)));
    }
    let well = ended.iter().filter(|one| matches!(one.end, End::Code { code: 0, .. })).count();
    if !quiet || well < ended.len() {
        text.push_str(&format!("{}: {well} with exit code 0\n", count(ended.len(), "account")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stands_after_its_account_byte_for_byte() {
        assert_eq!(line("prod", 7, b"a\xff\x1b[1mb"), b"prod    | a\xff\x1b[1mb\n");
        assert_eq!(line("a\nb", 3, b""), b"a b | \n");
    }

    #[test]
    fn the_summary_has_every_account_and_quiet_what_went_wrong() {
        let ended = |account: &str, end| Ended { account: account.into(), end };
        let code = |code| End::Code { code, after: Duration::from_millis(1200) };
        let all = [
            ended("prod", code(0)),
            ended("staging", code(3)),
            ended("a", code(137)),
            ended("b", End::Unreachable),
            ended("c", End::NotStarted),
        ];
        let rows = "✖ staging  exit code 3, after 1.2s\n✖ a        exit code 137, as by signal 9, after 1.2s\n\
                    - b        could not be reached\n- c        not started\n5 accounts: 1 with exit code 0\n";
        assert_eq!(summary(&all, Paint(false), false), format!("✔ prod     exit code 0, after 1.2s\n{rows}"));
        assert_eq!(summary(&all, Paint(false), true), rows);
        assert_eq!(summary(&all[..1], Paint(false), true), "");
    }
}
