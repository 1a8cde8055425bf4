//! A trust policy held against a request, clause by clause: what holds, what fails, and what cannot be known here.
//!
//! IAM's own rules: every clause of a statement must hold, values of a list are alternatives, a key that the request does
//! not have fails a positive operator and satisfies a negated one. What the clauses mean for a person, [`super::trust`] says.

use std::fmt;

use serde_json::Value;

use crate::base::iam_pattern::matches;
use crate::base::json::each;

/// What is known of a condition key in the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// It has these values.
    Values(Vec<String>),
    /// The request does not have it, though another one may.
    Absent,
    /// No request of this kind ever has it, and why.
    Never(String),
    /// It cannot be known here, such as the address that AWS sees.
    Hidden,
}

/// What a trust policy is asked.
pub struct Ask<'a> {
    /// Such as `sts:AssumeRoleWithWebIdentity`.
    pub action: &'a str,
    /// What the caller may be called in `Principal`, by kind (`AWS`, `Federated`).
    pub principals: &'a [(&'static str, String)],
    /// What is known of a condition key, which is given in lower case.
    pub key: &'a dyn Fn(&str) -> Known,
}

/// Whether a clause holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClauseResult {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// It depends on what cannot be known here.
    Unknown,
}

/// What a clause asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wants {
    /// `Action` or `NotAction`, as it is written.
    Action(Vec<String>),
    /// `Principal` or `NotPrincipal`: kind and name.
    Principal(Vec<(String, String)>),
    /// One key of one operator of `Condition`.
    Condition {
        /// The operator, as it is written.
        operator: String,
        /// The key, as it is written.
        key: String,
        /// The values that are allowed.
        values: Vec<String>,
        /// What the request has.
        known: Known,
    },
}

/// One clause of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clause {
    /// Whether it holds.
    pub held: ClauseResult,
    /// What it asks for.
    pub wants: Wants,
}

/// One statement, judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// `Statement[0]`, with its `Sid` where it has one.
    pub name: String,
    /// Whether its effect is `Allow`; anything else is taken for a denial.
    pub allow: bool,
    /// Its clauses: action, principal, conditions.
    pub clauses: Vec<Clause>,
}

impl Statement {
    /// Whether the whole statement holds.
    pub fn result(&self) -> ClauseResult {
        let is = |held: ClauseResult| self.clauses.iter().any(|clause| clause.held == held);
        if is(ClauseResult::No) {
            ClauseResult::No
        } else if is(ClauseResult::Unknown) {
            ClauseResult::Unknown
        } else {
            ClauseResult::Yes
        }
    }

    /// Returns the clauses that fail.
    pub fn failing(&self) -> impl Iterator<Item = &Clause> {
        self.clauses.iter().filter(|clause| clause.held == ClauseResult::No)
    }
}

/// `Condition.StringLike "gitlab.com:sub"`, `Principal`.
impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.wants {
            Wants::Action(_) => f.write_str("Action"),
            Wants::Principal(_) => f.write_str("Principal"),
            Wants::Condition { operator, key, .. } => write!(f, "Condition.{operator} \"{key}\""),
        }
    }
}

/// Judges every statement of a policy; `None` where it has none, or is no policy.
pub fn judge(policy: &Value, ask: &Ask<'_>) -> Option<Vec<Statement>> {
    let statements = policy.get("Statement").filter(|value| value.is_array() || value.is_object())?;
    let judged = each(statements).enumerate().map(|(number, statement)| {
        let sid = statement["Sid"].as_str().filter(|sid| !sid.is_empty());
        let name = sid.map_or_else(String::new, |sid| format!(" ({sid})"));
        let mut clauses = vec![action(statement, ask), principal(statement, ask)];
        clauses.extend(conditions(statement, ask));
        Statement { name: format!("Statement[{number}]{name}"), allow: statement["Effect"] == "Allow", clauses }
    });
    Some(judged.collect())
}

fn action(statement: &Value, ask: &Ask<'_>) -> Clause {
    let covers = |patterns: &[String]| {
        patterns.iter().any(|pattern| matches(&pattern.to_ascii_lowercase(), &ask.action.to_ascii_lowercase()))
    };
    let (wanted, holds) = match (texts(statement.get("Action")), texts(statement.get("NotAction"))) {
        (none, excluded) if none.is_empty() && !excluded.is_empty() => {
            let holds = !covers(&excluded);
            (excluded, holds)
        }
        (wanted, _) => {
            let holds = covers(&wanted);
            (wanted, holds)
        }
    };
    Clause { held: holds.into(), wants: Wants::Action(wanted) }
}

