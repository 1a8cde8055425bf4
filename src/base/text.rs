//! Text for people: what is neutralised, how wide it is, how it is cut and broken, and how lengths of time read.
//!
//! Text of others passes through [`clean`] here, and nowhere else.

use std::borrow::Cow;

use sha2::{Digest, Sha256};
use unicode_width::UnicodeWidthChar;

use crate::base::secrets;

/// Neutralises everything in a text of others that a terminal or a job log could obey: control characters, line
/// breaks and bidirectional overrides. Tabs and line breaks become spaces, the rest is spelled out.
///
/// The secrets that this process holds are taken out, before anything is cut or escaped.
pub fn clean(text: &str) -> Cow<'_, str> {
    let text = secrets::scrub(text);
    if !text.chars().any(is_unsafe) {
        return text;
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for char in text.chars() {
        match char {
            '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => safe.push(' '),
            char if is_unsafe(char) => safe.extend(char.escape_default()),
            char => safe.push(char),
        }
    }
    Cow::Owned(safe)
}

/// Returns a text with an ellipsis for each request id in it, AWS's own words (`RequestID: 0a1b…`) and ours alike: what fails
/// alike is the same text then.
pub fn without_request_ids(text: &str) -> Cow<'_, str> {
    let lower = text.to_ascii_lowercase();
    let (mut general, mut kept, mut at) = (String::new(), 0, 0);
    while let Some(found) = lower[at..].find("request") {
        at += found + "request".len();
        let rest = lower[at..].trim_start_matches([' ', '_', '-']);
        let Some(rest) = rest.strip_prefix("id").map(|rest| rest.trim_start_matches([':', '=', ' '])) else { continue };
        let length = rest.find(|char: char| !char.is_ascii_alphanumeric() && char != '-').unwrap_or(rest.len());
        let start = text.len() - rest.len();
        if rest[..length].contains(|char: char| char.is_ascii_digit()) {
            general.push_str(&text[kept..start]);
            general.push('…');
            kept = start + length;
        }
        at = start + length;
    }
    if kept == 0 {
        return Cow::Borrowed(text);
    }
    general.push_str(&text[kept..]);
    Cow::Owned(general)
}

/// Returns a text with `…` for how many tasks it is about: `0 of 3 tasks run` and `0 of 2 tasks run` are one cause.
pub fn without_task_counts(text: &str) -> String {
    let mut words: Vec<&str> = text.split(' ').collect();
    let is_number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    for at in 1..words.len() {
        if matches!(words[at], "task" | "tasks") && is_number(words[at - 1]) {
            words[at - 1] = "…";
            if at >= 3 && words[at - 2] == "of" && is_number(words[at - 3]) {
                words[at - 3] = "…";
            }
            words[at] = "tasks";
        }
    }
    words.join(" ")
}

/// Neutralises a text that may have several lines of its own.
pub fn clean_lines(text: &str) -> String {
    text.split('\n').map(clean).collect::<Vec<_>>().join("\n")
}

/// Returns a text as one word for a POSIX shell. A NUL, which no shell takes, is left out.
pub fn shell_word(text: &str) -> String {
    shlex::try_quote(&text.replace('\0', "")).unwrap_or_default().into_owned()
}

