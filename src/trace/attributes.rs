//! What is said of a span, or of a whole trace.

use crate::base::text::clean;

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A text.
    Text(String),
    /// Texts.
    Texts(Vec<String>),
    /// A whole number.
    Number(i64),
    /// A number of the traffic's.
    Percent(f64),
    /// Yes or no.
    Flag(bool),
}

/// What is said of a span or of the whole trace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attributes(Vec<(&'static str, Value)>);

impl Attributes {
    /// Adds a text, without what a terminal or a page would obey; nothing where it is empty.
    pub(super) fn text(&mut self, name: &'static str, text: impl AsRef<str>) {
        let text = clean(text.as_ref()).into_owned();
        if !text.is_empty() {
            self.0.push((name, Value::Text(text)));
        }
    }

    pub(super) fn some(&mut self, name: &'static str, text: Option<impl ToString>) {
        if let Some(text) = text {
            self.text(name, text.to_string());
        }
    }

    pub(super) fn texts(&mut self, name: &'static str, texts: impl IntoIterator<Item = String>) {
        let texts: Vec<String> = texts.into_iter().map(|text| clean(&text).into_owned()).collect();
        if !texts.is_empty() {
            self.0.push((name, Value::Texts(texts)));
        }
    }

    pub(super) fn count(&mut self, name: &'static str, number: usize) {
        self.0.push((name, Value::Number(i64::try_from(number).unwrap_or(i64::MAX))));
    }

    pub(super) fn flag(&mut self, name: &'static str, flag: bool) {
        self.0.push((name, Value::Flag(flag)));
    }

    pub(super) fn percent(&mut self, name: &'static str, percent: Option<f64>) {
        self.0.extend(percent.map(|percent| (name, Value::Percent(percent))));
    }

    /// Returns the attributes, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.0.iter().map(|(name, value)| (*name, value))
    }
}
