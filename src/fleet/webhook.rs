//! Webhooks: who is told of a run, in which form and when.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Someone to tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// The name of the variable that holds the URL: who has the URL can post, so it stands in no file.
    pub url_env: String,
    /// The form of what is posted.
    pub format: Format,
    /// The name of the variable that holds the key by which the receiver knows the sender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_env: Option<String>,
    /// On which occasions.
    pub on: Vec<Occasion>,
}

impl Webhook {
    /// Returns the names of the variables that hold its secrets.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.url_env.as_str()).chain(self.key_env.as_deref())
    }
}

/// The form of what is posted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// The report of the run so far, for programs.
    #[default]
    Json,
    /// A message as Slack's incoming webhooks take it, and Mattermost's.
    Slack,
    /// An alert as the HTTP endpoints of GitLab's alerts take it.
    Gitlab,
}

/// When something is posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Occasion {
    /// The run begins to change something.
    Start,
    /// The failure budget was exceeded, and nothing new starts.
    Halt,
    /// The run is over.
    End,
}

impl Occasion {
    /// Those of a webhook that names none.
    pub const USUAL: [Self; 2] = [Self::Halt, Self::End];
}
