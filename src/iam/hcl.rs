//! HCL as `terraform fmt` leaves it: blocks, attributes with their `=` in one column, and values.

use serde_json::{Map, Value};

use crate::base::json::literal as literal_of;

/// A part of a block's body.
#[derive(Clone, Debug)]
pub enum Part {
    /// `NAME = EXPRESSION`
    Attribute(&'static str, Expression),
    /// `HEADER { … }`
    Block(String, Vec<Part>),
    /// An empty line.
    Blank,
}

/// What an attribute is set to.
#[derive(Clone, Debug)]
pub enum Expression {
    /// A literal.
    Value(Value),
    /// `jsonencode(…)` of a literal.
    Json(Value),
    /// HCL as it is: a reference, or a list of them.
    Raw(String),
}

/// Returns an attribute of text.
pub fn text(name: &'static str, text: impl Into<String>) -> Part {
    Part::Attribute(name, Expression::Value(Value::String(text.into())))
}

/// Returns an attribute that refers to something.
pub fn raw(name: &'static str, text: impl Into<String>) -> Part {
    Part::Attribute(name, Expression::Raw(text.into()))
}

/// Returns a file of the parts.
pub fn file(parts: &[Part]) -> String {
    let mut out = String::new();
    write_parts(&mut out, parts, 0);
    out
}

fn write_parts(out: &mut String, parts: &[Part], indent: usize) {
    let margin = " ".repeat(indent);
    let rendered: Vec<(Option<&str>, String)> = parts
        .iter()
        .map(|part| match part {
            Part::Blank => (None, "\n".to_owned()),
            Part::Attribute(name, expression) => (Some(*name), render(expression, indent)),
            Part::Block(header, parts) => {
                let mut block = format!("{margin}{header} {{\n");
                write_parts(&mut block, parts, indent + 2);
                block.push_str(&format!("{margin}}}\n"));
                (None, block)
            }
        })
        .collect();
    write_lines(out, &rendered, &margin);
}

/// Writes attributes, those of one line in a row with their `=` in one column. What has no name stands as it is.
fn write_lines(out: &mut String, lines: &[(Option<&str>, String)], margin: &str) {
    let is_short = |line: &(Option<&str>, String)| line.0.is_some() && !line.1.contains('\n');
    for row in lines.chunk_by(|one, next| is_short(one) && is_short(next)) {
        let width = row.iter().filter_map(|(name, _)| name.map(|name| name.chars().count())).max().unwrap_or_default();
        for (name, value) in row {
            match name {
                Some(name) => out.push_str(&format!("{margin}{name:width$} = {value}\n")),
                None => out.push_str(value),
            }
        }
    }
}

fn render(expression: &Expression, indent: usize) -> String {
    match expression {
        Expression::Value(value) => literal(value, indent),
        Expression::Json(value) => format!("jsonencode({})", literal(value, indent)),
        Expression::Raw(text) => text.clone(),
    }
}

fn literal(value: &Value, indent: usize) -> String {
    match value {
        Value::Object(members) if members.is_empty() => "{}".to_owned(),
        Value::Object(members) => object(members, indent),
        Value::Array(items) if items.is_empty() => "[]".to_owned(),
        Value::Array(items) => {
            let inner = " ".repeat(indent + 2);
            let items: String = items.iter().map(|item| format!("{inner}{},\n", literal(item, indent + 2))).collect();
            format!("[\n{items}{}]", " ".repeat(indent))
        }
        Value::String(text) => quoted(text),
        other => other.to_string(),
    }
}

fn object(members: &Map<String, Value>, indent: usize) -> String {
    let names: Vec<String> = members.keys().map(|name| key(name)).collect();
    let values = members.values().map(|value| literal(value, indent + 2));
    let lines: Vec<(Option<&str>, String)> = names.iter().map(|name| Some(name.as_str())).zip(values).collect();
    let mut out = "{\n".to_owned();
    write_lines(&mut out, &lines, &" ".repeat(indent + 2));
    out.push_str(&format!("{}}}", " ".repeat(indent)));
    out
}

fn key(name: &str) -> String {
    let plain = name.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_')
        && name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_');
    if plain { name.to_owned() } else { quoted(name) }
}

/// Quotes a text, in which nothing is a template.
fn quoted(text: &str) -> String {
    literal_of(text).replace("${", "$${").replace("%{", "%%{")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn equal_signs_stand_in_columns_and_long_values_break_them() {
        let policy = json!({ "Version": "1", "Statement": [{ "Sid": "A", "gitlab.com:sub": "a", "Action": ["x", "y"], "Empty": {} }] });
        let parts = [
            Part::Block(
                "resource \"aws_iam_role\" \"a\"".to_owned(),
                vec![
                    raw("provider", "aws.a"),
                    text("name", "${x} %{y} \"z\""),
                    Part::Attribute("max", Expression::Value(json!(3600))),
                    Part::Attribute("policy", Expression::Json(policy)),
                    text("path", "/"),
                ],
            ),
            Part::Blank,
            Part::Block("terraform".to_owned(), vec![Part::Block("inner".to_owned(), Vec::new())]),
        ];
        let wanted = r#"resource "aws_iam_role" "a" {
  provider = aws.a
  name     = "$${x} %%{y} \"z\""
  max      = 3600
  policy = jsonencode({
    Version = "1"
    Statement = [
      {
        Sid              = "A"
        "gitlab.com:sub" = "a"
        Action = [
          "x",
          "y",
        ]
        Empty = {}
      },
    ]
  })
  path = "/"
}

terraform {
  inner {
  }
}
"#;
        assert_eq!(file(&parts), wanted);
    }
}
