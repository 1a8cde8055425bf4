//! `roleout sandbox`: the embedded AWS for any client, on a loopback address.

use std::path::Path;

use tokio::net::TcpListener;

use crate::base::clock::Clock;
use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::text::shell_word;
use crate::cli;
use crate::connect::{job_environment, seeded};
use crate::engine::cancel::Cancel;
use crate::fleet::{Fleet, IdentitySource};
use crate::load::fleet;
use crate::sandbox::{Claims, Sandbox, Size};
use crate::view::View;

/// Serves the sandbox until it is told to stop.
pub async fn sandbox(args: &cli::Sandbox, mut view: View, cancel: Cancel) -> Result<Exit, Error> {
    if !args.listen.ip().is_loopback() && !args.allow_remote {
        let error = Error::new(Exit::Usage, format!("{} is not a loopback address", args.listen));
        return Err(error.help("the sandbox has no protection of its own; --allow-remote listens there anyway"));
    }
    let clock = Clock::tokio_from_system();
    let fleet = args.file.as_deref().map(|path| fleet(path, &job_environment)).transpose()?;
    let sandbox = match &fleet {
        Some(fleet) => {
            let size = if args.aws_sized { Size::Aws } else { Size::Small };
            seeded(fleet, size, clock, &args.furnishing())?
        }
        None => Sandbox::new(args.sandbox_seed, clock),
    };
    if let Some(path) = &args.token_file {
        write_token(path, &sandbox)?;
    }
    let listener = TcpListener::bind(args.listen)
        .await
        .map_err(|error| Error::new(Exit::Usage, format!("cannot listen on {}: {error}", args.listen)))?;
    let address = listener.local_addr().unwrap_or(args.listen);
    view.note(&format!("the sandbox listens on http://{address}; set AWS_ENDPOINT_URL to that"));
    view.note("an account's own credentials: its 12-digit id as the access key, `test` as the secret");
    if let (Some(fleet), Some(file)) = (&fleet, &args.file) {
        view.note(&hint(fleet, file, args.token_file.as_deref(), &address.to_string()));
    }
    sandbox
        .serve(listener, async move { cancel.cancelled().await })
        .await
        .map_err(|error| Error::new(Exit::Unexpected, format!("the sandbox stopped: {error}")))?;
    Ok(Exit::Done)
}

/// Says how other programs get a session in one of its accounts.
fn hint(fleet: &Fleet, file: &Path, token_file: Option<&Path>, address: &str) -> String {
    let word = |path: &Path| shell_word(&path.display().to_string());
    let Some(account) = fleet.accounts.first() else { return "no account of the manifest has targets".to_owned() };
    let identity = match (&fleet.identity.source, token_file) {
        (IdentitySource::TokenEnv(variable), Some(path)) => format!("{variable}=\"$(cat {})\" ", word(path)),
        (IdentitySource::TokenFile(_), Some(_)) => String::new(),
        (IdentitySource::TokenEnv(_) | IdentitySource::TokenFile(_), None) => {
            return "with --token-file FILE it writes an ID token, by which other programs get a session".to_owned();
        }
        (IdentitySource::Ambient, _) => format!("AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY=test ", account.id),
    };
    format!(
        "other programs get a session by: AWS_ENDPOINT_URL=http://{address} {identity}roleout exec -f {} --account {} \
         -- aws sts get-caller-identity",
        word(file),
        shell_word(&account.name)
    )
}

/// Writes an ID token for clients that read one from a file; only its owner may read it.
fn write_token(path: &Path, sandbox: &Sandbox) -> Result<(), Error> {
    use secrecy::ExposeSecret;

    let token = sandbox.id_token(Claims::default());
    let written = crate::base::file::write_secret(path, token.expose_secret().as_bytes());
    written.map_err(|error| Error::new(Exit::Usage, format!("the token cannot be written: {error}")))
}
