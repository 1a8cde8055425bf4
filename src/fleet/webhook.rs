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
    /// On which occasions.
    pub on: Vec<Occasion>,
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
}

/// When something is posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Occasion {
    /// The failure budget was exceeded, and nothing new starts.
    Halt,
    /// The run is over.
    End,
}

impl Occasion {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Halt, Self::End];
}
