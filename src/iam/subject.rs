//! What a GitLab token's `sub` must be: exact ones, and patterns.
//!
//! GitLab joins the names and values of the project's components with colons, and leaves out a component whose claim the job
//! does not have. So a pattern is written for just one list of components, which the project must be given.

use crate::fleet::{Allow, Subject, identity_provider};

/// The subjects that are let in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subjects {
    /// Those without a wildcard.
    pub exact: Vec<String>,
    /// Those with one.
    pub patterns: Vec<String>,
}

/// Returns the subjects that are let in.
pub fn allowed_subjects(allow: &Allow, issuer: &str) -> Subjects {
    let any = ["*".to_owned()];
    let unnamed = allow.branches.is_empty() && allow.tags.is_empty();
    let (branches, tags): (&[String], &[String]) = if unnamed { (&any, &any) } else { (&allow.branches, &allow.tags) };
    let refs = branches.iter().map(|name| ("branch", name)).chain(tags.iter().map(|name| ("tag", name)));
    let refs: Vec<_> = refs.collect();
    let mut subjects = Subjects::default();
    for project in &allow.subjects {
        let project = match project {
            Subject::Path(path) => format!("project_path:{path}"),
            Subject::Id(id) => format!("project_id:{id}"),
        };
        for (kind, name) in &refs {
            for end in endings(allow, issuer) {
                let subject = format!("{project}:ref_type:{kind}:ref:{name}{end}");
                let list = if name.contains(['*', '?']) { &mut subjects.patterns } else { &mut subjects.exact };
                list.push(subject);
            }
        }
    }
    subjects
}

/// Returns what stands behind the ref.
fn endings(allow: &Allow, issuer: &str) -> Vec<String> {
    let mut start = String::new();
    if allow.ref_protected && !identity_provider::is_gitlab_com(issuer) {
        start.push_str(":ref_protected:true");
    }
    if allow.environment_protected {
        start.push_str(":environment_protected:true");
    }
    if allow.deployment_tier.is_empty() {
        return vec![start];
    }
    allow.deployment_tier.iter().map(|tier| format!("{start}:deployment_tier:{tier}")).collect()
}

/// Returns the components that each project's `sub` must have, in their order.
pub fn components(allow: &Allow, issuer: &str) -> Vec<&'static str> {
    let mut components = match allow.subjects.first() {
        Some(Subject::Id(_)) => vec!["project_id"],
        Some(Subject::Path(_)) | None => vec!["project_path"],
    };
    components.extend(["ref_type", "ref"]);
    if allow.ref_protected && !identity_provider::is_gitlab_com(issuer) {
        components.push("ref_protected");
    }
    if allow.environment_protected {
        components.push("environment_protected");
    }
    if !allow.deployment_tier.is_empty() {
        components.push("deployment_tier");
    }
    components
}

