//! The web identity token: where it is read from, and what it claims.
//!
//! STS verifies tokens; this program only decodes the claims, to say in an error what the token said. The token itself
//! never leaves its [`SecretString`] except into the request to STS.

use std::fmt;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::base::{jwt, secrets};
use crate::fleet::IdentitySource;

/// Where ID tokens come from: read anew at each exchange, since a file may be replaced.
#[derive(Clone, Debug)]
pub enum TokenSource {
    /// A token that was in the environment; the variable's name is kept for messages.
    Held {
        /// The variable.
        variable: String,
        /// The token; it prints as redacted.
        token: SecretString,
    },
    /// A file.
    File(std::path::PathBuf),
    /// There is none, and why: every exchange fails with it.
    Absent(TokenError),
}

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenError {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: String,
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for TokenError {}

/// Where it is, in a word: the variable or the file.
impl fmt::Display for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held { variable, .. } => f.write_str(variable),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Absent(_) => f.write_str("nothing"),
        }
    }
}

impl TokenSource {
    /// Finds the source that the manifest names; `None` where the identity is ambient.
    pub fn find(
        source: &IdentitySource,
        variables: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, TokenError> {
        match source {
            IdentitySource::Ambient => Ok(None),
            IdentitySource::TokenFile(path) => {
                read_file(path)?;
                Ok(Some(Self::File(path.clone())))
            }
            IdentitySource::TokenEnv(variable) => match variables(variable).filter(|token| !token.trim().is_empty()) {
                Some(token) => {
                    if let Some(found) = other_than_id_token(token.trim()) {
                        let message = format!("the variable {variable} holds {found}, and no ID token");
                        let help = format!(
                            "in the job, `id_tokens:` makes it: {variable}: {{ aud: ... }}; do not set it otherwise"
                        );
                        return Err(TokenError { message, help });
                    }
                    Ok(Some(Self::Held { variable: variable.clone(), token: SecretString::from(token.trim()) }))
                }
                None => Err(TokenError {
                    message: format!("the variable {variable} holds no ID token"),
                    help: format!(
                        "GitLab mints one only for jobs that ask for it; add to the job in .gitlab-ci.yml:\n\
                         \n  id_tokens:\n    {variable}:\n      aud: https://gitlab.com   \
                         # the audience that the IAM identity provider accepts\n\
                         \non a laptop, set `identity: {{ ambient: true }}`, or try the run with --sandbox"
                    ),
                }),
            },
        }
    }

    /// Reads the token.
    pub fn read(&self) -> Result<SecretString, TokenError> {
        let token = match self {
            Self::Held { token, .. } => token.clone(),
            Self::File(path) => read_file(path)?,
            Self::Absent(error) => return Err(error.clone()),
        };
        secrets::hold_token(token.expose_secret());
        Ok(token)
    }
}

/// Says what a text is that is no ID token, where that can be told. Repeats nothing of a secret.
fn other_than_id_token(text: &str) -> Option<String> {
    let kinds = [
        ("glcbt-", "the job's own token, CI_JOB_TOKEN"),
        ("glpat-", "a personal, project or group access token of GitLab"),
        ("gldt-", "a deploy token of GitLab"),
        ("glrt-", "a runner's token"),
        ("AKIA", "an AWS access key"),
        ("ASIA", "an AWS access key"),
    ];
    if let Some((_, kind)) = kinds.iter().find(|(start, _)| text.starts_with(start)) {
        return Some((*kind).to_owned());
    }
    let name = text.strip_prefix('$')?;
    let name = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name);
    let is_name =
        !name.is_empty() && name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_name.then(|| format!("the text `{text}`, a reference that nothing replaced"))
}

