//! The text of a task definition file as a fault may show it: every character in its place, and what may be secret hidden.
//!
//! Of a definition, strings show as in a plan: those of members that hold no secret. Of a text that is no definition, or that
//! cannot be read, the names of AWS's members and the punctuation show, and nothing else.

use crate::manifest::spanned::Span;
use crate::task_definition;
use crate::task_definition::compose;

/// Returns the text of a definition, with one place shown whatever it is: a reference that this program reads.
pub fn of_definition(text: &str, reference: Option<Span>) -> String {
    hide(text, reference, true)
}

/// Returns a text of which it is not known what it is.
pub fn of_anything(text: &str) -> String {
    hide(text, None, false)
}

/// Members whose numbers somebody wrote for texts.
const TEXTS: [&str; 3] = ["command", "entryPoint", "value"];

/// What a bracket opened.
#[derive(Default)]
struct Level<'a> {
    /// The member that an entry of it is of.
    member: &'a str,
    list: bool,
    /// Whether names in it are somebody's own, so that they say nothing of their values.
    opaque: bool,
}

fn hide(text: &str, reference: Option<Span>, known: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut levels: Vec<Level<'_>> = Vec::new();
    let mut member = "";
    let mut at = 0;
    while let Some(char) = text[at..].chars().next() {
        let is_string = char == '"';
        let end = at + if is_string { string(&text[at..]) } else { bare(&text[at..], char) };
        let token = &text[at..end];
        let inner = token.strip_prefix('"').map_or(token, |rest| rest.strip_suffix('"').unwrap_or(rest));
        let level = levels.last();
        let opaque = level.is_some_and(|level| level.opaque);
        let is_name = is_string && text[end..].trim_start().starts_with(':') && level.is_none_or(|level| !level.list);
        let shows = match char {
            _ if is_name => known || task_definition::is_member(inner),
            '"' => known && !opaque && compose::is_shown(member),
            _ if "{}[]:,".contains(char) || char.is_whitespace() => true,
            _ => known && !opaque && !TEXTS.contains(&member) && is_literal(token),
        };
        if is_name {
            member = inner;
        }
        match char {
            '{' | '[' => {
                let own = compose::is_opaque(member)
                    || char == '{' && level.is_none_or(|level| !level.list) && member == "environment";
                levels.push(Level { member, list: char == '[', opaque: opaque || own });
            }
            '}' | ']' => {
                levels.pop();
                member = levels.last().map_or("", |level| level.member);
            }
            ',' => member = levels.last().filter(|level| level.list).map_or("", |level| level.member),
            _ => {}
        }
        for (offset, char) in token.char_indices() {
            let place = at + offset;
            let kept = shows
                || is_string && (offset == 0 || place + 1 == end && char == '"')
                || reference.is_some_and(|span| (span.start..span.end).contains(&place));
            out.push(if kept { char } else { cover(char) });
        }
        at = end;
    }
    out
}

/// Returns the length of the string that begins here. It ends with its line at the latest.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, char) in text.char_indices().skip(1) {
        match char {
            '\n' => return at,
            '"' if !escaped => return at + 1,
            _ => escaped = char == '\\' && !escaped,
        }
    }
    text.len()
}

/// Returns the length of what begins here and is no string.
fn bare(text: &str, first: char) -> usize {
    let is_word = |char: char| !char.is_whitespace() && !"\",:{}[]".contains(char);
    if is_word(first) { text.find(|char| !is_word(char)).unwrap_or(text.len()) } else { first.len_utf8() }
}

/// Whether a word is one of JSON's.
fn is_literal(word: &str) -> bool {
    matches!(word, "true" | "false" | "null") || word.parse::<f64>().is_ok()
}

/// Returns a character in place of another, of the same length, so that places still fit. White space stays.
fn cover(char: char) -> char {
    match char.len_utf8() {
        _ if char.is_whitespace() => char,
        1 => '*',
        2 => '\u{b7}',
        3 => '\u{2022}',
        _ => '\u{1f7b0}',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_shows_what_a_plan_shows() {
        let text = r#"{ "family": "api", "containerDefinitions": [{ "name": "app", "image": "r/x:1", "memory": 64,
  "command": ["run", "--key=hunter2"], "environment": [{ "name": "KEY", "value": "hunter2" }, { "name": "PIN", "value": 4711 }],
  "dockerLabels": { "user": "hunter2" }, "user": "0", "healthCheck": { "command": ["x\"y"] }, "memory": 1 }] }"#;
        let shown = r#"{ "family": "api", "containerDefinitions": [{ "name": "app", "image": "r/x:1", "memory": 64,
  "command": ["***", "*************"], "environment": [{ "name": "KEY", "value": "*******" }, { "name": "PIN", "value": **** }],
  "dockerLabels": { "user": "*******" }, "user": "0", "healthCheck": { "command": ["****"] }, "memory": 1 }] }"#;
        assert_eq!(of_definition(text, None), shown);
        let wrong = r#"{ "environment": { "user": "hunter2" }, "command": ["hunter2", 4711], "user": "root" }"#;
        assert!(!of_definition(wrong, None).contains("hunter2") && !of_definition(wrong, None).contains("4711"));
        assert!(of_definition(wrong, None).contains("root"));
    }

    #[test]
    fn of_what_cannot_be_read_nothing_but_its_form_shows() {
        for text in [
            r#"{ "name": "A", "value": hunter2", "image": "x" }"#,
            r#"{ "value": "{"password":"hunter2"}" }"#,
            r#"{ "value" "hunter2": 1, hunter2 }"#,
            "{ value: 'hunter2', -hunter2: `hunter2` }",
            "{ \"value\": \"hunter2\n\"hunter2\": \"",
            r#"{ "type": "service_account", "private_key": "hunter2", "user": "hunter2", "hunter2": 1 }"#,
            r#"{ "value": "hunter2é€😀"#,
        ] {
            let shown = of_anything(text);
            assert!(!shown.contains("hunter2"), "{text}: {shown}");
            assert_eq!((shown.len(), shown.chars().count()), (text.len(), text.chars().count()), "{text}: {shown}");
        }
        assert_eq!(of_anything(r#"{ "image": "api:1", }"#), r#"{ "image": "*****", }"#);
    }

    #[test]
    fn a_reference_shows() {
        let text = r#"{ "command": ["run ${region.x} hunter2"] }"#;
        let start = text.find("${").expect("a reference");
        let shown = of_definition(text, Some(Span { start, end: start + "${region.x}".len() }));
        assert_eq!(shown, r#"{ "command": ["*** ${region.x} *******"] }"#);
    }
}
