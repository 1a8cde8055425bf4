//! The properties of every diff, tested with generated definitions that the sandbox registers and returns.

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{TestError, TestRunner};
use serde_json::json;

use super::*;
use crate::base::clock::Clock;
use crate::sandbox::Sandbox;
use crate::task_definition::compose::same;
use crate::task_definition::normalise::registrable;
use crate::task_definition::properties::{as_aws_gives_it_back, changed, definition, leaves, shuffle};

const ACCOUNT: &str = "111111111111";
const REGION: &str = "eu-west-1";

/// Makes a generated definition one that ECS takes.
fn valid(mut definition: Value) -> Value {
    let text = |definition: &Value, member: &str| definition[member].as_str().map(str::to_owned);
    let sized = text(&definition, "cpu").is_some() && text(&definition, "memory").is_some();
    if text(&definition, "networkMode").as_deref() != Some("awsvpc") || !sized {
        definition.as_object_mut().expect("generated").shift_remove("requiresCompatibilities");
    }
    for container in definition["containerDefinitions"].as_array_mut().expect("generated") {
        if container.get("memory").is_none() {
            container["memory"] = json!(64);
        }
    }
    definition
}

/// Registers a definition as the engine does, and reads it back.
fn registered(sandbox: &Sandbox, declared: &Value) -> Value {
    let ask = |operation: &str, input: &Value| {
        sandbox.call_as_operator(ACCOUNT, REGION, operation, input).unwrap_or_else(|error| panic!("{error}: {input}"))
    };
    let answer = ask("RegisterTaskDefinition", &registrable(declared));
    let arn = &answer["taskDefinition"]["taskDefinitionArn"];
    ask("DescribeTaskDefinition", &json!({ "taskDefinition": arn, "include": ["TAGS"] }))["taskDefinition"].take()
}

fn lines(live: &Value, wanted: &Value) -> Vec<Line> {
    let mut differences = Differences::default();
    differences.definition(live, wanted);
    let own = Placeholders { account_id: ACCOUNT, account_name: "prod", region: REGION };
    differences.shown(&Values::Hashed { salt: "salt".into() }, &own, PlaceholderScope::Literal)
}

/// Where a difference of one value must show.
struct Place {
    places: Vec<String>,
    /// The whole path, or what all paths begin with.
    paths: Vec<String>,
    whole: bool,
}

/// Returns where the value at the JSON pointer must show once it is `new` and not `old`.
fn place_after(old: &Value, new: &Value, pointer: &str) -> Place {
    let parts: Vec<&str> = pointer.split('/').skip(1).collect();
    let (place, parts, mut at, mut other) = match parts[..] {
        ["containerDefinitions", index, ref rest @ ..] => {
            let index: usize = index.parse().expect("an index");
            let (old, new) = (&old["containerDefinitions"][index], &new["containerDefinitions"][index]);
            let name = |container: &Value| format!("container {}", container["name"].as_str().expect("generated"));
            if rest == ["name"] {
                return Place { places: vec![name(old), name(new)], paths: vec![String::new()], whole: false };
            }
            (name(old), rest.to_vec(), old, new)
        }
        ref rest => ("task".to_owned(), rest.to_vec(), old, new),
    };
    let places = vec![place];
    let mut path = String::new();
    let mut list = "";
    let mut parts = parts.into_iter().peekable();
    while let Some(part) = parts.next() {
        if let Ok(index) = part.parse::<usize>() {
            let Some((_, key)) = KEYED.iter().find(|(known, _)| *known == list) else {
                return Place { places, paths: vec![format!("{path}[")], whole: false };
            };
            (at, other) = (&at[index], &other[index]);
            let name = |entry: &Value| entry[*key].as_str().map_or_else(|| entry[*key].to_string(), str::to_owned);
            let next = parts.peek().copied().unwrap_or_default();
            if next == *key {
                let paths =
                    [at, other].map(|entry| [format!("{path}[{}]", name(entry)), format!("{path}.{}", name(entry))]);
                return Place { places, paths: paths.concat(), whole: false };
            }
            if ["value", "valueFrom"].contains(&next) && at.as_object().is_some_and(|entry| entry.len() == 2) {
                return Place { places, paths: vec![format!("{path}.{}", name(at))], whole: true };
            }
            path = format!("{path}[{}]", name(at));
        } else {
            path = if path.is_empty() { part.to_owned() } else { format!("{path}.{part}") };
            list = part;
            (at, other) = (&at[part], &other[part]);
        }
    }
    Place { places, paths: vec![path], whole: true }
}

#[test]
fn what_was_registered_has_no_diff_and_one_changed_field_shows_alone() {
    let sandbox = Sandbox::new(1, Clock::system());
    sandbox.add_account(ACCOUNT, "prod");
    sandbox.take_everything();
    let strategy = (definition().prop_map(valid), any::<u64>(), any::<Index>());
    let result = TestRunner::default().run(&strategy, |(declared, mut seed, index)| {
        let mut given = declared.clone();
        shuffle(&mut given, &mut seed);
        let live = registered(&sandbox, &given);
        prop_assert_eq!(lines(&live, &declared), vec![], "what was registered differs");

        let mut pointers = Vec::new();
        leaves(&declared, "", &mut pointers);
        let pointer = index.get(&pointers);
        let wanted = changed(&declared, pointer);
        // The port of its own that a host port may become is no change.
        prop_assume!(!same(&wanted, &live));
        let shown = lines(&live, &wanted);
        let expected = place_after(&declared, &wanted, pointer);
        prop_assert!(!shown.is_empty(), "{} does not show", pointer);
        for line in &shown {
            let path = |path: &String| if expected.whole { line.path == *path } else { line.path.starts_with(path) };
            prop_assert!(
                expected.places.contains(&line.place) && expected.paths.iter().any(path),
                "{}: {:?} in {:?}, and not one of {:?}",
                pointer,
                line,
                expected.places,
                expected.paths
            );
            prop_assert_ne!(&line.before, &line.after);
        }
        prop_assert!(!expected.whole || shown.len() == 1, "{}: {:?}", pointer, shown);
        Ok(())
    });
    if let Err(TestError::Fail(reason, input)) = result {
        panic!("{reason}\n{input:#?}");
    }
}

proptest! {
    #[test]
    fn there_is_a_line_if_and_only_if_registering_changes_something(live in definition(), wanted in definition()) {
        let live = as_aws_gives_it_back(&live);
        prop_assert_eq!(same(&wanted, &live), lines(&live, &wanted).is_empty());
    }

    #[test]
    fn no_value_of_a_variable_is_shown(live in definition(), wanted in definition()) {
        let shown = serde_json::to_string(&lines(&live, &wanted)).expect("JSON");
        prop_assert!(!shown.contains("MARKER"), "{}", shown);
    }

    #[test]
    fn from_a_to_b_and_back_are_the_same_lines(live in definition(), wanted in definition()) {
        let turned = |line: Line| Line { before: line.after, after: line.before, ..line };
        let mut there = lines(&live, &wanted);
        let mut back: Vec<Line> = lines(&wanted, &live).into_iter().map(turned).collect();
        // Where entries of a list with an order move, either may be said to have moved.
        let named = |line: &Line| !line.path.contains('[');
        there.retain(named);
        back.retain(named);
        prop_assert_eq!(there, back);
    }
}
