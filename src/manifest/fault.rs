//! A fault: one thing that is wrong with a manifest, where it stands, and what to do about it.
//!
//! Faults are collected in a [`Context`] and end as a [`LoadError`], which `render.rs` shows. Nothing here decides what is
//! wrong.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use miette::NamedSource;

use crate::base::nearest::nearest;
use crate::base::text::clean;
use crate::manifest::spanned::Span;

/// More faults than this are not collected: a manifest with so many is not one, and comparing them would take long.
const COLLECTED: usize = 1000;

/// GitLab's variables that manifests use: only to suggest one where a name is not set.
const OF_GITLAB: [&str; 15] = [
    "CI_COMMIT_BRANCH",
    "CI_COMMIT_REF_NAME",
    "CI_COMMIT_REF_SLUG",
    "CI_COMMIT_SHA",
    "CI_COMMIT_SHORT_SHA",
    "CI_COMMIT_TAG",
    "CI_ENVIRONMENT_NAME",
    "CI_JOB_ID",
    "CI_PIPELINE_ID",
    "CI_PIPELINE_IID",
    "CI_PROJECT_ID",
    "CI_PROJECT_PATH",
    "CI_REGISTRY",
    "CI_REGISTRY_IMAGE",
    "CI_SERVER_URL",
];

/// The names that a target has of its own, besides `vars.*`.
pub const OWN_NAMES: [&str; 4] = ["account.id", "account.name", "region", "service.name"];

/// A file that faults point into: its name, as messages give it, and its text.
pub type Source = NamedSource<String>;

/// One thing that is wrong, its place, and what to do.
#[derive(Clone, Debug)]
pub struct Fault {
    source: Arc<Source>,
    /// Where the text of the file begins in its spans.
    base: usize,
    span: Option<Span>,
    message: String,
    label: Option<String>,
    related: Vec<(Span, String)>,
    help: Option<String>,
    missing: Option<Missing>,
    /// What is said of other accounts at the same place.
    alike: BTreeSet<String>,
}

/// Accounts that lack a variable: one fault however many they are.
#[derive(Clone, Debug)]
struct Missing {
    accounts: Vec<String>,
    key: String,
}

impl Missing {
    fn message(&self) -> String {
        let named: Vec<String> = self.accounts.iter().take(3).map(|name| format!("`{name}`")).collect();
        let key = &self.key;
        match (named.as_slice(), self.accounts.len()) {
            ([only], _) => format!("account {only} has no `{key}` in its `vars`"),
            (_, 0..=3) => format!("accounts {} have no `{key}` in their `vars`", named.join(", ")),
            (_, count) => {
                format!("accounts {} and {} more have no `{key}` in their `vars`", named.join(", "), count - 3)
            }
        }
    }
}

impl Fault {
    /// Makes a fault of a whole file: one that is missing, too large or not text.
    pub fn of_file(source: Arc<Source>, message: impl Into<String>) -> Self {
        Self {
            source,
            base: 0,
            span: None,
            message: one_line(message.into()),
            label: None,
            related: Vec::new(),
            help: None,
            missing: None,
            alike: BTreeSet::new(),
        }
    }

    /// Makes a fault at a place of a file.
    pub fn at(source: Arc<Source>, span: Span, message: impl Into<String>) -> Self {
        Self { span: Some(span), ..Self::of_file(source, message) }
    }

