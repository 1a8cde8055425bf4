//! `task_definition:` of a target: the file that it names, read once, or the revision that it starts from.
//!
//! Whether there is such a revision, AWS says later.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use serde_json::Value;

use crate::base::nearest::suggest;
use crate::fleet::lookup::Lookup;
use crate::fleet::{Base, Desired, Revision};
use crate::manifest::check::draft::Layer;
use crate::manifest::check::patch::patches;
use crate::manifest::check::{Checker, Files, entries};
use crate::manifest::definition::DefinitionSource;
use crate::manifest::interpolate::{Scope, Template};
use crate::manifest::scalar::{Count, parse_count};
use crate::manifest::spanned::{Span, Spanned};
use crate::manifest::taskdef::TaskDefinition;
use crate::references;
use crate::task_definition::{Finding, Step};

/// ECS's longest name of a family.
const LONGEST_FAMILY: usize = 255;

/// Task definition files, each read once.
pub struct Definitions<'a> {
    /// How they are reached.
    pub files: &'a Files<'a>,
    /// What was read, by path; `None` = its faults are recorded.
    pub known: BTreeMap<PathBuf, Option<Rc<TaskDefinition>>>,
}

/// Returns the scope of what is known offline: what a target starts from is read before any lookup.
fn offline<'a>(scope: &Scope<'a>) -> Scope<'a> {
    Scope { lookups: None, ..*scope }
}

