//! The stages of a deployment that is followed: what is new of them as events, and the hooks that a run continues.
//!
//! Whether a deployment succeeded is not decided here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::aws::denial;
use crate::aws::ecs::Ecs;
use crate::aws::error::{CallError, Kind};
use crate::aws::permit::Permit;
use crate::engine::context::Run;
use crate::engine::exactly_once::{Write, carry_out};
use crate::event::{Event, Evidence, Hook as HookName};
use crate::fleet::TargetSpec;
use crate::observe::progress::{Hook, Progress};

/// How often a hook that ECS does not continue is asked for again.
const ATTEMPTS: u32 = 3;
/// How long a throttled ContinueServiceDeployment is repeated.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why a hook is not continued though the run continues hooks.
const HALTED: &str = "the run was halted, and lets nothing more go on; `roleout continue` does";

/// What was seen of a deployment's stages.
#[derive(Debug, Default)]
pub struct Stages {
    /// Until when hooks are continued.
    permit: Permit,
    told: Option<Event>,
    last: Option<Progress>,
    /// The hooks that wait, or did.
    asked: BTreeMap<String, Asked>,
    /// The hooks that ECS is being asked to continue: whoever follows the deployment does not wait for that.
    asking: JoinSet<(String, Result<(), CallError>)>,
    /// The last stage of the deployment before it rolled back.
    at: Option<String>,
    /// Why the last look did not show them.
    unseen: Option<String>,
}

/// What ECS was asked about a hook.
#[derive(Debug, Default)]
struct Asked {
    times: u32,
    now: bool,
}

impl Stages {
    /// Starts with a deployment of which nothing was seen. Its hooks are continued until the permit is over.
    pub fn under(permit: &Permit) -> Self {
        Self { permit: permit.clone(), ..Self::default() }
    }

    /// Takes in a look at our own service deployment: says what is new, and continues hooks where the run does so.
    pub async fn apply(&mut self, run: &Run, target: &TargetSpec, ecs: &Arc<Ecs>, object: &Value) {
        self.answered(run, target).await;
        let progress = Progress::read(object);
        if let Some(event) = changed(target, &progress)
            && self.told.as_ref() != Some(&event)
        {
            run.emit(event.clone()).await;
            self.told = Some(event);
        }
        if progress.is_under_way() && progress.stage.is_some() {
            self.at = Some(stage_or_status(&progress));
        }
        self.ended(run, target, &progress).await;
        for hook in progress.waiting() {
            self.waits(run, target, ecs, &progress, hook).await;
        }
        (self.last, self.unseen) = (Some(progress), None);
    }

    /// Takes in a look that did not show them, with ECS's answer where they were asked for in vain.
    pub fn read_failed(&mut self, error: Option<&CallError>) {
        self.unseen = match error {
            Some(error) if error.kind == Kind::Denied => Some(denial::unanswered(error, "ecs", None)),
            Some(error) => Some(format!("{error:#}")),
            None if self.last.is_none() => Some("ECS shows no service deployment of it".to_owned()),
            None => None,
        };
    }

    /// Says which hooks wait no longer.
    async fn ended(&self, run: &Run, target: &TargetSpec, progress: &Progress) {
        let was_waiting = |id: &str| self.last.iter().flat_map(Progress::waiting).any(|hook| hook.id == id);
        for hook in progress.hooks.iter().filter(|hook| !hook.is_waiting() && was_waiting(&hook.id)) {
            let (target, hook, status) = (target.id.clone(), hook.id.clone(), hook.status.clone());
            run.emit(Event::HookEnded { target, hook, status }).await;
        }
    }

    /// Takes in what became of the hooks that ECS was asked to continue.
    async fn answered(&mut self, run: &Run, target: &TargetSpec) {
        while let Some(Ok((hook, ended))) = self.asking.try_join_next() {
            self.asked.entry(hook.clone()).or_default().now = false;
            match ended {
                Err(error) if error.kind != Kind::Withdrawn || !self.permit.is_withdrawn() => {
                    let (target, reason) = (target.id.clone(), format!("{error:#}"));
                    run.emit(Event::HookNotContinued { target, hook, reason }).await;
                }
                // It was answered, or who waits for it says that the run was halted.
                _ => {}
            }
        }
    }

    async fn waits(&mut self, run: &Run, target: &TargetSpec, ecs: &Arc<Ecs>, progress: &Progress, hook: &Hook) {
        let is_new = !self.asked.contains_key(&hook.id);
        let asked = self.asked.entry(hook.id.clone()).or_default();
        if is_new {
            let hook = HookName {
                id: hook.id.clone(),
                stage: progress.stage.clone(),
                expires_at: hook.expires_at,
                timeout_action: hook.timeout_action.clone(),
            };
            let (target, continued) = (target.id.clone(), run.continues_hooks && !self.permit.is_withdrawn());
            run.emit(Event::HookWaiting { target, hook, continued }).await;
        }
        if !run.continues_hooks || asked.now || asked.times == ATTEMPTS {
            return;
        }
        if self.permit.is_withdrawn() {
            asked.times = ATTEMPTS;
            let (target, hook, reason) = (target.id.clone(), hook.id.clone(), HALTED.to_owned());
            run.emit(Event::HookNotContinued { target, hook, reason }).await;
            return;
        }
        (asked.times, asked.now) = (asked.times + 1, true);
        let (ecs, arn, hook, permit) = (Arc::clone(ecs), progress.arn.clone(), hook.id.clone(), self.permit.clone());
        self.asking.spawn(async move {
            let ended = continue_hook(&ecs, &arn, &hook, &permit).await;
            (hook, ended)
        });
    }

