//! `identity:`: which source of credentials, which STS region, which session name.

use crate::fleet::role_arn::partition_of;
use crate::fleet::{Identity, IdentitySource, is_region};
use crate::manifest::Manifest;
use crate::manifest::check::accounts::{Draft, REGION_HELP};
use crate::manifest::check::{Checker, DEFAULT_TOKEN_ENV, Files, given};
use crate::manifest::spanned::Spanned;

/// Whether the manifest says `ambient: true`.
pub fn is_ambient(manifest: &Manifest) -> bool {
    given(&manifest.identity).and_then(|identity| given(&identity.ambient)).is_some_and(|ambient| *ambient)
}

impl Checker<'_> {
    /// Resolves the identity. `None` where a fault is recorded, or no account has a region to fall back on.
    pub fn identity(
        self,
        manifest: &Manifest,
        accounts: &[Draft],
        variables: &dyn Fn(&str) -> Option<String>,
        files: &Files<'_>,
    ) -> Option<Identity> {
        let variable = |name: &str| variables(name).filter(|value| !value.is_empty());
        let default_region = || {
            let first = || accounts.iter().find_map(|account| account.regions.first().cloned());
            let set = ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter().find_map(|name| Some((name, variable(name)?)));
            match set {
                None => first(),
                Some((_, region)) if is_region(&region) => Some(region),
                Some((name, region)) => {
                    let place = manifest.identity.as_ref().map(|identity| identity.span);
                    let place = place.or_else(|| manifest.accounts.as_ref().map(|accounts| accounts.span))?;
                    self.fault(place, format!("{name} is `{region}`, not an AWS region"), REGION_HELP);
                    None
                }
            }
        };
        let default_session = || {
            let (project, pipeline, job) =
                (variable("CI_PROJECT_ID")?, variable("CI_PIPELINE_ID")?, variable("CI_JOB_ID")?);
            Some(format!("gl-{project}-{pipeline}-{job}")).filter(|name| is_session_name(name))
        };
        let written = manifest.identity.as_ref();
        let Some(written) = written else {
            let session_name = default_session().unwrap_or_else(|| "roleout".to_owned());
            let source = IdentitySource::TokenEnv(DEFAULT_TOKEN_ENV.to_owned());
            return Some(Identity { source, region: default_region()?, session_name, issuer: None });
        };
        let identity = written.get()?;
        let ambient = identity.ambient.as_ref().filter(|ambient| ambient.get() == Some(&true));
        let sources = [
            identity.token_env.as_ref().map(|source| ("token_env", source.span)),
            identity.token_file.as_ref().map(|source| ("token_file", source.span)),
            ambient.map(|source| ("ambient", source.span)),
        ];
        let sources: Vec<_> = sources.into_iter().flatten().collect();
        if let [(first, place), (second, again), ..] = sources[..] {
            let message = format!("`{first}` and `{second}` are both set");
            let fault = self.context.fault(place, message).also(again, "and here");
            self.context.push(fault.help("keep one: a run has one source of credentials"));
        }
        let source = match (&identity.token_env, &identity.token_file) {
            _ if ambient.is_some() => IdentitySource::Ambient,
            (Some(name), _) => IdentitySource::TokenEnv(self.variable_name(name, "token_env", "GITLAB_OIDC_TOKEN")?),
            (None, Some(file)) => IdentitySource::TokenFile((files.path)(self.filled(file, "token_file")?, file.span)),
            (None, None) => IdentitySource::TokenEnv(DEFAULT_TOKEN_ENV.to_owned()),
        };
        let region = match &identity.region {
            Some(region) => Some(region.get()?.clone()).filter(|name| self.region(name, region.span)),
            None => default_region(),
        };
        let session_name = match &identity.session_name {
            Some(name) => {
                let text = name.get()?;
                if !is_session_name(text) {
                    let help = "use 2 to 64 letters, digits and `_+=,.@-`; branch names with `/` do not fit";
                    self.fault(name.span, format!("`{text}` is not a role session name"), help);
                }
                text.clone()
            }
            None => default_session().unwrap_or_else(|| "roleout".to_owned()),
        };
        // `allow` says what is wrong with it.
        let issuer = given(&identity.issuer).cloned();
        Some(Identity { source, region: region?, session_name, issuer })
    }

    /// Records a region whose STS knows nothing of the accounts' roles: partitions have nothing in common.
    pub fn region_of_sts(self, manifest: &Manifest, identity: &Identity, accounts: &[Draft]) {
        let partition = partition_of(&identity.region);
        let first = |account: &Draft| Some((account.name.clone(), account.hops.first()?.arn.partition().to_owned()));
        let other =
            accounts.iter().filter(|account| account.enabled).filter_map(first).find(|(_, other)| *other != partition);
        let Some((account, other)) = other else { return };
        let own = given(&manifest.identity).and_then(|identity| identity.region.as_ref()).map(|region| region.span);
        let place = own.or_else(|| manifest.accounts.as_ref().map(|accounts| accounts.span)).unwrap_or_default();
        let message = format!(
            "the first role of account `{account}` is in the partition `{other}`, and {} of STS in `{partition}`",
            identity.region
        );
        let help =
            "set `identity.region` to one of the roles' partition; accounts of several partitions need a manifest each";
        self.fault(self.head(place), message, help);
    }

    fn filled<'t>(self, text: &'t Spanned<String>, key: &str) -> Option<&'t str> {
        let value = text.get()?;
        if value.is_empty() {
            self.fault(text.span, format!("`{key}` is empty"), "give it a value, or remove the key");
            return None;
        }
        Some(value)
    }

    /// Returns the value of `key` where it is a variable's name, such as `example`.
    pub fn variable_name(self, name: &Spanned<String>, key: &str, example: &str) -> Option<String> {
        let text = self.filled(name, key)?;
        let mut chars = text.chars();
        let first = chars.next().is_some_and(|char| char.is_ascii_alphabetic() || char == '_');
        if !first || !chars.all(|char| char.is_ascii_alphanumeric() || char == '_') {
            // The text is not repeated: it may be the secret itself.
            let of = if key == "token_env" { "the job's `id_tokens` variable" } else { "a variable" };
            let help = format!("write the name of {of}, such as {example}");
            self.fault(name.span, format!("`{key}` is not the name of a variable"), help);
            return None;
        }
        Some(text.to_owned())
    }
}

fn is_session_name(text: &str) -> bool {
    let allowed = |char: char| char.is_ascii_alphanumeric() || "_+=,.@-".contains(char);
    (2..=64).contains(&text.len()) && text.chars().all(allowed)
}
