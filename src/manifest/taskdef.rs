//! A task definition file: AWS's own JSON, unwrapped, with the target's own names put in.
//!
//! Knows the file's family and containers; what AWS would refuse of it, `task_definition` says, and here it gets its place.
//! Fields that this program does not know pass through, and read-only fields are left for the plan to strip. Reads no file
//! itself.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;

use crate::base::document::Document;
use crate::fleet::Desired;
use crate::fleet::lookup::Lookup;
use crate::manifest::fault::{Fault, Problem, Source};
use crate::manifest::interpolate::{Lookups, Scope, Template};
use crate::manifest::locate::{locate, repeated};
use crate::manifest::spanned::Span;
use crate::manifest::{lookalike, shown};
use crate::task_definition::{self, Finding, Step, compose};

/// The values of the names that are put in.
type Named = Vec<Option<String>>;

/// A task definition file that was read.
#[derive(Debug)]
pub struct TaskDefinition {
    text: String,
    /// The file as faults show it.
    source: Arc<Source>,
    value: Value,
    containers: Vec<String>,
    interpolated: bool,
    /// Whether the file has the answer of describe-task-definition, with the definition inside.
    wrapped: bool,
    /// The names that are put in.
    names: BTreeSet<String>,
    /// What was made of it and the lookups in that, by the values of those names: most targets of a fleet have one in common.
    resolved: RefCell<HashMap<Named, (Document, Lookups)>>,
    /// Of each of those the last target's wishes with which it was judged.
    judged: RefCell<HashMap<Document, Desired>>,
}

impl TaskDefinition {
    /// Parses a file: the input of `register-task-definition --cli-input-json`, or the output of
    /// `describe-task-definition`.
    ///
    /// # Errors
    /// What is wrong with it, at its place.
    pub fn parse(name: &str, text: String) -> Result<Self, Vec<Fault>> {
        // PowerShell begins a file with a byte order mark.
        let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
        // Whatever it is, its values may be secret.
        let source = Arc::new(Source::new(name, shown::of_anything(&text)));
        if !text.trim_start().starts_with('{') {
            let (message, help) = lookalike::identify(name, &text);
            return Err(vec![Fault::of_file(source, message).help(help)]);
        }
        let fault = |span: Span, message: String, help: &str| Fault::at(Arc::clone(&source), span, message).help(help);
        let value: Value = serde_json::from_str(&text).map_err(|error| {
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or(&message).to_owned();
            let span = span_at(&text, error.line(), error.column());
            let (message, help) = lookalike::broken(name, text.get(span.start..).unwrap_or_default(), &message);
            vec![fault(span, message, help)]
        })?;
        let start = Span { start: 0, end: text.find('\n').unwrap_or(text.len()) };
        let Value::Object(mut definition) = value else {
            let help = "it begins with `{`, as `aws ecs register-task-definition --generate-cli-skeleton` prints it";
            return Err(vec![fault(start, "a task definition is a JSON object".to_owned(), help)]);
        };
        let inner = definition.remove("taskDefinition");
        let wrapped = inner.as_ref().is_some_and(Value::is_object);
        if let Some(Value::Object(mut inner)) = inner {
            // describe-task-definition puts the tags beside the definition; register-task-definition wants them inside.
            if let Some(tags @ Value::Array(_)) = definition.remove("tags")
                && tags.as_array().is_some_and(|tags| !tags.is_empty())
            {
                inner.entry("tags").or_insert(tags);
            }
            definition = inner;
        }
        let mut faults = Vec::new();
        if definition.get("family").and_then(Value::as_str).is_none_or(str::is_empty) {
            let missing = || ("the task definition has no `family`".to_owned(), "add \"family\": \"...\"".to_owned());
            let (message, help) = lookalike::member(&definition, "family").unwrap_or_else(missing);
            faults.push(fault(start, message, &help));
        }
        let list = definition.get("containerDefinitions").and_then(Value::as_array);
        let names = |list: &Vec<Value>| -> Option<Vec<String>> {
            list.iter().map(|container| Some(container.get("name")?.as_str()?.to_owned())).collect()
        };
        let containers = match list {
            Some(list) if !list.is_empty() => names(list),
            _ => {
                let missing = || {
                    let message = "the task definition has no `containerDefinitions`".to_owned();
                    (message, "add at least one container".to_owned())
                };
                let (message, help) = lookalike::member(&definition, "containerDefinitions").unwrap_or_else(missing);
                faults.push(fault(start, message, &help));
                Some(Vec::new())
            }
        };
        let containers = containers.unwrap_or_else(|| {
            let message = "an entry of `containerDefinitions` has no `name`".to_owned();
            faults.push(fault(start, message, "give every container a \"name\""));
            Vec::new()
        });
        if !faults.is_empty() {
            return Err(faults);
        }
        let mut value = Value::Object(definition);
        task_definition::strip_comments(&mut value);
        let interpolated = any_text(&value, &mut |text| text.contains("${"));
        let source = Arc::new(Source::new(name, shown::of_definition(&text, None)));
        let mut names = BTreeSet::new();
        any_text(&value, &mut |text| {
            let template = Template::parse_own(text).unwrap_or_default();
            names.extend(template.names().into_iter().map(str::to_owned));
            false
        });
        let (resolved, judged) = (RefCell::default(), RefCell::default());
        Ok(Self { text, source, value, containers, interpolated, wrapped, names, resolved, judged })
    }

