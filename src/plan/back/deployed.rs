//! Whether a target runs what its manifest deploys.
//!
//! Pure. A run that halted or was cancelled leaves targets that it never changed. They run something else than the manifest
//! deploys, and that tells them apart without a record of the run.

use crate::fleet::{Base, TargetSpec};
use crate::observe::Observed;
use crate::plan::build::base;
use crate::plan::taskdef;

/// Returns why a target cannot have been changed by a deploy of the manifest; `None` where it runs what that deploys, or has it
/// under way.
pub(super) fn difference(target: &TargetSpec, observed: &Observed) -> Option<String> {
    let declared = &target.desired.task_definition;
    if matches!(declared, Base::Live) && !target.desired.changes_containers() {
        return Some("not deployed by this manifest, which names no image and no task definition for it".to_owned());
    }
    let other = || {
        let runs =
            observed.service.revision().map_or_else(|| observed.service.task_definition.clone(), |it| it.to_string());
        Some(format!("not deployed by this manifest: it runs {runs}, which is not what the manifest deploys"))
    };
    let Ok(base) = base(declared, observed) else { return other() };
    let Ok(wanted) = taskdef::build(base, &target.desired) else { return other() };
    // A revision that is named and needs no change is the one to run, and not just any of the same content.
    let named = matches!(declared, Base::Revision { .. }) && taskdef::same(&wanted, base);
    let named = base["taskDefinitionArn"].as_str().filter(|_| named);
    let is_wanted = |arn: &str, definition: &serde_json::Value| match named {
        Some(named) => arn == named,
        None => wanted["family"] == definition["family"] && taskdef::same(&wanted, definition),
    };
    let is_deployed = match &observed.codedeploy {
        None => is_wanted(&observed.service.task_definition, &observed.live),
        // CodeDeploy's deployment is of a revision that the service does not name yet.
        Some(under_way) => under_way.task_definition.as_deref().is_some_and(|arn| {
            let newest = observed.newest.as_deref().filter(|newest| newest["taskDefinitionArn"] == *arn);
            newest.is_some_and(|newest| is_wanted(arn, newest)) || named == Some(arn)
        }),
    };
    if is_deployed { None } else { other() }
}
