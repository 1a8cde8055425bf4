//! `roleout plan`: what a deploy would do, by calls that only read.

use super::manifest::{environment, selected};
use super::prepare::{hashed, prepare, preview, refusal};
use super::reach::{Reach, job_environment, seeded};
use crate::cli;
use crate::clock::Clock;
use crate::engine::cancel::{Cancel, Signal};
use crate::error::Error;
use crate::exit::Exit;
use crate::fleet::Fleet;
use crate::plan::build;
use crate::plan::diff::Values;
use crate::sandbox::Claims;
use crate::view::{Form, View};

/// What a person wants to see, and which exit codes.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The form of the plan.
    pub form: Form,
    /// How values of environment variables are shown.
    pub values: Values,
    /// Exit with 20 where changes are pending.
    pub detailed_exitcode: bool,
    /// The wave that the deploy would begin with.
    pub from: Option<String>,
}

impl Default for Choice {
    /// Text, with masked values.
    fn default() -> Self {
        Self { form: Form::Text, values: hashed(), detailed_exitcode: false, from: None }
    }
}

/// Plans the fleet of a manifest.
pub async fn plan(args: &cli::Plan, mut view: View, cancel: Cancel) -> Result<Exit, Error> {
    let variables = if args.sandbox { job_environment } else { environment };
    let fleet = selected(&args.selection, &variables)?;
    for warning in &fleet.warnings {
        view.warning(warning);
    }
    let reach = if args.sandbox {
        let sandbox = seeded(&fleet, args.sandbox_seed, Clock::tokio_from_system(), &args.sandbox_fault)?;
        Reach::sandbox(&fleet, &sandbox, sandbox.id_token(Claims::default()))
    } else {
        Reach::production(&fleet).await?
    };
    let choice = Choice {
        form: args.format.into(),
        values: if args.show_values { Values::Shown } else { hashed() },
        detailed_exitcode: args.detailed_exitcode,
        from: args.from.clone(),
    };
    run(&fleet, &reach, &choice, view, cancel).await
}

/// Plans a fleet by a way to AWS that is given.
pub async fn run(fleet: &Fleet, reach: &Reach, choice: &Choice, mut view: View, cancel: Cancel) -> Result<Exit, Error> {
    if let Some(from) = &choice.from
        && !fleet.waves.iter().any(|wave| wave.name == *from)
    {
        let names: Vec<&str> = fleet.waves.iter().map(|wave| wave.name.as_str()).collect();
        let error = Error::new(Exit::Usage, format!("--from names no wave: `{from}`"));
        return Err(error.help(format!("the waves are: {}", names.join(", "))));
    }
    let (unreachable, seen) = tokio::select! {
        biased;
        () = cancel.cancelled() => {
            let signal = cancel.signal().unwrap_or(Signal::Terminate);
            return Err(Error::new(signal.exit(), format!("{} before the plan was made", signal.name())));
        }
        prepared = prepare(fleet, reach, &mut view) => prepared,
    };
    let plan = build::plan(fleet, &seen);
    let preview = preview(fleet, &seen, &plan, reach, choice.from.as_deref(), &choice.values);
    view.preview(&preview, choice.form);
    match refusal(fleet, &unreachable, &seen, &plan.outline) {
        Some(error) => Err(error),
        None if choice.detailed_exitcode && preview.pending() > 0 => Ok(Exit::Pending),
        None => Ok(Exit::Done),
    }
}
