//! `tfstate:` and the targets that look into a state: where it is for each of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::nearest::suggest;
use crate::fleet::lookup::{StateSource, StateText, Store};
use crate::manifest::check::accounts::Accounts;
use crate::manifest::check::draft::Targets;
use crate::manifest::check::{Checker, Files, entries};
use crate::manifest::interpolate::Scope;
use crate::manifest::spanned::{Entry, Span};
use crate::manifest::tfstate::TfState;
use crate::manifest::{Manifest, tfstate};

impl Checker<'_> {
    /// Gives each target the states that it looks into. A file is read once.
    pub fn states(self, manifest: &Manifest, targets: &mut Targets, accounts: &Accounts, files: &Files<'_>) {
        let written = entries(&manifest.tfstate);
        let span = manifest.tfstate.as_ref().map_or(Span::default(), |states| states.span);
        for entry in written {
            self.state(entry);
        }
        let mut read: BTreeMap<StateSource, Arc<StateSource>> = BTreeMap::new();
        for target in &mut targets.list {
            let lookups = target.desired.lookups.iter().filter(|(lookup, _)| lookup.store == Store::Tfstate);
            let wanted: Vec<_> = lookups.map(|(lookup, asked)| (lookup.clone(), Arc::clone(&asked.place))).collect();
            let region = target.id.region.to_string();
            let scope = Scope { region: Some(&region), ..accounts.list[target.account].scope() };
            for (lookup, place) in wanted {
                let entry = match lookup.state_and_address() {
                    (Some(name), _) => written.iter().find(|entry| entry.key == name),
                    (None, _) if written.len() == 1 => written.first(),
                    (None, _) => None,
                };
                let Some(entry) = entry else {
                    let known = written.iter().map(|entry| entry.key.as_str());
                    let message = format!("{place}: `{lookup}` looks into no state of `tfstate`");
                    let help = match (lookup.state_and_address().0, written.is_empty()) {
                        (_, true) => "add `tfstate: { NAME: { file: ... } }` to the manifest".to_owned(),
                        (Some(name), false) => suggest(name, known.collect::<Vec<_>>()),
                        (None, false) => "say in which: ${tfstate:NAME:ADDRESS}".to_owned(),
                    };
                    self.fault(span, message, help);
                    continue;
                };
                let Some(source) = entry.value.get().and_then(|state| self.source_of(state, &scope, files)) else {
                    continue;
                };
                let source = Arc::clone(read.entry(source.clone()).or_insert_with(|| Arc::new(source)));
                target.desired.states.insert(entry.key.clone(), source);
            }
        }
    }

    fn state(self, entry: &Entry<TfState>) {
        let Some(state) = entry.value.get() else { return };
        match (&state.file, &state.gitlab) {
            (Some(_), Some(other)) => {
                self.fault(other.span, "a state is in one place: `file` or `gitlab`", "keep one of them");
            }
            (None, None) => {
                let help = "add `file: PATH` or `gitlab: { state: NAME }`";
                self.fault(entry.value.span, format!("the state `{}` has no place", entry.key), help);
            }
            (None, Some(gitlab)) => {
                if let Some(value) = gitlab.get() {
                    self.need(&value.state, gitlab.span, "`gitlab`", "state");
                }
            }
            (Some(_), None) => {}
        }
    }

    fn source_of(self, state: &TfState, scope: &Scope<'_>, files: &Files<'_>) -> Option<StateSource> {
        if let Some(file) = &state.file {
            let path = self.resolve(file, scope)?;
            let (name, text) = (files.read_state)(&(files.path)(&path, file.span));
            return Some(StateSource::File { name, text: text.map(|text| StateText(text.into())) });
        }
        let tfstate::GitLabState { state, project } = state.gitlab.as_ref()?.get()?;
        let project = match project {
            Some(project) => Some(self.word(&Some(project.clone()), scope, "project")?),
            None => None,
        };
        Some(StateSource::GitLab { project, state: self.word(state, scope, "state")? })
    }
}
