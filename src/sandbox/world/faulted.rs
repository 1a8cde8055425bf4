//! Which faults hold for an account, a service or a call.

use serde_json::Value;

use crate::sandbox::call::Call;
use crate::sandbox::ecs;
use crate::sandbox::fault::Fault;
use crate::sandbox::moment::{Moment, millis};
use crate::sandbox::world::World;

impl World {
    /// Returns the first fault of an account, whatever its region, that the test accepts.
    pub(crate) fn account_fault(&self, account: &str, accepts: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let names = self.account_names(account);
        let mut rules = self.rules.iter().filter(|rule| rule.covers_account(&names));
        rules.find(|rule| accepts(&rule.fault)).map(|rule| rule.fault.clone())
    }

    /// Returns the moment up to which lists are complete.
    pub(crate) fn listed_until(&self, call: &Call) -> Moment {
        match self.account_fault(&call.account, |fault| matches!(fault, Fault::LaggingLists(_))) {
            Some(Fault::LaggingLists(lag)) => call.now.saturating_sub(millis(lag)),
            _ => call.now,
        }
    }

    /// Returns the faults of a service, by its name in ECS.
    pub(crate) fn service_faults(&self, account: &str, region: &str, service: &str) -> Vec<Fault> {
        let names = self.with_aliases(account, region, vec![service.to_owned()]);
        self.call_faults(account, region, &names)
    }

    /// Returns the faults of a call that names these services.
    pub(super) fn call_faults(&self, account: &str, region: &str, services: &[String]) -> Vec<Fault> {
        if self.rules.is_empty() {
            return Vec::new();
        }
        let names = self.account_names(account);
        let rules = self.rules.iter().filter(|rule| !rule.sts && rule.covers(&names, region));
        rules.filter(|rule| rule.covers_service(services)).map(|rule| rule.fault.clone()).collect()
    }

    /// Returns every name of the services that a request names.
    pub(super) fn services_named(&self, account: &str, region: &str, input: &Value) -> Vec<String> {
        if self.rules.is_empty() {
            return Vec::new();
        }
        let mut names = Vec::new();
        let one = ["service", "serviceName", "family"].iter().filter_map(|key| input.get(*key)?.as_str());
        names.extend(one.map(ecs::short).map(str::to_owned));
        for value in input.get("services").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            names.push(ecs::short(value).to_owned());
        }
        let arns = input.get("serviceDeploymentArns").and_then(Value::as_array).into_iter().flatten();
        for arn in arns.chain(input.get("serviceDeploymentArn")).filter_map(Value::as_str) {
            names.extend(arn.rsplit('/').nth(1).map(str::to_owned));
        }
        self.with_aliases(account, region, names)
    }

    /// Adds the manifest's names of services to those that ECS has.
    pub(crate) fn with_aliases(&self, account: &str, region: &str, mut names: Vec<String>) -> Vec<String> {
        let key = |name: &String| (account.to_owned(), region.to_owned(), name.clone());
        let aliases: Vec<String> =
            names.iter().filter_map(|name| self.aliases.get(&key(name))).flatten().cloned().collect();
        names.extend(aliases);
        names
    }
}