    /// Says what to do, as an instruction.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(one_line(help.into()));
        self
    }

    /// Says a few words at the place itself.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Makes it the fault of an account that has no such variable; several such accounts make one fault.
    #[must_use]
    pub fn missing(mut self, account: &str, key: &str) -> Self {
        self.missing = Some(Missing { accounts: vec![account.to_owned()], key: key.to_owned() });
        self
    }

    /// Points at a second place: of the same file, or of another one of the manifest's.
    #[must_use]
    pub fn also(mut self, span: Span, label: impl Into<String>) -> Self {
        self.related.push((span, label.into()));
        self
    }

    /// Returns the name of the file.
    pub fn file(&self) -> &str {
        self.source.name()
    }

    /// Returns the line and the column, both from 1 and the column in characters; `None` = the file as a whole.
    pub fn position(&self) -> Option<(usize, usize)> {
        let span = self.span?;
        let before = self.source.inner().get(..self.clamp(span).start)?;
        Some(line_and_column(before))
    }

    /// Returns what is wrong: a lower-case fragment.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns what to do.
    pub fn advice(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// Returns the text of the file.
    pub fn text(&self) -> &str {
        self.source.inner()
    }

    /// Returns its place and every other place that it points at, each with its words.
    pub fn places(&self) -> impl Iterator<Item = (Span, Option<&str>)> {
        let own = self.span.map(|span| (self.clamp(span), self.label.as_deref()));
        own.into_iter().chain(self.related.iter().map(|(span, label)| (self.clamp(*span), Some(label.as_str()))))
    }

    /// Narrows a span to whole characters inside the file's text, so that no span can break the rendering.
    fn clamp(&self, span: Span) -> Span {
        let text = self.source.inner();
        let inside = |at: usize| {
            let mut at = at.saturating_sub(self.base).min(text.len());
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let start = inside(span.start);
        Span { start, end: inside(span.end.max(start)) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

/// Everything that is wrong with a manifest and the files that it names.
#[derive(Clone, Debug)]
pub struct LoadError {
    /// The faults: the manifest's own in the order of their places, then those of other files. Never empty.
    pub faults: Vec<Fault>,
    /// The name of the manifest.
    manifest: String,
}

impl LoadError {
    /// Makes an error of one fault of the manifest as a whole.
    pub fn of_file(manifest: &str, reason: impl Into<String>, help: impl Into<String>) -> Self {
        let source = Arc::new(Source::new(manifest, String::new()));
        Self { faults: vec![Fault::of_file(source, reason).help(help)], manifest: manifest.to_owned() }
    }

    /// Returns how many errors a manifest has.
    pub fn summary(&self) -> String {
        let manifest = clean(&self.manifest);
        match self.faults.len() {
            1 => format!("{manifest}: 1 error"),
            COLLECTED => format!("{manifest}: {COLLECTED} errors or more"),
            count => format!("{manifest}: {count} errors"),
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&plain(fault))?;
        }
        Ok(())
    }
}

impl std::error::Error for LoadError {}

/// Returns `file:line:column: message (help)`.
pub fn plain(fault: &Fault) -> String {
    let file = clean(fault.file());
    let place = match fault.position() {
        Some((line, column)) => format!("{file}:{line}:{column}"),
        None => file.into_owned(),
    };
    match &fault.help {
        Some(help) => format!("{place}: {} ({})", clean(&fault.message), clean(help)),
        None => format!("{place}: {}", clean(&fault.message)),
    }
}

/// Returns a text without line breaks: a value that a fault repeats makes no lines of its own.
fn one_line(text: String) -> String {
    if text.contains(['\n', '\r']) { text.replace(['\n', '\r'], " ") } else { text }
}

fn line_and_column(before: &str) -> (usize, usize) {
    let line = before.matches('\n').count() + 1;
    (line, before.rsplit('\n').next().unwrap_or_default().chars().count() + 1)
}

/// Where the faults of one manifest are collected while it is read and checked.
///
/// A [`Span`] is a place among the texts of all of its files, one after the other: so every place says its file.
pub struct Context {
    /// The manifest itself, then the files that it includes.
    files: RefCell<Vec<(usize, Arc<Source>)>>,
    faults: RefCell<Vec<Fault>>,
    /// Keys that a misspelt key of the mapping at this place was meant to be: they are not also reported as missing.
    meant: RefCell<Vec<(Span, String)>>,
    /// The variables that are set and empty, by the place of the value that they are put into.
    empty: RefCell<Vec<(Span, String)>>,
    /// What is no fault, and yet hardly meant.
    warnings: RefCell<Vec<String>>,
    /// The variables that are not set and stay open in what is deployed.
    pub open: RefCell<BTreeSet<String>>,
}

impl Context {
    /// Starts an empty collection for a manifest.
    pub fn new(source: Arc<Source>) -> Self {
        let (faults, meant, empty, warnings, open) = Default::default();
        Self { files: RefCell::new(vec![(0, source)]), faults, meant, empty, warnings, open }
    }

    /// Adds a file that the manifest includes. Returns where its text begins.
    pub fn add(&self, source: Arc<Source>) -> usize {
        let mut files = self.files.borrow_mut();
        let base = files.last().map_or(0, |(base, last)| base + last.inner().len() + 1);
        files.push((base, source));
        base
    }

    pub(super) fn file_at(&self, span: Span) -> (usize, Arc<Source>) {
        let files = self.files.borrow();
        let (base, source) = &files[files.partition_point(|(base, _)| *base <= span.start).saturating_sub(1)];
        (*base, Arc::clone(source))
    }

    /// Returns the name of the included file that a place is in; `None` = the manifest itself.
    pub fn included(&self, span: Span) -> Option<String> {
        let (base, source) = self.file_at(span);
        (base > 0).then(|| source.name().to_owned())
    }

    /// Returns the text of a place.
    pub fn text(&self, span: Span) -> String {
        let (base, source) = self.file_at(span);
        source.inner().get(span.start - base..span.end.saturating_sub(base)).unwrap_or_default().to_owned()
    }

    /// Makes a fault at a place; it counts once it is [pushed](Self::push).
    pub fn fault(&self, span: Span, message: impl Into<String>) -> Fault {
        let (base, source) = self.file_at(span);
        Fault { base, ..Fault::at(source, span, message) }
    }

    fn is_own(&self, source: &Arc<Source>) -> bool {
        self.files.borrow().iter().any(|(_, own)| Arc::ptr_eq(own, source))
    }

    /// Says in words which places of a fault are in another file than its own: a frame shows one file.
    fn name_other_files(&self, fault: &mut Fault) {
        let is_here = |span: Span| self.file_at(span).0 == fault.base;
        if self.files.borrow().len() == 1
            || !self.is_own(&fault.source)
            || fault.related.iter().all(|(span, _)| is_here(*span))
        {
            return;
        }
        let (here, elsewhere): (Vec<_>, Vec<_>) = fault.related.drain(..).partition(|(span, _)| is_here(*span));
        let place = |(span, label): (Span, String)| {
            let (base, source) = self.file_at(span);
            let (line, column) = line_and_column(source.inner().get(..span.start - base).unwrap_or_default());
            format!("{label}: {}:{line}:{column}", source.name())
        };
        let words =
            fault.help.take().into_iter().chain(elsewhere.into_iter().map(place)).collect::<Vec<_>>().join("; ");
        fault.help = Some(one_line(words));
        fault.related = here;
    }

    /// Returns `file:line:column` of a needle in what stands at a place; of the place itself where it is not in it as written.
    pub fn locate_in(&self, span: Span, needle: &str) -> String {
        let start = span.start + self.text(span).find(needle).unwrap_or_default();
        let (base, source) = self.file_at(span);
        let (line, column) = line_and_column(source.inner().get(..start - base).unwrap_or_default());
        format!("{}:{line}:{column}", clean(source.name()))
    }

    /// Notes that a variable which is put into the value at `span` is empty.
    pub fn note_empty(&self, span: Span, name: &str) {
        self.empty.borrow_mut().push((span, name.to_owned()));
    }

    /// Returns the first open variable in a text.
    pub fn open_in(&self, text: &str) -> Option<String> {
        let open = self.open.borrow();
        open.iter().find(|name| text.contains(&format!("${{{name}}}"))).cloned()
    }

    /// Warns of something at a place.
    pub fn warn(&self, fault: &Fault) {
        self.warnings.borrow_mut().push(plain(fault));
    }

    /// Takes the warnings.
    pub fn take_warnings(&self) -> Vec<String> {
        self.warnings.take()
    }

    /// Adds a fault. Where the same one is there already, perhaps for another account, it is counted or left out.
    pub fn push(&self, mut fault: Fault) {
        if let Some(name) = self.open_in(&fault.message) {
            // What is wrong with the value is that the variable is not set.
            let problem = unset(&name, "");
            (fault.message, fault.help) = (problem.message, Some(problem.help));
        }
        self.name_other_files(&mut fault);
        if let Some((_, name)) = self.empty.borrow().iter().find(|(span, _)| Some(*span) == fault.span)
            && self.is_own(&fault.source)
        {
            // What is wrong with the value is wrong with the variable.
            fault.help = Some(format!(
                "`{name}` is empty in this job: is it set, and not kept from this branch as a protected variable?"
            ));
        }
        let mut faults = self.faults.borrow_mut();
        let same =
            |other: &Fault| other.span == fault.span && other.message == fault.message && other.file() == fault.file();
        if faults.len() >= COLLECTED || faults.iter().any(same) {
            return;
        }
        let alike = |other: &&mut Fault| {
            other.missing.is_none()
                && fault.missing.is_none()
                && fault.help.is_some()
                && (other.span, &other.help, &other.related) == (fault.span, &fault.help, &fault.related)
                && other.file() == fault.file()
        };
        if let Some(other) = faults.iter_mut().find(alike) {
            other.alike.insert(fault.message);
            return;
        }
        let grows = |other: &&mut Fault| {
            let key = |fault: &Fault| fault.missing.as_ref().map(|missing| missing.key.clone());
            other.span == fault.span
                && other.file() == fault.file()
                && key(other).is_some()
                && key(other) == key(&fault)
        };
        match faults.iter_mut().find(grows) {
            Some(other) => {
                if let (Some(missing), Some(more)) = (&mut other.missing, fault.missing) {
                    for name in more.accounts {
                        if !missing.accounts.contains(&name) {
                            missing.accounts.push(name);
                        }
                    }
                    other.message = missing.message();
                }
            }
            None => faults.push(fault),
        }
    }

    /// Returns how many faults there are so far.
    pub fn count(&self) -> usize {
        self.faults.borrow().len()
    }

    /// Notes that the mapping at `span` has a misspelt `key`.
    pub fn mean(&self, span: Span, key: &str) {
        self.meant.borrow_mut().push((span, key.to_owned()));
    }

    /// Whether the mapping at `span` has a misspelt `key`.
    pub fn is_meant(&self, span: Span, key: &str) -> bool {
        self.meant.borrow().iter().any(|(at, meant)| *at == span && meant == key)
    }

    /// Ends the collection: an error with every fault in reading order, or `None` where there is no fault.
    pub fn into_error(self) -> Option<LoadError> {
        let own = self.file_at(Span::default()).1.name().to_owned();
        let mut faults = self.faults.into_inner();
        for fault in faults.iter_mut().filter(|fault| !fault.alike.is_empty()) {
            fault.message = format!("{}, and {} more like it", fault.message, fault.alike.len());
        }
        faults.sort_by_key(|fault| (fault.file() != own, fault.file().to_owned(), fault.span.map(|span| span.start)));
        (!faults.is_empty()).then_some(LoadError { faults, manifest: own })
    }
}

/// Something wrong in a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The text to point at inside the string, such as `${NAME`.
    pub needle: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
    /// The account and the key of its `vars`, where it is a lack of that account alone.
    pub missing: Option<(String, String)>,
}

impl Problem {
    /// Makes a problem of the template itself.
    pub fn new(needle: impl Into<String>, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { needle: needle.into(), message: message.into(), help: help.into(), missing: None }
    }
}

/// Says that a variable is not set.
pub fn unset(name: &str, message: &str) -> Problem {
    let text = if message.is_empty() {
        format!("the variable `{name}` is not set")
    } else {
        format!("the variable `{name}` is not set: {message}")
    };
    let own = OWN_NAMES.iter().filter(|own| own.replace('.', "_") == name.to_lowercase()).copied();
    let near = own.chain(nearest(name, OF_GITLAB)).find(|near| *near != name);
    let help = match near {
        Some(near) => format!("did you mean `${{{near}}}`?"),
        None => format!("set `{name}` for the job, or give a default: `${{{name}:-...}}`"),
    };
    Problem::new(format!("${{{name}"), text, help)
}
