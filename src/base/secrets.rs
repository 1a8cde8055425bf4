//! The secrets that this process holds, by their values, and the one function that takes them out of what leaves it.
//!
//! A secret is told to [`hold`] where it enters: a token that is read, a session that is made, a variable with a webhook's URL.
//! Whatever leaves passes through [`scrub`]: terminals, reports, journals, and what is sent to others than AWS. `redact.rs`
//! knows what secrets look like; this knows only those that are held, whatever they look like.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::sync::{PoisonError, RwLock};

use crate::base::redact::REDACTED;

/// How many bytes of a value it is looked up by. A shorter value could be any word, and is not held.
const HEAD: usize = 8;
/// The fewest bytes of a value that are enough where a text is cut after them.
const PART: usize = 16;
/// How a cut text ends.
const CUT: &[u8] = "…".as_bytes();
/// The bits of the marks, as a power of two: 128 KiB, which the heads of 10,000 sessions fill to a fiftieth.
const MARKS: u32 = 20;

/// What is held: one for the process, since whatever leaves it is scrubbed.
static HELD: RwLock<Option<Held>> = RwLock::new(None);

thread_local! {
    /// What is held by the work of this thread alone, while there is some: see [`within`].
    static OWN: RefCell<Option<Held>> = const { RefCell::new(None) };
}

/// Values by their heads.
#[derive(Default)]
struct Held {
    /// A bit for the hash of each head: nearly every place of a text is done with after a look at it.
    marks: Vec<u64>,
    by_head: HashMap<u64, HashSet<Box<[u8]>>>,
}

/// Takes in a secret. One of less than eight characters could be any word, and is left out.
pub fn hold(value: &str) {
    let value = value.trim().as_bytes();
    let Some(head) = head(value) else { return };
    let is_own = OWN.with_borrow_mut(|own| own.as_mut().map(|own| own.add(head, value)).is_some());
    if !is_own {
        HELD.write().unwrap_or_else(PoisonError::into_inner).get_or_insert_default().add(head, value);
    }
}

/// Does some work on this thread with secrets of its own, which are forgotten when it ends. For many runs in one process, each
/// with an AWS of its own: a command never does this, and holds what it holds to its end.
pub fn within<T>(work: impl FnOnce() -> T) -> T {
    /// Forgets them on a panic, too.
    struct Ended(Option<Held>);
    impl Drop for Ended {
        fn drop(&mut self) {
            OWN.set(self.0.take());
        }
    }
    let _ended = Ended(OWN.replace(Some(Held::default())));
    work()
}

/// Takes in an ID token: all of it, and the parts of it that are not in every other token, too.
pub fn hold_token(token: &str) {
    hold(token);
    token.trim().split('.').skip(1).for_each(hold);
}

/// Takes in a URL that is a secret: all of it, and what in its path and query looks as if nobody could guess it.
pub fn hold_url(url: &str) {
    hold(url);
    let after = url.split_once("://").map_or(url, |(_, after)| after);
    let parts = after.split(['/', '?', '&', '=', '#']).skip(1);
    let is_random = |part: &&str| {
        let has = |kind: fn(&u8) -> bool| part.bytes().any(|byte| kind(&byte));
        part.len() >= PART && (has(u8::is_ascii_digit) || has(u8::is_ascii_uppercase))
    };
    parts.filter(is_random).for_each(hold);
}

/// Returns a text without the secrets that are held.
pub fn scrub(text: &str) -> Cow<'_, str> {
    match scrub_bytes(text.as_bytes()) {
        Cow::Borrowed(_) => Cow::Borrowed(text),
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

/// Returns bytes without the secrets that are held.
pub fn scrub_bytes(bytes: &[u8]) -> Cow<'_, [u8]> {
    if let Some(clean) = OWN.with_borrow(|own| own.as_ref().map(|own| own.scrub(bytes))) {
        return clean;
    }
    match &*HELD.read().unwrap_or_else(PoisonError::into_inner) {
        Some(held) => held.scrub(bytes),
        None => Cow::Borrowed(bytes),
    }
}

fn head(value: &[u8]) -> Option<u64> {
    value.first_chunk::<HEAD>().map(|head| u64::from_le_bytes(*head))
}

