//! Whether task definitions of several places are one and the same, but for the places' own account id and region.

use serde_json::Value;

use crate::manifest::interpolate::Template;
use crate::task_definition::normalise::registrable;

/// A place's own names.
#[derive(Clone, Copy, Debug)]
pub struct Own<'a> {
    /// The account's id.
    pub account: &'a str,
    /// The region.
    pub region: &'a str,
}

/// Returns a definition as a file should hold it: without read-only members and empty lists, its variables by name.
pub fn tidy(described: &Value) -> Value {
    let mut definition = registrable(described);
    prune(&mut definition);
    for container in definition["containerDefinitions"].as_array_mut().into_iter().flatten() {
        for list in ["environment", "secrets"] {
            if let Some(entries) = container.get_mut(list).and_then(Value::as_array_mut) {
                // Stable: among repeated names the last one counts.
                entries.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
            }
        }
    }
    definition
}

/// Removes empty lists and nulls; ECS fills the lists in itself.
fn prune(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.values_mut().for_each(prune);
            members.retain(|_, value| !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty()));
        }
        Value::Array(items) => items.iter_mut().for_each(prune),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Returns the task definition file that means each of the definitions in its own place, where there is one.
pub fn agree(definitions: &[(Own<'_>, &Value)]) -> Option<Value> {
    let (_, first) = definitions.first()?;
    match first {
        Value::Object(members) => {
            let alike = |value: &Value| value.as_object().is_some_and(|other| other.len() == members.len());
            if !definitions.iter().all(|(_, value)| alike(value)) {
                return None;
            }
            let member = |name: &String| {
                let inner = definitions.iter().map(|(own, value)| Some((*own, value.get(name)?)));
                Some((name.clone(), agree(&inner.collect::<Option<Vec<_>>>()?)?))
            };
            members.keys().map(member).collect::<Option<_>>().map(Value::Object)
        }
        Value::Array(items) => {
            let alike = |value: &Value| value.as_array().is_some_and(|other| other.len() == items.len());
            if !definitions.iter().all(|(_, value)| alike(value)) {
                return None;
            }
            let item = |index: usize| {
                let inner = definitions.iter().map(|(own, value)| Some((*own, value.get(index)?)));
                agree(&inner.collect::<Option<Vec<_>>>()?)
            };
            (0..items.len()).map(item).collect::<Option<_>>().map(Value::Array)
        }
        Value::String(_) => {
            let texts = definitions.iter().map(|(own, value)| Some((*own, value.as_str()?)));
            text(&texts.collect::<Option<Vec<_>>>()?).map(Value::String)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            definitions.iter().all(|(_, value)| value == first).then(|| (*first).clone())
        }
    }
}

/// Returns the text that means each text in its own place, with no more references than that takes.
fn text(texts: &[(Own<'_>, &str)]) -> Option<String> {
    [(false, false), (true, false), (false, true), (true, true)].into_iter().find_map(|(account, region)| {
        let names = |own: &Own<'_>| {
            let account = account.then(|| (own.account.to_owned(), "${account.id}"));
            let region = region.then(|| (own.region.to_owned(), "${region}"));
            account.into_iter().chain(region).collect::<Vec<_>>()
        };
        let mut written = texts.iter().map(|(own, text)| refer(text, &names(own)));
        let first = written.next()?;
        written.all(|other| other == first).then_some(first)
    })
}

/// Writes references for the values of names, and everything else as it is.
fn refer(text: &str, names: &[(String, &str)]) -> String {
    let mut written = String::with_capacity(text.len());
    let (mut plain, mut at) = (0, 0);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let found = names.iter().find(|(value, _)| rest.starts_with(value.as_str()) && stands_alone(text, at, value));
        if let Some((value, reference)) = found {
            written.push_str(&Template::literal_own(&text[plain..at]));
            written.push_str(reference);
            at += value.len();
            plain = at;
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    written + &Template::literal_own(&text[plain..])
}

/// Whether a value that was found in a text is not a part of a longer number or word. A `$` before it would make a
/// literal of the reference.
fn stands_alone(text: &str, at: usize, value: &str) -> bool {
    let before = text[..at].chars().next_back();
    let after = text[at + value.len()..].chars().next();
    before.is_none_or(|char| !char.is_alphanumeric() && char != '$') && after.is_none_or(|char| !char.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::manifest::interpolate::Scope;

    const A: Own<'_> = Own { account: "222222222222", region: "eu-west-1" };
    const B: Own<'_> = Own { account: "333333333333", region: "us-east-1" };

    fn both(a: &str, b: &str) -> Option<String> {
        text(&[(A, a), (B, b)])
    }

    #[test]
    fn texts_agree_with_no_more_references_than_needed() {
        let arn = |region: &str, account: &str| format!("arn:aws:ecs:{region}:{account}:x");
        for (a, b, wanted) in [
            ("same eu-west-1".into(), "same eu-west-1".into(), Some("same eu-west-1")),
            (
                arn("eu-west-1", "222222222222"),
                arn("us-east-1", "333333333333"),
                Some("arn:aws:ecs:${region}:${account.id}:x"),
            ),
            (
                arn("eu-west-1", "222222222222"),
                arn("eu-west-1", "333333333333"),
                Some("arn:aws:ecs:eu-west-1:${account.id}:x"),
            ),
            ("eu-west-1a".into(), "us-east-1a".into(), Some("${region}a")),
            (
                "${region} eu-west-1 ${HOME}".into(),
                "${region} us-east-1 ${HOME}".into(),
                Some("$${region} ${region} ${HOME}"),
            ),
            ("$222222222222".into(), "$333333333333".into(), None),
            ("1222222222222".into(), "1333333333333".into(), None),
            ("one".into(), "two".into(), None),
            ("서울 222222222222".into(), "서울 333333333333".into(), Some("서울 ${account.id}")),
        ] {
            assert_eq!(both(&a, &b).as_deref(), wanted, "{a} and {b}");
        }
    }

    #[test]
    fn definitions_agree_member_by_member() {
        let of = |own: Own<'_>, cpu: u32| json!({"family": "f", "roles": [format!("r:{}", own.account)], "cpu": cpu});
        let agreed = agree(&[(A, &of(A, 1)), (B, &of(B, 1))]);
        assert_eq!(agreed, Some(json!({"family": "f", "roles": ["r:${account.id}"], "cpu": 1})));
        assert_eq!(agree(&[(A, &of(A, 1)), (B, &of(B, 2))]), None);
        assert_eq!(agree(&[(A, &json!({"a": 1})), (B, &json!({"b": 1}))]), None);
        assert_eq!(agree(&[(A, &json!([1])), (B, &json!([1, 2]))]), None);
    }

    #[test]
    fn a_tidy_definition_has_nothing_that_ecs_fills_in_itself() {
        let described = json!({
            "taskDefinitionArn": "arn", "revision": 7, "family": "f", "volumes": [],
            "containerDefinitions": [{"name": "app", "mountPoints": [], "dockerLabels": {},
                "environment": [{"name": "B", "value": ""}, {"name": "A", "value": "1"}]}],
        });
        let wanted = json!({"family": "f", "containerDefinitions": [{"name": "app",
            "environment": [{"name": "A", "value": "1"}, {"name": "B", "value": ""}]}]});
        assert_eq!(tidy(&described), wanted);
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn what_agrees_is_read_back_in_each_place(pieces in proptest::collection::vec(0..12_usize, 0..8)) {
            let of = |own: Own<'_>| -> String {
                let piece = |index: &usize| match index {
                    0 | 1 => own.account,
                    2 | 3 => own.region,
                    other => ["${", "$", "}", "region", "account.id", ":", "-", "x"][other - 4],
                };
                pieces.iter().map(piece).collect()
            };
            let vars = std::collections::BTreeMap::new();
            if let Some(agreed) = both(&of(A), &of(B)) {
                for own in [A, B] {
                    let scope = Scope {
                        account: Some(("name", own.account, &vars)),
                        region: Some(own.region),
                        ..Scope::default()
                    };
                    let read = Template::parse_own(&agreed).and_then(|template| template.resolve(&scope));
                    proptest::prop_assert_eq!(read, Ok(of(own)), "{}", agreed);
                }
            }
        }
    }
}
