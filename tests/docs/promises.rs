//! Each test that `docs/promises.md` names exists.

use crate::repository;

#[test]
fn every_test_that_holds_a_promise_exists() {
    let page = fs_err::read_to_string(repository("docs/promises.md")).unwrap();
    let named: Vec<(&str, &str)> =
        page.split('`').skip(1).step_by(2).filter_map(|code| code.split_once("::")).collect();
    assert!(named.len() > 50, "the page names {} tests", named.len());
    let missing: Vec<String> = named
        .into_iter()
        .filter(|(file, test)| {
            let text = fs_err::read_to_string(repository(file)).unwrap_or_default();
            let function = [format!("fn {test}("), format!("def {test}(")];
            !function.iter().any(|function| text.contains(function))
        })
        .map(|(file, test)| format!("{file}::{test}"))
        .collect();
    assert!(missing.is_empty(), "docs/promises.md names tests that do not exist:\n{}", missing.join("\n"));
}
