//! An UpdateService that is put off, and by then may be of something that has become somebody else's.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::aws::error::{CallError, Kind};
use crate::engine::rollout::Update;
use crate::engine::write::Write;
use crate::observe::service::LiveService;

/// An UpdateService that is sent again only while the service still has the PRIMARY deployment that it was decided on.
pub struct Careful<'a> {
    update: Update<'a>,
    primary: Option<String>,
    sent: AtomicBool,
}

/// What is said where it has not.
const TOO_LATE: &str = "took its place";

impl<'a> Careful<'a> {
    /// Wraps an update that was decided on by this look.
    pub fn new(update: Update<'a>, service: &LiveService) -> Self {
        let primary = service.primary().map(|primary| primary.id.clone());
        Self { update, primary, sent: AtomicBool::new(false) }
    }

    /// Whether it was not sent again, because somebody else had deployed.
    pub fn was_too_late(error: &CallError) -> bool {
        error.code.is_none() && error.kind == Kind::Refused && error.message.ends_with(TOO_LATE)
    }
}

impl Write for Careful<'_> {
    async fn send(&self) -> Result<Value, CallError> {
        if self.sent.swap(true, Ordering::Relaxed) {
            let Update { ecs, target, .. } = &self.update;
            let services = ecs.describe_services(&target.cluster, &[target.service.as_str()]).await?;
            let service = services.found.first().map(LiveService::read);
            let primary = service.as_ref().and_then(LiveService::primary);
            if let Some(other) = primary.filter(|primary| Some(&primary.id) != self.primary.as_ref()) {
                if let Some(answer) = self.update.landed().await? {
                    return Ok(answer);
                }
                let message = format!("another deployment, {}, {TOO_LATE}", other.id);
                return Err(CallError::plain("UpdateService", Kind::Refused, message));
            }
        }
        self.update.send().await
    }

    async fn landed(&self) -> Result<Option<Value>, CallError> {
        self.update.landed().await
    }
}
