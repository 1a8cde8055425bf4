//! `before:` and `after:` of a service: what a task of RunTask needs, and what does not go together.
//!
//! Whether its container exists, the plan says: it knows the task definition.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::base::arn;
use crate::fleet::{self, Launch, Revision, RunTasks};
use crate::manifest::check::draft::{Layer, Written};
use crate::manifest::check::{Checker, entries, given, is_name, items};
use crate::manifest::interpolate::{Scope, Template};
use crate::manifest::run_task::{Network, Per, RunTask};
use crate::manifest::scalar::Scalar;
use crate::manifest::spanned::{Span, Spanned};
use crate::manifest::taskdef::map_text;

/// How long a task may take where the manifest does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);

impl Checker<'_> {
    /// Records what is wrong with the tasks of a service or an override, whatever the target.
    pub fn run_tasks(self, tasks: &Written) {
        for written in items(tasks) {
            let Some(task) = written.get() else { continue };
            if let Some(name) = self.need(&task.run_task, written.span, "a task", "run_task") {
                let place = task.run_task.as_ref().map_or(written.span, |name| name.span);
                if !is_name(name) {
                    self.fault(place, format!("`{name}` is not a name"), "use letters, digits, `.`, `_` and `-`");
                }
            }
            self.container(task, written.span);
            if let Some(timeout) = &task.timeout
                && timeout.get().is_some_and(|timeout| timeout.0.is_zero())
            {
                self.fault(timeout.span, "the timeout is 0: the task would time out", "write how long it may take");
            }
            if let Some(network) = &task.network {
                self.network(network);
            }
            self.launch(task);
        }
    }

    fn container(self, task: &RunTask, span: Span) {
        let overridden = [
            ("command", task.command.as_ref().map(|value| value.span)),
            ("environment", task.environment.as_ref().map(|value| value.span)),
        ];
        let first = overridden.into_iter().find_map(|(key, span)| Some((key, span?)));
        match (&task.container, first) {
            (None, Some((key, place))) if !self.context.is_meant(span, "container") => {
                let message = format!("`{key}` does not say of which container it is");
                self.fault(place, message, "add `container:`");
            }
            (Some(container), None) => {
                let help = "add `command:` or `environment:`, or remove it: every container of the definition runs";
                self.fault(container.span, "`container` says nothing by itself", help);
            }
            _ => {}
        }
        if let Some(command) = task.command.as_ref().filter(|command| command.get().is_some_and(Vec::is_empty)) {
            self.fault(command.span, "the command is empty", "write it, or remove the key to run the image's own");
        }
    }

    fn network(self, network: &Spanned<Network>) {
        let Some(value) = network.get() else { return };
        let subnets = self.need(&value.subnets, network.span, "`network`", "subnets").map_or(1, Vec::len);
        let groups = given(&value.security_groups).map_or(0, Vec::len);
        if let Some(place) = value.subnets.as_ref().filter(|_| !(1..=16).contains(&subnets)) {
            self.fault(place.span, format!("`subnets` names {subnets}"), "name 1 to 16");
        }
        if let Some(place) = value.security_groups.as_ref().filter(|_| groups > 5) {
            self.fault(place.span, format!("`security_groups` names {groups}"), "name at most 5");
        }
        self.one_of(&value.assign_public_ip, "assign_public_ip", &["ENABLED", "DISABLED"]);
    }

    fn launch(self, task: &RunTask) {
        self.one_of(&task.launch_type, "launch_type", &["FARGATE", "EC2", "EXTERNAL"]);
        if let (Some(kind), Some(strategy)) = (&task.launch_type, &task.capacity_provider_strategy) {
            let message = "`launch_type` and `capacity_provider_strategy` do not go together";
            let fault = self.context.fault(strategy.span, message).also(kind.span, "the launch type");
            self.context.push(fault.help("keep one of them"));
        }
        if let Some(strategy) = &task.capacity_provider_strategy
            && strategy.get().is_some_and(Vec::is_empty)
        {
            self.fault(strategy.span, "the strategy names no capacity provider", "name one, or remove the key");
        }
        for provider in items(&task.capacity_provider_strategy) {
            let Some(value) = provider.get() else { continue };
            self.need(&value.capacity_provider, provider.span, "a capacity provider", "capacity_provider");
            self.range(&value.weight, "weight", 0..=1000);
            self.range(&value.base, "base", 0..=100_000);
        }
    }

    /// Resolves the tasks of a target: of `layers`, the last list that is written.
    pub fn tasks_of(self, layers: &[Layer<'_>], scope: &Scope<'_>) -> RunTasks {
        let last = |list: for<'l> fn(&'l Layer<'_>) -> &'l Written| {
            layers.iter().rev().map(list).find(|list| list.is_some()).map(items).unwrap_or_default()
        };
        let (before, after) = (last(|layer| layer.before), last(|layer| layer.after));
        let mut seen = BTreeMap::new();
        for task in before.iter().chain(after).filter_map(Spanned::get) {
            if let Some(name) = &task.run_task
                && let Some(text) = name.get()
            {
                self.unique(&mut seen, "tasks of a service", text, name.span);
            }
        }
        let resolve =
            |tasks: &[Spanned<RunTask>]| tasks.iter().filter_map(|task| self.task(task.get()?, scope)).collect();
        RunTasks { before: resolve(before), after: resolve(after) }
    }

    fn task(self, task: &RunTask, scope: &Scope<'_>) -> Option<fleet::RunTask> {
        let scalar = |value: &Spanned<Scalar>| self.resolve_open(&value.get()?.0, value.span, scope);
        let command = given(&task.command).map(|words| words.iter().filter_map(scalar).collect());
        let variables = entries(&task.environment).iter();
        let environment = variables.filter_map(|entry| Some((entry.key.clone(), scalar(&entry.value)?))).collect();
        let providers = items(&task.capacity_provider_strategy).iter().filter_map(|one| self.value(one, scope));
        let offline = &Scope { lookups: None, ..*scope };
        let launch = match self.word(&task.launch_type, offline, "launch_type") {
            Some(kind) => Some(Launch::Type(kind)),
            None if task.capacity_provider_strategy.is_some() => Some(Launch::CapacityProviders(providers.collect())),
            None => None,
        };
        let network = task.network.as_ref().and_then(|network| self.value(network, scope));
        Some(fleet::RunTask {
            name: given(&task.run_task)?.clone(),
            per: match given(&task.per) {
                None | Some(Per::Target) => fleet::Per::Target,
                Some(Per::Account) => fleet::Per::Account,
                Some(Per::Run) => fleet::Per::Run,
            },
            task_definition: self.definition_of_task(&task.task_definition, offline),
            container: self.word(&task.container, offline, "container"),
            command,
            environment,
            timeout: given(&task.timeout).map_or(DEFAULT_TIMEOUT, |timeout| timeout.0),
            network: network.map(|network| json!({ "awsvpcConfiguration": network })),
            launch,
        })
    }

    fn definition_of_task(self, written: &Option<Spanned<Template>>, scope: &Scope<'_>) -> Option<String> {
        let text = self.word(written, scope, "task_definition")?;
        let is_arn = text.starts_with("arn:") && text.contains(":task-definition/");
        let name = if is_arn { arn::name(&text) } else { &text };
        let family = name.parse::<Revision>().map_or_else(|_| name.to_owned(), |revision| revision.family);
        if family.is_empty() || !family.chars().all(|char| char.is_ascii_alphanumeric() || "_-".contains(char)) {
            let help = "write `family`, `family:revision` or a task definition's ARN; a file cannot be named here";
            let span = written.as_ref().map(|written| written.span).unwrap_or_default();
            self.fault(span, format!("`{text}` is not a task definition in ECS"), help);
        } else if let Some(written) = written {
            self.own_place(&text, written.span, scope);
        }
        Some(text)
    }

    /// Returns what is written in ECS's terms, as ECS's JSON.
    fn value<T: serde::Serialize>(self, written: &Spanned<T>, scope: &Scope<'_>) -> Option<Value> {
        let mut value = serde_json::to_value(written.get()?).ok()?;
        map_text(&mut value, &mut |text| {
            let template = Template::parse(text).ok()?;
            self.resolve_at(&template, written.span, scope)
        });
        Some(value)
    }
}
