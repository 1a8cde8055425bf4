//! A page as it is written. What is not ours goes in as text, and cannot become markup.

use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::base::text::clean_lines;

/// A page that is being written.
pub(super) struct Page<'a> {
    writer: &'a mut dyn Write,
    written: io::Result<()>,
}

impl<'a> Page<'a> {
    /// Writes to `writer`.
    pub fn new(writer: &'a mut dyn Write) -> Self {
        Self { writer, written: Ok(()) }
    }

    /// Adds what is HTML already. After an error nothing more is written.
    pub fn html(&mut self, html: &str) -> &mut Self {
        if self.written.is_ok() {
            self.written = self.writer.write_all(html.as_bytes());
        }
        self
    }

    /// Adds text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.html(&escaped(text))
    }

    /// Returns whether all of it was written.
    pub fn end(self) -> io::Result<()> {
        self.written
    }
}

/// Returns text as HTML has it, in an element or between the quotes of an attribute.
pub(super) fn escaped(text: &str) -> String {
    let text = clean_lines(text);
    let mut safe = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            char => safe.push(char),
        }
    }
    safe
}

/// Returns words as a link, where the address is one of the web; else the words.
pub(super) fn link(words: &str, address: Option<&str>) -> String {
    let is_web = |text: &&str| {
        (text.starts_with("https://") || text.starts_with("http://"))
            && !text.chars().any(|char| char.is_whitespace() || "<>\"".contains(char))
    };
    match address.filter(is_web) {
        Some(address) => format!("<a href=\"{}\" rel=\"noreferrer\">{}</a>", escaped(address), escaped(words)),
        None => escaped(words),
    }
}

/// Returns the name of a target as a link that opens it in the page.
pub(super) fn target(name: &str) -> String {
    let encoded: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
    format!("<a href=\"#target={}\">{}</a>", encoded.replace("%2F", "/"), escaped(name))
}

/// Returns one of the page's glyphs.
pub(super) fn glyph(name: &str, tone: &str) -> String {
    format!("<svg class=\"glyph {tone}\" viewBox=\"0 0 16 16\" aria-hidden=\"true\"><use href=\"#g-{name}\"/></svg>")
}

/// Returns the digest by which a content security policy allows an inline script or style.
pub(super) fn digest(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(escaped("<b a=\"1\" c='2'>&amp;"), "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;amp;");
        assert_eq!(target("a/r/\"><i>"), "<a href=\"#target=a/r/%22%3E%3Ci%3E\">a/r/&quot;&gt;&lt;i&gt;</a>");
    }

    #[test]
    fn only_an_address_of_the_web_becomes_a_link() {
        assert_eq!(link("job", Some("https://h/a?b&c")), "<a href=\"https://h/a?b&amp;c\" rel=\"noreferrer\">job</a>");
        for address in [None, Some("javascript:alert(1)"), Some("https://h/ \"onclick"), Some("data:text/html,x")] {
            assert_eq!(link("<job>", address), "&lt;job&gt;", "{address:?}");
        }
    }
}
