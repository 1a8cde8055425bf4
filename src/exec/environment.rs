//! What a child's environment has of AWS, and what is taken out of it. Pure.

use secrecy::SecretString;

use crate::fleet::{Account, Fleet, IdentitySource};

/// Variables by which an SDK or the aws CLI would find another identity before the one that it is given, or beside it.
const TAKEN_OUT: [&str; 15] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_CREDENTIAL_FILE",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    // SDKs prefer the file to the variable.
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
];

/// Variables of this program that name another variable, which holds a secret.
const NAMING: [&str; 2] = ["ROLEOUT_MR_NOTE_TOKEN_ENV", "ROLEOUT_SIGN_ENV"];

/// Returns the variables that hold a secret which is for this program alone: the ID token, the webhooks' URLs, the token that
/// notes are written with, and the key that signs plans.
pub fn removed_variables(fleet: &Fleet, variables: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    let token = match &fleet.identity.source {
        IdentitySource::TokenEnv(variable) => Some(variable.clone()),
        _ => None,
    };
    let webhooks = fleet.notify.iter().flat_map(|webhook| webhook.secrets().map(str::to_owned));
    let named = NAMING.into_iter().filter_map(variables);
    token.into_iter().chain(webhooks).chain(named).chain(["ROLEOUT_GITLAB_TOKEN".to_owned()]).collect()
}

/// How a child comes by its session.
#[derive(Debug)]
pub enum Session {
    /// From an endpoint on loopback.
    Endpoint {
        /// Its URL.
        url: String,
        /// What it must be asked with.
        token: SecretString,
    },
    /// As keys, which are not renewed.
    Keys(Vec<(&'static str, SecretString)>),
}

/// The changes to a child's environment.
#[derive(Debug)]
pub struct Environment {
    /// Variables that are set.
    pub set: Vec<(&'static str, SecretString)>,
    /// Variables that are taken out.
    pub removed: Vec<String>,
}

impl Environment {
    /// Makes those of a child that works in an account and region.
    ///
    /// The variables of [`removed_variables`] go, too: with the ID token a child could become every account that the token is good for. Files
    /// of profiles are left out of sight of those who ask the endpoint, since SDKs take a profile's keys before they ask
    /// it; and so is the instance's own role, which they would fall back to.
    pub fn new(account: &Account, region: &str, own: &[String], session: Session) -> Self {
        let text = |value: &str| SecretString::from(value.to_owned());
        let mut set = vec![
            ("AWS_REGION", text(region)),
            ("AWS_DEFAULT_REGION", text(region)),
            ("AWS_EC2_METADATA_DISABLED", text("true")),
            ("ROLEOUT_ACCOUNT_NAME", text(&account.name)),
            ("ROLEOUT_ACCOUNT_ID", text(account.id.as_str())),
        ];
        match session {
            Session::Endpoint { url, token } => set.extend([
                ("AWS_CONTAINER_CREDENTIALS_FULL_URI", text(&url)),
                ("AWS_CONTAINER_AUTHORIZATION_TOKEN", token),
                ("AWS_CONFIG_FILE", text("/dev/null")),
                ("AWS_SHARED_CREDENTIALS_FILE", text("/dev/null")),
            ]),
            Session::Keys(keys) => set.extend(keys),
        }
        let removed = TAKEN_OUT.into_iter().map(str::to_owned).chain(own.iter().cloned()).collect();
        Self { set, removed }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;
    use crate::fleet::RoleChain;

    fn environment(session: Session) -> Environment {
        let account = Account {
            id: "111122223333".parse().expect("an id"),
            name: "prod".into(),
            labels: Default::default(),
            regions: vec!["eu-west-1".into()],
            chain: RoleChain::default(),
        };
        Environment::new(&account, "eu-west-1", &["ID_TOKEN".to_owned()], session)
    }

    #[test]
    fn a_child_of_the_endpoint_has_no_key_and_no_other_way_to_one() {
        let url = "http://127.0.0.1:1/0".to_owned();
        let made = environment(Session::Endpoint { url, token: "hush".into() });
        let names: Vec<&str> = made.set.iter().map(|(name, _)| *name).collect();
        for name in ["AWS_REGION", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN"] {
            assert!(names.contains(&name), "{name}");
        }
        for name in ["AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "ID_TOKEN"] {
            assert!(made.removed.iter().any(|removed| removed == name) && !names.contains(&name), "{name}");
        }
        assert!(!format!("{made:?}").contains("hush"));
    }

    #[test]
    fn keys_are_set_on_request_and_profiles_stay() {
        let made = environment(Session::Keys(vec![("AWS_ACCESS_KEY_ID", "ASIA1".into())]));
        let value = |name: &str| made.set.iter().find(|(set, _)| *set == name).map(|(_, value)| value.expose_secret());
        assert_eq!(value("AWS_ACCESS_KEY_ID"), Some("ASIA1"));
        assert_eq!(value("AWS_CONFIG_FILE"), None);
        assert_eq!(value("AWS_CONTAINER_CREDENTIALS_FULL_URI"), None);
    }
}