/// Returns where the mark of a head is: the word and the bit.
fn mark(head: u64) -> (usize, u32) {
    // Fibonacci hashing: the high bits of the product depend on every byte.
    let hash = head.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - MARKS);
    (usize::try_from(hash >> 6).unwrap_or_default(), (hash & 63) as u32)
}

impl Held {
    fn add(&mut self, head: u64, value: &[u8]) {
        self.marks.resize(1 << (MARKS - 6), 0);
        let (word, bit) = mark(head);
        self.marks[word] |= 1 << bit;
        self.by_head.entry(head).or_default().insert(value.into());
    }

    fn scrub<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        let (mut clean, mut kept, mut at) = (Vec::new(), 0, 0);
        while let Some(next) = bytes[at..].windows(HEAD).position(|window| self.is_marked(window)) {
            at += next;
            match self.found(&bytes[at..]) {
                Some(length) => {
                    clean.extend_from_slice(&bytes[kept..at]);
                    clean.extend_from_slice(REDACTED.as_bytes());
                    at += length;
                    kept = at;
                }
                None => at += 1,
            }
        }
        if kept == 0 {
            return Cow::Borrowed(bytes);
        }
        clean.extend_from_slice(&bytes[kept..]);
        Cow::Owned(clean)
    }

    fn is_marked(&self, window: &[u8]) -> bool {
        head(window).is_some_and(|head| {
            let (word, bit) = mark(head);
            self.marks.get(word).is_some_and(|word| word >> bit & 1 == 1)
        })
    }

    /// Returns how many bytes at the beginning of `rest` are a secret.
    fn found(&self, rest: &[u8]) -> Option<usize> {
        let lengths = self.by_head.get(&head(rest)?)?.iter().filter_map(|value| {
            let same = value.iter().zip(rest).take_while(|(one, other)| one == other).count();
            let is_cut = same >= PART && (rest.len() == same || rest[same..].starts_with(CUT));
            (same == value.len() || is_cut).then_some(same)
        });
        lengths.max()
    }
}

/// A writer that scrubs whatever passes through it.
pub struct Scrubbed<W>(pub W);

