//! Tests of interpolate.

use std::collections::BTreeMap;

use super::*;

#[test]
fn a_literal_of_a_task_definition_is_read_back_as_it_was() {
    for text in ["", "$", "${HOME}", "${region}", "$${region}", "$$${vars.x}", "${x${account.id}", "a ${region:-b} c"] {
        let template = Template::parse_own(&Template::literal_own(text)).expect(text);
        assert_eq!(template.as_literal(), Some(text));
    }
}

fn expand(text: &str) -> Result<String, Vec<String>> {
    let variables = |name: &str| match name {
        "SET" => Some("value".to_owned()),
        "EMPTY" => Some(String::new()),
        "NESTED" => Some("${SET} $$ }".to_owned()),
        _ => None,
    };
    let mut problems = Vec::new();
    let template = Template::parse(text).map_err(|problem| vec![problem.message])?;
    let template = template
        .expand(&Lookup { variables: &variables, credentials: &Credentials::default(), open: None }, &mut problems);
    let vars = BTreeMap::from([("log-level".to_owned(), "debug".to_owned())]);
    let scope = Scope {
        account: Some(("prod", "333333333333", &vars)),
        region: Some("eu-west-1"),
        service: Some("api"),
        member: None,
        lookups: None,
    };
    let resolved = template.resolve(&scope).map_err(|problem| vec![problem.message])?;
    if problems.is_empty() { Ok(resolved) } else { Err(problems.into_iter().map(|problem| problem.message).collect()) }
}

#[test]
fn references_are_put_in_as_compose_does() {
    for (text, expected) in [
        ("plain", "plain"),
        ("${SET}-${SET}", "value-value"),
        ("${EMPTY}", ""),
        ("${EMPTY:-default}", "default"),
        ("${UNSET:-}", ""),
        ("${UNSET:-${SET}}", "value"),
        ("${UNSET:-a$}b}", "a}b"),
        ("${SET:?needed}", "value"),
        ("$${SET}", "${SET}"),
        ("$$$${SET}", "$$${SET}"),
        ("pa$$word", "pa$$word"),
        ("${UNSET:-pa$$word}", "pa$$word"),
        ("${UNSET:-5$$}", "5$"),
        ("$$${SET}", "$${SET}"),
        ("costs 5$", "costs 5$"),
        ("$SET", "$SET"),
        ("a } b", "a } b"),
    ] {
        assert_eq!(expand(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn own_names_and_defaults_of_them_are_put_in() {
    for (text, expected) in [
        ("${account.name}/${account.id}/${region}/${service.name}", "prod/333333333333/eu-west-1/api"),
        ("${vars.log-level}", "debug"),
        ("${vars.none:-${region}}", "eu-west-1"),
        ("${vars.none:-${UNSET:-x}}", "x"),
        ("${UNSET:-${region}}", "eu-west-1"),
    ] {
        assert_eq!(expand(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn a_value_is_never_parsed_again() {
    assert_eq!(expand("${NESTED}").as_deref(), Ok("${SET} $$ }"));
    assert_eq!(expand("${vars.none:-${NESTED}}").as_deref(), Ok("${SET} $$ }"));
}

#[test]
fn every_unset_variable_is_named() {
    let messages = expand("${ONE} ${SET} ${TWO:?say why} ${EMPTY:?say why}").expect_err("three are missing");
    assert_eq!(
        messages,
        [
            "the variable `ONE` is not set",
            "the variable `TWO` is not set: say why",
            "the variable `EMPTY` is not set: say why"
        ]
    );
}

#[test]
fn references_too_deep_are_refused() {
    let text = format!("{}{}", "${A:-".repeat(100_000), "}".repeat(100_000));
    assert!(Template::parse(&text).is_err());
}

#[test]
fn in_task_definitions_only_own_names_are_references() {
    let scope = Scope { region: Some("eu-west-1"), ..Scope::default() };
    for (text, expected) in [
        ("${HOME} $HOME $$ ${region}", "${HOME} $HOME $$ eu-west-1"),
        ("$${region}", "${region}"),
        ("${PORT:-8080} $(date) ${", "${PORT:-8080} $(date) ${"),
        ("${regional} ${REGION}", "${regional} ${REGION}"),
    ] {
        let resolved = Template::parse_own(text).and_then(|template| template.resolve(&scope));
        assert_eq!(resolved.as_deref(), Ok(expected), "{text}");
    }
    assert!(Template::parse_own("${account.id}").and_then(|template| template.resolve(&scope)).is_err());
}
