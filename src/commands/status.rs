//! `roleout status`: every target now, and its drift from the manifest. It only reads.

use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::cli::{self, StatusFormat};
use crate::connect::Connection;
use crate::engine::cancel::Cancel;
use crate::fleet::Fleet;
use crate::load::choose_images;
use crate::operations::running_images;
use crate::operations::status::{StatusOptions, run};
use crate::preflight::check_from;
use crate::view::View;
use crate::view::status::Layout;

/// Shows the status of a manifest's fleet.
pub async fn status(args: &cli::Status, mut view: View, cancel: Cancel) -> Result<Exit, Error> {
    let (mut fleet, connection) =
        Connection::open(&args.selection.with_open_variables(), &args.embedded, &mut view).await?;
    let connection = connection.recording(&args.recording, &mut view)?;
    choose_images(&mut fleet, &args.instead, &args.selection)?;
    let fleet = match &args.from {
        Some(from) => waves_from(fleet, from)?,
        None => fleet,
    };
    if args.images {
        let is_json = matches!(args.format, StatusFormat::Json);
        return running_images::run(&fleet, &connection, is_json, view, cancel).await;
    }
    let layout = match args.format {
        StatusFormat::Text if args.verbose > 0 => Layout::Whole,
        StatusFormat::Text => Layout::Table,
        StatusFormat::Json => Layout::Json,
    };
    run(&fleet, &connection, StatusOptions { layout, detailed_exitcode: args.detailed_exitcode }, view, cancel).await
}

/// Narrows a fleet to a wave and those after it.
fn waves_from(fleet: Fleet, from: &str) -> Result<Fleet, Error> {
    check_from(&fleet, Some(from))?;
    let waves = fleet.waves_from(from).map_err(|error| Error::new(Exit::Usage, error.to_string()))?;
    fleet.select(&[], &waves).map_err(|error| Error::new(Exit::Usage, error.to_string()))
}
