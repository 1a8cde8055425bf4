//! What functions are called: a verb says what one does, so that it is found by searching for it.

use syn::visit::{self, Visit};
use syn::{ImplItemFn, ItemFn, Signature, TraitItemFn};

/// Names that say nothing at the place where they are called.
const REFUSED: &[&str] = &[
    "go",
    "go_back",
    "go_on",
    "hear",
    "know",
    "landed",
    "look",
    "of",
    "patiently",
    "place",
    "remain",
    "said",
    "say",
    "see",
    "tell",
    "told",
    "unseen",
];

/// Returns every function with a name that is refused, as `file: name`.
pub fn refused(sources: &[(String, String)]) -> Vec<String> {
    let mut found = Vec::new();
    for (name, text) in sources.iter().filter(|(name, _)| name.ends_with(".rs")) {
        let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut names = Names(Vec::new());
        names.visit_file(&file);
        let bad = names.0.into_iter().filter(|function| REFUSED.contains(&function.as_str()));
        found.extend(bad.map(|function| format!("{name}: {function}")));
    }
    found
}

struct Names(Vec<String>);

impl Names {
    fn add(&mut self, signature: &Signature) {
        self.0.push(signature.ident.to_string());
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.add(&item.sig);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.add(&item.sig);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast TraitItemFn) {
        self.add(&item.sig);
        visit::visit_trait_item_fn(self, item);
    }
}
