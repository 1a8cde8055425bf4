//! `roleout continue`: lists the PAUSE hooks at which deployments of the selected targets wait, and lets those go on
//! or has ECS roll them back.

use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::cli;
use crate::connect::Connection;
use crate::engine::cancel::Cancel;
use crate::operations::continue_hooks::{HookFilter, run};
use crate::view::View;

/// Continues the hooks of a manifest's fleet.
pub async fn hooks(args: &cli::Continue, mut view: View, cancel: Cancel) -> Result<Exit, Error> {
    let (fleet, connection) =
        Connection::open(&args.selection.with_open_variables(), &args.embedded, &mut view).await?;
    let choice = HookFilter { dry_run: args.dry_run, rollback: args.rollback };
    run(&fleet, &connection, choice, view, cancel).await
}
