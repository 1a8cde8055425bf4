//! What a word that is not known was probably meant to be.

/// Returns the known word that `word` was probably meant to be.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the letters may differ: `hubb` finds `hub`, `dev` does not find `prod`.
    let allowed = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|known| {
            let prefix = word.len() >= 3 && (known.starts_with(word) || word.starts_with(known) && known.len() >= 3);
            let distance = strsim::damerau_levenshtein(&word.to_lowercase(), &known.to_lowercase());
            (if prefix { distance.min(allowed) } else { distance }, known)
        })
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// Returns what to say about an unknown word: the near miss, or every known word where they are few.
pub fn suggest<'a>(word: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(word, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let known: Vec<String> = known.into_iter().map(|known| format!("`{known}`")).collect();
            match known.len() {
                0 => "there are none".to_owned(),
                // Twelve fit on a line or two; a longer list hides what the reader looks for.
                1..=12 => format!("known: {}", known.join(", ")),
                count => format!("known: {}, and {} more", known[..12].join(", "), count - 12),
            }
        }
    }
}
