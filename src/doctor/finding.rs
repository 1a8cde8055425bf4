//! One thing that `doctor` found.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nothing fails of it now: worth knowing, or the reason that something else could not be looked at.
    Note,
    /// It is why a session cannot be had, or soon will be.
    Fault,
}

/// One thing that was found: what it is, what shows it, and what to do.
///
/// It holds claims of a token, names of roles and clauses of policies; never a token or a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Finding {
    /// What is found, in a few words with hyphens: `token-expired`, `chain-out-of-order`. It does not change between
    /// versions, and docs/troubleshooting.md has a section for each.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, one sentence, without a full stop.
    pub what: String,
    /// What shows it, a line each: the claim, the clause, the certificate, AWS's own words.
    pub evidence: Vec<String>,
    /// What to do, a line each; a policy statement to copy may follow as lines of JSON.
    pub fix: Vec<String>,
}

impl Finding {
    /// A finding that is why no session can be had.
    pub fn fault(code: &'static str, what: impl Into<String>) -> Self {
        Self { code, severity: Severity::Fault, what: what.into(), evidence: Vec::new(), fix: Vec::new() }
    }

    /// A finding of which nothing fails.
    pub fn note(code: &'static str, what: impl Into<String>) -> Self {
        Self { severity: Severity::Note, ..Self::fault(code, what) }
    }

    /// With a line of what shows it.
    #[must_use]
    pub fn evidence(mut self, line: impl Into<String>) -> Self {
        self.evidence.push(line.into());
        self
    }

    /// With a line of what to do.
    #[must_use]
    pub fn fix(mut self, line: impl Into<String>) -> Self {
        self.fix.push(line.into());
        self
    }

    /// With lines of JSON to copy.
    #[must_use]
    pub fn json(mut self, value: &serde_json::Value) -> Self {
        self.fix.extend(format!("{value:#}").lines().map(str::to_owned));
        self
    }
}

/// As the hint of an error: what is wrong, what shows it and what to do. AWS's own words are in the error already.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.what)?;
        let evidence = self.evidence.iter().filter(|line| !line.starts_with("AWS: "));
        evidence.chain(&self.fix).try_for_each(|line| write!(f, "\n  {line}"))
    }
}
