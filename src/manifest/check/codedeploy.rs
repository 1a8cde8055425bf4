//! `codedeploy:`: the deployment group of a service, and its AppSpec, of a file or made here.

use crate::fleet::codedeploy::{CodeDeploy, PLACEHOLDER};
use crate::manifest::check::{Checker, Files};
use crate::manifest::codedeploy::CodeDeploy as Written;
use crate::manifest::interpolate::{Scope, Template};
use crate::manifest::node::record;
use crate::manifest::scalar::{Count, parse_count};
use crate::manifest::spanned::Spanned;

impl Checker<'_> {
    /// Resolves how a target is deployed by CodeDeploy.
    pub fn codedeploy(self, written: &Spanned<Written>, scope: &Scope<'_>, files: &Files<'_>) -> Option<CodeDeploy> {
        let value = written.get()?;
        let owner = "`codedeploy`";
        self.need(&value.application, written.span, owner, "application");
        self.need(&value.deployment_group, written.span, owner, "deployment_group");
        let appspec = match &value.appspec {
            Some(path) => {
                let beside = [value.container.as_ref().map(|it| it.span), value.port.as_ref().map(|it| it.span)];
                if let Some(place) = beside.into_iter().flatten().next() {
                    let help = "keep either `appspec`, or `container` and `port`";
                    self.fault(place, "the AppSpec file says the container and its port already", help);
                }
                self.appspec(path, scope, files)
            }
            None => {
                self.need(&value.container, written.span, owner, "container");
                self.need(&value.port, written.span, owner, "port");
                let container = self.given_text(&value.container, "container", scope);
                let port = value.port.as_ref().and_then(|port| self.port(port, scope));
                container.zip(port).map(|(container, port)| CodeDeploy::appspec_of(&container, port))
            }
        };
        let application = self.codedeploy_name(&value.application, "application", scope);
        let deployment_group = self.codedeploy_name(&value.deployment_group, "deployment_group", scope);
        let config = value.config.as_ref().map(|_| self.codedeploy_name(&value.config, "config", scope));
        Some(CodeDeploy {
            application: application?,
            deployment_group: deployment_group?,
            config: match config {
                Some(config) => Some(config?),
                None => None,
            },
            appspec: appspec?,
        })
    }

    fn given_text(self, text: &Option<Spanned<Template>>, key: &str, scope: &Scope<'_>) -> Option<String> {
        let text = text.as_ref()?;
        let value = self.resolve(text, scope)?;
        if value.trim().is_empty() {
            self.fault(text.span, format!("`{key}` is empty"), "check the variables in it");
            return None;
        }
        Some(value)
    }

    /// Resolves a name of CodeDeploy's: 1 to 100 of the characters that it takes.
    fn codedeploy_name(self, text: &Option<Spanned<Template>>, key: &str, scope: &Scope<'_>) -> Option<String> {
        let value = self.given_text(text, key, scope)?;
        let is_allowed = |char: char| char.is_ascii_alphanumeric() || "+=,.@_-".contains(char);
        if value.chars().count() > 100 || !value.chars().all(is_allowed) {
            let help = "CodeDeploy takes up to 100 letters, digits and + = , . @ _ -";
            self.fault(text.as_ref()?.span, format!("`{value}` is not a name that CodeDeploy takes"), help);
            return None;
        }
        Some(value)
    }

    fn port(self, port: &Spanned<Count>, scope: &Scope<'_>) -> Option<u16> {
        let Count(template) = port.get()?;
        let text = self.resolve_at(template, port.span, scope)?;
        let number = parse_count(&text).ok().and_then(|number| u16::try_from(number).ok()).filter(|port| *port > 0);
        if number.is_none() {
            self.fault(port.span, format!("`{text}` is not a port"), "write a number from 1 to 65535");
        }
        number
    }

    fn appspec(self, path: &Spanned<Template>, scope: &Scope<'_>, files: &Files<'_>) -> Option<String> {
        let file = self.resolve(path, scope)?;
        let (name, text) = (files.read)(&(files.path)(&file, path.span));
        let text = match text {
            Ok(text) => text,
            Err(reason) => {
                self.fault(path.span, format!("`{file}`: {reason}"), self.looked_for(&name, path.span));
                return None;
            }
        };
        if !text.contains(PLACEHOLDER) {
            let help = format!("write `{PLACEHOLDER}` where the ARN goes: `TaskDefinition: {PLACEHOLDER}`");
            self.fault(path.span, format!("`{file}` has no place for the task definition"), help);
        }
        let template = Template::parse_own(&text).map_err(|problem| record(self.context, path.span, problem)).ok()?;
        self.resolve_at(&template, path.span, scope)
    }
}
