//! An account's OIDC identity provider, and what IAM takes as its URL and audiences.

use serde_json::{Value, json};

/// IAM's longest URL of a provider, and its longest audience.
const LONGEST: usize = 255;

/// The host of GitLab's own instance, the only one of which AWS knows more claims than `sub` and `aud`.
const GITLAB_COM: &str = "gitlab.com";

/// An identity provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// The issuer's URL, exactly as the tokens' `iss` has it.
    pub url: String,
    /// The audiences that it accepts.
    pub audiences: Vec<String>,
}

impl Provider {
    /// Returns CreateOpenIDConnectProvider's input. AWS fetches the thumbprint itself.
    pub fn input(&self) -> Value {
        json!({ "Url": self.url, "ClientIDList": self.audiences })
    }

    /// Returns its ARN in an account.
    pub fn arn(&self, partition: &str, account: &str) -> String {
        arn(&self.url, partition, account)
    }
}

/// Returns the ARN of an issuer's provider.
pub fn arn(url: &str, partition: &str, account: &str) -> String {
    format!("arn:{partition}:iam::{account}:oidc-provider/{}", name(url))
}

/// Returns an issuer without its scheme: what condition keys begin with.
pub fn name(url: &str) -> &str {
    url.strip_prefix("https://").unwrap_or(url)
}

/// Whether AWS knows the issuer's `project_id` and `ref_protected`.
pub fn is_gitlab_com(url: &str) -> bool {
    name(url) == GITLAB_COM
}

/// Checks an issuer's URL by IAM's rules. The error is what is wrong, and what to do.
pub fn check_url(url: &str) -> Result<(), (String, String)> {
    let wrong =
        |why: &str, help: &str| Err((format!("`{url}` cannot be an identity provider: {why}"), help.to_owned()));
    let Some(rest) = url.strip_prefix("https://") else {
        return wrong(
            "it does not begin with https://",
            "write the URL of the GitLab instance, such as https://gitlab.com",
        );
    };
    let host = rest.split('/').next().unwrap_or_default();
    if rest.ends_with('/') {
        return wrong("it ends with a slash", "write it as the tokens' `iss` has it, without the slash");
    }
    if host.contains(':') {
        return wrong("it names a port", "IAM takes no port: GitLab must answer on 443, with such an `external_url`");
    }
    let letter = |char: char| char.is_ascii_alphanumeric() || "._-".contains(char);
    if host.is_empty() || !host.chars().all(letter) {
        return wrong("its host is no name", "write the URL of the GitLab instance, such as https://gitlab.com");
    }
    if rest.contains(|char: char| !(letter(char) || char == '/')) {
        return wrong("it is more than a host and a path", "leave out query, fragment and credentials");
    }
    if url.len() > LONGEST {
        return wrong(&format!("it has {} characters, and IAM takes {LONGEST}", url.len()), "use a shorter URL");
    }
    Ok(())
}

/// Checks an audience, which IAM calls a client id.
pub fn check_audience(audience: &str) -> Result<(), (String, String)> {
    let good =
        !audience.is_empty() && audience.len() <= LONGEST && !audience.contains(|char: char| !char.is_ascii_graphic());
    // A condition's value with a wildcard or variable would mean another thing than the provider's client id.
    if good && !audience.contains(['*', '?', '$']) {
        return Ok(());
    }
    let help = "write the `aud` of `id_tokens` in .gitlab-ci.yml, 1 to 255 characters without spaces, `*`, `?` and `$`";
    Err((format!("`{audience}` cannot be an audience"), help.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_held_to_iams_rules() {
        for url in ["https://gitlab.com", "https://git.example.com/gitlab", "https://a-b.example.com"] {
            assert_eq!(check_url(url), Ok(()), "{url}");
        }
        for (url, why) in [
            ("http://gitlab.com", "does not begin with https://"),
            ("gitlab.com", "does not begin with https://"),
            ("https://gitlab.com/", "ends with a slash"),
            ("https://gitlab.example.com:8443", "names a port"),
            ("https://", "host is no name"),
            ("https://git lab", "host is no name"),
            ("https://gitlab.com/a?b=c", "more than a host and a path"),
            ("https://user@gitlab.com", "host is no name"),
        ] {
            let (message, _) = check_url(url).expect_err(url);
            assert!(message.contains(why), "{url}: {message}");
        }
        assert!(check_url(&format!("https://gitlab.com/{}", "a".repeat(250))).is_err());
    }

    #[test]
    fn audiences_are_literal() {
        for audience in ["https://gitlab.com", "sts.amazonaws.com"] {
            assert_eq!(check_audience(audience), Ok(()), "{audience}");
        }
        for audience in ["", "a b", "*", "${x}"] {
            assert!(check_audience(audience).is_err(), "{audience}");
        }
    }
}
