//! Properties of loading: no text makes it panic, interpolation is exact, selectors mean what they say.

use std::path::Path;

use proptest::prelude::*;
use roleout::manifest::credential::Credentials;
use roleout::manifest::interpolate::{Lookup, Scope, Template};
use roleout::manifest::load::load_str;

const EXAMPLE: &str = include_str!("../deploy.yaml.example");

fn variables(name: &str) -> Option<String> {
    name.starts_with("CI_").then(|| "7".to_owned())
}

/// Loads a text and renders what is wrong with it: neither may panic.
fn survive(text: &str) {
    if let Err(error) = load_str("deploy.yaml", Path::new(env!("CARGO_MANIFEST_DIR")), text, &variables) {
        assert!(!error.faults.is_empty());
        for fault in &error.faults {
            fault.position();
        }
        assert!(!error.render(false, 80).is_empty());
        assert!(!error.to_string().is_empty());
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        survive(&text);
    }

    #[test]
    fn no_yaml_like_text_makes_it_panic(text in r#"([a-z]{1,3}: ?|- |\n|  |[\[\]{},"'&*!|>%@`#\t~]|[0-9]{1,12}|\$\{[a-zA-Z.]{0,8}[:}\-?]{0,3}|é|&a |\*a|<<: |true|\u{feff}|\r\n){0,40}"#) {
        survive(&text);
    }

    #[test]
    fn no_damage_to_a_manifest_makes_it_panic(
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0usize..30, r#"[a-z:\-\[\]{}"'$ \n\t&*0-9é]{0,6}"#, 0usize..3), 1..4)
    ) {
        let mut text: Vec<char> = EXAMPLE.chars().collect();
        for (at, length, with, hundreds) in cuts {
            let from = at.index(text.len());
            let to = (from + length).min(text.len());
            // Long lines are shown in part.
            text.splice(from..to, with.repeat(1.max(hundreds * 100)).chars());
        }
        survive(&text.into_iter().collect::<String>());
    }

    #[test]
    fn printing_a_template_and_parsing_it_gives_it_back(text in r"([$]|[$]\{|\}|:-|:\?|[A-Z]{1,2}|vars\.[a-z]|region|[ a-c.]){0,16}") {
        if let Ok(template) = Template::parse(&text) {
            let printed = template.to_string();
            prop_assert_eq!(Template::parse(&printed), Ok(template), "{}", printed);
        }
    }

    #[test]
    fn a_literal_is_its_own_value(text in any::<String>()) {
        let printed = Template::literal(text.as_str()).to_string();
        let parsed = Template::parse(&printed);
        prop_assert_eq!(parsed.as_ref().map(Template::as_literal), Ok(Some(text.as_str())));
    }

    #[test]
    fn a_variable_is_put_in_exactly(value in any::<String>(), before in "[a-z ]{0,5}") {
        let mut problems = Vec::new();
        let template = Template::parse(&format!("{before}${{X}}${{vars.none:-${{X}}}}")).expect("a template");
        let variables = |_: &str| Some(value.clone());
        let lookup = Lookup { variables: &variables, credentials: &Credentials::default(), open: None };
        let template = template.expand(&lookup, &mut problems);
        // Through the text, as the decoder hands it on.
        let template = Template::parse(&template.to_string()).expect("printed");
        let vars = Default::default();
        let scope = Scope { account: Some(("a", "1", &vars)), ..Scope::default() };
        prop_assert_eq!(template.resolve(&scope), Ok(format!("{before}{value}{value}")));
        prop_assert!(problems.is_empty());
    }

    #[test]
    fn a_task_definition_keeps_every_dollar_of_its_own(text in r"([$]|[$]\{|\}|[A-Z]{1,2}|:-|[ a-c]){0,16}") {
        let resolved = Template::parse_own(&text).and_then(|template| template.resolve(&Scope::default()));
        prop_assert_eq!(resolved, Ok(text));
    }
}

/// A selector as a test sees it: keys with their values, and those that it excludes.
type Keys = Vec<(&'static str, Vec<&'static str>)>;

fn keys() -> impl Strategy<Value = Keys> {
    let key = prop_oneof![
        (Just("env"), prop::sample::subsequence(vec!["dev", "test", "prod"], 1..=2)),
        (Just("ring"), prop::sample::subsequence(vec!["one", "two"], 1..=2)),
        (Just("account"), prop::sample::subsequence(vec!["a", "b", "c"], 1..=2)),
        (Just("region"), prop::sample::subsequence(vec!["eu-west-1", "us-east-1"], 1..=1)),
        (Just("service"), prop::sample::subsequence(vec!["api", "web"], 1..=1)),
    ];
    prop::collection::vec(key, 0..4).prop_map(|mut keys| {
        keys.sort();
        keys.dedup_by_key(|(name, _)| *name);
        keys
    })
}

fn yaml(keys: &Keys) -> String {
    let keys: Vec<String> = keys
        .iter()
        .map(|(name, values)| match values.as_slice() {
            [only] => format!("{name}: {only}"),
            many => format!("{name}: [{}]", many.join(", ")),
        })
        .collect();
    keys.join(", ")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_selector_is_and_across_keys_or_within_and_not_excludes(select in keys(), not in keys(), exclude: bool) {
        let accounts = [("a", "dev", "one"), ("b", "test", "two"), ("c", "prod", "one")];
        let mut text = String::from("version: 1\nidentity: { ambient: true }\naccounts:\n");
        for (index, (name, env, ring)) in accounts.iter().enumerate() {
            text.push_str(&format!(
                "  - {{ name: {name}, id: \"{index:012}\", chain: [], regions: [eu-west-1, us-east-1], labels: {{ env: {env}, ring: {ring} }} }}\n"
            ));
        }
        text.push_str("services: [{ name: api, cluster: x }, { name: web, cluster: x }]\nrollout:\n  waves:\n");
        let excluded = if exclude { format!("not: {{ {} }}", yaml(&not)) } else { String::new() };
        let parts: Vec<String> = [yaml(&select), excluded].into_iter().filter(|part| !part.is_empty()).collect();
        text.push_str(&format!("    - {{ name: some, select: {{ {} }} }}\n    - name: rest\n", parts.join(", ")));

        let fleet = load_str("deploy.yaml", Path::new(""), &text, &variables)
            .unwrap_or_else(|error| panic!("{}", error.render(false, 100)));
        let mut seen: Vec<usize> = fleet.waves.iter().flat_map(|wave| wave.targets.clone()).collect();
        seen.sort_unstable();
        prop_assert_eq!(seen, (0..12).collect::<Vec<_>>(), "every target is in exactly one wave");
        for (index, target) in fleet.targets.iter().enumerate() {
            let (account, env, ring) = accounts.iter().find(|(name, _, _)| *name == &*target.id.account).expect("known");
            let value = |key: &str| match key {
                "env" => *env,
                "ring" => *ring,
                "account" => *account,
                "region" => &target.id.region,
                _ => &target.id.service,
            };
            let all = |keys: &Keys| keys.iter().all(|(key, values)| values.contains(&value(key)));
            let expected = all(&select) && !(exclude && all(&not));
            prop_assert_eq!(fleet.waves[0].targets.contains(&index), expected, "{} in {}", target.id, text);
        }
    }
}
