//! Targets that say the same are told once: as they stand, or but for what is each target's own.

use std::collections::HashMap;
use std::hash::Hash;

use crate::plan::placeholders::PlaceholderScope;

/// Items that agree, in their order, and how literally they do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// The places of the items.
    pub items: Vec<usize>,
    /// At which level they are the same.
    pub level: PlaceholderScope,
}

/// Puts together what agrees. Each item comes as it is at every level of [`PlaceholderScope::ALL`].
///
/// Items that agree at any level belong together. Of what belongs together, that level is taken at which it says the
/// least different things: an account that happens to be called `api` does not tear its image apart from the others'.
pub fn agreements<T: Eq + Hash>(items: &[[T; 3]]) -> Vec<Agreement> {
    let mut parents: Vec<usize> = (0..items.len()).collect();
    for level in 0..PlaceholderScope::ALL.len() {
        let mut first: HashMap<&T, usize> = HashMap::new();
        for (index, forms) in items.iter().enumerate() {
            let known = *first.entry(&forms[level]).or_insert(index);
            let (one, other) = (root(&mut parents, known), root(&mut parents, index));
            // The smaller is the root, so that groups come in the order of their first items.
            parents[one.max(other)] = one.min(other);
        }
    }
    let mut together: HashMap<usize, Vec<usize>> = HashMap::new();
    for index in 0..items.len() {
        together.entry(root(&mut parents, index)).or_default().push(index);
    }
    let mut agreements: Vec<Agreement> = together.into_values().flat_map(|class| split(items, &class)).collect();
    agreements.sort_by_key(|agreement| agreement.items[0]);
    agreements
}

/// Splits a class at the level that leaves the fewest parts, the most literal of those.
fn split<T: Eq + Hash>(items: &[[T; 3]], class: &[usize]) -> Vec<Agreement> {
    let at = |level: PlaceholderScope| {
        let mut parts: HashMap<&T, Vec<usize>> = HashMap::new();
        for &index in class {
            parts.entry(&items[index][level as usize]).or_default().push(index);
        }
        parts
    };
    let parts = PlaceholderScope::ALL.map(|level| (level, at(level)));
    let best = parts.into_iter().min_by_key(|(level, parts)| (parts.len(), *level));
    let (level, parts) = best.unwrap_or((PlaceholderScope::Literal, HashMap::new()));
    // One alone is told in its own words.
    let level = |items: &[usize]| if items.len() == 1 { PlaceholderScope::Literal } else { level };
    parts.into_values().map(|items| Agreement { level: level(&items), items }).collect()
}

fn root(parents: &mut [usize], mut index: usize) -> usize {
    while parents[index] != index {
        parents[index] = parents[parents[index]];
        index = parents[index];
    }
    index
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn count_keys(items: &[[&str; 3]]) -> Vec<(Vec<usize>, PlaceholderScope)> {
        agreements(items).into_iter().map(|it| (it.items, it.level)).collect()
    }

    #[test]
    fn what_is_the_same_is_told_once_in_the_order_of_the_first() {
        let items = [["b", "b", "b"], ["a", "a", "a"], ["b", "b", "b"]];
        assert_eq!(count_keys(&items), [(vec![0, 2], PlaceholderScope::Literal), (vec![1], PlaceholderScope::Literal)]);
    }

    #[test]
    fn what_differs_only_in_the_own_is_the_same() {
        let items = [["1/q", "ID/q", "ID/q"], ["2/q", "ID/q", "ID/q"], ["3/x", "ID/x", "ID/x"]];
        assert_eq!(count_keys(&items), [(vec![0, 1], PlaceholderScope::Place), (vec![2], PlaceholderScope::Literal)]);
        let items = [["a", "a", "NAME"], ["b", "b", "NAME"]];
        assert_eq!(count_keys(&items), [(vec![0, 1], PlaceholderScope::Name)]);
    }

    #[test]
    fn an_account_called_as_the_image_is_no_other_diff() {
        let items = [["api:2", "api:2", "NAME:2"], ["api:2", "api:2", "api:2"], ["api:2", "api:2", "api:2"]];
        assert_eq!(count_keys(&items), [(vec![0, 1, 2], PlaceholderScope::Literal)]);
    }

    proptest! {
        #[test]
        fn every_item_is_in_one_group_and_groups_agree(items in prop::collection::vec([0u8..4, 0u8..4, 0u8..4], 0..40)) {
            let told = agreements(&items);
            let mut all: Vec<usize> = told.iter().flat_map(|it| it.items.clone()).collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..items.len()).collect::<Vec<_>>());
            for group in &told {
                let form = |index: usize| items[index][group.level as usize];
                prop_assert!(group.items.iter().all(|&index| form(index) == form(group.items[0])));
                prop_assert!(group.items.is_sorted());
            }
        }
    }
}
