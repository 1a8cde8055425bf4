//! The accounts of a manifest as a list: each with the place that it is from.

use std::collections::BTreeMap;

use crate::fleet::Listing;
use crate::manifest::check::accounts::Draft;
use crate::manifest::fault::Context;
use crate::manifest::spanned::Span;

/// Returns what the manifest says of each account.
pub fn listings(context: &Context, drafts: &[Draft]) -> Vec<Listing> {
    let mut lines = Lines { context, known: BTreeMap::new() };
    let listing = |draft: &Draft| {
        Some(Listing {
            name: draft.name.clone(),
            id: draft.id.clone()?,
            from: lines.find_place(draft.entry),
            ou: draft.member.as_ref().map(|(_, unit)| unit.clone()),
            chain: draft.chain.clone(),
            regions: draft.regions.clone(),
            labels: draft.labels.clone(),
            enabled: draft.enabled,
        })
    };
    drafts.iter().filter_map(listing).collect()
}

/// The lines of the manifest's files. Each text is gone through once, however many places are asked for.
struct Lines<'a> {
    context: &'a Context,
    /// Where the lines of each file end, by the place where its text begins.
    known: BTreeMap<usize, Vec<usize>>,
}

impl Lines<'_> {
    /// Returns `file:line` of a place.
    fn find_place(&mut self, span: Span) -> String {
        let (base, source) = self.context.file_at(span);
        let text = || source.inner().match_indices('\n').map(|(at, _)| base + at).collect();
        let ends = self.known.entry(base).or_insert_with(text);
        format!("{}:{}", source.name(), ends.partition_point(|end| *end < span.start) + 1)
    }
}
