//! The jobs of a pipeline that read what other jobs left: the gate behind each wave, and the one that ends it.

use std::path::Path;

use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::text::count;
use crate::cli::pipeline::{Gate, Merge};
use crate::event::Event;
use crate::load::environment;
use crate::operations::pipeline::journals::{self, JobArtifacts};
use crate::pipeline::join::{JoinError, Joined, join};
use crate::run::webhooks::Notifier;
use crate::state::RunState;
use crate::view::View;

/// Says whether the next wave may start.
pub fn gate(args: &Gate, mut view: View) -> Result<Exit, Error> {
    let joined = joined(&args.directory, Some(&args.wave), &mut view)?;
    let mut state = RunState::new();
    joined.events.iter().for_each(|event| state.apply(event));
    if let Some(error) = refused(&state).or_else(|| incomplete(&joined)) {
        return Err(error);
    }
    let ended = joined.events.iter().find_map(|stamped| match &stamped.event {
        Event::WaveFinished { wave, failed, passed } if *wave == args.wave => Some((*failed, *passed)),
        _ => None,
    });
    let Some((failed, passed)) = ended else {
        view.note(&format!("wave {}: there was nothing to do", args.wave));
        view.finish();
        return Ok(Exit::Done);
    };
    let outline = state.waves().map(|wave| &wave.outline).find(|outline| outline.name == args.wave);
    let (targets, most) = outline.map_or((0, 0), |outline| (outline.targets, outline.max_failures));
    let said = format!("wave {}: {failed} of {} failed, and {most} may", args.wave, count(targets, "target"));
    if passed {
        view.note(&said);
        view.finish();
        return Ok(Exit::Done);
    }
    let error = Error::new(state.exit(), said);
    Err(match state.halted() {
        Some(halt) => error.help(format!("no later wave starts; the first to fail was {}", halt.cause)),
        None => error.help("no later wave starts"),
    })
}

/// Tells the run again, to the reports and to the webhooks.
pub async fn merge_runs(args: &Merge, view: &mut View) -> Result<Exit, Error> {
    let joined = joined(&args.directory, None, view)?;
    let mut notifier = match crate::load::fleet(&args.file, &environment) {
        Ok(fleet) => {
            let sandbox = joined.events.iter().any(|it| matches!(it.event, Event::RunStarted { sandbox: true, .. }));
            Notifier::new(&fleet, sandbox, args.allow_http, view)
        }
        Err(_) => {
            view.warning(&format!("notify: {} cannot be read now: nothing is posted", args.file.display()));
            Notifier::default()
        }
    };
    for stamped in &joined.events {
        view.replay(stamped);
        notifier.event(&stamped.event, view.state());
    }
    view.write_reports();
    notifier.finish(false).await.iter().for_each(|warning| view.warning(warning));
    let exit = view.state().exit();
    if let Some(error) = refused(view.state()) {
        return Err(error);
    }
    match incomplete(&joined) {
        Some(error) if exit == Exit::Unexpected => Err(error),
        Some(error) => {
            view.warning(&error.message);
            Ok(exit)
        }
        None => Ok(exit),
    }
}

/// Reads what the jobs left, as one run.
fn joined(directory: &Path, until: Option<&str>, view: &mut View) -> Result<Joined, Error> {
    let JobArtifacts { preflight, parts, started } = journals::read(directory, view)?;
    join(&preflight, &parts, &started, until).map_err(|error| {
        let exit = if matches!(error, JoinError::NoPreflight(_)) { Exit::Unexpected } else { Exit::Usage };
        Error::new(exit, error.to_string())
    })
}

/// Says that the preflight refused the run.
fn refused(state: &RunState) -> Option<Error> {
    let refusal = state.refusal()?;
    let error = Error::new(refusal.exit(), refusal.message.clone());
    Some(refusal.help.iter().fold(error, |error, help| error.help(help.clone())))
}

/// Says which jobs did not get to their ends.
fn incomplete(joined: &Joined) -> Option<Error> {
    if joined.gaps.is_empty() {
        return None;
    }
    let error = Error::new(joined.refused.unwrap_or(Exit::Unexpected), joined.gaps.join("\n"));
    Some(error.help("run those jobs again, and then this one: a job that is run again does only what is left"))
}
