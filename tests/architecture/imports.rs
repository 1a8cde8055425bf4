//! Who imports whom, read from the source itself: `use` and paths in code, types and macros, but none of what is only built for tests.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree, Visibility};

/// A path below `crate`, as its segments.
type Path = Vec<String>;

/// One module's file.
struct File {
    /// Its own path.
    module: Path,
    /// What it names below `crate`, by `use` or in its code.
    named: BTreeSet<Path>,
}

/// The files of the crate and what they name of each other.
pub struct Imports {
    files: Vec<File>,
    /// Where a name that is re-exported comes from.
    exported: BTreeMap<Path, Path>,
}

impl Imports {
    /// Reads files by their names, which begin with `src/`, and their texts. `main.rs` and `lib.rs` may import everything.
    pub fn read(sources: &[(String, String)]) -> Self {
        let mut imports = Self { files: Vec::new(), exported: BTreeMap::new() };
        for (name, text) in sources.iter().filter(|(name, _)| name.ends_with(".rs")) {
            let module = name.trim_start_matches("src/").trim_end_matches(".rs");
            let module: Path = module.split('/').map(str::to_owned).collect();
            // Tests in files of their own.
            if [["main"], ["lib"]].iter().any(|it| module == it[..])
                || module.last().is_some_and(|last| last == "tests" || last == "properties")
            {
                continue;
            }
            let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            let mut reader = Reader { module: &module, named: BTreeSet::new(), exported: Vec::new() };
            reader.visit_file(&file);
            let Reader { named, exported, .. } = reader;
            imports.exported.extend(exported);
            imports.files.push(File { module, named });
        }
        imports
    }

    /// Returns every pair of modules of which the first names something of the second, through re-exports.
    pub fn arrows(&self) -> BTreeSet<(Path, Path)> {
        let modules: BTreeSet<&Path> = self.files.iter().map(|file| &file.module).collect();
        let mut arrows = BTreeSet::new();
        for file in &self.files {
            for path in &file.named {
                let Some(module) = self.module_of(path, &modules) else { continue };
                if module != file.module {
                    arrows.insert((file.module.clone(), module));
                }
            }
        }
        arrows
    }

    /// Returns the circles inside of each folder: its files, its folders as one each, and the file of its own name.
    pub fn circles(&self) -> Vec<String> {
        let arrows = self.arrows();
        let folders: BTreeSet<&[String]> =
            self.files.iter().map(|file| &file.module[..file.module.len() - 1]).filter(|it| !it.is_empty()).collect();
        let mut circles = Vec::new();
        for folder in folders {
            let node = |module: &Path| {
                module
                    .strip_prefix(folder)
                    .map(|rest| rest.first().cloned().unwrap_or_else(|| "its own file".to_owned()))
            };
            let mut below: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            for (from, to) in &arrows {
                if let (Some(from), Some(to)) = (node(from), node(to))
                    && from != to
                {
                    below.entry(from).or_default().insert(to);
                }
            }
            // What nobody imports, and what imports nobody, is in no circle; of the rest all that is left is one.
            loop {
                let before = below.len();
                let imported: BTreeSet<String> = below.values().flatten().cloned().collect();
                below.retain(|name, _| imported.contains(name));
                let left: BTreeSet<String> = below.keys().cloned().collect();
                below.values_mut().for_each(|to| to.retain(|name| left.contains(name)));
                below.retain(|_, to| !to.is_empty());
                if below.len() == before {
                    break;
                }
            }
            if !below.is_empty() {
                circles.push(format!("src/{}: {below:?}", folder.join("/")));
            }
        }
        circles
    }

    /// Returns the module in which what a path names is written; `None` for the crate itself.
    fn module_of(&self, path: &Path, modules: &BTreeSet<&Path>) -> Option<Path> {
        let mut path = path.clone();
        // A re-export of a re-export of a re-export is one too many.
        for _ in 0..4 {
            let found = (1..=path.len()).rev().find_map(|length| {
                let from = self.exported.get(&path[..length])?;
                Some([&from[..], &path[length..]].concat())
            });
            match found {
                Some(found) => path = found,
                None => break,
            }
        }
        (1..=path.len()).rev().map(|length| path[..length].to_vec()).find(|module| modules.contains(module))
    }
}

/// Gathers what one file names.
struct Reader<'a> {
    module: &'a Path,
    named: BTreeSet<Path>,
    exported: Vec<(Path, Path)>,
}

impl Reader<'_> {
    /// Takes in a path as it is written; one that does not begin at the crate names something else.
    fn name(&mut self, segments: &[String]) {
        if let Some(path) = self.absolute(segments) {
            self.named.insert(path);
        }
    }

    fn absolute(&self, segments: &[String]) -> Option<Path> {
        let ups = segments.iter().take_while(|segment| *segment == "super").count();
        match segments.first().map(String::as_str)? {
            "crate" => Some(segments[1..].to_vec()),
            "self" => Some([self.module, &segments[1..]].concat()),
            "super" => Some([&self.module[..self.module.len().checked_sub(ups)?], &segments[ups..]].concat()),
            _ => None,
        }
    }

    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.name(&std::mem::take(&mut path));
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    self.name(&std::mem::take(&mut path));
                    self.tokens(group.stream());
                    colons = 0;
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {
                    self.name(&std::mem::take(&mut path));
                    colons = 0;
                }
            }
        }
        self.name(&path);
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes: &[Attribute] = match item {
            Item::Const(it) => &it.attrs,
            Item::Fn(it) => &it.attrs,
            Item::Impl(it) => &it.attrs,
            Item::Mod(it) => &it.attrs,
            Item::Struct(it) => &it.attrs,
            Item::Use(it) => &it.attrs,
            _ => &[],
        };
        if !attributes.iter().any(is_for_tests) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !function.attrs.iter().any(is_for_tests) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let mut leaves = Vec::new();
        flatten(&item.tree, &mut Vec::new(), &mut leaves);
        for (path, name) in leaves {
            if matches!(item.vis, Visibility::Inherited) {
                self.name(&path);
            } else if let Some(from) = self.absolute(&path) {
                self.exported.push(([&self.module[..], &[name]].concat(), from));
            }
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.name(&segments);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        self.tokens(mac.tokens.clone());
        visit::visit_macro(self, mac);
    }

    /// `pub(super)` names nothing of the parent.
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}
}

fn is_for_tests(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg")
        && attribute
            .meta
            .require_list()
            .is_ok_and(|list| list.tokens.to_string().split_whitespace().any(|it| it == "test"))
}

/// Writes out each leaf of a `use` as its path and the name that it has here.
fn flatten(tree: &UseTree, path: &mut Path, leaves: &mut Vec<(Path, String)>) {
    match tree {
        UseTree::Path(it) => {
            path.push(it.ident.to_string());
            flatten(&it.tree, path, leaves);
            path.pop();
        }
        UseTree::Group(group) => group.items.iter().for_each(|tree| flatten(tree, path, leaves)),
        UseTree::Name(it) if it.ident == "self" => {
            leaves.push((path.clone(), path.last().cloned().unwrap_or_default()));
        }
        UseTree::Name(it) => leaves.push(([&path[..], &[it.ident.to_string()]].concat(), it.ident.to_string())),
        UseTree::Rename(it) => leaves.push(([&path[..], &[it.ident.to_string()]].concat(), it.rename.to_string())),
        UseTree::Glob(_) => leaves.push((path.clone(), String::new())),
    }
}
