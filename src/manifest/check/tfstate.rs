//! `tfstate:` and the targets that look into a state: where it is for each of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::nearest::suggest;
use crate::fleet::lookup::{StateSource, StateText, Store, is_bucket};
use crate::manifest::check::accounts::Accounts;
use crate::manifest::check::draft::Targets;
use crate::manifest::check::{Checker, Files, entries};
use crate::manifest::interpolate::{Scope, Template};
use crate::manifest::spanned::{Entry, Span, Spanned};
use crate::manifest::tfstate::TfState;
use crate::manifest::{Manifest, tfstate};

/// The most bytes of a key of S3.
const LONGEST_KEY: usize = 1024;

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
        let file = state.file.as_ref().map(|file| file.span);
        let gitlab = state.gitlab.as_ref().map(|gitlab| gitlab.span);
        let s3 = state.s3.as_ref().map(|s3| s3.span);
        let mut places = [file, gitlab, s3].into_iter().flatten();
        if places.next().is_none() {
            let help = "add `file: PATH`, `gitlab: { state: NAME }` or `s3: { bucket: NAME, key: KEY }`";
            self.fault(entry.value.span, format!("the state `{}` has no place", entry.key), help);
        }
        if let Some(second) = places.next() {
            self.fault(second, "a state is in one place: `file`, `gitlab` or `s3`", "keep one of them");
        }
        if let (Some(span), Some(value)) = (gitlab, state.gitlab.as_ref().and_then(Spanned::get)) {
            self.need(&value.state, span, "`gitlab`", "state");
        }
        if let (Some(span), Some(value)) = (s3, state.s3.as_ref().and_then(Spanned::get)) {
            self.need(&value.bucket, span, "`s3`", "bucket");
            self.need(&value.key, span, "`s3`", "key");
        }
    }

    fn source_of(self, state: &TfState, scope: &Scope<'_>, files: &Files<'_>) -> Option<StateSource> {
        if let Some(file) = &state.file {
            let path = self.resolve(file, scope)?;
            let (name, text) = (files.read_state)(&(files.path)(&path, file.span));
            return Some(StateSource::File { name, text: text.map(|text| StateText(text.into())) });
        }
        if let Some(s3) = &state.s3 {
            return self.in_s3(s3.get()?, scope);
        }
        let tfstate::GitLabState { state, project } = state.gitlab.as_ref()?.get()?;
        let project = match project {
            Some(project) => Some(self.word(&Some(project.clone()), scope, "project")?),
            None => None,
        };
        Some(StateSource::GitLab { project, state: self.word(state, scope, "state")? })
    }

    fn in_s3(self, state: &tfstate::S3State, scope: &Scope<'_>) -> Option<StateSource> {
        let tfstate::S3State { bucket, key, region } = state;
        let span = |text: &Option<Spanned<Template>>| text.as_ref().map_or(Span::default(), |text| text.span);
        let name = self.word(bucket, scope, "bucket")?;
        if !is_bucket(&name) {
            let help = "write its name, such as acme-states: 3 to 63 of a-z, 0-9, `-` and `.`";
            self.fault(span(bucket), format!("`{name}` is no name of a bucket"), help);
            return None;
        }
        let path = self.word(key, scope, "key")?;
        if path.len() > LONGEST_KEY {
            self.fault(span(key), format!("the key is longer than {LONGEST_KEY} bytes"), "correct it");
            return None;
        }
        let region = match region {
            Some(text) => self.resolve(text, scope).filter(|region| self.region(region, text.span))?,
            None => scope.region?.to_owned(),
        };
        Some(StateSource::S3 { bucket: name, key: path, region })
    }
}
