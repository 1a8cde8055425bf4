//! From the name that Organizations has for an account, any text, to one that a fleet can have.

/// Returns the name of an account in the fleet: in small letters, and with one `-` for each run of characters that no name
/// may have. Those at its ends go away. Empty where nothing is left.
pub fn legal_name(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    for char in text.chars().flat_map(char::to_lowercase) {
        match char.is_alphanumeric() || "._-".contains(char) {
            true => name.push(char),
            false if name.ends_with('-') => {}
            false => name.push('-'),
        }
    }
    name.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_names_of_a_fleet() {
        for (text, name) in [
            ("payments", "payments"),
            ("Payments Prod", "payments-prod"),
            ("ACME / Shop (EU)", "acme-shop-eu"),
            (" a -- b ", "a---b"),
            ("v1.2_x", "v1.2_x"),
            ("Größe", "größe"),
            ("***", ""),
        ] {
            assert_eq!(legal_name(text), name, "{text}");
        }
    }
}