    /// Returns what AWS would refuse of the definition of one target, at its place in the file. With `images`, those of
    /// containers as well: the command line may still put others in their place.
    ///
    /// `of_patch` gives those that come of what the manifest sets their place there.
    pub fn judge(
        &self,
        resolved: &Document,
        desired: &Desired,
        images: bool,
        of_patch: &dyn Fn(&Finding, &Value) -> Option<Fault>,
    ) -> Vec<Fault> {
        // A target that wants the same of the same definition has the same faults.
        if self.judged.borrow_mut().insert(resolved.clone(), desired.clone()).as_ref() == Some(desired) {
            return Vec::new();
        }
        // What cannot be built is said of the manifest.
        let Ok(definition) = compose::build(&resolved.value(), desired) else { return Vec::new() };
        let findings = task_definition::judge(&definition).into_iter().filter(Finding::is_fault);
        let findings = findings.filter(|finding| images || !finding.is_of_image());
        let is_open = |finding: &Finding| match task_definition::value_at(&definition, &finding.path) {
            Some(Value::String(text)) => Lookup::is_in(text),
            _ => false,
        };
        // What is looked up is judged once it is known.
        let findings = findings.filter(|finding| !is_open(finding));
        let fault = |finding: Finding| {
            of_patch(&finding, &definition).unwrap_or_else(|| self.fault(&finding.path, finding.message, finding.help))
        };
        findings.map(fault).collect()
    }

    /// Makes a fault of a member of the definition, at its place in the file.
    pub fn fault(&self, path: &[Step], message: String, help: String) -> Fault {
        let place = locate(&self.text, &self.within(path));
        Fault::at(Arc::clone(&self.source), place, message).help(help)
    }

    /// Returns what AWS would leave out of the file without a word.
    pub fn warnings(&self) -> Vec<String> {
        let findings = task_definition::judge(&compose::without_read_only(&self.value));
        let findings = findings.into_iter().filter(|finding| !finding.is_fault());
        let findings = findings.map(|finding| self.fault(&finding.path, finding.message, finding.help));
        let repeated = repeated(&self.text).into_iter().map(|(place, name)| {
            let message = format!("`{name}` is there twice in one object, and the last one counts");
            Fault::at(Arc::clone(&self.source), place, message).help("keep one of them")
        });
        findings.chain(repeated).map(|fault| crate::manifest::fault::plain(&fault)).collect()
    }

    /// Returns a path as it is in the file. Of a variable the whole entry is pointed at: its value may be a secret.
    fn within(&self, path: &[Step]) -> Vec<Step> {
        let path = match path {
            [entry @ .., Step::Member(last)] if last == "value" => entry,
            path => path,
        };
        let outer = self.wrapped.then(|| Step::Member("taskDefinition".to_owned()));
        outer.into_iter().chain(path.iter().cloned()).collect()
    }

