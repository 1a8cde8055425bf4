//! What every part may use and what knows nothing of deployments: texts, files, time, exit codes.

pub mod arn;
pub mod clock;
pub mod document;
pub mod error;
pub mod exit;
pub mod file;
pub mod general;
pub mod iam_pattern;
pub mod json;
pub mod json_schema;
pub mod jwt;
pub mod markdown;
pub mod nearest;
pub mod redact;
pub mod secrets;
pub mod text;
pub mod tfstate;
