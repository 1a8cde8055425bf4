//! The result of one poll of a service. It does not say what that means.

use std::sync::Arc;

use crate::aws::error::CallError;
use crate::engine::service_deployments::ServiceDeployment;
use crate::observe::service::LiveService;

/// What a poller saw of a service.
#[derive(Clone, Debug)]
pub enum Snapshot {
    /// The service, and what the service-deployment API says of it where that was asked for.
    Service(Arc<LiveService>, ServiceDeployment),
    /// ECS says that there is no such service.
    Missing,
    /// ECS did not answer, or refused.
    NoAnswer(Arc<CallError>),
}