    /// Returns the hook for which the deployment waits, with its stage.
    pub fn waiting(&self) -> Option<(&Hook, &str)> {
        let progress = self.last.as_ref()?;
        Some((progress.waiting().next()?, progress.stage.as_deref().unwrap_or("its stage")))
    }

    /// Returns what the stages, hooks and alarms say about a failure.
    pub fn evidence(&self) -> Vec<Evidence> {
        let unseen = self.unseen.iter().map(|why| format!("its stages could not be read: {why}"));
        let Some(progress) = &self.last else { return unseen.map(Evidence::from).collect() };
        let failed = |hook: &&Hook| matches!(hook.status.as_str(), "FAILED" | "TIMED_OUT");
        // ECS says at which stage a hook failed, which may be a later one than was seen.
        let at = self.at.iter().filter(|_| !progress.hooks.iter().any(|hook| failed(&hook)));
        let at = at.map(|at| format!("it was at {at}"));
        let told = |hook: &&Hook| failed(hook) || hook.status == "IN_PROGRESS";
        let hooks = progress.hooks.iter().filter(told).map(|hook| format!("{}: {}", hook.name(), hook.status));
        let alarms = progress.alarms.iter().map(|alarm| format!("the CloudWatch alarm {alarm} went off"));
        at.chain(hooks).chain(alarms).chain(unseen).map(Evidence::from).collect()
    }
}

/// Returns the event of a stage; a deployment that rolls back or stops has its status as the stage.
fn changed(target: &TargetSpec, progress: &Progress) -> Option<Event> {
    Some(Event::StageChanged {
        target: target.id.clone(),
        stage: progress.stage_or_status()?.to_owned(),
        production_percent: progress.production_percent,
        test_percent: progress.test_percent,
        bake_minutes: if progress.is_under_way() { progress.bake_minutes } else { 0 },
    })
}

fn stage_or_status(progress: &Progress) -> String {
    let stage = progress.stage.as_deref().unwrap_or_default();
    match progress.production_percent.filter(|percent| *percent > 0.0) {
        Some(percent) => format!("{stage} with {percent} % of the production traffic"),
        None => stage.to_owned(),
    }
}

/// One ContinueServiceDeployment.
struct Continue<'a> {
    ecs: &'a Ecs,
    arn: &'a str,
    hook: &'a str,
    action: &'static str,
}

impl Continue<'_> {
    /// Whether a hook ended in another way than this call would have ended it: somebody else was there before, or its time was over.
    fn contradicts(&self, hook: &Hook) -> bool {
        let timed_out = |action: &str| hook.status == "TIMED_OUT" && hook.timeout_action.as_deref() == Some(action);
        match self.action {
            "CONTINUE" => hook.status == "FAILED" || timed_out("ROLLBACK"),
            _ => hook.status == "SUCCEEDED" || timed_out("CONTINUE"),
        }
    }
}

impl Write for Continue<'_> {
    type Answer = Value;

    async fn send(&self, permit: &Permit) -> Result<Value, CallError> {
        self.ecs.continue_service_deployment(self.arn, self.hook, self.action, permit).await
    }

    /// It took effect if the hook waits no longer, and did not end in another way.
    async fn took_effect(&self) -> Result<Option<Value>, CallError> {
        let objects = self.ecs.describe_service_deployments(&[self.arn]).await?;
        let differs = |hook: &Hook| hook.id == self.hook && (hook.is_waiting() || self.contradicts(hook));
        Ok(objects.into_iter().next().filter(|object| !Progress::read(object).hooks.iter().any(differs)))
    }
}

/// Lets a deployment that waits at a PAUSE hook go on, unless the permit is over before that is sent.
///
/// # Errors
/// What ECS refused, or that its answer was lost and the hook still waits.
pub async fn continue_hook(ecs: &Ecs, arn: &str, hook: &str, permit: &Permit) -> Result<(), CallError> {
    let (action, permit) = ("CONTINUE", permit.with_deadline(Instant::now() + PATIENCE));
    carry_out(&Continue { ecs, arn, hook, action }, &permit).await.map(drop)
}

/// Has ECS roll back a deployment that waits at a PAUSE hook, unless the permit is over before that is sent.
///
/// # Errors
/// What ECS refused, or that its answer was lost and the hook still waits.
pub async fn roll_back(ecs: &Ecs, arn: &str, hook: &str, permit: &Permit) -> Result<(), CallError> {
    let (action, permit) = ("ROLLBACK", permit.with_deadline(Instant::now() + PATIENCE));
    carry_out(&Continue { ecs, arn, hook, action }, &permit).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_seen_of_the_stages_is_said() {
        let said = |stages: &Stages| stages.evidence().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        let error = |kind| CallError::plain("DescribeServiceDeployments", kind, "try later");
        let (lost, denied) = (error(Kind::Unknown), error(Kind::Denied));
        let mut stages = Stages::default();
        assert_eq!(said(&stages), "");
        stages.read_failed(None);
        assert_eq!(said(&stages), "its stages could not be read: ECS shows no service deployment of it");
        stages.read_failed(Some(&denied));
        assert_eq!(said(&stages), "its stages could not be read: ecs:DescribeServiceDeployments is not allowed");
        stages.last = Some(Progress::read(&serde_json::json!({})));
        stages.at = Some("SCALE_UP".to_owned());
        stages.read_failed(Some(&lost));
        let wanted = "it was at SCALE_UP\nits stages could not be read: DescribeServiceDeployments: try later";
        assert_eq!(said(&stages), wanted);
        stages.read_failed(None);
        assert_eq!(said(&stages), "it was at SCALE_UP");
    }
}
