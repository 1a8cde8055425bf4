//! IAM's patterns of actions, ARNs and values: `*` stands for anything, `?` for one character.

/// Whether a pattern matches a text.
pub fn matches(pattern: &str, text: &str) -> bool {
    fits(pattern, text, |_| true)
}

/// Whether a pattern matches all that another pattern matches. It may say no where only a proof would show it, never yes
/// where that is wrong.
pub fn covers(pattern: &str, other: &str) -> bool {
    fits(pattern, other, |letter| letter != '*')
}

/// Goes through a text once; where it does not fit, the last `*` takes one more character. `is_one` says for which characters
/// a `?` may stand.
fn fits(mut pattern: &str, mut text: &str, is_one: fn(char) -> bool) -> bool {
    // What follows the last `*`, and the text after what it has taken so far.
    let mut star: Option<(&str, &str)> = None;
    loop {
        let (mut wanted, mut letters) = (pattern.chars(), text.chars());
        match (wanted.next(), letters.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                pattern = wanted.as_str();
                star = Some((pattern, text));
            }
            (Some(one), Some(letter)) if one == letter || one == '?' && is_one(letter) => {
                (pattern, text) = (wanted.as_str(), letters.as_str());
            }
            _ => {
                let Some((after, left)) = star else { return false };
                let mut left = left.chars();
                if left.next().is_none() {
                    return false;
                }
                (pattern, text) = (after, left.as_str());
                star = Some((after, text));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wildcards_match_as_in_iam() {
        for (pattern, text, wanted) in [
            ("*", "", true),
            ("", "", true),
            ("a", "", false),
            ("ecs:*", "ecs:UpdateService", true),
            ("a*c*e", "abcde", true),
            ("a*c*e", "abde", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a?c", "a*c", true),
            ("*ab", "aab", true),
            ("a*a", "a", false),
            ("**", "x", true),
            ("?", "é", true),
            ("project_path:acme/*:ref:main", "project_path:acme/shop:ref_type:branch:ref:main", true),
            ("abc", "abcd", false),
            ("*d", "abcd", true),
        ] {
            assert_eq!(matches(pattern, text), wanted, "{pattern} {text}");
        }
    }

    #[test]
    fn a_pattern_covers_what_is_narrower() {
        for (pattern, other, wanted) in [
            ("*", "a", true),
            ("ecs:*", "ecs:Update*", true),
            ("ecs:Update*", "ecs:*", false),
            ("a?c", "a*c", false),
            ("a*c", "a?c", true),
            ("role/*:*", "role/api:*", true),
            ("role/api:*", "role/*:*", false),
            ("abc", "abc", true),
            ("", "", true),
            ("a", "", false),
        ] {
            assert_eq!(covers(pattern, other), wanted, "{pattern} {other}");
        }
    }

    /// What a pattern means, in as few words as possible.
    fn plainly(pattern: &[char], text: &[char]) -> bool {
        match (pattern, text) {
            ([], _) => text.is_empty(),
            (['*', rest @ ..], _) => (0..=text.len()).any(|taken| plainly(rest, &text[taken..])),
            ([one, rest @ ..], [letter, left @ ..]) => (*one == '?' || one == letter) && plainly(rest, left),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn a_text_matches_as_the_words_say(pattern in "[aé?*]{0,8}", text in "[aé?*]{0,8}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(matches(&pattern, &text), plainly(&chars(&pattern), &chars(&text)));
        }

        #[test]
        fn what_is_covered_is_matched_too(pattern in "[ab?*]{0,6}", other in "[ab?*]{0,6}", text in "[ab]{0,6}") {
            prop_assert!(covers(&pattern, &pattern));
            prop_assert!(!covers(&pattern, &other) || !matches(&other, &text) || matches(&pattern, &text));
        }
    }
}
