//! Elastic Load Balancing: DescribeTargetHealth of the target groups that services name, in awsQuery and XML.
//!
//! Nothing is kept. A target is a task of a service; what its health is follows from how far the task came.

use serde_json::Value;

use crate::sandbox::barrier::Barrier;
use crate::sandbox::moment::{Moment, millis};
use crate::sandbox::region::Region;
use crate::sandbox::service::{RolloutState, Service};
use crate::sandbox::session::Principal;
use crate::sandbox::sts::Form;
use crate::sandbox::task::{Nature, Pace, Phase, Task};
use crate::sandbox::validation;
use crate::sandbox::wire::{AwsError, ELB_NAMESPACE, escape};
use crate::sandbox::world::World;

/// The version of its interface: what tells its requests from those of STS and IAM.
pub(crate) const VERSION: &str = "2015-12-01";

/// State, reason and description.
type Health = (&'static str, &'static str, &'static str);

/// Returns the names of the services in a region whose targets the requested group has.
pub(crate) fn services(region: &Region, form: &Form) -> Vec<String> {
    let arn = form.get("TargetGroupArn").map(String::as_str).unwrap_or_default();
    let services = region.clusters.values().flat_map(|cluster| cluster.services.values());
    services.filter(|service| groups(service).contains(&arn)).map(|service| service.name.clone()).collect()
}

/// Carries an operation out, if the caller may, and returns its answer as XML.
pub(crate) fn answer(
    world: &mut World,
    form: &Form,
    caller: &Principal,
    region: &str,
    now: Moment,
    denied: Option<Barrier>,
) -> Result<String, AwsError> {
    let operation = form.get("Action").map(String::as_str).unwrap_or_default();
    if operation != "DescribeTargetHealth" {
        let text = format!("Could not find operation {operation} for version {VERSION}");
        return Err(AwsError::new("InvalidAction", text));
    }
    validation::accept_form("elbv2", operation, form)?;
    // DescribeTargetHealth knows no resources.
    world.permit(caller, "elasticloadbalancing:DescribeTargetHealth", "*", denied)?;
    let arn = form
        .get("TargetGroupArn")
        .filter(|arn| !arn.is_empty())
        .ok_or_else(|| AwsError::new("ValidationError", "The request must contain the parameter TargetGroupArn"))?;
    let (pace, account) = (world.pace(), caller.account.clone());
    let region = world.region(&account, region);
    region.clusters.values_mut().for_each(|cluster| cluster.advance(now, pace));
    let services = region.clusters.values().flat_map(|cluster| cluster.services.values());
    let services: Vec<&Service> = services.filter(|service| groups(service).contains(&arn.as_str())).collect();
    if services.is_empty() {
        let text = format!("Target groups '{arn}' not found");
        return Err(AwsError::new("TargetGroupNotFound", text));
    }
    let members: String = services.iter().flat_map(|service| targets(service, arn)).filter_map(|(number, port, task)| {
        let (state, reason, description) = health(task, now, pace)?;
        let said: String = [("Reason", reason), ("Description", description)]
            .iter()
            .filter(|(_, text)| !text.is_empty())
            .map(|(name, text)| format!("<{name}>{}</{name}>", escape(text)))
            .collect();
        Some(format!(
            "      <member>\n        <HealthCheckPort>{port}</HealthCheckPort>\n        <TargetHealth><State>{state}</State>\
             {said}</TargetHealth>\n        <Target><Id>10.0.3.{}</Id><Port>{port}</Port></Target>\n      </member>\n",
            number % 200 + 10
        ))
    }).collect();
    Ok(format!(
        "<DescribeTargetHealthResponse xmlns=\"{ELB_NAMESPACE}\">\n  <DescribeTargetHealthResult>\n    \
         <TargetHealthDescriptions>\n{members}    </TargetHealthDescriptions>\n  </DescribeTargetHealthResult>\n  \
         <ResponseMetadata>\n    <RequestId>{}</RequestId>\n  </ResponseMetadata>\n</DescribeTargetHealthResponse>\n",
        world.request_id()
    ))
}

fn balancers(service: &Service) -> impl Iterator<Item = &Value> {
    service.settings.get("loadBalancers").and_then(Value::as_array).into_iter().flatten()
}

/// Returns the ARNs of a service's target groups.
fn groups(service: &Service) -> Vec<&str> {
    balancers(service)
        .flat_map(|one| [&one["targetGroupArn"], &one["advancedConfiguration"]["alternateTargetGroupArn"]])
        .filter_map(Value::as_str)
        .collect()
}

/// Returns the tasks that are registered with a group, each with its number and its port. Where there is an alternate group,
/// a deployment that is under way has its tasks there.
fn targets<'a>(service: &'a Service, arn: &str) -> Vec<(usize, u64, &'a Task)> {
    let under_way = service.primary().filter(|primary| primary.progress == RolloutState::InProgress);
    let mut found = Vec::new();
    for balancer in balancers(service) {
        let port = balancer["containerPort"].as_u64().unwrap_or(80);
        let alternate = balancer["advancedConfiguration"]["alternateTargetGroupArn"].as_str();
        for (number, task) in service.tasks.iter().enumerate() {
            let new = alternate.is_some() && under_way.is_some_and(|one| task.started_by.as_ref() == Some(&one.id));
            let own = if new { alternate } else { balancer["targetGroupArn"].as_str() };
            if own == Some(arn) {
                found.push((number, port, task));
            }
        }
    }
    found
}

/// Returns the health of a task; `None` before it is registered and once it is gone.
fn health(task: &Task, now: Moment, pace: Pace) -> Option<Health> {
    let started = task.started?;
    match task.phase {
        Phase::Running if task.healthy => Some(("healthy", "", "")),
        Phase::Running if task.nature == Nature::Unhealthy && now >= started + millis(pace.timing.healthy) / 2 => {
            let text = "Health checks failed with these codes: [503]";
            Some(("unhealthy", "Target.ResponseCodeMismatch", text))
        }
        Phase::Running => Some(("initial", "Elb.InitialHealthChecking", "Initial health checks in progress")),
        Phase::Stopping => {
            Some(("draining", "Target.DeregistrationInProgress", "Target deregistration is in progress"))
        }
        Phase::Provisioning | Phase::Pending | Phase::Stopped => None,
    }
}
