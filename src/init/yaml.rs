//! Words of a manifest, quoted where YAML would take them for something else.

use crate::base::json;

/// Plain words that YAML parsers of one version or another take for something else than text.
const WORDS: [&str; 9] = ["false", "n", "no", "null", "off", "on", "true", "y", "yes"];

/// Returns a text as YAML, in which `$` starts a reference.
pub fn template(text: &str) -> String {
    let plain = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|char| char.is_ascii_alphanumeric() || "._/-".contains(char))
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if plain {
        return text.to_owned();
    }
    json::literal(text)
}

/// Returns a text as YAML, in which nothing is a reference.
pub fn literal(text: &str) -> String {
    template(&text.replace("${", "$${"))
}

/// Returns words as a YAML list on one line.
pub fn list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    format!("[{}]", words.into_iter().map(literal).collect::<Vec<_>>().join(", "))
}

/// Returns a name that the manifest takes, as near to the text as it gets.
pub fn name(text: &str) -> String {
    let allowed = |char: char| if char.is_ascii_alphanumeric() || "._-".contains(char) { char } else { '-' };
    if text.is_empty() { "unnamed".to_owned() } else { text.chars().map(allowed).collect() }
}

/// Returns the name, or the first of `name-2`, `name-3` and so on that is not taken.
pub fn unique(name: &str, taken: impl Fn(&str) -> bool) -> String {
    let numbered = (2..).map(|number: u32| format!("{name}-{number}"));
    std::iter::once(name.to_owned()).chain(numbered).find(|name| !taken(name)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_they_must_be() {
        assert_eq!(list(["eu-west-1", "a.b/c", "012345678901", "on", "a b", "a$b", "a,b", "\"\n"]), {
            r#"[eu-west-1, a.b/c, "012345678901", "on", "a b", "a$b", "a,b", "\"\n"]"#
        });
    }

    #[test]
    fn names_are_made_to_fit() {
        assert_eq!(name("a,b/c"), "a-b-c");
        assert_eq!(unique("a", |name| name == "a" || name == "a-2"), "a-3");
    }
}
