//! `roleout accounts`: the accounts of a manifest, and those that it takes from AWS Organizations.

use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::cli::{self, AccountsFormat};
use crate::connect::{CommandContext, Connection, variables};
use crate::engine::cancel::Cancel;
use crate::fleet::{Identity, IdentitySource, OrganizationSource};
use crate::load::{fleet, organization};
use crate::operations::accounts::{UpdateOptions, reader, update};
use crate::view::View;
use crate::view::accounts::{list_json, list_text};

/// Lists the accounts of a manifest; or reads its organization, and compares it with the lock.
pub async fn accounts(args: &cli::Accounts, mut view: View, cancel: Cancel) -> Result<Exit, Error> {
    let variables = &variables(args.embedded.sandbox);
    if !args.update && !args.check {
        let fleet = fleet(&args.file, variables)?;
        fleet.warnings.iter().for_each(|warning| view.warning(warning));
        view.data(&match args.format {
            AccountsFormat::Text => list_text(&args.file, &fleet),
            AccountsFormat::Json => list_json(&args.file, &fleet),
        });
        return Ok(Exit::Done);
    }
    let (mut identity, mut source) = organization(&args.file, variables)?;
    begin_ambient(&mut identity, &mut source, args.ambient);
    let reader = reader(&identity, &source)?;
    let connection = Connection::open_loaded(&reader, args.allow_http, &args.embedded, &mut view, |_, _| {}).await?;
    let options = UpdateOptions {
        write: args.update,
        accepted: args.accept_gone.iter().cloned().collect(),
        json: args.format == AccountsFormat::Json,
    };
    update(&source, &options, &mut CommandContext { connection: &connection, view: &mut view, cancel: &cancel }).await
}

/// Begins with the SDK's own credentials, where the command line asks for that. They may be those of the organization's account.
fn begin_ambient(identity: &mut Identity, source: &mut OrganizationSource, ambient: bool) {
    if ambient {
        identity.source = IdentitySource::Ambient;
        source.chain.get_or_insert_default();
    }
}
