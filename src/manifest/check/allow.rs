//! `identity.allow:`: which jobs are let in, in terms that a token's claims can be held to.

use crate::base::text::count;
use crate::fleet::tier::Tier;
use crate::fleet::{Allow, Subject, identity_provider};
use crate::manifest::allow::{Allow as Written, SubjectForm};
use crate::manifest::check::{Checker, given, items};
use crate::manifest::scalar::Flag;
use crate::manifest::spanned::{Span, Spanned};
use crate::manifest::{Identity, Manifest};

impl Checker<'_> {
    /// Resolves which jobs are let in; `None` where the manifest does not say, or a fault is recorded.
    pub fn allow(self, manifest: &Manifest, variables: &dyn Fn(&str) -> Option<String>) -> Option<Allow> {
        let identity = given(&manifest.identity)?;
        let issuer = self.issuer(identity, variables);
        let written = identity.allow.as_ref()?;
        let allow = written.get()?;
        let span = self.head(written.span);
        let paths = self.listed(allow.project.iter().chain(items(&allow.projects)), |path| self.project(path));
        let ids = allow.project_id.iter().chain(items(&allow.project_ids));
        let ids = self.listed(ids, |id| self.project_id(id.get()?.0.as_literal()?, id.span));
        self.projects_are_named(allow, paths.len(), ids.len());
        let (branches, tags) = (self.refs(&allow.branches, "branch"), self.refs(&allow.tags, "tag"));
        let deployment_tier = self.tiers(allow);
        let flag = |value: &Option<Spanned<Flag>>| given(value).is_some_and(|flag| flag.0);
        let (ref_protected, environment_protected) = (flag(&allow.ref_protected), flag(&allow.environment_protected));
        let narrowed = ref_protected || environment_protected || allow.deployment_tier.is_some();
        if allow.branches.is_none() && allow.tags.is_none() && !narrowed {
            let help =
                "name `branches` or `tags`, such as `branches: [main]`; `branches: [\"*\"]` lets every branch in";
            self.fault(span, "`allow` names no branch and no tag", help);
        }
        let form = given(&allow.sub).copied();
        let subjects: Vec<Subject> = match form {
            None | Some(SubjectForm::ProjectPath) if !paths.is_empty() => {
                paths.into_iter().map(Subject::Path).collect()
            }
            None | Some(SubjectForm::ProjectId) => ids.iter().cloned().map(Subject::Id).collect(),
            Some(SubjectForm::ProjectPath) => Vec::new(),
        };
        if subjects.is_empty() && !is_tried(allow, form) {
            let (what, help) = match form {
                None => ("`allow` names no project", "add `project:`, the path of the GitLab project that deploys"),
                Some(SubjectForm::ProjectPath) => ("`sub: project_path` needs `project`", "add `project:`, its path"),
                Some(SubjectForm::ProjectId) => {
                    ("`sub: project_id` needs `project_id`", "add `project_id:`, its number")
                }
            };
            self.fault(span, what, help);
        }
        let audience = allow.audience.as_ref().and_then(|audience| self.audience(audience));
        Some(Allow {
            issuer,
            audience,
            subjects,
            project_ids: ids,
            branches,
            tags,
            ref_protected,
            environment_protected,
            deployment_tier,
        })
    }

    /// Reads the good ones of several values, each once. Records those that are there twice.
    fn listed<'t, T: 't>(
        self,
        written: impl Iterator<Item = &'t Spanned<T>>,
        read: impl Fn(&'t Spanned<T>) -> Option<String>,
    ) -> Vec<String> {
        let mut known: Vec<(String, Span)> = Vec::new();
        for item in written {
            let Some(text) = read(item) else { continue };
            match known.iter().find(|(other, _)| *other == text) {
                Some((_, first)) => {
                    let fault = self.context.fault(item.span, format!("`{text}` is there twice"));
                    self.context.push(fault.label("again here").also(*first, "first here").help("remove one of them"));
                }
                None => known.push((text, item.span)),
            }
        }
        known.into_iter().map(|(text, _)| text).collect()
    }

    /// Records lists of projects that let nobody in, and ids that are not one for each path.
    fn projects_are_named(self, allow: &Written, paths: usize, ids: usize) {
        let empty = [
            allow.projects.as_ref().filter(|list| list.get().is_some_and(Vec::is_empty)).map(|list| list.span),
            allow.project_ids.as_ref().filter(|list| list.get().is_some_and(Vec::is_empty)).map(|list| list.span),
        ];
        for span in empty.into_iter().flatten() {
            self.fault(span, "the list lets no project in", "name one, or remove the key");
        }
        let written = allow.project_ids.as_ref().map(|list| list.span);
        let span = written.or(allow.project_id.as_ref().map(|id| id.span));
        if let Some(span) = span.filter(|_| paths > 0 && ids > 0 && paths != ids) {
            let message = format!("`allow` has {} for {}", count(ids, "project id"), count(paths, "path"));
            self.fault(
                span,
                message,
                "give the id of every project: on gitlab.com each token must have one of these ids",
            );
        }
    }

    fn issuer(self, identity: &Identity, variables: &dyn Fn(&str) -> Option<String>) -> Option<String> {
        let Some(written) = &identity.issuer else {
            return variables("CI_SERVER_URL").filter(|url| identity_provider::check_url(url).is_ok());
        };
        let url = written.get()?;
        if let Err((message, help)) = identity_provider::check_url(url) {
            self.fault(written.span, message, help);
        }
        Some(url.clone())
    }

    fn audience(self, written: &Spanned<String>) -> Option<String> {
        let audience = written.get()?;
        if let Err((message, help)) = identity_provider::check_audience(audience) {
            self.fault(written.span, message, help);
        }
        Some(audience.clone())
    }

    fn project(self, written: &Spanned<String>) -> Option<String> {
        let path = written.get()?;
        let letter = |char: char| char.is_ascii_alphanumeric() || "._-".contains(char);
        let good = path.contains('/') && path.split('/').all(|part| !part.is_empty() && part.chars().all(letter));
        if !good {
            let help = "write its path without the host, with all its groups, such as `acme/team/shop`; no wildcards: a group \
                        would let in every project that anybody makes in it";
            self.fault(written.span, format!("`{path}` is not the path of a GitLab project"), help);
        }
        Some(path.clone())
    }

    fn project_id(self, id: &str, span: Span) -> Option<String> {
        if id.trim_start_matches('0').is_empty() || !id.bytes().all(|byte| byte.is_ascii_digit()) {
            let help = "write the number that the project's page shows, such as \"4711\"";
            self.fault(span, format!("`{id}` is not the id of a GitLab project"), help);
        }
        Some(id.to_owned())
    }

    fn refs(self, written: &Option<Spanned<Vec<Spanned<String>>>>, what: &str) -> Vec<String> {
        if let Some(list) = written.as_ref().filter(|list| list.get().is_some_and(Vec::is_empty)) {
            self.fault(list.span, format!("the list lets no {what} in"), "name one, or remove the key");
        }
        let mut refs = Vec::new();
        for item in items(written) {
            let Some(name) = item.get() else { continue };
            if name.starts_with("refs/") {
                let help = "write the short name, as a token's `sub` has it: `main` and not `refs/heads/main`";
                self.fault(item.span, format!("`{name}` is not the short name of a {what}"), help);
            } else if name.is_empty() || name.contains(|char: char| char.is_whitespace() || ":~^\\[${}".contains(char))
            {
                let help = "write its name, with `*` for any letters and `?` for any one";
                self.fault(item.span, format!("`{name}` is not a {what}"), help);
            }
            if !refs.contains(name) {
                refs.push(name.clone());
            }
        }
        refs
    }

    fn tiers(self, allow: &Written) -> Vec<String> {
        let mut tiers = Vec::new();
        for item in items(&allow.deployment_tier) {
            let Some(tier) = item.get() else { continue };
            if Tier::of_word(tier).is_none() {
                let known = Tier::ALL.map(Tier::word).join(", ");
                let help = format!("GitLab has {known}; an environment's name is nothing that AWS is told");
                self.fault(item.span, format!("`{tier}` is not a deployment tier"), help);
            }
            tiers.push(tier.clone());
        }
        if let Some(list) = allow.deployment_tier.as_ref().filter(|list| list.get().is_some_and(Vec::is_empty)) {
            self.fault(list.span, "the list lets no tier in", "name one, or remove the key");
        }
        tiers
    }
}

/// Whether what names the project is there, though a fault of its own is recorded.
fn is_tried(allow: &Written, form: Option<SubjectForm>) -> bool {
    let path = allow.project.is_some() || allow.projects.is_some();
    let id = allow.project_id.is_some() || allow.project_ids.is_some();
    match form {
        None => path || id || allow.sub.is_some(),
        Some(SubjectForm::ProjectPath) => path,
        Some(SubjectForm::ProjectId) => id,
    }
}