impl Checker<'_> {
    /// Records what does not go together in a source, whatever the target.
    pub fn source(self, source: &Option<Spanned<DefinitionSource>>) {
        let Some(source) = source else { return };
        let Some(DefinitionSource::Written(written)) = source.get() else { return };
        self.patch(written.set.as_ref());
        let is_known = written.set.is_some() && written.revision.is_none();
        match (&written.file, written.family.as_ref().map(|it| it.span).or(written.revision.as_ref().map(|it| it.span)))
        {
            (Some(file), Some(revision)) => {
                let fault = self.context.fault(revision, "`task_definition` names both a file and a revision");
                self.context.push(fault.also(file.span, "the file").help("keep one of them"));
            }
            (None, _) if !is_known => _ = self.need(&written.family, source.span, "`task_definition`", "family"),
            _ => {}
        }
    }

    /// Resolves what a target starts from, and judges what would be registered of it; `layers` are all that is said of the
    /// target, `desired` what they come to.
    pub fn base(
        self,
        desired: &Desired,
        source: &Spanned<DefinitionSource>,
        layers: &[Layer<'_>],
        scope: &Scope<'_>,
        definitions: &mut Definitions<'_>,
    ) -> Option<Base> {
        let (file, span) = match source.get()? {
            DefinitionSource::Path(file) => (file, source.span),
            DefinitionSource::Written(written) => match (&written.file, &written.family) {
                (Some(file), _) => (file.get()?, file.span),
                (None, Some(family)) => return self.revision(family, &written.revision, scope),
                (None, None) => return Some(Base::Live),
            },
        };
        let path = self.resolve_open(file, span, &offline(scope))?;
        if self.is_open(&path) {
            // Which file it is, only a deployment needs to know.
            return Some(Base::Live);
        }
        let definition = self.file(path, span, definitions)?;
        let patches = patches(Some(source), layers);
        layers.iter().for_each(|layer| self.containers(layer, definition.containers()));
        self.containers_of(&patches, definition.containers());
        let refused = |faults: Vec<_>| faults.into_iter().for_each(|fault| self.context.push(fault));
        let document = definition.resolve(scope).map_err(refused).ok()?;
        if document.value()["family"].as_str().is_some_and(Lookup::is_in) {
            let (message, help) =
                ("the family is not looked up", "write it out: the family's revisions are read first");
            let fault = definition.fault(&[Step::Member("family".to_owned())], message.to_owned(), help.to_owned());
            self.context.push(fault);
            return None;
        }
        let is_whole = self.context.open.borrow().is_empty();
        let of_patch = |finding: &Finding, whole: &Value| self.of_patch(&patches, finding, whole);
        let images = definitions.files.images;
        let faults = if is_whole { definition.judge(&document, desired, images, &of_patch) } else { Vec::new() };
        faults.into_iter().for_each(|fault| self.context.push(fault));
        if let Some((_, account, _)) = scope.account.filter(|(_, id, _)| !id.is_empty())
            && let Some((path, foreign)) =
                references::foreign(&document.value(), account, scope.region.unwrap_or_default())
        {
            self.context.push(definition.fault(&path, foreign.reason, foreign.help));
        }
        Some(Base::File(document))
    }

    fn revision(self, place: &Spanned<Template>, number: &Option<Spanned<Count>>, scope: &Scope<'_>) -> Option<Base> {
        let scope = &offline(scope);
        let family = self.resolve(place, scope)?;
        let allowed = |char: char| char.is_ascii_alphanumeric() || "_-".contains(char);
        if family.is_empty() || family.len() > LONGEST_FAMILY || !family.chars().all(allowed) {
            let help = match family.parse::<Revision>() {
                Ok(Revision { family, number }) => format!("write {{ family: {family}, revision: {number} }}"),
                Err(_) => "a family is up to 255 letters, digits, `_` and `-`".to_owned(),
            };
            self.fault(place.span, format!("`{family}` is not a task definition's family"), help);
            return None;
        }
        let number = match number {
            None => None,
            Some(number) => {
                let Count(template) = number.get()?;
                let text = self.resolve_open(template, number.span, scope)?;
                if self.is_open(&text) {
                    return Some(Base::Live);
                }
                match parse_count(&text) {
                    Ok(0) => {
                        self.fault(number.span, "there is no revision 0", "revisions are numbered from 1");
                        return None;
                    }
                    Ok(number) => Some(number),
                    Err(error) => {
                        self.split_fault(number.span, &error);
                        return None;
                    }
                }
            }
        };
        Some(Base::Revision { family, number })
    }

    fn file(self, path: String, span: Span, definitions: &mut Definitions<'_>) -> Option<Rc<TaskDefinition>> {
        let place = (definitions.files.path)(&path, span);
        if let Some(known) = definitions.known.get(&place) {
            return known.clone();
        }
        let (name, text) = (definitions.files.read)(&place);
        let definition = match text {
            Err(reason) => {
                let help = match path.parse::<Revision>() {
                    Ok(Revision { family, number }) if !path.contains('/') => {
                        format!("for a revision that exists write {{ family: {family}, revision: {number} }}")
                    }
                    _ => self.looked_for(&name, span),
                };
                self.fault(span, format!("`{path}`: {reason}"), help);
                None
            }
            Ok(text) => match TaskDefinition::parse(&name, text) {
                Ok(definition) => Some(Rc::new(definition)),
                Err(faults) => {
                    faults.into_iter().for_each(|fault| self.context.push(fault));
                    None
                }
            },
        };
        definitions.known.insert(place, definition.clone());
        definition
    }

    /// Records containers that the task definition does not have.
    fn containers(self, layer: &Layer<'_>, known: &[String]) {
        let images = entries(layer.images).iter().map(|entry| (&entry.key, entry.key_span));
        let environment = entries(layer.environment).iter().map(|entry| (&entry.key, entry.key_span));
        let secrets = entries(layer.secrets).iter().map(|entry| (&entry.key, entry.key_span));
        for (container, span) in images.chain(environment).chain(secrets) {
            self.container_of(container, span, known);
        }
    }

    /// Records a container that the task definition does not have.
    pub fn container_of(self, container: &str, span: Span, known: &[String]) {
        if !known.iter().any(|known| known == container) {
            let message = format!("the task definition has no container `{container}`");
            self.fault(span, message, suggest(container, known.iter().map(String::as_str)));
        }
    }
}
