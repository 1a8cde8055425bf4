//! AWS's service models of what the sandbox serves: the shape of each operation's request.
//!
//! The table is made from botocore's models by `tests/peers/request_model.py`. It judges nothing: `validation` does.

use std::collections::BTreeMap;
use std::sync::{LazyLock, OnceLock};

use regex_lite::Regex;
use serde::Deserialize;

static MODEL: LazyLock<BTreeMap<String, ServiceModel>> =
    LazyLock::new(|| serde_json::from_str(include_str!("model.json")).expect("the table is valid"));

/// The requests of one service.
#[derive(Debug, Deserialize)]
pub(crate) struct ServiceModel {
    /// The name of each operation's shape; empty where it has none.
    operations: BTreeMap<String, String>,
    shapes: BTreeMap<String, Shape>,
}

/// What a value must be.
#[derive(Debug, Deserialize)]
pub(crate) struct Shape {
    #[serde(rename = "type")]
    pub(crate) kind: Kind,
    /// The members of a structure, and the name of each one's shape.
    #[serde(default)]
    pub(crate) members: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) required: Vec<String>,
    /// The name of the shape of the entries of a list or map.
    #[serde(default)]
    pub(crate) of: String,
    #[serde(default, rename = "enum")]
    pub(crate) values: Vec<String>,
    pub(crate) min: Option<i64>,
    pub(crate) max: Option<i64>,
    /// A regular expression as Java writes it, for the whole text.
    pub(crate) pattern: Option<String>,
    #[serde(skip)]
    compiled: OnceLock<Option<Regex>>,
}

/// The type of a shape.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Structure,
    List,
    Map,
    String,
    Integer,
    Long,
    Float,
    Double,
    Boolean,
    Timestamp,
    /// Any JSON.
    Document,
}

impl ServiceModel {
    /// Finds a service by the name that botocore gives it.
    pub(crate) fn find(service: &str) -> Option<&'static Self> {
        MODEL.get(service)
    }

    /// Returns the shape of an operation's request.
    pub(crate) fn input(&self, operation: &str) -> Option<&Shape> {
        self.shapes.get(self.operations.get(operation)?)
    }

    /// Returns the shape of a name: that of a type where it says no more.
    pub(crate) fn shape(&self, name: &str) -> &Shape {
        self.shapes.get(name).unwrap_or_else(|| Shape::plain(name))
    }
}

impl Shape {
    /// Returns the shape of a type without any rule.
    fn plain(name: &str) -> &'static Self {
        static PLAIN: LazyLock<BTreeMap<&str, Shape>> = LazyLock::new(|| {
            let kinds = [
                ("boolean", Kind::Boolean),
                ("document", Kind::Document),
                ("double", Kind::Double),
                ("float", Kind::Float),
                ("integer", Kind::Integer),
                ("long", Kind::Long),
                ("string", Kind::String),
                ("timestamp", Kind::Timestamp),
            ];
            kinds.into_iter().map(|(name, kind)| (name, Shape::without_rules(kind))).collect()
        });
        static ANYTHING: LazyLock<Shape> = LazyLock::new(|| Shape::without_rules(Kind::Document));
        PLAIN.get(name).unwrap_or(&ANYTHING)
    }

    fn without_rules(kind: Kind) -> Self {
        Self {
            kind,
            members: BTreeMap::new(),
            required: Vec::new(),
            of: String::new(),
            values: Vec::new(),
            min: None,
            max: None,
            pattern: None,
            compiled: OnceLock::new(),
        }
    }

    /// Whether a text is what the pattern wants.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let Some(pattern) = &self.pattern else { return true };
        let compiled = self.compiled.get_or_init(|| Regex::new(&format!("^(?:{})$", from_java(pattern))).ok());
        compiled.as_ref().is_none_or(|regex| regex.is_match(text))
    }
}

/// Translates what only Java's regular expressions have. Letters and numbers of other languages are all that is not ASCII.
fn from_java(pattern: &str) -> String {
    pattern
        .replace(r"\p{L}\p{Z}\p{N}", r"A-Za-z0-9 \x{80}-\x{10FFFF}")
        .replace(r"\u10000-\u10FFFF", r"\x{10000}-\x{10FFFF}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_the_table_has_a_shape_and_every_pattern_compiles() {
        for (service, model) in &*MODEL {
            for (name, shape) in &model.shapes {
                let named = shape.members.values().chain(Some(&shape.of).filter(|of| !of.is_empty()));
                for other in named {
                    let known = model.shapes.contains_key(other) || model.shape(other).kind != Kind::Document;
                    assert!(known || other == "document", "{service} {name}: {other}");
                }
                if let Some(pattern) = &shape.pattern {
                    Regex::new(&from_java(pattern)).unwrap_or_else(|error| panic!("{service} {name}: {error}"));
                }
            }
            for (operation, shape) in &model.operations {
                assert!(shape.is_empty() || model.shapes.contains_key(shape), "{service} {operation}: {shape}");
            }
        }
    }

    #[test]
    fn a_pattern_is_of_the_whole_text() {
        let sts = ServiceModel::find("sts").expect("STS");
        let name = sts.shape("roleSessionNameType");
        assert!(name.matches("gl-1-2@x"));
        assert!(!name.matches("gl 1"));
        assert!(!name.matches("gl-1\n"));
        let tag = ServiceModel::find("ecs").expect("ECS").shape("TagValue");
        assert!(tag.matches("équipe un") && !tag.matches("a|b"));
    }
}
