//! What a plan says of ECS's strategy for a target: how it will be deployed, and where ECS would refuse it.

use crate::fleet::TargetSpec;
use crate::fleet::strategy::{bakes, merged, standstill, strategy};
use crate::observe::service::{LiveService, Traffic};

/// Says how a target is deployed, unless it rolls: `deployed by CANARY, which bakes for 15m`.
pub fn note(target: &TargetSpec, service: &LiveService) -> Option<String> {
    let configuration = merged(target.desired.deployment.as_ref(), &service.configuration.value());
    let strategy = strategy(&configuration);
    if strategy == "ROLLING" {
        return None;
    }
    let mut note = format!("deployed by {strategy}");
    let bakes = bakes(&configuration);
    if !bakes.is_zero() {
        note.push_str(&format!(", which bakes for {}", humantime::format_duration(bakes)));
    }
    if bakes >= target.timeout {
        note.push_str(&format!("; its timeout of {} ends before", humantime::format_duration(target.timeout)));
    }
    if service.traffic == Traffic::Fixed {
        note.push_str("; its load balancer has no advancedConfiguration, so that ECS cannot move its traffic");
    }
    Some(note)
}

/// Says what the task counts mean for a deployment: that none can move, or that there is none to run the new revision.
pub fn counts(target: &TargetSpec, service: &LiveService) -> Option<String> {
    if service.controller != "ECS" || service.daemon {
        return None;
    }
    let tasks = target.desired.desired_count.unwrap_or(service.desired);
    if tasks == 0 {
        return Some("its desired count is 0: no task runs the new revision".to_owned());
    }
    let configuration = merged(target.desired.deployment.as_ref(), &service.configuration.value());
    standstill(&configuration, tasks)
        .map(|stuck| format!("warning: {stuck}; raise the maximum percent or lower the minimum healthy percent"))
}

/// Returns why ECS would refuse the declared strategy, and what to do: LINEAR and CANARY need traffic that it can move.
pub fn obstacle(target: &TargetSpec, service: &LiveService) -> Option<(String, String)> {
    let strategy = strategy(target.desired.deployment.as_ref()?);
    let needs = matches!(strategy, "LINEAR" | "CANARY") && service.traffic != Traffic::Shifts;
    needs.then(|| {
        let reason = format!(
            "{strategy} needs a load balancer with `advancedConfiguration`, Service Connect or VPC Lattice, and the service has none"
        );
        (reason, "add one to the service, or declare ROLLING or BLUE_GREEN".to_owned())
    })
}
