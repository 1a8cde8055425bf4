//! `services:`: every target, with what the manifest wants of it. Which wave it is in, `waves.rs` says.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use indexmap::IndexMap;
use serde_json::Value;

use crate::base::arn;
use crate::base::json;
use crate::fleet::lookup::Asked;
use crate::fleet::{Desired, TargetId, image};
use crate::manifest::Manifest;
use crate::manifest::check::accounts::{Accounts, Draft};
use crate::manifest::check::definition::Definitions;
use crate::manifest::check::deployment::leave_out_moot;
use crate::manifest::check::draft::{Layer, ServiceDraft, Target, Targets};
use crate::manifest::check::patch::patches;
use crate::manifest::check::room::{MAX_TEXT, Room};
use crate::manifest::check::{Checker, Files, entries, given, items};
use crate::manifest::deployment::Deployment;
use crate::manifest::image::ImageSource;
use crate::manifest::interpolate::{Lookups, Scope, Template};
use crate::manifest::scalar::{Count, Scalar, parse_count};
use crate::manifest::select::{Candidate, Selector, Vocabulary};
use crate::manifest::spanned::{Entries, Span, Spanned};
use crate::manifest::taskdef::map_text;
use crate::references::need;
use crate::task_definition::{check_secret, find_placeholder};

/// Ten times the largest fleet that this program is measured with.
const MAX_TARGETS: usize = 100_000;

/// Where a service is in AWS: its account's id, region and cluster, and its name.
type Place = (String, String, String, String);

