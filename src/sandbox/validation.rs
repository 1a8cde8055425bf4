//! What AWS makes of a request by its service's model, before the operation sees it: wrong types are a SerializationException,
//! unknown members and nulls are left out, and what breaks a constraint is refused in the service's words.
//!
//! Codes are AWS's. So are the words of most services; of ECS only those for values that must be one of several were reported.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};

use crate::sandbox::model::{Kind, ServiceModel, Shape};
use crate::sandbox::tag;
use crate::sandbox::wire::AwsError;

/// What ECS judges in words of its own, in `tag`.
const TAGS: [&str; 3] = ["Tags", "TagKey", "TagValue"];

/// Checks an operation's input, and leaves of it what AWS reads.
///
/// # Errors
/// AWS's refusal.
pub(crate) fn accept(service: &str, operation: &str, input: &mut Value) -> Result<(), AwsError> {
    let Some((model, shape)) = find(service, operation) else { return Ok(()) };
    if let Some(wrong) = wrong_type(model, shape, input) {
        return Err(AwsError::new("SerializationException", wrong));
    }
    prune(model, shape, input);
    if let Some(Value::Array(tags)) = input.get("tags").filter(|_| service == "ecs") {
        tag::check(tags)?;
    }
    let mut violations = violations(service, model, shape, input);
    if operation == "RegisterTaskDefinition" {
        // `task_definition` judges the rest: only what it leaves out of a request before is not for it to refuse.
        violations.retain(|it| matches!(it.rule, Rule::OneOf(_)) && it.value.is_some_and(|value| *value == ""));
    }
    refusal(service, operation, &violations).map_or(Ok(()), Err)
}

/// Checks the parameters of an operation in awsQuery.
///
/// # Errors
/// AWS's refusal.
pub(crate) fn accept_form(service: &str, operation: &str, form: &BTreeMap<String, String>) -> Result<(), AwsError> {
    let Some((model, shape)) = find(service, operation) else { return Ok(()) };
    let input = read_form(model, shape, form, "")?.unwrap_or_else(|| Value::Object(Map::new()));
    refusal(service, operation, &violations(service, model, shape, &input)).map_or(Ok(()), Err)
}

fn find(service: &str, operation: &str) -> Option<(&'static ServiceModel, &'static Shape)> {
    let model = ServiceModel::find(service)?;
    Some((model, model.input(operation)?))
}

/// Returns what AWS's front end says of the first value of a wrong type.
fn wrong_type(model: &ServiceModel, shape: &Shape, value: &Value) -> Option<String> {
    match (shape.kind, value) {
        (_, Value::Null)
        | (Kind::Document, _)
        | (Kind::String, Value::String(_))
        | (Kind::Boolean, Value::Bool(_))
        | (Kind::Float | Kind::Double, Value::Number(_))
        | (Kind::Timestamp, Value::Number(_) | Value::String(_)) => None,
        (Kind::Structure, Value::Object(members)) => members.iter().find_map(|(name, value)| {
            let member = shape.members.get(name)?;
            wrong_type(model, model.shape(member), value)
        }),
        (Kind::List, Value::Array(items)) => {
            items.iter().find_map(|item| wrong_type(model, model.shape(&shape.of), item))
        }
        (Kind::Map, Value::Object(items)) => {
            items.values().find_map(|item| wrong_type(model, model.shape(&shape.of), item))
        }
        (Kind::Integer | Kind::Long, Value::Number(number)) if number.is_i64() || number.is_u64() => None,
        (_, Value::Array(_)) => Some("Start of list found where not expected".to_owned()),
        (_, Value::Object(_)) => Some("Start of structure or map found where not expected.".to_owned()),
        (kind, value) => {
            let found = match value {
                Value::String(_) => "STRING_VALUE",
                Value::Number(number) if number.is_f64() => "DECIMAL_VALUE",
                Value::Number(_) => "NUMBER_VALUE",
                Value::Bool(true) => "TRUE_VALUE",
                _ => "FALSE_VALUE",
            };
            let wanted = match kind {
                Kind::List => return Some("Expected list or null".to_owned()),
                Kind::Structure | Kind::Map => return Some("Expected map or null".to_owned()),
                Kind::String | Kind::Document => "String",
                Kind::Integer => "Integer",
                Kind::Long => "Long",
                Kind::Float => "Float",
                Kind::Double => "Double",
                Kind::Boolean => "Boolean",
                Kind::Timestamp => "Date",
            };
            Some(format!("{found} cannot be converted to {wanted}"))
        }
    }
}