fn principal(statement: &Value, ask: &Ask<'_>) -> Clause {
    let (value, negated) = match (statement.get("Principal"), statement.get("NotPrincipal")) {
        (None, Some(excluded)) => (Some(excluded), true),
        (wanted, _) => (wanted, false),
    };
    let named: Vec<(String, String)> = match value {
        Some(Value::Object(kinds)) => {
            let named = |(kind, names): (&String, &Value)| {
                texts(Some(names)).into_iter().map(|name| (kind.clone(), name)).collect::<Vec<_>>()
            };
            kinds.iter().flat_map(named).collect()
        }
        // `"*"` is everybody of any kind.
        Some(Value::String(name)) => vec![("*".to_owned(), name.clone())],
        _ => Vec::new(),
    };
    let is = |(kind, name): &(String, String)| {
        let same = |(own, called): &(&str, String)| (kind == own || kind == "*") && (name == "*" || name == called);
        ask.principals.iter().any(same)
    };
    let holds = named.iter().any(is) != negated;
    Clause { held: holds.into(), wants: Wants::Principal(named) }
}

fn conditions(statement: &Value, ask: &Ask<'_>) -> Vec<Clause> {
    let operators = statement.get("Condition").and_then(Value::as_object);
    let mut clauses = Vec::new();
    for (operator, keys) in operators.into_iter().flatten() {
        for (key, wanted) in keys.as_object().into_iter().flatten() {
            let (values, known) = (texts(Some(wanted)), (ask.key)(&key.to_ascii_lowercase()));
            let held = condition(operator, &values, &known);
            let wants = Wants::Condition { operator: operator.clone(), key: key.clone(), values, known };
            clauses.push(Clause { held, wants });
        }
    }
    clauses
}

/// What compares one allowed value with one of the request's.
type Test = fn(&str, &str) -> bool;

fn condition(operator: &str, wanted: &[String], known: &Known) -> ClauseResult {
    let (set, operator) = match operator.split_once(':') {
        Some((set, rest)) => (Some(set), rest),
        None => (None, operator),
    };
    let values = match known {
        Known::Hidden => return ClauseResult::Unknown,
        Known::Values(values) => Some(values.as_slice()),
        Known::Absent | Known::Never(_) => None,
    };
    if operator == "Null" {
        let wants_absent = wanted.iter().any(|text| text.eq_ignore_ascii_case("true"));
        return (wants_absent == values.is_none()).into();
    }
    // A policy variable stands for something that only AWS knows.
    if wanted.iter().any(|text| text.contains("${")) {
        return ClauseResult::Unknown;
    }
    let (operator, optional) = match operator.strip_suffix("IfExists") {
        Some(rest) => (rest, true),
        None => (operator, false),
    };
    let Some((positive, test)) = comparison(operator) else { return ClauseResult::No };
    let Some(values) = values else {
        return match set {
            Some("ForAllValues") => true,
            Some(_) => optional,
            None => optional || !positive,
        }
        .into();
    };
    let fits = |value: &String| wanted.iter().any(|pattern| test(pattern, value)) == positive;
    match set {
        Some("ForAllValues") => values.iter().all(fits),
        Some("ForAnyValue") => values.iter().any(fits),
        Some(_) => false,
        None if positive => values.iter().any(fits),
        None => values.iter().all(fits),
    }
    .into()
}

/// Returns whether an operator asks for a match or for none, and how it compares; `None` for a word that is none.
fn comparison(operator: &str) -> Option<(bool, Test)> {
    fn equal(wanted: &str, value: &str) -> bool {
        wanted == value
    }
    fn same_letters(wanted: &str, value: &str) -> bool {
        wanted.eq_ignore_ascii_case(value)
    }
    fn numbers(wanted: &str, value: &str, holds: fn(f64, f64) -> bool) -> bool {
        wanted.parse::<f64>().ok().zip(value.parse::<f64>().ok()).is_some_and(|(wanted, value)| holds(value, wanted))
    }
    Some(match operator {
        "StringEquals" => (true, equal),
        "StringNotEquals" => (false, equal),
        "StringEqualsIgnoreCase" | "Bool" => (true, same_letters),
        "StringNotEqualsIgnoreCase" => (false, same_letters),
        "StringLike" | "ArnLike" | "ArnEquals" => (true, matches),
        "StringNotLike" | "ArnNotLike" | "ArnNotEquals" => (false, matches),
        "NumericEquals" => (true, |wanted, value| numbers(wanted, value, |value, wanted| value == wanted)),
        "NumericNotEquals" => (false, |wanted, value| numbers(wanted, value, |value, wanted| value == wanted)),
        "NumericLessThan" => (true, |wanted, value| numbers(wanted, value, |value, wanted| value < wanted)),
        "NumericLessThanEquals" => (true, |wanted, value| numbers(wanted, value, |value, wanted| value <= wanted)),
        "NumericGreaterThan" => (true, |wanted, value| numbers(wanted, value, |value, wanted| value > wanted)),
        "NumericGreaterThanEquals" => (true, |wanted, value| numbers(wanted, value, |value, wanted| value >= wanted)),
        _ => return None,
    })
}

