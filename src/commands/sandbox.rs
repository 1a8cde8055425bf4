//! `roleout sandbox`: the embedded AWS for any client, on a loopback address.

use std::path::Path;

use tokio::net::TcpListener;

use super::manifest::fleet;
use super::reach::{job_environment, seeded};
use crate::cli;
use crate::clock::Clock;
use crate::engine::cancel::Cancel;
use crate::error::Error;
use crate::exit::Exit;
use crate::sandbox::{Claims, Sandbox};
use crate::view::View;

/// Serves the sandbox until it is told to stop.
pub async fn sandbox(args: &cli::Sandbox, mut view: View, cancel: Cancel) -> Result<Exit, Error> {
    if !args.listen.ip().is_loopback() && !args.allow_remote {
        let error = Error::new(Exit::Usage, format!("{} is not a loopback address", args.listen));
        return Err(error.help("the sandbox has no protection of its own; --allow-remote listens there all the same"));
    }
    let clock = Clock::tokio_from_system();
    let sandbox = match &args.file {
        Some(path) => seeded(&fleet(path, &job_environment)?, args.sandbox_seed, clock, &args.sandbox_fault)?,
        None => Sandbox::new(args.sandbox_seed, clock),
    };
    if let Some(path) = &args.token_file {
        write_token(path, &sandbox)?;
    }
    let listener = TcpListener::bind(args.listen)
        .await
        .map_err(|error| Error::new(Exit::Unexpected, format!("cannot listen on {}: {error}", args.listen)))?;
    let address = listener.local_addr().unwrap_or(args.listen);
    view.note(&format!("the sandbox listens on http://{address}; set AWS_ENDPOINT_URL to that"));
    view.note("an account's own credentials: its 12-digit id as the access key, `test` as the secret");
    sandbox
        .serve(listener, async move { cancel.cancelled().await })
        .await
        .map_err(|error| Error::new(Exit::Unexpected, format!("the sandbox stopped: {error}")))?;
    Ok(Exit::Done)
}

/// Writes an ID token for clients that read one from a file; only its owner may read it.
fn write_token(path: &Path, sandbox: &Sandbox) -> Result<(), Error> {
    use secrecy::ExposeSecret;
    use std::io::Write;

    let failed = |error: std::io::Error| Error::new(Exit::Unexpected, format!("{}: {error}", path.display()));
    let mut options = fs_err::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    let mut file = {
        use fs_err::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600).open(path).map_err(failed)?
    };
    file.write_all(sandbox.id_token(&Claims::default()).expose_secret().as_bytes()).map_err(failed)
}