/// Takes out unknown members and nulls.
fn prune(model: &ServiceModel, shape: &Shape, value: &mut Value) {
    match (shape.kind, value) {
        (Kind::Structure, Value::Object(members)) => members.retain(|name, value| {
            let member = shape.members.get(name).filter(|_| !value.is_null());
            member.map(|member| prune(model, model.shape(member), value)).is_some()
        }),
        (Kind::List, Value::Array(items)) => {
            items.retain(|item| !item.is_null());
            items.iter_mut().for_each(|item| prune(model, model.shape(&shape.of), item));
        }
        (Kind::Map, Value::Object(items)) => {
            items.retain(|_, item| !item.is_null());
            items.values_mut().for_each(|item| prune(model, model.shape(&shape.of), item));
        }
        _ => {}
    }
}

/// Reads the parameters of a shape; `None` where there are none.
fn read_form(
    model: &ServiceModel,
    shape: &Shape,
    form: &BTreeMap<String, String>,
    name: &str,
) -> Result<Option<Value>, AwsError> {
    let below = |member: &str| if name.is_empty() { member.to_owned() } else { format!("{name}.{member}") };
    match shape.kind {
        Kind::Structure => {
            let mut members = Map::new();
            for (member, of) in &shape.members {
                if let Some(value) = read_form(model, model.shape(of), form, &below(member))? {
                    members.insert(member.clone(), value);
                }
            }
            Ok((!members.is_empty()).then_some(Value::Object(members)))
        }
        Kind::List => {
            let mut items = Vec::new();
            while let Some(item) =
                read_form(model, model.shape(&shape.of), form, &below(&format!("member.{}", items.len() + 1)))?
            {
                items.push(item);
            }
            Ok((!items.is_empty()).then_some(Value::Array(items)))
        }
        Kind::Integer | Kind::Long => {
            let malformed = |text: &String| AwsError::new("MalformedInput", format!("{text} is not a number"));
            let read = |text: &String| text.parse::<i64>().map_err(|_| malformed(text));
            Ok(form.get(name).map(read).transpose()?.map(|number| Value::Number(Number::from(number))))
        }
        _ => Ok(form.get(name).map(|text| Value::String(text.clone()))),
    }
}

/// One step of the path to a value.
#[derive(Clone, Copy)]
enum Step<'a> {
    Member(&'a str),
    Entry(usize),
}

/// A constraint of the model.
enum Rule<'a> {
    Required,
    OneOf(&'a [String]),
    Pattern(&'a str),
    /// `length less than or equal to 50`.
    Bound(String),
}

/// A value that breaks a constraint.
struct Violation<'a> {
    path: Vec<Step<'a>>,
    value: Option<&'a Value>,
    rule: Rule<'a>,
}

fn violations<'a>(service: &'a str, model: &'a ServiceModel, shape: &'a Shape, input: &'a Value) -> Vec<Violation<'a>> {
    let mut judge = Judge { service, model, path: Vec::new(), violations: Vec::new() };
    judge.value(shape, input);
    judge.violations
}

struct Judge<'a> {
    service: &'a str,
    model: &'a ServiceModel,
    path: Vec<Step<'a>>,
    violations: Vec<Violation<'a>>,
}

impl<'a> Judge<'a> {
    fn push(&mut self, value: Option<&'a Value>, rule: Rule<'a>) {
        self.violations.push(Violation { path: self.path.clone(), value, rule });
    }

    fn value(&mut self, shape: &'a Shape, value: &'a Value) {
        match value {
            Value::Object(members) if shape.kind == Kind::Structure => {
                for (name, inner) in members {
                    let Some(member) = shape.members.get(name) else { continue };
                    self.path.push(Step::Member(name));
                    self.named(member, inner);
                    self.path.pop();
                }
                for name in shape.required.iter().filter(|name| !members.contains_key(*name)) {
                    self.path.push(Step::Member(name));
                    self.push(None, Rule::Required);
                    self.path.pop();
                }
            }
            Value::Object(items) if shape.kind == Kind::Map => {
                for (name, inner) in items {
                    self.path.push(Step::Member(name));
                    self.named(&shape.of, inner);
                    self.path.pop();
                }
            }
            Value::Array(items) if shape.kind == Kind::List => {
                self.bound(shape, value, "length", length(items.len()));
                for (index, item) in items.iter().enumerate() {
                    self.path.push(Step::Entry(index + 1));
                    self.named(&shape.of, item);
                    self.path.pop();
                }
            }
            Value::String(text) if shape.kind == Kind::String => {
                if !shape.values.is_empty() && !shape.values.contains(text) {
                    return self.push(Some(value), Rule::OneOf(&shape.values));
                }
                self.bound(shape, value, "length", length(text.chars().count()));
                if !shape.matches(text) {
                    self.push(Some(value), Rule::Pattern(shape.pattern.as_deref().unwrap_or_default()));
                }
            }
            Value::Number(number) => {
                if let Some(number) = number.as_i64() {
                    self.bound(shape, value, "value", number);
                }
            }
            _ => {}
        }
    }

