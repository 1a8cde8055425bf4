//! The places of members in a JSON text that is valid: serde_json has the values without their places.

use std::collections::BTreeSet;

use crate::manifest::spanned::Span;
use crate::task_definition::Step;

/// Returns the place of a member, or of the innermost one on the way to it that the text has.
pub fn locate(text: &str, path: &[Step]) -> Span {
    let mut reader = Reader { text: text.as_bytes(), at: 0 };
    reader.blanks();
    let mut found = reader.at;
    for step in path {
        match reader.enter(step) {
            Some(start) => found = start,
            None => break,
        }
    }
    let mut reader = Reader { text: text.as_bytes(), at: found };
    let is_nested = matches!(reader.peek(), Some(b'{' | b'['));
    reader.skip();
    // Of an object or a list, which may be long, the bracket is enough.
    let end = if is_nested { found + 1 } else { reader.at };
    Span { start: found, end: end.min(text.len()) }
}

/// Returns the members of a JSON text that is valid that an object has once more, each with its place.
pub fn repeated(text: &str) -> Vec<(Span, String)> {
    let mut reader = Reader { text: text.as_bytes(), at: 0 };
    let (mut found, mut open) = (Vec::new(), Vec::<BTreeSet<String>>::new());
    while let Some(byte) = reader.peek() {
        let start = reader.at;
        match byte {
            b'"' => {
                reader.skip_text();
                let (token, rest) = (&text[start..reader.at], &text[reader.at..]);
                // Only the name of a member stands before a colon.
                if rest.trim_start().starts_with(':')
                    && let (Ok(name), Some(names)) = (serde_json::from_str::<String>(token), open.last_mut())
                    && !names.insert(name.clone())
                {
                    found.push((Span { start, end: reader.at }, name));
                }
                continue;
            }
            b'{' | b'[' => open.push(BTreeSet::new()),
            b'}' | b']' => drop(open.pop()),
            _ => {}
        }
        reader.at += 1;
    }
    found
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Skips white space, colons and commas, which say nothing where the text is known to be valid.
    fn blanks(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace() || byte == b':' || byte == b',') {
            self.at += 1;
        }
    }

    /// Goes to one member or entry of the value that begins here. Returns its place.
    fn enter(&mut self, step: &Step) -> Option<usize> {
        let mut found = None;
        let close = match (self.peek()?, step) {
            (b'{', Step::Member(_)) => b'}',
            (b'[', Step::Entry(_)) => b']',
            _ => return None,
        };
        self.at += 1;
        let mut index = 0;
        loop {
            self.blanks();
            if self.peek()? == close {
                break;
            }
            let is_it = match step {
                Step::Member(name) => {
                    let start = self.at;
                    self.skip();
                    let key = serde_json::from_slice::<String>(&self.text[start..self.at]);
                    self.blanks();
                    key.is_ok_and(|key| key == *name)
                }
                Step::Entry(wanted) => *wanted == index,
            };
            // Of two members of one name the last counts.
            if is_it {
                found = Some(self.at);
            }
            self.skip();
            index += 1;
        }
        self.at = found?;
        found
    }

    /// Skips the value that begins here.
    fn skip(&mut self) {
        let mut depth = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => self.skip_text(),
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    self.at += 1;
                }
                _ if depth > 0 => {
                    self.at += 1;
                    continue;
                }
                _ => {
                    while self.peek().is_some_and(|byte| !b",}] \t\r\n".contains(&byte)) {
                        self.at += 1;
                    }
                }
            }
            if depth == 0 {
                return;
            }
        }
    }

    fn skip_text(&mut self) {
        self.at += 1;
        while let Some(byte) = self.peek() {
            self.at += if byte == b'\\' { 2 } else { 1 };
            if byte == b'"' {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_that_an_object_has_twice_are_found() {
        let text = r#"{"a": 1, "b": [{"a": 2}, {"a": "a"}], "c": "\"a\": x", "a" : {"d": 1, "d": 2}}"#;
        let found: Vec<(&str, String)> =
            repeated(text).into_iter().map(|(span, name)| (&text[span.start..], name)).collect();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].0.starts_with("\"a\" : {") && found[1].0.starts_with("\"d\": 2"), "{found:?}");
    }

    #[test]
    fn members_are_found_where_they_stand() {
        let text = r#" {"a": [1, {"b\n": "x\"y"}, [2]], "c": {"d": -1.5}, "c": true , "e":null}"#;
        let member = |name: &str| Step::Member(name.to_owned());
        let at = |path: &[Step]| {
            let span = locate(text, path);
            &text[span.start..span.end]
        };
        assert_eq!(at(&[]), "{");
        assert_eq!(at(&[member("a"), Step::Entry(0)]), "1");
        assert_eq!(at(&[member("a"), Step::Entry(1), member("b\n")]), r#""x\"y""#);
        assert_eq!(at(&[member("a"), Step::Entry(2), Step::Entry(0)]), "2");
        assert_eq!(at(&[member("c"), member("d")]), "true");
        assert_eq!(at(&[member("e")]), "null");
        assert_eq!(at(&[member("a"), Step::Entry(1), member("z")]), "{");
        assert_eq!(at(&[member("a"), Step::Entry(7)]), "[");
    }
}