impl<W: Write> Write for Scrubbed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_all(&scrub_bytes(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A writer that scrubs a text that is written to it piece by piece. What it looks at ends with a line: no secret that is held
/// has a line break in it, so none is divided.
pub struct ScrubbedLines<W> {
    writer: W,
    pending: Vec<u8>,
}

/// How many bytes of whole lines are scrubbed at once, at least.
const PIECE: usize = 64 * 1024;

impl<W: Write> ScrubbedLines<W> {
    /// Writes to `writer`, the last line at the end.
    ///
    /// # Errors
    /// `pieces` fails, or the writer.
    pub fn write_all(writer: W, pieces: impl FnOnce(&mut Self) -> io::Result<()>) -> io::Result<()> {
        let mut lines = Self { writer, pending: Vec::with_capacity(2 * PIECE) };
        pieces(&mut lines)?;
        lines.writer.write_all(&scrub_bytes(&lines.pending))
    }
}

impl<W: Write> Write for ScrubbedLines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= PIECE
            && let Some(end) = self.pending.iter().rposition(|byte| *byte == b'\n')
        {
            self.writer.write_all(&scrub_bytes(&self.pending[..=end]))?;
            self.pending.drain(..=end);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(values: &[&str]) -> Held {
        let mut held = Held::default();
        values.iter().for_each(|value| held.add(head(value.as_bytes()).expect("it is long enough"), value.as_bytes()));
        held
    }

    fn scrubbed(held: &Held, text: &str) -> String {
        String::from_utf8(held.scrub(text.as_bytes()).into_owned()).expect("text")
    }

    #[test]
    fn a_value_is_taken_out_wherever_it_stands_and_nothing_else_is() {
        let held = held(&["s3cret-value", "s3cret-value-and-more", "another+secret/="]);
        for (text, expected) in [
            ("s3cret-value", "[redacted]"),
            ("a=s3cret-value;b", "a=[redacted];b"),
            ("s3cret-value-and-more!", "[redacted]!"),
            ("s3cret-value-and-less", "[redacted]-and-less"),
            ("xs3cret-valueanother+secret/=s3cret-value", "x[redacted][redacted][redacted]"),
            ("s3cret-valu", "s3cret-valu"),
            ("", ""),
            ("일 ✔ s3cret-value …", "일 ✔ [redacted] …"),
        ] {
            assert_eq!(scrubbed(&held, text), expected, "{text}");
        }
        assert!(matches!(held.scrub(b"nothing of ours"), Cow::Borrowed(_)));
    }

    #[test]
    fn the_beginning_of_a_value_is_enough_where_a_text_is_cut() {
        let held = held(&["IQoJb3JpZ2luX2VjE0123456789abcdef"]);
        assert_eq!(scrubbed(&held, "token IQoJb3JpZ2luX2VjE012…"), "token [redacted]…");
        assert_eq!(scrubbed(&held, "token IQoJb3JpZ2luX2VjE012"), "token [redacted]");
        assert_eq!(
            scrubbed(&held, "token IQoJb3JpZ2luX2VjE012 of somebody else"),
            "token IQoJb3JpZ2luX2VjE012 of somebody else"
        );
    }

    #[test]
    fn a_text_in_pieces_is_scrubbed_as_a_whole_one() {
        within(|| {
            hold("canary-in-pieces");
            let line = "one canary-in-pieces two\n";
            let text = line.repeat(10_000) + "the last one: canary-in-pieces";
            let mut written = Vec::new();
            let mut largest = 0;
            ScrubbedLines::write_all(&mut written, |lines| {
                text.as_bytes().chunks(7).try_for_each(|piece| {
                    lines.write_all(piece)?;
                    largest = largest.max(lines.pending.len());
                    Ok(())
                })
            })
            .expect("a vector takes it");
            assert_eq!(String::from_utf8_lossy(&written), scrub(&text));
            assert!(largest < 2 * PIECE, "{largest}");
        });
    }

    #[test]
    fn many_values_with_the_same_head_are_told_apart() {
        let values: Vec<String> = (0..10_000).map(|number| format!("IQoJb3JpZ2luX2Vj{number:08}")).collect();
        let held = held(&values.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(scrubbed(&held, "a IQoJb3JpZ2luX2Vj00007777 b"), "a [redacted] b");
        assert_eq!(scrubbed(&held, "a IQoJb3JpZ2luX2Vj00010000 b"), "a IQoJb3JpZ2luX2Vj00010000 b");
    }

    #[test]
    fn what_is_held_within_some_work_is_forgotten_with_it_and_all_else_stays() {
        hold("canary-of-the-process");
        within(|| {
            hold("canary-of-some-work");
            assert_eq!(scrub("canary-of-some-work"), REDACTED);
        });
        let panics = std::panic::catch_unwind(|| within(|| panic!("it ends")));
        assert!(panics.is_err());
        assert_eq!(scrub("canary-of-some-work canary-of-the-process"), format!("canary-of-some-work {REDACTED}"));
    }

    #[test]
    fn what_enters_is_held_with_the_parts_that_are_secret_themselves() {
        hold("short");
        hold_token("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJjYW5hcnktMSJ9.Y2FuYXJ5LXNpZ25hdHVyZQ\n");
        hold_url("https://hooks.example.com/services/T0CANARY/B0/canaryWebhook0123456?x=1");
        for text in [
            "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJjYW5hcnktMSJ9.Y2FuYXJ5LXNpZ25hdHVyZQ",
            "Y2FuYXJ5LXNpZ25hdHVyZQ",
            "eyJzdWIiOiJjYW5hcnktMSJ9",
            "https://hooks.example.com/services/T0CANARY/B0/canaryWebhook0123456?x=1",
            "canaryWebhook0123456",
        ] {
            assert_eq!(scrub(text), REDACTED, "{text}");
        }
        for text in ["short", "hooks.example.com/services/", "eyJhbGciOiJFUzI1NiJ9 alone"] {
            assert_eq!(scrub(text), text, "{text}");
        }
        let mut written = Scrubbed(Vec::new());
        written.write_all(b"\xff Y2FuYXJ5LXNpZ25hdHVyZQ\n").expect("a vector takes it");
        assert_eq!(written.0, b"\xff [redacted]\n");
    }
}