impl Checker<'_> {
    /// Reads the services' names. Records what is wrong with each service by itself.
    pub fn services<'t>(self, manifest: &'t Manifest, root: Span) -> Vec<ServiceDraft<'t>> {
        let mut drafts = Vec::new();
        let written = given(&manifest.defaults);
        let wait = written.and_then(|defaults| given(&defaults.wait_for_images));
        let defaults = Desired {
            pin: written.and_then(|defaults| given(&defaults.pin)).copied().unwrap_or_default(),
            wait_for_images: wait.map_or(Duration::ZERO, |wait| wait.0),
            ..Desired::default()
        };
        let Some(list) = self.need(&manifest.services, root, "the manifest", "services") else { return drafts };
        if list.is_empty() {
            let span = manifest.services.as_ref().map_or(root, |services| services.span);
            self.fault(span, "there are no services", "add one: { name: ..., cluster: ... }");
        }
        let mut seen = BTreeMap::new();
        for written in list {
            let Some(service) = written.get() else { continue };
            let name = self.name(&service.name, written.span, "a service");
            let place = service.name.as_ref().map_or(written.span, |name| name.span);
            let owner = name.map_or("a service".to_owned(), |name| format!("service `{name}`"));
            self.need(&service.cluster, written.span, &owner, "cluster");
            if let Some(name) = name.filter(|name| !is_ecs_name(name) && service.service.is_none()) {
                let help = "say what it is called there: service: NAME";
                self.fault(place, format!("a service in ECS cannot be called `{name}`"), help);
            }
            for other in items(&service.overrides) {
                if let Some(other_value) = other.get() {
                    self.need(&other_value.select, other.span, "an override", "select");
                    self.deployment(&other_value.deployment, &service.deployment);
                    self.source(&other_value.task_definition);
                    self.patch(other_value.set.as_ref());
                    self.run_tasks(&other_value.before);
                    self.run_tasks(&other_value.after);
                }
            }
            self.deployment(&service.deployment, &None);
            self.source(&service.task_definition);
            self.run_tasks(&service.before);
            self.run_tasks(&service.after);
            if let Some(name) = name.filter(|name| self.unique(&mut seen, "services", name, place)) {
                drafts.push(ServiceDraft { name, span: place, written: service, defaults: defaults.clone() });
            }
        }
        drafts
    }

    /// Resolves every target, in the order of account, region, service.
    pub fn targets(
        self,
        services: &[ServiceDraft<'_>],
        accounts: &Accounts,
        vocabulary: &Vocabulary,
        files: &Files<'_>,
        warnings: &mut Vec<String>,
    ) -> Targets {
        let mut whole = accounts.complete && accounts.list.iter().all(|account| account.id.is_some());
        for service in services {
            whole &= self.selector(&service.written.select, vocabulary);
            for other in items(&service.written.overrides).iter().filter_map(Spanned::get) {
                whole &= self.selector(&other.select, vocabulary);
            }
        }
        let mut definitions = Definitions { files, known: BTreeMap::new() };
        let mut room = Room::default();
        let mut list: Vec<Target> = Vec::new();
        let mut places: BTreeMap<Place, (usize, usize)> = BTreeMap::new();
        let (mut clashes, mut one_id) = (BTreeSet::new(), BTreeSet::new());
        let mut selected = BTreeSet::new();
        for (index, account) in accounts.list.iter().enumerate() {
            for region in &account.regions {
                for (number, service) in services.iter().enumerate() {
                    let candidate =
                        Candidate { account: &account.name, labels: &account.labels, region, service: service.name };
                    if !matches(&service.written.select, candidate) {
                        continue;
                    }
                    selected.insert(number);
                    if !account.enabled {
                        continue;
                    }
                    let scope = Scope { region: Some(region), service: Some(service.name), ..account.scope() };
                    let Some((cluster, name, desired)) = self.target(service, candidate, &scope, &mut definitions)
                    else {
                        whole = false;
                        continue;
                    };
                    let name = name.unwrap_or_else(|| service.name.to_owned());
                    let id = account.id.as_ref().map(ToString::to_string).unwrap_or_default();
                    let short = arn::name(&cluster).to_owned();
                    let place = (id, region.clone(), short, name.clone());
                    match places.get(&place).filter(|_| account.id.is_some()) {
                        Some(&(_, first)) if first != index => {
                            if one_id.insert((first, index)) {
                                self.one_id(&accounts.list[first], account, service, &place);
                            }
                        }
                        Some(&(first, _)) => {
                            if clashes.insert((first, number)) {
                                self.clash(services, first, number, &place);
                            }
                        }
                        None => _ = places.insert(place, (number, index)),
                    }
                    let id = TargetId {
                        account: account.name.as_str().into(),
                        region: region.as_str().into(),
                        service: service.name.into(),
                    };
                    if !room.takes(&desired) {
                        let message = format!("what is deployed has more than {} MiB, for all targets", MAX_TEXT >> 20);
                        let help = "a text with ${account.id} or ${region} is there once for each: shorten it, or split the fleet";
                        self.fault(service.span, message, help);
                        return Targets { list: Vec::new(), complete: false };
                    }
                    list.push(Target { id, account: index, cluster, service: name, desired, alarms: Vec::new() });
                    if list.len() > MAX_TARGETS {
                        let message = format!("more than {MAX_TARGETS} targets");
                        self.fault(service.span, message, "split the fleet into several manifests");
                        return Targets { list: Vec::new(), complete: false };
                    }
                }
            }
        }
        self.find_sources(services, accounts, &mut list);
        warnings.extend(definitions.known.values().flatten().flat_map(|definition| definition.warnings()));
        for (number, service) in services.iter().enumerate() {
            if !selected.contains(&number) && whole {
                warnings.push(format!("service `{}` is in no account: its `select` matches nothing", service.name));
            }
        }
        Targets { list, complete: whole }
    }

    /// Records variables without a name.
    fn names<T>(self, layer: &Option<Spanned<Entries<Entries<T>>>>) {
        let names = entries(layer).iter().filter_map(|container| container.value.get()).flat_map(|names| &names.0);
        for name in names.filter(|name| name.key.is_empty()) {
            self.fault(name.key_span, "the name of the variable is empty", "name the variable");
        }
    }

    fn clash(self, services: &[ServiceDraft<'_>], first: usize, second: usize, (id, region, cluster, name): &Place) {
        let (Some(one), Some(two)) = (services.get(first), services.get(second)) else { return };
        let message = format!(
            "services `{}` and `{}` are the same ECS service: `{name}` in {cluster}, account {id}, {region}",
            one.name, two.name
        );
        let fault = self.context.fault(two.span, message).also(one.span, "the other one");
        self.context.push(fault.help("change `service`, `cluster` or `select`, so that each target is there once"));
    }

    /// Records two accounts that have one id, and so the same target.
    fn one_id(self, one: &Draft, two: &Draft, service: &ServiceDraft<'_>, (id, region, cluster, name): &Place) {
        let message = format!(
            "accounts `{}` and `{}` have the id {id}, so service `{}` is there twice: `{name}` in {cluster}, {region}",
            one.name, two.name, service.name
        );
        let fault = self.context.fault(two.place, message).label("this id").also(one.place, "and this one");
        let help =
            "correct an id; or, where both are one account, make them one, or give them other clusters or services";
        self.context.push(fault.help(help));
    }

    /// Checks a selector that may be absent. Returns whether it is whole.
    pub fn selector(self, select: &Option<Spanned<Selector>>, vocabulary: &Vocabulary) -> bool {
        match select {
            Some(select) => select.get().is_some_and(|select| select.check(vocabulary, self.context)),
            None => true,
        }
    }

    /// Resolves one target: its cluster, its service's name where that is written, and what is wanted of it.
    fn target(
        self,
        draft: &ServiceDraft<'_>,
        candidate: Candidate<'_>,
        scope: &Scope<'_>,
        definitions: &mut Definitions<'_>,
    ) -> Option<(String, Option<String>, Desired)> {
        let before = self.context.count();
        let service = draft.written;
        let overrides = items(&service.overrides).iter().filter_map(Spanned::get);
        let matching = overrides.filter(|other| other.select.is_some() && matches(&other.select, candidate));
        let layers: Vec<Layer<'_>> = std::iter::once(service.into()).chain(matching.map(Layer::from)).collect();
        let (mut cluster, mut name, mut source) = (None, None, None);
        let mut desired = draft.defaults.clone();
        let lookups = Lookups::default();
        // What says which service it is, and how many tasks it has, is known offline.
        let (offline, scope) = (scope, &Scope { lookups: Some(&lookups), ..*scope });
        for layer in &layers {
            desired.pin = given(layer.pin).copied().unwrap_or(desired.pin);
            desired.wait_for_images = given(layer.wait_for_images).map_or(desired.wait_for_images, |wait| wait.0);
            cluster = self.ecs_name(layer.cluster, offline, "cluster").or(cluster);
            name = self.ecs_name(layer.service, offline, "service").or(name);
            source = layer.task_definition.as_ref().or(source);
            for entry in entries(layer.images) {
                let template = match entry.value.get() {
                    Some(ImageSource::Image(template)) => template,
                    Some(ImageSource::Running(running)) => {
                        if let Some(source) = self.running(running, entry.value.span, candidate) {
                            desired.images.shift_remove(&entry.key);
                            desired.promoted.insert(entry.key.clone(), source);
                        }
                        continue;
                    }
                    None => continue,
                };
                let Some(image) = self.resolve_open(template, entry.value.span, scope) else { continue };
                if self.is_open(&image) {
                    // What is not known yet is judged where it is deployed.
                } else if image.trim().is_empty() {
                    self.fault(entry.value.span, "the image is empty", "check the variables in it");
                } else if let Err(reason) = image::check(&image) {
                    let help = match find_placeholder(&image).and_then(|found| found.strip_prefix('$')) {
                        Some(name) if !name.starts_with('{') => format!("write `${{{name}}}`"),
                        _ => "write it as `docker pull` takes it, and check the variables in it".to_owned(),
                    };
                    self.fault(entry.value.span, reason, help);
                }
                desired.promoted.shift_remove(&entry.key);
                desired.images.insert(entry.key.clone(), image);
            }
            self.names(layer.environment);
            self.names(layer.secrets);
            let plain = |scalar: &Scalar, span| self.resolve_open(&scalar.0, span, scope);
            merge(layer.environment, &mut desired.environment, plain);
            let reference = |template: &Template, span| {
                let value = self.resolve_open(template, span, scope)?;
                if self.is_open(&value) {
                    return Some(value);
                }
                if value.is_empty() {
                    self.fault(span, "the secret is empty", "write the ARN of a secret or of an SSM parameter");
                } else if let Err(reason) = check_secret(&value) {
                    let help = "write the ARN of a secret or of an SSM parameter, or a parameter's name";
                    self.fault(span, format!("the secret {reason}"), help);
                } else {
                    let account = scope.account.map(|(_, id, _)| id).filter(|id| !id.is_empty());
                    if let Some(fault) = need::fault(&value, account, candidate.region) {
                        self.fault(span, fault.reason, fault.help);
                    }
                }
                Some(value)
            };
            merge(layer.secrets, &mut desired.secrets, reference);
            if let Some(count) = layer.desired_count
                && let Some(template) = count.get().map(|Count(template)| template)
                && let Some(text) = self.resolve_open(template, count.span, offline)
                && !self.is_open(&text)
            {
                match parse_count(&text) {
                    Ok(number) => desired.desired_count = Some(number),
                    Err(error) => self.split_fault(count.span, &error),
                }
            }
            if let Some(written) = layer.codedeploy {
                desired.codedeploy = self.codedeploy(written, offline, definitions.files);
            }
            if let Some(settings) = self.settings(layer.deployment, scope) {
                match &mut desired.deployment {
                    Some(base) => json::merge(base, settings),
                    none => *none = Some(settings),
                }
            }
        }
        if let Some(settings) = &mut desired.deployment {
            leave_out_moot(settings);
        }
        let last = layers.iter().rev().find_map(|layer| layer.cluster.as_ref());
        if let (Some(arn), Some(place)) = (cluster.as_ref().filter(|name| name.contains(":cluster/")), last) {
            self.own_place(arn, place.span, scope);
        }
        desired.set = self.set(&patches(source, &layers), scope).unwrap_or_default();
        if let Some(source) = source {
            desired.task_definition = self.base(&desired, source, &layers, scope, definitions).unwrap_or_default();
        }
        desired.run_tasks = self.tasks_of(&layers, scope);
        self.both(&layers);
        let asked = |(lookup, place)| (lookup, Asked { place, found: None });
        desired.lookups = lookups.into_inner().into_iter().map(asked).collect();
        (self.context.count() == before).then_some((cluster?, name, desired))
    }

    /// Resolves what ECS calls a cluster or a service. A cluster may be given by its ARN.
    fn ecs_name(self, text: &Option<Spanned<Template>>, scope: &Scope<'_>, key: &str) -> Option<String> {
        let (value, span) = (self.word(text, scope, key)?, text.as_ref()?.span);
        let name = match value.split_once(":cluster/") {
            Some((arn, name)) if key == "cluster" && arn.starts_with("arn:") && arn.contains(":ecs:") => name,
            _ => &value,
        };
        if !is_ecs_name(name) && !value.trim().is_empty() {
            let help = match (name.starts_with("arn:"), key) {
                (true, "cluster") => "write the cluster's name or its ARN",
                (true, _) => "write the service's name, not its ARN",
                _ => "its name is of letters, digits, `_` and `-`, at most 255 of them",
            };
            self.fault(span, format!("a {key} in ECS cannot be called `{value}`"), help);
        }
        Some(value)
    }

    /// Resolves a text that must not be empty.
    pub fn word(self, text: &Option<Spanned<Template>>, scope: &Scope<'_>, key: &str) -> Option<String> {
        let text = text.as_ref()?;
        let value = self.resolve(text, scope)?;
        if value.trim().is_empty() {
            self.fault(text.span, format!("`{key}` is empty"), "check the variables in it");
        }
        Some(value)
    }

    /// Records a fault whose second line is its help.
    pub fn split_fault(self, span: Span, text: &str) {
        let (message, help) = text.rsplit_once('\n').unwrap_or((text, "correct it"));
        self.fault(span, message, help);
    }

    /// Records names that are both a variable and a secret of a container: ECS refuses those.
    fn both(self, layers: &[Layer<'_>]) {
        for secret in layers.iter().flat_map(|layer| entries(layer.secrets)) {
            let names = secret.value.get().map(|names| names.0.as_slice()).unwrap_or_default();
            for name in names {
                let variable = layers
                    .iter()
                    .flat_map(|layer| entries(layer.environment))
                    .filter(|entry| entry.key == secret.key)
                    .filter_map(|entry| entry.value.get())
                    .flat_map(|names| &names.0)
                    .find(|variable| variable.key == name.key);
                if let Some(variable) = variable {
                    let message =
                        format!("`{}` is both a variable and a secret of container `{}`", name.key, secret.key);
                    let fault = self.context.fault(name.key_span, message).also(variable.key_span, "the variable");
                    self.context.push(fault.help("keep one: ECS refuses a name that is there twice"));
                }
            }
        }
    }

    fn settings(self, deployment: &Option<Spanned<Deployment>>, scope: &Scope<'_>) -> Option<Value> {
        let written = deployment.as_ref()?;
        let mut value = serde_json::to_value(written.get()?).ok()?;
        map_text(&mut value, &mut |text| {
            let template = Template::parse(text).ok()?;
            self.resolve_open(&template, written.span, scope)
        });
        Some(value)
    }
}

/// Whether ECS takes a name for a service or a cluster: 1 to 255 letters, digits, `_` and `-`, by the API reference of
/// CreateService and CreateCluster.
fn is_ecs_name(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    (1..=255).contains(&name.len()) && name.bytes().all(letter)
}

fn matches(select: &Option<Spanned<Selector>>, candidate: Candidate<'_>) -> bool {
    match select {
        Some(select) => select.get().is_some_and(|select| select.matches(candidate)),
        None => true,
    }
}

fn merge<T>(
    layer: &Option<Spanned<Entries<Entries<T>>>>,
    into: &mut IndexMap<String, IndexMap<String, String>>,
    mut value: impl FnMut(&T, Span) -> Option<String>,
) {
    for container in entries(layer) {
        let names = container.value.get().map(|names| names.0.as_slice()).unwrap_or_default();
        let values = into.entry(container.key.clone()).or_default();
        for name in names {
            if let Some(text) = name.value.get().and_then(|written| value(written, name.value.span)) {
                values.insert(name.key.clone(), text);
            }
        }
    }
}
