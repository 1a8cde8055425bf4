//! Lifecycle hooks: when they are called, how they end, and ContinueServiceDeployment.
//!
//! A Lambda function is not run: it ends as the faults say. The words of what ContinueServiceDeployment refuses are not
//! documented.

use std::time::Duration;

use serde_json::{Value, json};

use crate::sandbox::ecs::text_of;
use crate::sandbox::history::parse_arn;
use crate::sandbox::lifecycle::Stage;
use crate::sandbox::moment::{Moment, epoch, millis};
use crate::sandbox::record::Status;
use crate::sandbox::task::Pace;
use crate::sandbox::wire::AwsError;
use crate::sandbox::world::{Call, World};

/// Where minutes take seconds, one of a hook's time takes so long: whoever continues hooks looks every three seconds.
const SHORTEST_MINUTE: Duration = Duration::from_secs(5);
/// ECS's default for a hook's time: a day, in minutes.
const DAY: u64 = 1440;

/// How hooks end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// They succeed.
    #[default]
    Passes,
    /// They are not done.
    Waits,
    /// They fail: the reason of the rollback.
    Fails(String),
}

/// A hook's status, in ECS's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    AwaitingAction,
    InProgress,
    Succeeded,
    Failed,
    TimedOut,
}

/// A hook that was called.
#[derive(Clone, Debug)]
pub(crate) struct Hook {
    id: String,
    /// `None` for PAUSE.
    lambda: Option<String>,
    stage: Stage,
    state: State,
    /// When its function answers, and whether well.
    answers: Option<(Moment, bool)>,
    expires: Moment,
    continues: bool,
}

impl Hook {
    /// Returns the hooks of a configuration that a stage calls.
    pub(super) fn called(
        configuration: &Value,
        stage: Stage,
        fate: Verdict,
        at: Moment,
        pace: Pace,
        name: &str,
    ) -> Vec<Self> {
        let hooks = configuration["lifecycleHooks"].as_array().into_iter().flatten();
        let here = |hook: &&Value| {
            hook["lifecycleStages"].as_array().is_some_and(|stages| stages.iter().any(|it| it == stage.word()))
        };
        let called = hooks.filter(here).enumerate().map(|(place, hook)| {
            let timeout = &hook["timeoutConfiguration"];
            let minutes = timeout["timeoutInMinutes"].as_u64().unwrap_or(DAY);
            let pauses = hook["targetType"] == "PAUSE";
            let soon = at + millis(pace.timing.schedule).max(1);
            Self {
                id: pace.chance.uuid(&format!("{name}/hook/{place}")),
                lambda: (!pauses).then(|| hook["hookTargetArn"].as_str().unwrap_or_default().to_owned()),
                stage,
                state: if pauses { State::AwaitingAction } else { State::InProgress },
                answers: match fate {
                    _ if pauses => None,
                    Verdict::Waits => None,
                    Verdict::Passes => Some((soon, true)),
                    Verdict::Fails(_) => Some((soon, false)),
                },
                expires: at + millis(pace.timing.minute.max(SHORTEST_MINUTE)).saturating_mul(minutes),
                continues: timeout["action"] == "CONTINUE",
            }
        });
        called.collect()
    }

    fn is_open(&self) -> bool {
        matches!(self.state, State::AwaitingAction | State::InProgress)
    }

    /// When something happens to it next by itself.
    pub(super) fn wakes(&self) -> Option<Moment> {
        let answers = self.answers.map_or(self.expires, |(at, _)| at.min(self.expires));
        self.is_open().then_some(answers)
    }

    /// It is waited for no more.
    pub(super) fn forget(&mut self) {
        if self.is_open() {
            self.state = State::Failed;
        }
    }

    /// Brings the hooks of a stage up to now, and says what that means for it.
    pub(super) fn settle(hooks: &mut [Self], stage: Stage, at: Moment) -> Verdict {
        let mut verdict = Verdict::Passes;
        for hook in hooks.iter_mut().filter(|hook| hook.stage == stage && hook.is_open()) {
            let because = format!("Service deployment rolled back because {} lifecycle hook(s)", stage.word());
            match hook.answers {
                Some((when, true)) if at >= when => hook.state = State::Succeeded,
                Some((when, false)) if at >= when => {
                    hook.state = State::Failed;
                    let target = hook.lambda.as_deref().unwrap_or_default();
                    let reason = format!("{because} failed. Lifecycle hook target {target} returned FAILED status.");
                    return Verdict::Fails(reason);
                }
                _ if at >= hook.expires => {
                    hook.state = State::TimedOut;
                    if !hook.continues {
                        return Verdict::Fails(format!("{because} timed out."));
                    }
                }
                _ => verdict = Verdict::Waits,
            }
        }
        verdict
    }

    /// Returns it as DescribeServiceDeployments has it.
    pub(super) fn describe(&self) -> Value {
        let status = match self.state {
            State::AwaitingAction => "AWAITING_ACTION",
            State::InProgress => "IN_PROGRESS",
            State::Succeeded => "SUCCEEDED",
            State::Failed => "FAILED",
            State::TimedOut => "TIMED_OUT",
        };
        let mut body = json!({
            "hookId": self.id,
            "targetType": if self.lambda.is_some() { "AWS_LAMBDA" } else { "PAUSE" },
            "status": status,
            "expiresAt": epoch(self.expires),
            "timeoutAction": if self.continues { "CONTINUE" } else { "ROLLBACK" },
        });
        if let Some(arn) = &self.lambda {
            body["targetArn"] = json!(arn);
        }
        body
    }
}

/// ContinueServiceDeployment.
pub(crate) fn continue_deployment(world: &mut World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    let text = |key: &str| text_of(input, key).ok_or_else(|| AwsError::invalid(format!("{key} can not be blank.")));
    let (arn, id) = (text("serviceDeploymentArn")?, text("hookId")?);
    let back = match text_of(input, "action") {
        None | Some("CONTINUE") => false,
        Some("ROLLBACK") => true,
        Some(other) => return Err(AwsError::invalid(format!("Invalid action {other}."))),
    };
    let missing = || AwsError::new("ServiceDeploymentNotFoundException", "Service deployment not found.");
    let (cluster, name, record) = parse_arn(call, arn, "service-deployment").ok_or_else(missing)?;
    let pace = world.pace();
    let service = world.service(call, Some(cluster), name).map_err(|_| missing())?;
    let now = call.now;
    let found = service.record(record).filter(|record| record.appears <= now).ok_or_else(missing)?;
    let Some(lifecycle) = found.lifecycle.as_mut() else {
        let text = "Service deployments of the ROLLING strategy have no lifecycle hooks.";
        return Err(AwsError::new("UnsupportedFeatureException", text));
    };
    let hook = lifecycle.hooks.iter_mut().find(|hook| hook.id == id && hook.lambda.is_none());
    let hook = hook.ok_or_else(|| AwsError::invalid("The service deployment has no such paused lifecycle hook."))?;
    if hook.state != State::AwaitingAction || found.status != Status::InProgress {
        return Err(AwsError::invalid("The lifecycle hook does not await an action."));
    }
    hook.state = if back { State::Failed } else { State::Succeeded };
    found.updated = now;
    service.wake_at(now + 1);
    if back {
        let reason = "Service deployment rolled back because of a ContinueServiceDeployment request.";
        service.give_up("hook execution failure(s) detected", reason, now, pace);
    }
    Ok(json!({ "serviceDeploymentArn": arn }))
}