/// Whether a terminal or a job log could obey a character, or a reader could not see it.
pub fn is_unsafe(char: char) -> bool {
    // Nearly all text is, and each event and report goes through here.
    if char.is_ascii() {
        return char.is_ascii_control();
    }
    // Directional marks, embeddings and isolates reorder what is read, 2028 and 2029 break lines, and the rest is not seen.
    char.is_control()
        || matches!(
            char,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

/// Returns the columns that a text without escape sequences takes.
pub fn width(text: &str) -> usize {
    text.chars().map(|char| char.width().unwrap_or(0)).sum()
}

/// Returns the text cut at the end to at most so many columns.
pub fn cut(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    Cow::Owned(if columns == 0 { String::new() } else { start(text, columns - 1) + "…" })
}

/// Returns as much of the text's start as fits so many columns.
pub fn start(text: &str, columns: usize) -> String {
    take(text.chars(), columns).0
}

/// Returns the text cut in the middle to at most so many columns: both ends of a target's name tell it apart.
pub fn cut_middle(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    if columns < 4 {
        return cut(text, columns);
    }
    let (head, used) = take(text.chars(), (columns - 1) / 2);
    let (tail, _) = take(text.chars().rev(), columns - 1 - used);
    Cow::Owned(head + "…" + &tail.chars().rev().collect::<String>())
}

pub(crate) fn take(chars: impl Iterator<Item = char>, columns: usize) -> (String, usize) {
    let mut used = 0;
    let mut kept = String::new();
    for char in chars {
        let next = used + char.width().unwrap_or(0);
        if next > columns {
            break;
        }
        used = next;
        kept.push(char);
    }
    (kept, used)
}

/// Returns bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Returns eight hexadecimal digits that tell a name from others, for where it is cut or loses characters.
pub fn hash(name: &str) -> String {
    hex(&Sha256::digest(name)[..4])
}

/// Returns the text filled up with spaces to so many columns.
pub fn pad(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

/// Returns a length of time in words: `0.4s`, `42s`, `2m 05s`, `1h 02m`.
pub fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        0..10 if !milliseconds.is_multiple_of(1000) => format!("{seconds}.{}s", milliseconds % 1000 / 100),
        0..60 => format!("{seconds}s"),
        60..3600 if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// Returns a length of time as a clock shows it: `00:42`, `1:02:03`.
pub fn clock(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours == 0 { format!("{minutes:02}:{seconds:02}") } else { format!("{hours}:{minutes:02}:{seconds:02}") }
}

/// Returns `1 target`, `3 targets`.
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// Returns words joined by `, ` in lines of at most so many columns, each after an indent. What does not fit in
/// `most` words is counted.
pub fn list<'a>(words: impl Iterator<Item = &'a str>, most: usize, indent: usize, columns: usize) -> Vec<String> {
    let words: Vec<_> = words.collect();
    let shown = if words.len() > most { most.saturating_sub(1) } else { words.len() };
    let mut pieces: Vec<String> = words.iter().take(shown).map(|word| clean(word).into_owned()).collect();
    if shown < words.len() {
        pieces.push(format!("… and {} more", words.len() - shown));
    }
    let last = pieces.len().saturating_sub(1);
    let mut lines: Vec<String> = Vec::new();
    for (index, mut piece) in pieces.into_iter().enumerate() {
        if index < last {
            piece.push(',');
        }
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(&piece) <= columns => {
                line.push(' ');
                line.push_str(&piece);
            }
            _ => lines.push(" ".repeat(indent) + &piece),
        }
    }
    lines
}

/// Returns a text broken at spaces into lines of at most so many columns, each after an indent. A word that is wider
/// than a line stays whole, so that addresses and commands can be copied.
pub fn wrap(text: &str, indent: usize, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in clean(text).split_whitespace() {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(word) <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(" ".repeat(indent) + word),
        }
    }
    lines
}

/// Returns a wave's `max_parallel` in words: `all at once`, `5 at a time`, `1 first, then 5, then 25% at a time`.
pub fn parallel(text: &str) -> String {
    if text == "100%" {
        "all at once".to_owned()
    } else {
        format!("{} at a time", clean(text).replace(", ", ", then ").replacen(", then ", " first, then ", 1))
    }
}

