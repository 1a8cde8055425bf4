//! `roleout credentials`: the keys of an account's session, for a profile's `credential_process`.

use std::io::Write;
use std::slice;

use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::cli::{self, CredentialsFormat};
use crate::connect::Connection;
use crate::engine::cancel::{Cancel, unless_cancelled};
use crate::exec::keys::Keys;
use crate::load::{begin_ambient, environment, fleet};
use crate::operations::exec::reached;
use crate::view::View;

/// Prints the keys on `out`, and on `view` what else is to say, unless that is a terminal or a job's, where they would stay to be read.
///
/// # Errors
/// Nobody said that keys may be printed there; the account is unknown or cannot be reached.
pub async fn credentials(
    args: &cli::Credentials,
    out: &mut (dyn Write + Send),
    terminal: bool,
    mut view: View,
    cancel: Cancel,
) -> Result<Exit, Error> {
    let job = environment("CI").is_some_and(|value| !value.is_empty());
    if (terminal || job) && !args.print_keys {
        let place = if terminal { "a terminal" } else { "a job, whose log others read" };
        return Err(Error::new(Exit::Usage, format!("keys are not printed to {place}"))
            .help("this is for the credential_process of a profile: docs/exec.md has the lines; --print-keys prints them anyway")
            .help("`roleout exec --account NAME -- COMMAND` gives a session to a command without printing it"));
    }
    let mut fleet = fleet(&args.file, &environment)?;
    begin_ambient(&mut fleet, args.ambient);
    let account = fleet.account(&args.account).map_err(|error| Error::new(Exit::Usage, error.to_string()))?;
    let connection = Connection::production(&fleet, args.allow_http).await?;
    connection.warn_custom_endpoints(&mut view);
    let keys = async {
        reached(&connection, slice::from_ref(account)).await?;
        let keys = Keys::fetch(&connection.sessions, account, connection.aws.clock().now()).await;
        keys.map_err(|error| Error::new(Exit::Preflight, error))
    };
    let keys = unless_cancelled(keys, &cancel).await??;
    let text = match args.format {
        CredentialsFormat::CredentialProcess => keys.for_process().to_string(),
    };
    writeln!(out, "{text}").map_err(|error| Error::new(Exit::Usage, format!("the keys cannot be written: {error}")))?;
    Ok(Exit::Done)
}