    fn named(&mut self, shape: &str, value: &'a Value) {
        if self.service != "ecs" || !TAGS.contains(&shape) {
            self.value(self.model.shape(shape), value);
        }
    }

    fn bound(&mut self, shape: &Shape, value: &'a Value, what: &str, size: i64) {
        if let Some(max) = shape.max.filter(|max| size > *max) {
            self.push(Some(value), Rule::Bound(format!("{what} less than or equal to {max}")));
        }
        if let Some(min) = shape.min.filter(|min| size < *min) {
            self.push(Some(value), Rule::Bound(format!("{what} greater than or equal to {min}")));
        }
    }
}

fn length(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Returns the error that a service answers with.
fn refusal(service: &str, operation: &str, violations: &[Violation]) -> Option<AwsError> {
    // Of these a missing parameter is refused by the operation, in words of its own.
    let by_operation = ["ecs", "elbv2", "secretsmanager"].contains(&service);
    let is_of_operation =
        |violation: &&Violation| by_operation && violation.path.len() == 1 && matches!(violation.rule, Rule::Required);
    let violations: Vec<&Violation> = violations.iter().filter(|violation| !is_of_operation(violation)).collect();
    let first = violations.first()?;
    let code = match service {
        "ecs" if operation == "RegisterTaskDefinition" => "ClientException",
        "ecs" | "ecr" | "logs" => "InvalidParameterException",
        "codedeploy" | "secretsmanager" | "ssm" => "ValidationException",
        _ => "ValidationError",
    };
    Some(match (service, &first.rule) {
        ("ecs", Rule::Required) => AwsError::invalid(format!("{} can not be blank.", first.name())),
        ("ecs", Rule::OneOf(values)) => {
            let (value, name) = (first.shown(), first.name());
            let text =
                format!("{value} is not a valid value for {name}. The value must be one of [{}]", values.join(","));
            AwsError::new(code, text)
        }
        ("ecr", rule) => {
            let rule = rule.text().replace("Member must", "must");
            AwsError::invalid(format!(
                "Invalid parameter at '{}' failed to satisfy constraint: '{rule}'",
                first.json_path()
            ))
        }
        ("organizations", _) => {
            let text = "You provided a value that does not match the required pattern.";
            AwsError::new("InvalidInputException", text)
        }
        ("codedeploy", Rule::Required) => {
            let (initial, rest) = first.name().split_at_checked(1).unwrap_or_default();
            let name = format!("{}{}", initial.to_ascii_uppercase(), rest.trim_end_matches('s'));
            AwsError::new(&format!("{name}RequiredException"), format!("{} must be specified", first.name()))
        }
        _ => {
            let texts: Vec<String> = violations.iter().map(|violation| violation.text()).collect();
            let plural = if texts.len() == 1 { "" } else { "s" };
            AwsError::new(code, format!("{} validation error{plural} detected: {}", texts.len(), texts.join("; ")))
        }
    })
}

impl Violation<'_> {
    /// Returns the name of the member.
    fn name(&self) -> &str {
        let name = self.path.iter().rev().find_map(|step| match step {
            Step::Member(name) => Some(*name),
            Step::Entry(_) => None,
        });
        name.unwrap_or_default()
    }

    /// Returns the path as AWS writes it: `tags.1.member.key`.
    fn json_path(&self) -> String {
        let steps = self.path.iter().map(|step| match step {
            Step::Member(name) => {
                let (initial, rest) = name.split_at_checked(1).unwrap_or_default();
                format!("{}{rest}", initial.to_ascii_lowercase())
            }
            Step::Entry(number) => format!("{number}.member"),
        });
        steps.collect::<Vec<_>>().join(".")
    }

    fn shown(&self) -> String {
        fn text(value: &Value) -> String {
            match value {
                Value::String(text) => text.clone(),
                Value::Array(items) => format!("[{}]", items.iter().map(text).collect::<Vec<_>>().join(", ")),
                other => other.to_string(),
            }
        }
        self.value.map(text).unwrap_or_default()
    }

    fn text(&self) -> String {
        let value = self.value.map(|_| format!(" '{}'", self.shown())).unwrap_or_default();
        format!("Value{value} at '{}' failed to satisfy constraint: {}", self.json_path(), self.rule.text())
    }
}

impl Rule<'_> {
    fn text(&self) -> String {
        match self {
            Self::Required => "Member must not be null".to_owned(),
            Self::OneOf(values) => format!("Member must satisfy enum value set: [{}]", values.join(", ")),
            Self::Pattern(pattern) => format!("Member must satisfy regular expression pattern: {pattern}"),
            Self::Bound(bound) => format!("Member must have {bound}"),
        }
    }
}

#[cfg(test)]
mod tests;
