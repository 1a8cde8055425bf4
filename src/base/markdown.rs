//! Markdown: text of others in it says what it says, and nothing more.

use crate::base::text::clean;

/// Returns a text of others that neither HTML nor Markdown takes for more than text, and of which GitLab makes no mention,
/// reference or link. What stands between two backticks stays code, in which GitLab sees nothing but text.
///
/// GitLab looks for those in what is rendered, where an entity such as `&#64;` is its character again; what a backslash
/// escapes it leaves alone. A backslash has no meaning in HTML, so this is not for what stands between tags: see [`code`].
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let text = clean(text);
    let mut before = ' ';
    let mut code_ends = 0;
    for (at, char) in text.char_indices() {
        let rest = &text[at + char.len_utf8()..];
        if at >= code_ends && char == '`' && before != '`' {
            code_ends = at + code_length(rest);
        }
        match char {
            char if at < code_ends => safe.push(char),
            // Of an epic's reference, `&1`.
            '&' => safe.push_str("\\&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            // An address without a scheme is linked by its `www.`, one with a scheme by its `://`, a mail's by its `@`.
            '.' if before.eq_ignore_ascii_case(&'w') => safe.push_str("\\."),
            ':' if rest.starts_with('/') => safe.push_str("\\:"),
            // A line that begins with it is a command to GitLab.
            '/' if safe.is_empty() => safe.push_str("\\/"),
            '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '@' | '#' | '!' | '~' | '$' | '%' | '^' => {
                safe.push('\\');
                safe.push(char);
            }
            char => safe.push(char),
        }
        before = char;
    }
    safe
}

/// Returns how many bytes a piece of code has with both backticks, given what follows the first; 0 if it is none. A
/// stroke would end a cell of a table, in code, too.
fn code_length(rest: &str) -> usize {
    let Some((inside, after)) = rest.split_once('`') else { return 0 };
    let is_code = !inside.trim().is_empty() && !inside.contains(['|', '\\']) && !after.starts_with('`');
    if is_code { inside.len() + 2 } else { 0 }
}

/// Returns a name or value of others as code, which GitLab neither formats nor links; for a place in HTML, too.
pub fn code(text: &str) -> String {
    let mut safe = "<code>".to_owned();
    let text = clean(text);
    let mut before = ' ';
    let mut rest = text.chars().peekable();
    while let Some(char) = rest.next() {
        let linked = (char == ':' && rest.peek() == Some(&'/')) || (char == '.' && before.eq_ignore_ascii_case(&'w'));
        match char {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '@' | '#' | '!' | '~' | '$' => {
                safe.push_str(&format!("&#{};", u32::from(char)));
            }
            char if linked => safe.push_str(&format!("&#{};", u32::from(char))),
            char => safe.push(char),
        }
        before = char;
    }
    safe + "</code>"
}
