//! The file of a saved plan: written, read, and its key.

use std::path::Path;

use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::text::shell_word;
use crate::base::{file, secrets};
use crate::connect::CommandContext;
use crate::load::{environment, variable_name};
use crate::plan::description;
use crate::plan::diff::Values;
use crate::plan::saved::{Key, Origin, ReadError, Saved};
use crate::preflight::salt;
use crate::run::planned::Planned;

/// Returns the key that signs saved plans, out of the variable of that name.
///
/// # Errors
/// The variable is not set, or its key is weak.
pub fn key(variable: Option<&str>) -> Result<Option<Key>, Error> {
    let Some(variable) = variable else { return Ok(None) };
    variable_name("--sign-env", variable)?;
    let failed = |why: &str| {
        let error = Error::new(Exit::Usage, format!("--sign-env: the variable {variable}: {why}"));
        error.help("it holds the key that signs saved plans; nothing is saved or carried out without it")
    };
    let secret =
        environment(variable).filter(|secret| !secret.trim().is_empty()).ok_or_else(|| failed("is not set"))?;
    secrets::hold(&secret);
    Key::new(&secret).map(Some).map_err(|why| failed(&why))
}

/// Saves a plan that was just made, and says how it is carried out.
pub fn save(
    path: &Path,
    planned: &Planned,
    (key, values): (Option<&Key>, &Values),
    context: &mut CommandContext<'_>,
) -> Result<(), Error> {
    let mut plan = planned.plan.clone();
    description::retell(&planned.fleet, &planned.seen, &mut plan);
    let now = context.connection.aws.clock().timestamp();
    let saved = Saved::new(&planned.fleet, &plan, now, env!("CARGO_PKG_VERSION"));
    let salted = match values {
        Values::Hashed { salt } => saved.salted(salt),
        Values::Shown => saved.salted(&salt()),
    };
    write(path, &salted.bound_to(Origin::read(&environment)), key)?;
    let word = shell_word(&path.display().to_string());
    context.view.note(&format!("the plan is saved; carry it out with: roleout deploy {word}"));
    Ok(())
}

/// Reads a saved plan from a file. One that cannot be opened is a slip on the command line; any other is refused.
pub fn read(path: &Path) -> Result<Saved, Error> {
    read_signed(path, None)
}

/// Does as [`read`] does; with a key, a plan that was not signed with it is refused.
pub fn read_signed(path: &Path, key: Option<&Key>) -> Result<Saved, Error> {
    let bytes =
        file::read_given(path, file::LARGEST).map_err(|error| Error::new(Exit::Usage, format!("the plan: {error}")))?;
    let text = file::text(bytes).map_err(|what| ReadError::NotAPlan(format!("it {what}")));
    text.and_then(|text| Saved::parse_signed(&text, key)).map_err(|error| {
        let help = match &error {
            ReadError::Truncated(_) => "was the artifact cut, or the disk of the planning job full? plan again",
            ReadError::NotAPlan(_) => {
                "`deploy PLAN` takes what `--out` wrote; a manifest is given with --file, or is ./deploy.yaml"
            }
            ReadError::Version { .. } => "plan and deploy with the same version of roleout",
            ReadError::Unsigned | ReadError::Signature => {
                "plan and deploy with --sign-env and the same key; where they have it, find out who changed the plan"
            }
            ReadError::Digest | ReadError::Content(_) => {
                "a plan is carried out as it was made or not at all; plan again"
            }
        };
        Error::new(Exit::Blocked, format!("{}: {error}", path.display())).help(help)
    })
}

/// Writes a saved plan to a file: whole or not at all, readable as the umask says, so that the job's artifact
/// upload can read it.
pub fn write(path: &Path, saved: &Saved, key: Option<&Key>) -> Result<(), Error> {
    let failed = |exit, error: String| Error::new(exit, format!("the plan cannot be saved: {error}"));
    let text = saved.to_json(key).map_err(|error| failed(Exit::Unexpected, error))?;
    file::write(path, text.as_bytes()).map_err(|error| failed(Exit::Usage, error.to_string()))
}