/// Whether a word is one of IAM's condition operators. Those of dates, addresses and bytes are known here by name alone:
/// their keys are never known.
pub fn is_operator(operator: &str) -> bool {
    let operator = operator.split_once(':').map_or(operator, |(_, rest)| rest);
    let operator = operator.strip_suffix("IfExists").unwrap_or(operator);
    comparison(operator).is_some()
        || matches!(operator, "Null" | "BinaryEquals" | "IpAddress" | "NotIpAddress")
        || operator.starts_with("Date")
}

impl From<bool> for ClauseResult {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    };
    value.into_iter().flat_map(each).filter_map(text).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn operators_hold_as_iam_documents_them() {
        let values = |texts: &[&str]| Known::Values(texts.iter().map(ToString::to_string).collect());
        let never = Known::Never(String::new());
        for (operator, wanted, known, held) in [
            ("StringEquals", vec!["a", "b"], values(&["b"]), ClauseResult::Yes),
            ("StringEquals", vec!["a*"], values(&["ab"]), ClauseResult::No),
            ("StringLike", vec!["a*"], values(&["ab"]), ClauseResult::Yes),
            ("StringLike", vec!["a*"], Known::Absent, ClauseResult::No),
            ("StringLikeIfExists", vec!["a*"], never.clone(), ClauseResult::Yes),
            ("StringNotEquals", vec!["a"], Known::Absent, ClauseResult::Yes),
            ("StringNotEquals", vec!["a"], values(&["a"]), ClauseResult::No),
            ("StringNotLike", vec!["a*"], values(&["b"]), ClauseResult::Yes),
            ("StringEqualsIgnoreCase", vec!["MAIN"], values(&["main"]), ClauseResult::Yes),
            ("ForAllValues:StringEquals", vec!["a", "b"], values(&["a", "b"]), ClauseResult::Yes),
            ("ForAllValues:StringEquals", vec!["a"], values(&["a", "b"]), ClauseResult::No),
            ("ForAllValues:StringEquals", vec!["a"], Known::Absent, ClauseResult::Yes),
            ("ForAnyValue:StringLike", vec!["a*"], values(&["b", "ab"]), ClauseResult::Yes),
            ("ForAnyValue:StringLike", vec!["a*"], never.clone(), ClauseResult::No),
            ("Null", vec!["true"], Known::Absent, ClauseResult::Yes),
            ("Null", vec!["false"], never, ClauseResult::No),
            ("Bool", vec!["true"], values(&["True"]), ClauseResult::Yes),
            ("NumericLessThan", vec!["40"], values(&["30"]), ClauseResult::Yes),
            ("NumericGreaterThanEquals", vec!["40"], values(&["30"]), ClauseResult::No),
            ("IpAddress", vec!["10.0.0.0/8"], Known::Hidden, ClauseResult::Unknown),
            ("StringEquals", vec!["${aws:username}"], values(&["x"]), ClauseResult::Unknown),
            ("StringEqual", vec!["a"], values(&["a"]), ClauseResult::No),
        ] {
            let wanted: Vec<String> = wanted.into_iter().map(str::to_owned).collect();
            assert_eq!(condition(operator, &wanted, &known), held, "{operator} {wanted:?} {known:?}");
        }
        assert!(is_operator("ForAnyValue:StringLikeIfExists") && is_operator("DateLessThan"));
        assert!(!is_operator("StringEqual"));
    }

    #[test]
    fn every_clause_is_judged_and_not_only_the_first_that_fails() {
        let policy = json!({ "Statement": { "Sid": "Ci", "Effect": "Allow", "Action": "sts:assumerole",
            "NotPrincipal": { "AWS": "arn:aws:iam::1:role/a" },
            "Condition": { "StringEquals": { "K": "a", "L": ["b"] } } } });
        let ask = Ask {
            action: "sts:AssumeRole",
            principals: &[("AWS", "arn:aws:iam::1:role/a".to_owned())],
            key: &|key| if key == "k" { Known::Values(vec!["a".into()]) } else { Known::Absent },
        };
        let statements = judge(&policy, &ask).expect("a policy");
        assert_eq!(statements[0].name, "Statement[0] (Ci)");
        let failing: Vec<String> = statements[0].failing().map(ToString::to_string).collect();
        assert_eq!(failing, ["Principal", "Condition.StringEquals \"L\""]);
        assert_eq!(judge(&json!({}), &ask), None);
    }
}
