//! What `roleout continue` does: the PAUSE hooks at which deployments wait are found, listed, and continued or rolled back.

use std::time::Duration;

use futures::StreamExt;

use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::text::count;
use crate::connect::{CommandContext, Connection};
use crate::engine::cancel::Cancel;
use crate::engine::lifecycle_hooks::{continue_hook, roll_back};
use crate::event::Hook;
use crate::fleet::Fleet;
use crate::identity::preflight::OnLoss;
use crate::observe::Observation;
use crate::observe::service::Deployment;
use crate::preflight::prepare;
use crate::view::View;
use crate::view::hooks::{self, Waiting};

/// After a signal, calls that are under way get so long to end.
const GRACE: Duration = Duration::from_secs(3);
/// How many hooks are continued at once; each account and region has its own limits besides.
const CONCURRENCY: usize = 16;

/// What a person decided.
#[derive(Clone, Copy, Debug, Default)]
pub struct HookFilter {
    /// Only list the hooks.
    pub dry_run: bool,
    /// Roll the deployments back instead of letting them go on.
    pub rollback: bool,
}

/// Continues the hooks of a fleet by a way to AWS that is given: what `continue` and its tests have in common.
///
/// # Errors
/// Hooks that ECS did not continue (exit 10); else targets that could not be read, after all others were continued
/// (exit 4); or a signal.
pub async fn run(
    fleet: &Fleet,
    connection: &Connection,
    choice: HookFilter,
    mut view: View,
    cancel: Cancel,
) -> Result<Exit, Error> {
    let context = &mut CommandContext { connection, view: &mut view, cancel: &cancel };
    let (_, seen) = prepare(fleet, OnLoss::GoOn, context).await?;
    let found = waiting(fleet, &seen);
    let mut waiting: Vec<Waiting> = found.iter().map(|it| it.waiting.clone()).collect();
    if !choice.dry_run && !waiting.is_empty() {
        let doing = if choice.rollback { "rolling back at" } else { "continuing" };
        view.phase(&format!("{doing} {}", count(waiting.len(), "PAUSE hook")));
        let clients = connection.clients();
        let permit = &cancel.permit();
        let asks = found.iter().enumerate().map(|(number, it)| {
            let ecs = clients(&fleet.targets[it.index]);
            async move {
                let (arn, hook) = (&it.arn, &it.waiting.hook.id);
                let ended = match choice.rollback {
                    true => roll_back(&ecs, arn, hook, permit).await,
                    false => continue_hook(&ecs, arn, hook, permit).await,
                };
                (number, ended.map_err(|error| format!("{error:#}")))
            }
        });
        let mut asks = futures::stream::iter(asks).buffer_unordered(CONCURRENCY);
        let too_late = async {
            cancel.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        let mut too_late = std::pin::pin!(too_late);
        let unanswered = || Some(Err("no answer before the signal".to_owned()));
        waiting.iter_mut().for_each(|it| it.ended = unanswered());
        loop {
            let answer = tokio::select! {
                biased;
                answer = asks.next() => answer,
                () = &mut too_late => None,
            };
            let Some((number, ended)) = answer else { break };
            waiting[number].ended = Some(ended);
        }
    }
    view.hooks(&waiting, choice.rollback);
    let refused = waiting.iter().filter(|it| matches!(it.ended, Some(Err(_)))).count();
    let what = format!("{} not {}", count(refused, "PAUSE hook"), hooks::action_words(choice.rollback));
    if let Some(signal) = cancel.signal() {
        return Err(Error::new(signal.exit(), format!("{}: {what}", signal.name())));
    }
    if refused > 0 {
        return Err(Error::new(Exit::Failed, what));
    }
    let unread = fleet.targets.iter().zip(&seen).filter_map(|(target, seen)| Some((target, seen.as_ref().err()?)));
    let unread: Vec<String> = unread.map(|(target, unseen)| format!("{}: {}", target.id, unseen.reason)).collect();
    if !unread.is_empty() {
        let what = format!("{} could not be read", count(unread.len(), "target"));
        return Err(Error::listing(Exit::Preflight, &what, &unread));
    }
    Ok(Exit::Done)
}

/// A hook that was found, and where.
struct Found {
    index: usize,
    arn: String,
    waiting: Waiting,
}

fn waiting(fleet: &Fleet, seen: &[Observation]) -> Vec<Found> {
    let mut found = Vec::new();
    for (index, (target, seen)) in fleet.targets.iter().zip(seen).enumerate() {
        let Ok(observed) = seen else { continue };
        let Some(progress) = &observed.progress else { continue };
        let back = observed.service.deployments.iter().find(|one| one.is("COMPLETED"));
        for hook in progress.waiting() {
            let hook = Hook {
                id: hook.id.clone(),
                stage: progress.stage.clone(),
                expires_at: hook.expires_at,
                timeout_action: hook.timeout_action.clone(),
            };
            let waiting =
                Waiting { target: target.id.clone(), hook, back: back.and_then(Deployment::revision), ended: None };
            found.push(Found { index, arn: progress.arn.clone(), waiting });
        }
    }
    found
}