/// Returns what has to be done in GitLab for these subjects to come, and what they do not check.
pub fn notes(allow: &Allow, issuer: &str) -> Vec<String> {
    let components = components(allow, issuer);
    let mut notes = Vec::new();
    if components != ["project_path", "ref_type", "ref"] {
        let project = match allow.subjects.as_slice() {
            [Subject::Path(path)] => path.replace('/', "%2F"),
            [Subject::Id(id)] => id.clone(),
            _ => "PROJECT".to_owned(),
        };
        let each = if allow.subjects.len() == 1 { "" } else { ", for each PROJECT" };
        let data: Vec<String> =
            components.iter().map(|name| format!("ci_id_token_sub_claim_components[]={name}")).collect();
        notes.push(format!(
            "the trust policy expects a `sub` of {}: set it by PUT {issuer}/api/v4/projects/{project} with {}{each}",
            components.join(", "),
            data.join("&")
        ));
    }
    if matches!(allow.subjects.first(), Some(Subject::Path(_)))
        && !allow.project_ids.is_empty()
        && !identity_provider::is_gitlab_com(issuer)
    {
        notes.push(
            "project_id is not checked: AWS knows that claim of gitlab.com only; `sub: project_id` puts it into the subject"
                .to_owned(),
        );
    }
    let open = allow.branches.iter().filter(|branch| branch.contains(['*', '?'])).chain(&allow.tags);
    let open: Vec<&str> = open.map(String::as_str).collect();
    if !open.is_empty() && !allow.ref_protected {
        notes.push(format!(
            "whoever can push a branch or a tag called {} gets in, which is every Developer where GitLab does not protect \
             it: protect those names, and set `ref_protected: true`",
            open.join(" or ")
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allow() -> Allow {
        Allow {
            issuer: None,
            audience: None,
            subjects: vec![Subject::Path("acme/shop".to_owned())],
            project_ids: Vec::new(),
            branches: vec!["main".to_owned(), "release/*".to_owned()],
            tags: vec!["v1".to_owned()],
            ref_protected: false,
            environment_protected: false,
            deployment_tier: Vec::new(),
        }
    }

    #[test]
    fn exact_refs_and_patterns_are_kept_apart() {
        let subjects = allowed_subjects(&allow(), "https://gitlab.com");
        let exact = ["project_path:acme/shop:ref_type:branch:ref:main", "project_path:acme/shop:ref_type:tag:ref:v1"];
        assert_eq!(subjects.exact, exact);
        assert_eq!(subjects.patterns, ["project_path:acme/shop:ref_type:branch:ref:release/*"]);
    }

    #[test]
    fn every_project_gets_its_subjects() {
        let subjects = ["acme/shop", "acme/blog"].map(|path| Subject::Path(path.to_owned()));
        let several = Allow { subjects: subjects.into(), tags: Vec::new(), ref_protected: true, ..allow() };
        let found = allowed_subjects(&several, "https://gitlab.com");
        let exact =
            ["project_path:acme/shop:ref_type:branch:ref:main", "project_path:acme/blog:ref_type:branch:ref:main"];
        assert_eq!(found.exact, exact);
        assert_eq!(found.patterns.len(), 2);
        let said = notes(&several, "https://git.example.com").join("\n");
        assert!(said.contains("/api/v4/projects/PROJECT with ") && said.ends_with(", for each PROJECT"), "{said}");
    }

    #[test]
    fn what_is_not_in_a_default_sub_needs_components() {
        let allow = Allow {
            branches: Vec::new(),
            tags: Vec::new(),
            subjects: vec![Subject::Id("4711".to_owned())],
            ref_protected: true,
            deployment_tier: vec!["production".to_owned(), "staging".to_owned()],
            ..allow()
        };
        let subjects = allowed_subjects(&allow, "https://git.example.com");
        assert_eq!(subjects.exact, Vec::<String>::new());
        assert_eq!(
            subjects.patterns,
            [
                "project_id:4711:ref_type:branch:ref:*:ref_protected:true:deployment_tier:production",
                "project_id:4711:ref_type:branch:ref:*:ref_protected:true:deployment_tier:staging",
                "project_id:4711:ref_type:tag:ref:*:ref_protected:true:deployment_tier:production",
                "project_id:4711:ref_type:tag:ref:*:ref_protected:true:deployment_tier:staging",
            ]
        );
        assert_eq!(
            components(&allow, "https://git.example.com"),
            ["project_id", "ref_type", "ref", "ref_protected", "deployment_tier"]
        );
        assert_eq!(components(&allow, "https://gitlab.com"), ["project_id", "ref_type", "ref", "deployment_tier"]);
        let said = notes(&allow, "https://git.example.com").join("\n");
        assert!(said.contains("PUT https://git.example.com/api/v4/projects/4711 with "), "{said}");
    }

    #[test]
    fn refs_that_anybody_can_push_are_told() {
        let open = Allow { branches: vec!["main".into(), "release/*".into()], tags: vec!["v1".into()], ..allow() };
        let said = notes(&open, "https://gitlab.com").join("\n");
        assert!(said.contains("called release/* or v1 gets in"), "{said}");
        let kept = Allow { ref_protected: true, ..open };
        assert!(!notes(&kept, "https://gitlab.com").join("\n").contains("gets in"));
    }

    #[test]
    fn an_id_that_aws_does_not_know_is_told() {
        let allow = Allow { project_ids: vec!["4711".to_owned()], ref_protected: true, ..allow() };
        assert_eq!(notes(&allow, "https://gitlab.com"), Vec::<String>::new());
        let said = notes(&allow, "https://git.example.com").join("\n");
        assert!(said.contains("project_id is not checked"), "{said}");
    }
}
