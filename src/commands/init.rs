//! `roleout init`: writes a manifest to start from, or one of services that exist. It changes nothing in AWS.

use std::path::Path;

use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::cli;
use crate::connect::Connection;
use crate::engine::cancel::{Cancel, Signal};
use crate::init::{Source, identity, starter};
use crate::load::environment;
use crate::manifest::check::DEFAULT_TOKEN_ENV;
use crate::operations::init::{empty, imported, write};
use crate::view::View;

/// Writes the files of a new manifest.
pub async fn init(args: &cli::Init, mut view: View, cancel: Cancel) -> Result<Exit, Error> {
    let source = |text: &String| text.parse().map(|source| Source { external_id: args.external_id.clone(), ..source });
    let clusters = args.from_cluster.iter().map(|cluster| format!("{cluster}/*"));
    let texts: Vec<String> = args.from_service.iter().cloned().chain(clusters).collect();
    let sources = texts.iter().map(source).collect::<Result<Vec<Source>, String>>();
    let sources = sources.map_err(|error| Error::new(Exit::Usage, error))?;
    if sources.is_empty() && args.external_id.is_some() {
        return Err(Error::new(Exit::Usage, "--external-id is for --from-service and --from-cluster"));
    }
    let files = if sources.is_empty() {
        vec![starter()]
    } else {
        let has_token = environment(DEFAULT_TOKEN_ENV).is_some_and(|token| !token.trim().is_empty());
        let fleet = empty(&sources, identity(&sources, DEFAULT_TOKEN_ENV, has_token));
        let connection = Connection::by_identity(&fleet.identity, profile(&sources)?, args.allow_http).await?;
        connection.warn_custom_endpoints(&mut view);
        tokio::select! {
            biased;
            () = cancel.cancelled() => {
                let signal = cancel.signal().unwrap_or(Signal::Terminate);
                return Err(Error::new(signal.exit(), format!("{} before anything was written", signal.name())));
            }
            files = imported(&sources, fleet, &connection, &mut view) => files?,
        }
    };
    let paths = write(&args.file, &files, args.force)?;
    for path in &paths {
        view.note(&format!("wrote {}", path.display()));
    }
    if paths.len() > 1 {
        view.note("a task definition holds the values of its environment variables: look before you commit it");
    }
    let file = match args.file == Path::new("deploy.yaml") {
        true => String::new(),
        false => format!(" --file {}", args.file.display()),
    };
    let by = sources.iter().find_map(|source| source.profile.as_ref());
    let by = by.map(|profile| format!("AWS_PROFILE={profile} ")).unwrap_or_default();
    view.note(&format!("next: roleout check{file}, and then {by}roleout plan{file}"));
    Ok(Exit::Done)
}

/// Returns the one profile that the sources name, if they do.
fn profile(sources: &[Source]) -> Result<Option<&str>, Error> {
    let own = sources.iter().filter(|source| source.roles.is_empty());
    let mut profiles: Vec<Option<&str>> = own.map(|source| source.profile.as_deref()).collect();
    profiles.dedup();
    match profiles[..] {
        [] => Ok(None),
        [only] => Ok(only),
        _ => {
            let error = Error::new(Exit::Usage, "the services are reached by the credentials of more than one profile");
            Err(error
                .help("a run has one source of credentials: import by roles that it may assume, or in several runs"))
        }
    }
}
