//! `console:`: how people reach the AWS console of an account.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::manifest::spanned::Spanned;

/// How links to the AWS console are made. Without it they open in the account to which the browser is signed in.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Console {
    /// The address of your AWS access portal (IAM Identity Center), such as `https://example.awsapps.com/start`. Links lead
    /// through it to the right account.
    #[schemars(required)]
    pub portal: Option<Spanned<String>>,
    /// The permission set that a link takes, such as `ReadOnly`. Default: whoever opens the link chooses one.
    pub role: Option<Spanned<String>>,
}
