//! JSON that is kept as its text: a tree of values takes six times the room of the text that it is read from.
//!
//! What a large fleet has of each target is kept like this, read where it is needed, and dropped again. It does not know
//! what the JSON is about.

mod passed;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::base::document::passed::Passed;

/// A JSON value, as its compact text. Clones share the text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Document(Arc<str>);

impl Document {
    /// Writes a value down.
    pub fn write(value: &Value) -> Self {
        Self(value.to_string().into())
    }

    /// Reads the value.
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.0).expect("it was written from a value that was read as JSON")
    }

    /// Returns its text.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Whether it is JSON's `null`: there is nothing.
    pub fn is_null(&self) -> bool {
        &*self.0 == "null"
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Default for Document {
    fn default() -> Self {
        Self::write(&Value::Null)
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Passed::new(&mut serde_json::Deserializer::from_str(&self.0)).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut text = Vec::new();
        Passed::new(deserializer).serialize(&mut serde_json::Serializer::new(&mut text)).map_err(D::Error::custom)?;
        String::from_utf8(text).map(|text| Self(text.into())).map_err(D::Error::custom)
    }
}

/// Documents of which equal ones are kept once.
#[derive(Debug, Default)]
pub struct SharedDocuments(HashSet<Document>);

impl SharedDocuments {
    /// Returns the first document of the same text.
    pub fn share(&mut self, document: Document) -> Document {
        if let Some(known) = self.0.get(&document) {
            return known.clone();
        }
        self.0.insert(document.clone());
        document
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_is_the_value_in_its_order_and_equal_ones_are_kept_once() {
        let value = json!({ "b": [1, 2.5, null], "a": { "text": "ä \"\n" } });
        let document = Document::write(&value);
        assert_eq!((document.value().to_string(), document.value()), (value.to_string(), value.clone()));
        let mut shared = SharedDocuments::default();
        let (one, other) = (shared.share(document), shared.share(Document::write(&value)));
        assert!(Arc::ptr_eq(&one.0, &other.0));
        assert!(Document::default().is_null() && !one.is_null());
    }

    #[test]
    fn a_document_is_written_as_its_value() {
        let value = json!({ "family": "api", "cpu": 256 });
        let written = serde_json::to_string_pretty(&Document::write(&value)).expect("JSON");
        assert_eq!(written, serde_json::to_string_pretty(&value).expect("JSON"));
        assert_eq!(serde_json::from_str::<Document>(&written).expect("JSON"), Document::write(&value));
    }

    #[test]
    fn a_document_is_read_and_written_as_a_value_of_each_kind_would_be() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "kind", rename_all = "snake_case")]
        enum Tagged {
            One { document: Document },
        }

        let value =
            json!({ "a": [null, true, -1, 18_446_744_073_709_551_615_u64, 1.5, "\u{9b} \"ä"], "b": {}, "c": [] });
        let tagged = Tagged::One { document: Document::write(&value) };
        let text = serde_json::to_string(&tagged).expect("JSON");
        assert_eq!(text, format!("{{\"kind\":\"one\",\"document\":{value}}}"));
        assert_eq!(serde_json::from_str::<Tagged>(&text).expect("JSON"), tagged);
        assert_eq!(serde_json::to_value(&tagged).expect("JSON")["document"], value);
        assert_eq!(serde_json::from_value::<Document>(value.clone()).expect("JSON"), Document::write(&value));
        assert!(serde_json::from_str::<Document>("[1, ").is_err());
    }
}