    /// Returns the containers' names, in the order of the file.
    pub fn containers(&self) -> &[String] {
        &self.containers
    }

    /// Returns the definition for one target. Targets for which it has the same text share it.
    ///
    /// # Errors
    /// References that the target cannot resolve, each at its place in the file.
    pub fn resolve(&self, scope: &Scope<'_>) -> Result<Document, Vec<Fault>> {
        let named: Result<Named, Problem> =
            self.names.iter().map(|name| Ok(scope.value(name)?.map(str::to_owned))).collect();
        let known = named.as_ref().ok().and_then(|named| self.resolved.borrow().get(named).cloned());
        let own = Lookups::default();
        let add = |own: &Lookups| {
            if let Some(lookups) = scope.lookups {
                let own = own.borrow();
                let mut lookups = lookups.borrow_mut();
                own.iter()
                    .for_each(|(lookup, place)| _ = lookups.entry(lookup.clone()).or_insert_with(|| Arc::clone(place)));
            }
        };
        if let Some((document, own)) = known {
            add(&own);
            return Ok(document);
        }
        let scope = &Scope { lookups: scope.lookups.map(|_| &own), ..*scope };
        let mut problems = Vec::new();
        let mut value = self.value.clone();
        if self.interpolated {
            map_text(&mut value, &mut |text| {
                let resolved = Template::parse_own(text).and_then(|template| template.resolve(scope));
                resolved.map_err(|problem| problems.push(problem)).ok()
            });
        }
        if !problems.is_empty() {
            return Err(self.locate(problems));
        }
        for (lookup, place) in own.borrow_mut().iter_mut() {
            *place = self.locate_lookup(lookup).into();
        }
        let document = Document::write(&value);
        add(&own);
        if let Ok(named) = named {
            self.resolved.borrow_mut().insert(named, (document.clone(), own));
        }
        Ok(document)
    }

    /// Returns where a lookup is written; the first of its kind where it has other names in it.
    fn locate_lookup(&self, lookup: &Lookup) -> String {
        let word = format!("${{{}:", lookup.store.word());
        let at = self.text.find(&lookup.to_string()).or_else(|| self.text.find(&word)).unwrap_or_default();
        let before = &self.text[..at];
        let (line, column) = (before.matches('\n').count() + 1, before.rsplit('\n').next().unwrap_or_default());
        format!("{}:{line}:{}", self.source.name(), column.chars().count() + 1)
    }

    fn locate(&self, problems: Vec<Problem>) -> Vec<Fault> {
        let text = &self.text;
        let fault = |problem: Problem| {
            let start = text.find(&problem.needle).unwrap_or(0);
            let end = start + if text[start..].starts_with(&problem.needle) { problem.needle.len() } else { 1 };
            let end = end + usize::from(text.get(end..).is_some_and(|rest| rest.starts_with('}')));
            let span = Span { start, end };
            let source = Source::new(self.source.name(), shown::of_definition(text, Some(span)));
            let fault = Fault::at(Arc::new(source), span, problem.message).help(problem.help);
            match problem.missing {
                Some((account, key)) => fault.missing(&account, &key),
                None => fault,
            }
        };
        problems.into_iter().map(fault).collect()
    }
}

/// Changes every text value of a JSON document, but no key.
pub fn map_text(value: &mut Value, change: &mut dyn FnMut(&str) -> Option<String>) {
    match value {
        Value::String(text) => {
            if text.contains('$')
                && let Some(changed) = change(text)
            {
                *text = changed;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| map_text(item, change)),
        Value::Object(entries) => entries.values_mut().for_each(|value| map_text(value, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn any_text(value: &Value, test: &mut dyn FnMut(&str) -> bool) -> bool {
    match value {
        Value::String(text) => test(text),
        Value::Array(items) => items.iter().any(|item| any_text(item, test)),
        Value::Object(entries) => entries.values().any(|value| any_text(value, test)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Returns the span of one byte from a line and a column, both from 1 as serde_json counts them (in bytes).
fn span_at(text: &str, line: usize, column: usize) -> Span {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let start = (start + column.saturating_sub(1)).min(text.len());
    Span { start, end: (start + 1).min(text.len()) }
}
