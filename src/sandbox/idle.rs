//! A fault of the command line that would do nothing, such as one of a misspelt account.

use std::collections::BTreeSet;

use crate::fleet::{Fleet, TargetSpec};
use crate::sandbox::account::parts;
use crate::sandbox::fault::{Fault, Rule};

/// Refuses a fault that no target of a fleet has.
///
/// # Errors
/// Why it would do nothing, as the end of a sentence.
pub fn refuse_idle(fleet: &Fleet, pattern: &str, fault: &Fault) -> Result<(), String> {
    let rule = Rule::new(pattern, fault.clone())?;
    let name_of = |id: &str| {
        let mut named = fleet.accounts.iter().filter(|account| account.id.as_str() == id);
        named.next().map_or_else(|| id.to_owned(), |account| account.name.clone())
    };
    let hubs =
        || fleet.accounts.iter().filter_map(|account| account.chain.hops.first()).map(|hop| parts(hop.arn.as_str()).1);
    if let Fault::Refuses(_) = fault {
        let hubs: BTreeSet<String> = hubs().map(str::to_owned).collect();
        if hubs.is_empty() || hubs.iter().any(|id| rule.covers_account(&[id, &name_of(id)])) {
            return Ok(());
        }
        let names: Vec<String> = hubs.iter().map(|id| name_of(id)).collect();
        return Err(format!(
            "matches no target: STS answers in the account of a chain's first role, which is {}",
            names.join(", ")
        ));
    }
    let covered: Vec<&TargetSpec> = fleet.targets.iter().filter(|target| covers(&rule, target)).collect();
    let of_a_hop = || {
        let hops = fleet.accounts.iter().flat_map(|account| &account.chain.hops);
        hops.map(|hop| parts(hop.arn.as_str()).1).any(|id| rule.covers_account(&[id, &name_of(id)]))
    };
    if covered.is_empty() && !of_a_hop() {
        return Err("matches no target".to_owned());
    }
    let need: (&str, &dyn Fn(&TargetSpec) -> bool) = match fault {
        Fault::Alarm => ("deployment alarms", &|target| {
            let alarms =
                |target: &TargetSpec| target.desired.deployment.as_ref().is_some_and(|it| !it["alarms"].is_null());
            alarms(target) || target.desired.codedeploy.is_some()
        }),
        Fault::TaskFails | Fault::TaskHangs | Fault::NoCapacity => {
            ("tasks in `before` or `after`", &|target| target.desired.run_tasks.all().next().is_some())
        }
        _ => return Ok(()),
    };
    match covered.iter().any(|target| need.1(target)) {
        true => Ok(()),
        false => Err(format!("matches no target that has {}", need.0)),
    }
}

fn covers(rule: &Rule, target: &TargetSpec) -> bool {
    let account = [target.account.name.as_str(), target.account.id.as_str()];
    let services = [target.id.service.to_string(), target.service.clone()];
    rule.covers(&account, &target.id.region) && (rule.sts || rule.covers_service(&services))
}
