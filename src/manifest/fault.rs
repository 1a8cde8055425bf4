//! A fault: one thing that is wrong with a manifest, where it stands, and what to do about it.
//!
//! Faults are collected in a [`Context`] and shown all at once as a [`LoadError`]. Nothing here decides what is wrong.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};

use super::spanned::Span;

/// More faults than this are counted and not shown: the first ones are what a person works on.
const SHOWN: usize = 50;

/// A file that faults point into: its name, as messages give it, and its text.
pub type Source = NamedSource<String>;

/// One thing that is wrong, its place, and what to do.
#[derive(Clone, Debug)]
pub struct Fault {
    source: Arc<Source>,
    span: Option<Span>,
    message: String,
    label: Option<String>,
    related: Vec<(Span, String)>,
    help: Option<String>,
}

impl Fault {
    /// Makes a fault of a whole file: one that is missing, too large or not text.
    pub fn of_file(source: Arc<Source>, message: impl Into<String>) -> Self {
        Self { source, span: None, message: message.into(), label: None, related: Vec::new(), help: None }
    }

    /// Makes a fault at a place of a file.
    pub fn at(source: Arc<Source>, span: Span, message: impl Into<String>) -> Self {
        Self { span: Some(span), ..Self::of_file(source, message) }
    }

    /// Says what to do, as an instruction.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says a few words at the place itself.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Points at a second place of the same file.
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
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Some((line, column))
    }

    /// Returns what is wrong: a lower-case fragment.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns what to do.
    pub fn advice(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// Narrows a span to whole characters inside the text, so that no span can break the rendering.
    fn clamp(&self, span: Span) -> Span {
        let text = self.source.inner();
        let inside = |mut at: usize| {
            at = at.min(text.len());
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let start = inside(span.start);
        Span { start, end: inside(span.end.max(start)) }
    }

    fn labelled(&self, span: Span, label: Option<String>) -> (Option<String>, std::ops::Range<usize>) {
        let Span { start, end } = self.clamp(span);
        (label, start..end)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl Diagnostic for Fault {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.span.map(|_| &*self.source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let (label, range) = self.labelled(self.span?, self.label.clone());
        let primary = LabeledSpan::new_primary_with_span(label, range);
        let related = self.related.iter().map(|(span, label)| {
            let (label, range) = self.labelled(*span, Some(label.clone()));
            LabeledSpan::new_with_span(label, range)
        });
        Some(Box::new(std::iter::once(primary).chain(related)))
    }
}

/// Everything that is wrong with a manifest and the files that it names.
#[derive(Clone, Debug)]
pub struct LoadError {
    /// The faults: the manifest's own in the order of their places, then those of other files. Never empty.
    pub faults: Vec<Fault>,
}

impl LoadError {
    /// Renders every fault with its place, a snippet and what to do, `width` columns wide.
    pub fn render(&self, color: bool, width: usize) -> String {
        let theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler = GraphicalReportHandler::new_themed(theme).with_width(width.max(40)).with_links(false);
        let mut text = String::new();
        for fault in self.faults.iter().take(SHOWN) {
            let start = text.len();
            if handler.render_report(&mut text, fault).is_err() {
                text.truncate(start);
                text.push_str(&plain(fault));
            }
            text.push('\n');
        }
        let hidden = self.faults.len().saturating_sub(SHOWN);
        if hidden > 0 {
            text.push_str(&format!("and {hidden} more\n"));
        }
        text.push_str(&self.summary());
        text.push('\n');
        text
    }

    fn summary(&self) -> String {
        let file = self.faults.first().map_or("the manifest", Fault::file);
        match self.faults.len() {
            1 => format!("1 fault; {file} was not used"),
            count => format!("{count} faults; {file} was not used"),
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
fn plain(fault: &Fault) -> String {
    let place = match fault.position() {
        Some((line, column)) => format!("{}:{line}:{column}", fault.file()),
        None => fault.file().to_owned(),
    };
    match &fault.help {
        Some(help) => format!("{place}: {} ({help})", fault.message),
        None => format!("{place}: {}", fault.message),
    }
}

/// Where the faults of one manifest are collected while it is read and checked.
pub struct Context {
    source: Arc<Source>,
    faults: RefCell<Vec<Fault>>,
    /// Keys that a misspelt key of the mapping at this place was meant to be: they are not also reported as missing.
    meant: RefCell<Vec<(Span, String)>>,
}

impl Context {
    /// Starts an empty collection for a manifest.
    pub fn new(source: Arc<Source>) -> Self {
        Self { source, faults: RefCell::default(), meant: RefCell::default() }
    }

    /// Returns the manifest's text.
    pub fn text(&self) -> &str {
        self.source.inner()
    }

    /// Makes a fault at a place of the manifest; it counts once it is [pushed](Self::push).
    pub fn fault(&self, span: Span, message: impl Into<String>) -> Fault {
        Fault::at(Arc::clone(&self.source), span, message)
    }

    /// Adds a fault, unless the very same one is there already (the same role checked for a second account).
    pub fn push(&self, fault: Fault) {
        let mut faults = self.faults.borrow_mut();
        let same =
            |other: &Fault| other.span == fault.span && other.message == fault.message && other.file() == fault.file();
        if !faults.iter().any(same) {
            faults.push(fault);
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
        let mut faults = self.faults.into_inner();
        let own = self.source.name().to_owned();
        faults.sort_by_key(|fault| (fault.file() != own, fault.file().to_owned(), fault.span.map(|span| span.start)));
        (!faults.is_empty()).then_some(LoadError { faults })
    }
}

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
