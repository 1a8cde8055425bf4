//! What of a text is a target's own: its account's id and name, and its region.
//!
//! Two targets whose texts differ only in that want the same; the manifest's own words stand for it then.

use crate::fleet::TargetSpec;

/// How much of a text stands for the target's own; each takes in the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PlaceholderScope {
    /// The text as it is.
    Literal,
    /// `${account.id}` and `${region}`: hardly anything else looks like them.
    Place,
    /// `${account.name}` too, which is a word and may be another's.
    Name,
}

impl PlaceholderScope {
    /// All of them, the most literal first.
    pub const ALL: [Self; 3] = [Self::Literal, Self::Place, Self::Name];
}

/// What is a target's own.
#[derive(Clone, Copy, Debug)]
pub struct Placeholders<'a> {
    /// The account's 12 digits.
    pub account_id: &'a str,
    /// The manifest's name of the account.
    pub account_name: &'a str,
    /// The region.
    pub region: &'a str,
}

impl<'a> Placeholders<'a> {
    /// Returns what is this target's own.
    pub fn new(target: &'a TargetSpec) -> Self {
        Self { account_id: target.account.id.as_str(), account_name: &target.account.name, region: &target.id.region }
    }

    /// Returns the text with placeholders for what is the target's own. A part of a longer word is not.
    pub fn template(&self, text: &str, level: PlaceholderScope) -> String {
        let mut text = text.to_owned();
        if level >= PlaceholderScope::Place {
            text = replaced(text, self.account_id, "${account.id}", char::is_ascii_digit, char::is_ascii_digit);
            // A zone is its region and a letter.
            text = replaced(text, self.region, "${region}", char::is_ascii_alphanumeric, char::is_ascii_digit);
        }
        if level >= PlaceholderScope::Name {
            text = replaced(
                text,
                self.account_name,
                "${account.name}",
                char::is_ascii_alphanumeric,
                char::is_ascii_alphanumeric,
            );
        }
        text
    }
}

/// Replaces every occurrence that does not go on, as the two tests say, before or after it.
fn replaced(
    text: String,
    word: &str,
    by: &str,
    goes_before: fn(&char) -> bool,
    goes_after: fn(&char) -> bool,
) -> String {
    if word.is_empty() || !text.contains(word) {
        return text;
    }
    let mut result = String::with_capacity(text.len() + 16);
    let mut rest = 0;
    for (at, _) in text.match_indices(word) {
        let end = at + word.len();
        let before = text[..at].chars().next_back();
        let after = text[end..].chars().next();
        // What a placeholder of a step before left is not looked into.
        let inside = result_is_open(&text[..at]);
        if at < rest || inside || before.is_some_and(|c| goes_before(&c)) || after.is_some_and(|c| goes_after(&c)) {
            continue;
        }
        result.push_str(&text[rest..at]);
        result.push_str(by);
        rest = end;
    }
    result.push_str(&text[rest..]);
    result
}

/// Whether a `${` has not been closed.
fn result_is_open(text: &str) -> bool {
    text.rfind("${").is_some_and(|open| !text[open..].contains('}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_is_replaced_and_nothing_else() {
        let own = Placeholders { account_id: "222222222222", account_name: "prod", region: "eu-west-1" };
        let name = |text: &str| own.template(text, PlaceholderScope::Name);
        assert_eq!(
            name("arn:aws:ssm:eu-west-1:222222222222:parameter/prod/url"),
            "arn:aws:ssm:${region}:${account.id}:parameter/${account.name}/url"
        );
        assert_eq!(
            name("eu-west-1a eu-west-10 1222222222222 product a-prod"),
            "${region}a eu-west-10 1222222222222 product a-${account.name}"
        );
        assert_eq!(own.template("prod in eu-west-1", PlaceholderScope::Place), "prod in ${region}");
        assert_eq!(own.template("prod in eu-west-1", PlaceholderScope::Literal), "prod in eu-west-1");
    }

    #[test]
    fn a_placeholder_is_not_looked_into() {
        let own = Placeholders { account_id: "222222222222", account_name: "account", region: "eu-west-1" };
        assert_eq!(own.template("222222222222/account", PlaceholderScope::Name), "${account.id}/${account.name}");
    }
}
