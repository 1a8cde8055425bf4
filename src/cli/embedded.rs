//! The embedded AWS that a command uses instead of the real one.

use clap::Args;

/// The embedded AWS instead of the real one.
#[derive(Clone, Debug, Args)]
pub struct SandboxArgs {
    /// Use the embedded AWS, seeded from the manifest: no account, no token, no network
    #[arg(long, env = "ROLEOUT_SANDBOX")]
    pub sandbox: bool,
    /// Make the sandbox fail: 'ACCOUNT/REGION/SERVICE=FAULT', with globs; repeat it, or separate with spaces
    #[arg(long, value_name = "GLOB=FAULT", env = "ROLEOUT_SANDBOX_FAULT", value_delimiter = ' ', requires = "sandbox")]
    pub sandbox_fault: Vec<String>,
    /// Give what the manifest looks up a value there: 'ssm:/path=VALUE'; repeatable
    #[arg(
        long,
        value_name = "LOOKUP=VALUE",
        env = "ROLEOUT_SANDBOX_VALUE",
        value_delimiter = ' ',
        requires = "sandbox"
    )]
    pub sandbox_value: Vec<String>,
    /// The seed of the sandbox's random choices
    #[arg(long, value_name = "N", env = "ROLEOUT_SANDBOX_SEED", default_value_t = 1)]
    pub sandbox_seed: u64,
}

/// What a sandbox is made with.
pub struct Furnishing<'a> {
    /// The seed of its random choices.
    pub seed: u64,
    /// The values of lookups.
    pub values: &'a [String],
    /// Its faults.
    pub faults: &'a [String],
}

impl SandboxArgs {
    /// Returns what the sandbox is made with.
    pub fn furnishing(&self) -> Furnishing<'_> {
        Furnishing { seed: self.sandbox_seed, values: &self.sandbox_value, faults: &self.sandbox_fault }
    }
}