fn read_file(path: &Path) -> Result<SecretString, TokenError> {
    let text = crate::base::file::read(path, crate::base::file::SMALL).and_then(|bytes| {
        crate::base::file::text(bytes).map_err(|what| std::io::Error::other(format!("{} {what}", path.display())))
    });
    let text = text.map_err(|error| TokenError {
        message: format!("the ID token cannot be read: {error}"),
        help: "identity.token_file names the file that holds the ID token; relative paths start at the manifest".into(),
    })?;
    match crate::base::file::without_mark(&text).trim() {
        "" => Err(TokenError {
            message: format!("the token file {} is empty", path.display()),
            help: "write the ID token to it before this step".into(),
        }),
        token => match other_than_id_token(token) {
            Some(found) => Err(TokenError {
                message: format!("the token file {} holds {found}, and no ID token", path.display()),
                help: "write the ID token of `id_tokens:` to it before this step".into(),
            }),
            None => Ok(SecretString::from(token)),
        },
    }
}

/// What a token claims, unverified: for messages only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// The issuer.
    pub issuer: Option<String>,
    /// The audiences.
    pub audience: Vec<String>,
    /// The subject.
    pub subject: Option<String>,
    /// When it ends, in seconds since 1970.
    pub expires: Option<i64>,
}

impl Claims {
    /// Decodes the payload of a JWT; `None` where the text is not one.
    pub fn decode(token: &SecretString) -> Option<Self> {
        let payload = token.expose_secret().split('.').nth(1)?;
        let payload = Value::Object(jwt::decode(payload)?);
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let audience = match &payload["aud"] {
            Value::Array(items) => items.iter().filter_map(text).collect(),
            other => text(other).into_iter().collect(),
        };
        Some(Self {
            issuer: text(&payload["iss"]),
            audience,
            subject: text(&payload["sub"]),
            expires: payload["exp"].as_i64(),
        })
    }
}

impl fmt::Display for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let none = || "(absent)".to_owned();
        write!(
            f,
            "iss {}, aud {}, sub {}",
            self.issuer.clone().unwrap_or_else(none),
            if self.audience.is_empty() { none() } else { self.audience.join(" ") },
            self.subject.clone().unwrap_or_else(none),
        )
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    #[test]
    fn an_absent_variable_shows_the_lines_to_add() {
        let error = TokenSource::find(&IdentitySource::TokenEnv("ID_TOKEN".into()), &|_| None).expect_err("absent");
        assert_eq!(error.message, "the variable ID_TOKEN holds no ID token");
        assert!(error.help.contains("  id_tokens:\n    ID_TOKEN:\n      aud:"), "{}", error.help);
    }

    #[test]
    fn what_is_no_id_token_is_named_before_any_call_and_never_repeated() {
        let source = IdentitySource::TokenEnv("T".into());
        for (value, words) in [
            (concat!("glcbt", "-64_abcdefgh"), "the job's own token, CI_JOB_TOKEN"),
            (concat!("glpat", "-abcdefgh"), "a personal, project or group access token"),
            ("$GITLAB_OIDC_TOKEN", "the text `$GITLAB_OIDC_TOKEN`"),
            ("${ID_TOKEN}", "the text `${ID_TOKEN}`"),
        ] {
            let error = TokenSource::find(&source, &|_| Some(value.to_owned())).expect_err(value);
            assert!(error.message.contains(words), "{}", error.message);
            assert!(!error.message.contains("abcdefgh"), "{}", error.message);
        }
        assert!(TokenSource::find(&source, &|_| Some("e30.e30.c2ln".into())).is_ok());
    }

    #[test]
    fn the_token_never_shows() {
        let source = TokenSource::find(&IdentitySource::TokenEnv("T".into()), &|_| Some("hush.hush.hush".into()));
        assert!(!format!("{source:?}").contains("hush"));
    }

    #[test]
    fn claims_are_read_and_anything_else_is_not_a_token() {
        let payload = URL_SAFE_NO_PAD.encode(r#"{"iss":"https://gitlab.com","aud":["a","b"],"sub":"s","exp":12}"#);
        let claims = Claims::decode(&SecretString::from(format!("e30.{payload}.x"))).expect("a JWT");
        assert_eq!(claims.to_string(), "iss https://gitlab.com, aud a b, sub s");
        assert_eq!(claims.expires, Some(12));
        assert_eq!(Claims::decode(&SecretString::from("not-a-jwt")), None);
    }
}
