//! A manifest to start from: either with everything explained, or of services that exist.
//!
//! Pure: what was read goes in, the contents of files come out. Reading and writing are the command's part.

mod agree;
mod import;
mod place;
mod starter;
mod yaml;

use std::str::FromStr;
use std::sync::Arc;

use serde_json::Value;

use crate::fleet::role_arn::RoleArn;
use crate::fleet::{AccountId, IdentitySource, RoleChain};

pub use crate::init::import::import;
pub use crate::init::starter::starter;

/// A file to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its path, relative to the manifest's directory; the manifest's own is empty.
    pub path: String,
    /// Its content.
    pub text: String,
}

/// Where a service is that is to be imported, and how to get there: `ACCOUNT:region/cluster/service`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// The roles that are assumed, one after the other; empty = the SDK's own credentials.
    pub roles: Vec<RoleArn>,
    /// The AWS profile that the SDK's own credentials are of, where one is named.
    pub profile: Option<String>,
    /// What the last role's trust policy asks for, where it does.
    pub external_id: Option<String>,
    /// The region.
    pub region: String,
    /// The cluster's name.
    pub cluster: String,
    /// The service's name in ECS.
    pub service: String,
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wanted =
            "write ambient:REGION/CLUSTER/SERVICE, PROFILE:REGION/CLUSTER/SERVICE, or a role's ARN in place of PROFILE";
        let (account, service) = text.rsplit_once(':').ok_or_else(|| format!("`{text}` has no `:`; {wanted}"))?;
        let parts: Vec<&str> = service.split('/').collect();
        let [region, cluster, service] = parts[..] else {
            return Err(format!("`{service}` is not REGION/CLUSTER/SERVICE; {wanted}"));
        };
        if [region, cluster, service].iter().any(|part| part.is_empty()) {
            return Err(format!("a part of `{text}` is empty; {wanted}"));
        }
        let profile = Some(account).filter(|name| *name != "ambient" && !name.starts_with("arn:"));
        if profile.is_some_and(|name| name.is_empty() || name.contains([':', '[', ']', '/'])) {
            return Err(format!("`{account}` is not `ambient`, a profile or a role's ARN; {wanted}"));
        }
        let roles = match account {
            _ if account == "ambient" || profile.is_some() => Vec::new(),
            // A role's name may hold a comma, but not this.
            arns => arns
                .replace(",arn:", "\narn:")
                .lines()
                .map(str::parse)
                .collect::<Result<_, _>>()
                .map_err(|error| format!("{error}; {wanted}"))?,
        };
        let profile = profile.map(str::to_owned);
        Ok(Self {
            roles,
            profile,
            external_id: None,
            region: region.into(),
            cluster: cluster.into(),
            service: service.into(),
        })
    }
}

/// A service that was read.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its account.
    pub account: AccountId,
    /// How the account is reached.
    pub chain: RoleChain,
    /// The region.
    pub region: String,
    /// The cluster's name.
    pub cluster: String,
    /// The service's name in ECS.
    pub service: String,
    /// The definition that it runs, as DescribeTaskDefinition gives it.
    pub definition: Arc<Value>,
}

/// Returns where the first credentials come from: the ID token, unless a source asks for the SDK's own.
pub fn identity(sources: &[Source], token_env: &str, has_token: bool) -> IdentitySource {
    match has_token && sources.iter().all(|source| !source.roles.is_empty()) {
        true => IdentitySource::TokenEnv(token_env.to_owned()),
        false => IdentitySource::Ambient,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read() {
        let ambient: Source = "ambient:eu-west-1/main/api".parse().expect("a source");
        assert_eq!((ambient.roles.len(), ambient.region.as_str()), (0, "eu-west-1"));
        let profile: Source = "shop-prod:eu-west-1/main/api".parse().expect("a source");
        assert_eq!((profile.roles.len(), profile.profile.as_deref()), (0, Some("shop-prod")));
        let chain = "arn:aws:iam::111111111111:role/a,b,arn:aws:iam::222222222222:role/path/leaf:eu-west-1/main/api";
        let chain: Source = chain.parse().expect("a source");
        let names: Vec<&str> = chain.roles.iter().map(RoleArn::name).collect();
        assert_eq!((names, chain.service.as_str()), (vec!["a,b", "leaf"], "api"));
    }

    #[test]
    fn malformed_sources_say_what_is_wanted() {
        for (text, reason) in [
            ("api", "has no `:`"),
            ("ambient:main/api", "is not REGION/CLUSTER/SERVICE"),
            ("ambient:eu-west-1//api", "is empty"),
            ("arn:prod:eu-west-1/main/api", "is not an ARN"),
            (":eu-west-1/main/api", "is not `ambient`, a profile or a role's ARN"),
        ] {
            let error = text.parse::<Source>().expect_err(text);
            assert!(error.contains(reason) && error.contains("ambient:REGION"), "{text}: {error}");
        }
    }

    #[test]
    fn the_token_is_used_unless_a_source_is_ambient() {
        let role = || "arn:aws:iam::111111111111:role/a:eu-west-1/main/api".parse().expect("a source");
        let ambient = "ambient:eu-west-1/main/api".parse().expect("a source");
        let token = IdentitySource::TokenEnv("T".into());
        assert_eq!(identity(&[role()], "T", true), token);
        assert_eq!(identity(&[role()], "T", false), IdentitySource::Ambient);
        assert_eq!(identity(&[role(), ambient], "T", true), IdentitySource::Ambient);
    }
}
