//! `roleout watch`: follows the deployments that are under way, whoever started them. It only reads.

use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::cli;
use crate::connect::{CommandContext, Connection};
use crate::engine::Start;
use crate::engine::cancel::Cancel;
use crate::run;
use crate::run::outputs::{OutputKind, Outputs, refuse_overlaps};
use crate::view::View;

/// Follows the deployments of a manifest's fleet.
pub async fn watch(args: &cli::Watch, view: View, cancel: Cancel) -> Result<Exit, Error> {
    let kind = OutputKind::Run;
    refuse_overlaps(&[&args.selection.file], args.journal.as_deref(), None, &args.reports)?;
    let outputs = Outputs { journal: args.journal.as_deref(), reports: &args.reports, folding: args.folding, kind };
    let sandbox = args.embedded.sandbox;
    let follow = async |view: &mut View| {
        let (fleet, connection) = Connection::open(&args.selection.with_open_variables(), &args.embedded, view).await?;
        let connection = connection.recording(&args.recording, view)?;
        let start = Start { sandbox, ..Start::default() };
        let context = &mut CommandContext { connection: &connection, view, cancel: &cancel };
        run::watch::watch(fleet, args.skip_blocked, start, context).await
    };
    outputs.wrap(view, Some(sandbox), follow).await
}