/// Does as [`clean_lines`] does with a text that is coloured already: escape sequences that only choose a style stay.
pub fn clean_styled(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\u{1b}[") {
        let (before, tail) = rest.split_at(at);
        safe.push_str(&clean_lines(before));
        let end = tail[2..].find(|char: char| !char.is_ascii_digit() && char != ';').map_or(tail.len(), |end| end + 2);
        let end = if tail[end..].starts_with('m') { end + 1 } else { 0 };
        safe.push_str(&tail[..end]);
        if end == 0 {
            safe.push_str(&clean(&tail[..1]));
        }
        rest = &tail[end.max(1)..];
    }
    safe + &clean_lines(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_many_tasks_it_is_about_is_left_out() {
        for (text, wanted) in [
            ("not complete within 10m: 0 of 3 tasks run", "not complete within 10m: … of … tasks run"),
            ("1 task failed during the bake", "… tasks failed during the bake"),
            ("12 tasks failed during the bake", "… tasks failed during the bake"),
            ("the task definition web:3 is gone", "the task definition web:3 is gone"),
            ("not complete within 5m: 2 of", "not complete within 5m: 2 of"),
        ] {
            assert_eq!(without_task_counts(text), wanted);
        }
    }

    #[test]
    fn request_ids_are_no_part_of_what_makes_texts_the_same() {
        for (text, general) in [
            (
                "UpdateService: AccessDenied: no (request id 0a1b-2c3d)",
                "UpdateService: AccessDenied: no (request id …)",
            ),
            ("Status Code: 400; Request ID: 0a1b; Proxy: null", "Status Code: 400; Request ID: …; Proxy: null"),
            ("status code: 400, request id: 0a1b, RequestId=77", "status code: 400, request id: …, RequestId=…"),
            ("the request is identical to 400", "the request is identical to 400"),
            ("no request at all, and no request", "no request at all, and no request"),
            ("é request id: 1", "é request id: …"),
        ] {
            assert_eq!(without_request_ids(text), general);
        }
    }

    #[test]
    fn text_of_others_cannot_command_a_terminal() {
        assert!(matches!(clean("plain 일 ✔"), Cow::Borrowed(_)));
        assert_eq!(clean("a\u{1b}[31mb"), r"a\u{1b}[31mb");
        assert_eq!(clean("a\r\nb\tc\u{2028}d"), "a  b c d");
        assert_eq!(clean("\u{0}\u{7f}\u{9b}\u{202e}\u{2066}"), r"\u{0}\u{7f}\u{9b}\u{202e}\u{2066}");
        assert_eq!(clean("\u{61c}\u{200b}\u{200d}\u{2060}\u{feff}"), r"\u{61c}\u{200b}\u{200d}\u{2060}\u{feff}");
        // A job log of GitLab's folds at this marker.
        assert_eq!(clean("\u{1b}[0Ksection_start:1:x\r"), r"\u{1b}[0Ksection_start:1:x ");
    }

    #[test]
    fn of_a_coloured_text_nothing_but_its_colours_stays() {
        let text = "\u{1b}[31ma\u{1b}[0m\n\u{1b}[2J\u{1b}[1;4m\u{1b}]0;x\u{7}\u{202e}\u{1b}[";
        let safe = "\u{1b}[31ma\u{1b}[0m\n\\u{1b}[2J\u{1b}[1;4m\\u{1b}]0;x\\u{7}\\u{202e}\\u{1b}[";
        assert_eq!(clean_styled(text), safe);
    }

    #[test]
    fn words_for_a_shell_are_words() {
        for (text, wanted) in [
            ("deploy/fleet.yaml", "deploy/fleet.yaml"),
            ("prod-*/*/api", "'prod-*/*/api'"),
            ("$(id); `id`\n", "'$(id); `id`\n'"),
            ("it's", r#""it's""#),
            ("it's $HOME", r#""it's "'$HOME'"#),
            ("a\0b", "ab"),
            ("", "''"),
        ] {
            assert_eq!(shell_word(text), wanted);
        }
    }

    #[test]
    fn text_is_cut_by_columns_and_not_by_characters() {
        assert_eq!(cut("결제-서비스", 11), "결제-서비스");
        assert_eq!(cut("결제-서비스", 7), "결제-…");
        assert_eq!(cut("abc", 0), "");
        assert_eq!(cut_middle("prod-eu/eu-west-1/api", 11), "prod-…1/api");
        for columns in 0..30 {
            assert!(width(&cut_middle("결제-서비스-1/ap-northeast-2/주문", columns)) <= columns, "{columns}");
        }
        assert_eq!(pad("결제", 6), "결제  ");
    }

    #[test]
    fn lengths_of_time_have_units() {
        let words: Vec<_> = [0, 400, 2_000, 9_900, 42_500, 60_000, 125_000, 3_720_000].map(duration).into();
        assert_eq!(words, ["0s", "0.4s", "2s", "9.9s", "42s", "1m", "2m 05s", "1h 02m"]);
        assert_eq!([0, 61_000, 3_723_000].map(clock), ["00:00", "01:01", "1:02:03"]);
    }

    #[test]
    fn lists_and_sentences_break_at_their_columns() {
        assert_eq!(list(["a", "bb", "ccc"].into_iter(), 9, 2, 9), ["  a, bb,", "  ccc"]);
        assert_eq!(list(["a", "b", "c", "d"].into_iter(), 3, 0, 40), ["a, b, … and 2 more"]);
        assert_eq!(wrap("one two https://a-long-address", 1, 9), [" one two", " https://a-long-address"]);
    }
}
