//! `task_definition:` of a target: the file that it names, read once, or the revision that exists.
//!
//! Whether there is such a revision, AWS says later.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use crate::fleet::{Base, Desired, Revision};
use crate::manifest::check::draft::Layer;
use crate::manifest::check::{Checker, Files, entries};
use crate::manifest::definition::{DefinitionSource, ExistingRevision};
use crate::manifest::fault::suggest;
use crate::manifest::interpolate::Scope;
use crate::manifest::scalar::{Count, parse_count};
use crate::manifest::spanned::{Span, Spanned};
use crate::manifest::taskdef::TaskDefinition;
use crate::references;

/// ECS's longest name of a family.
const LONGEST_FAMILY: usize = 255;

/// Task definition files, each read once.
pub struct Definitions<'a> {
    /// How they are reached.
    pub files: &'a Files<'a>,
    /// What was read, by path; `None` = its faults are recorded.
    pub known: BTreeMap<PathBuf, Option<Rc<TaskDefinition>>>,
}

impl Checker<'_> {
    /// Records what a source lacks, whatever the target.
    pub fn source(self, source: &Option<Spanned<DefinitionSource>>) {
        if let Some(source) = source
            && let Some(DefinitionSource::Revision(revision)) = source.get()
        {
            self.need(&revision.family, source.span, "`task_definition`", "family");
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
        let file = match source.get()? {
            DefinitionSource::File(file) => file,
            DefinitionSource::Revision(revision) => return self.revision(revision, scope),
        };
        let path = self.resolve_open(file, source.span, scope)?;
        if self.is_open(&path) {
            // Which file it is, only a deployment needs to know.
            return Some(Base::Live);
        }
        let definition = self.file(path, source.span, definitions)?;
        layers.iter().for_each(|layer| self.containers(layer, definition.containers()));
        let refused = |faults: Vec<_>| faults.into_iter().for_each(|fault| self.context.push(fault));
        let document = definition.resolve(scope).map_err(refused).ok()?;
        let is_whole = self.context.open.borrow().is_empty();
        let faults = if is_whole { definition.judge(&document, desired, definitions.files.images) } else { Vec::new() };
        faults.into_iter().for_each(|fault| self.context.push(fault));
        if let Some((_, account, _)) = scope.account.filter(|(_, id, _)| !id.is_empty())
            && let Some((path, foreign)) =
                references::foreign(&document.value(), account, scope.region.unwrap_or_default())
        {
            self.context.push(definition.fault(&path, foreign.reason, foreign.help));
        }
        Some(Base::File(document))
    }

    fn revision(self, written: &ExistingRevision, scope: &Scope<'_>) -> Option<Base> {
        let place = written.family.as_ref()?;
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
        let number = match &written.revision {
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
            if !known.contains(container) {
                let message = format!("the task definition has no container `{container}`");
                self.fault(span, message, suggest(container, known.iter().map(String::as_str)));
            }
        }
    }
}
