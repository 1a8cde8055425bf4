//! How to look at a service again: the aws CLI's command and the console's address.
//!
//! Both are made of what the plan says of a target; neither holds a credential.

use crate::base::arn;
use crate::base::text::{clean, shell_word};
use crate::state::TargetState;

/// Returns a command that can be pasted into a shell with a session in the target's account.
pub fn command(target: &TargetState) -> String {
    format!(
        "aws ecs describe-services --region {} --cluster {} --services {}",
        shell_word(&clean(&target.target.region)),
        shell_word(&clean(&target.cluster)),
        shell_word(&clean(&target.service))
    )
}

/// Returns the address of the service's deployments in the console.
pub fn address(target: &TargetState) -> String {
    page(target, "deployments")
}

/// Returns the address of the logs of the service's tasks in the console.
pub fn logs(target: &TargetState) -> String {
    page(target, "logs")
}

/// Returns the address of one of the service's pages in the console of its partition, which the region's name tells.
fn page(target: &TargetState, page: &str) -> String {
    let region = clean(&target.target.region);
    let host = host(&region);
    // A cluster may be given by its ARN; the console wants its name.
    let (cluster, service) = (clean(arn::name(&target.cluster)), clean(&target.service));
    let page = format!("https://{region}.{host}/ecs/v2/clusters/{cluster}/services/{service}/{page}?region={region}");
    match &target.portal {
        Some(portal) => portal.link(&target.account_id, &page),
        None => page,
    }
}

/// Returns the console's host in a region's partition.
pub fn host(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "console.amazonaws.cn"
    } else if region.starts_with("us-gov-") {
        "console.amazonaws-us-gov.com"
    } else {
        "console.aws.amazon.com"
    }
}
