//! `roleout exec`: a command of others with the session of an account, or of each of several.

use std::sync::Arc;

use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::cli;
use crate::fleet::{Account, Fleet};
use crate::load::{environment, load_unfiltered, selected};
use crate::operations::exec::run;
use crate::view::View;

/// Runs the command, and returns its exit code, or the first of several that is not 0.
///
/// `by_terminal` says that a terminal sends its signals to the children itself.
///
/// # Errors
/// What keeps the command from being started in any account.
pub async fn exec(args: &cli::Exec, mut view: View, by_terminal: bool) -> Result<u8, Error> {
    let (fleet, accounts) = chosen(args)?;
    for warning in &fleet.warnings {
        view.warning(warning);
    }
    run(args, &fleet, &accounts, &mut view, by_terminal).await
}

/// Returns the fleet, and the accounts that the command line chooses.
fn chosen(args: &cli::Exec) -> Result<(Fleet, Vec<Arc<Account>>), Error> {
    let usage = |error: String| Error::new(Exit::Usage, error);
    let selection = &args.selection.with_open_variables();
    if let Some(name) = &args.account {
        let fleet = load_unfiltered(selection, &environment)?;
        let account = Arc::clone(fleet.account(name).map_err(|error| usage(error.to_string()))?);
        return Ok((fleet, vec![account]));
    }
    if selection.only.is_empty() && selection.wave.is_empty() {
        if !args.all {
            return Err(usage("no account is named".to_owned())
                .help("--account NAME takes one, --all every one, and --only and --wave some"));
        }
        let fleet = load_unfiltered(selection, &environment)?;
        let accounts = fleet.accounts.clone();
        return Ok((fleet, accounts));
    }
    let fleet = selected(selection, &environment)?;
    let accounts = fleet.accounts.clone();
    Ok((fleet, accounts))
}
