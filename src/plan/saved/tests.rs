//! What is a saved plan, and what is not one.

use super::*;
use crate::fleet::IdentitySource;

fn empty() -> Saved {
    let identity = Identity {
        source: IdentitySource::TokenEnv("ID_TOKEN".to_owned()),
        region: "eu-west-1".to_owned(),
        session_name: "gl-1".to_owned(),
        issuer: None,
    };
    let release = Release::default();
    let (accounts, targets, sources, waves, notify, environments, tiers, open, warnings) = Default::default();
    let on_busy = OnBusy::Fail;
    let (allow, console) = (None, None);
    let fleet = Fleet {
        identity,
        allow,
        accounts,
        roster: Roster::default(),
        targets,
        sources,
        waves,
        on_busy,
        notify,
        environments,
        tiers,
        console,
        release,
        open,
        warnings,
    };
    let plan = Plan { outline: Outline::default(), work: vec![] };
    Saved::new(&fleet, &plan, "2026-11-02T09:00:00Z".parse().expect("a time"), "0.1.0")
}

#[test]
fn what_is_no_saved_plan_is_told_from_what_was_one() {
    let text = empty().to_json(None).expect("JSON");
    assert_eq!(Saved::parse(&text), Ok(empty()));
    for (text, error) in [
        (String::new(), "the saved plan is truncated"),
        (text[..text.len() / 2].to_owned(), "the saved plan is truncated"),
        ("version: 1\naccounts: []\n".to_owned(), "this is not a saved plan"),
        ("{}".to_owned(), "this is not a saved plan: its `kind` is not"),
        ("[1]".to_owned(), "this is not a saved plan"),
        (text.replace("\"version\": 3", "\"version\": 1"), "the saved plan has version 1, and this roleout reads"),
        (text.replace("0.1.0", "0.1.1"), "the saved plan was changed after it was written"),
        (text.replace("ID_TOKEN", "MY_TOKEN"), "the saved plan was changed after it was written"),
        (text.replace("\"digest\"", "\"digest_\""), "the saved plan was changed after it was written"),
        (format!("{text}{text}"), "this is not a saved plan"),
    ] {
        let said = Saved::parse(&text).expect_err(error).to_string();
        assert!(said.starts_with(error), "{text:?}: {said}");
    }
}

#[test]
fn where_a_signature_is_asked_for_no_other_plan_is_read() {
    let key = |text: &str| Key::new(text).expect("a key");
    let (one, other) = (key("0123456789abcdef0123456789abcdef"), key("fedcba9876543210fedcba9876543210"));
    let signed = empty().to_json(Some(&one)).expect("JSON");
    assert_eq!(Saved::parse_signed(&signed, Some(&one)), Ok(empty()));
    assert_eq!(Saved::parse(&signed), Ok(empty()));
    assert_eq!(Saved::parse_signed(&signed, Some(&other)), Err(ReadError::Signature));
    let unsigned = empty().to_json(None).expect("JSON");
    assert_eq!(Saved::parse_signed(&unsigned, Some(&one)), Err(ReadError::Unsigned));
    // Project, pipeline and commit are under it.
    let bound = empty().bound_to(Origin { project: Some("7".to_owned()), ..Origin::default() });
    let text = bound.to_json(Some(&one)).expect("JSON");
    let moved = seal::close(
        text.replace("\"project\": \"7\"", "\"project\": \"8\"")
            .split(",\n  \"digest\"")
            .next()
            .map(|it| format!("{it}}}"))
            .expect("text"),
    );
    assert_eq!(Saved::parse_signed(&moved, Some(&one)), Err(ReadError::Signature));
}

#[test]
fn another_project_is_refused_and_another_pipeline_told() {
    let of = |project: &str, pipeline: &str| {
        Origin::read(&|name| match name {
            "CI_PROJECT_ID" => Some(project.to_owned()),
            "CI_PIPELINE_ID" => Some(pipeline.to_owned()),
            _ => None,
        })
    };
    assert_eq!(of("1", "5").check(&of("1", "5")), Ok(None));
    assert!(of("1", "5").check(&of("2", "5")).is_err());
    let said = of("1", "5").check(&of("1", "6")).expect("carried out").expect("told");
    assert_eq!(said, "the saved plan was made by another job: pipeline 5 and not 6");
    assert!(of("1", "").check(&of("", "")).expect("carried out").is_some());
}

#[test]
fn white_space_is_not_covered() {
    let text = empty().to_json(None).expect("JSON");
    let value: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(Saved::parse(&value.to_string()), Ok(empty()));
    assert_eq!(Saved::parse(&text.replace('\n', "\r\n\t")), Ok(empty()));
}

#[test]
fn age_is_bounded_on_both_sides() {
    let at = |text: &str| empty().check_age(text.parse().expect("a time"), Duration::from_secs(24 * 3600));
    assert_eq!(at("2026-11-03T09:00:00Z"), Ok(()));
    assert_eq!(at("2026-11-02T08:55:00Z"), Ok(()));
    let said = at("2026-11-03T10:00:01Z").expect_err("too old").to_string();
    assert_eq!(said, "the saved plan is 1day 1h 1s old, and the most is 1day");
    let said = at("2026-11-02T08:54:00Z").expect_err("of the future").to_string();
    assert!(said.contains("one of the clocks is wrong"), "{said}");
}
