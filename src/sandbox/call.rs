//! A call on its way to its operation, and who makes it.

use crate::sandbox::account::partition;
use crate::sandbox::moment::Moment;
use crate::sandbox::session::Principal;

/// A call in awsJson or RPC v2 on its way to its operation.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) operation: String,
    pub(crate) principal: Principal,
    /// When the request was sent.
    pub(crate) sent: Moment,
    /// When it is carried out.
    pub(crate) now: Moment,
}

impl Call {
    /// Returns an ECS ARN in the call's account and region.
    pub(crate) fn arn(&self, resource: &str) -> String {
        format!("arn:{}:ecs:{}:{}:{resource}", partition(&self.region), self.region, self.account)
    }
}
