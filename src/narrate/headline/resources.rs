//! Why what a task needs before its containers could not be had: secrets, the registry's login, log groups, volumes.

use crate::base::arn;
use crate::narrate::headline::{Headline, Weight, after};

/// Reads a `ResourceInitializationError`.
pub fn read(text: &str) -> Option<Headline> {
    let why = after(text, "ResourceInitializationError")?;
    let lower = why.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let missing = has(&["can't find", "cannot find", "not found", "notfound", "does not exist", "invalid parameters"]);
    let denied = has(&["accessdenied", "not authorized"]);
    let lost =
        has(&["deadline exceeded", "requestcanceled", "timeout", "dial tcp", "no such host", "connection issue"]);
    let (what, name) = if has(&["secret from asm", "fetch secret", ":secretsmanager:", "secrets manager"]) {
        ("secret", named(why, ":secret:"))
    } else if has(&["from ssm", ":ssm:", "parameter"]) {
        ("parameter", named(why, ":parameter"))
    } else if has(&["registry auth"]) {
        ("login at the image registry", None)
    } else if has(&["logger args", "log group", "log stream", "cloudwatch"]) {
        ("log group", named(why, ":log-group:"))
    } else if has(&["efs"]) {
        ("EFS volume", None)
    } else {
        return Some(Headline::new(Weight::Start, "what its tasks need is not there").with(why));
    };
    let how = match (missing, denied, lost) {
        (_, true, _) => "is not allowed to the execution role",
        (true, _, _) => "not found",
        (_, _, true) => "cannot be had: AWS does not answer in the task's network",
        _ => "cannot be had",
    };
    let headline = Headline::new(Weight::Start, format!("{what} {how}"));
    Some(match name {
        Some(name) => Headline::new(Weight::Start, format!("{}: {name}", headline.cause)),
        None if how == "cannot be had" => headline.with(why),
        None => headline,
    })
}

/// Returns the name in the ARN that has this part, without the member of a secret.
fn named(text: &str, part: &str) -> Option<String> {
    let word = text
        .split([' ', ',', ';', '\'', '"', '[', ']'])
        .find(|word| word.starts_with("arn:") && word.contains(part))?;
    let name = word.split_once(part)?.1.split(':').next()?;
    let name = if part == ":parameter" { name } else { name.trim_start_matches('/') };
    let name = if name.is_empty() { arn::name(word) } else { name };
    Some(name.trim_end_matches([':', '.']).to_owned())
}
