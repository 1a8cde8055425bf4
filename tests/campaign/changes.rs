//! What changes of AWS beside a run: sessions end before their time, tags move, parameters get other values.

use std::time::Duration;

use crate::simulation::run::Stage;
use crate::simulation::scenario::Scenario;

/// When something got its next value, in milliseconds since the epoch.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    pub pushed: Vec<u64>,
    pub put: Vec<u64>,
}

impl Stage {
    /// Changes what a scenario says, when it says it.
    pub async fn change(&self, scenario: &Scenario) {
        let began = tokio::time::Instant::now();
        let at = |moment: u64| tokio::time::sleep_until(began + Duration::from_millis(moment));
        let revoke = async {
            for (moment, account) in &scenario.revoked {
                at(*moment).await;
                scenario.accounts.get(*account).iter().for_each(|account| self.sandbox.expire_sessions(&account.id()));
            }
        };
        let push = async {
            for moment in scenario.pinned.iter().flatten() {
                at(*moment).await;
                self.push(scenario);
            }
        };
        let put = async {
            for moment in scenario.lookups.iter().flatten() {
                at(*moment).await;
                self.put(scenario);
            }
        };
        tokio::join!(revoke, push, put);
    }

    /// Pushes the same new image to every registry.
    fn push(&self, scenario: &Scenario) {
        let mut changes = self.changes.lock().expect("nobody panicked");
        changes.pushed.push(self.now());
        for (account, region, service) in places(scenario) {
            let name = format!("{account}.dkr.ecr.{region}.amazonaws.com/s{service}:v2");
            self.sandbox.push_image(&name, &format!("build {}", changes.pushed.len()));
        }
    }

    /// Gives the parameters of every account the next value.
    pub fn put(&self, scenario: &Scenario) {
        let mut changes = self.changes.lock().expect("nobody panicked");
        changes.put.push(self.now());
        let value = value(changes.put.len());
        for service in &scenario.services {
            for (account, region, _) in places(scenario) {
                self.sandbox.put_parameter((&account, region), &service.parameter(), "String", &value);
            }
        }
    }
}

/// Returns the value that a parameter has after so many changes.
pub fn value(changes: usize) -> String {
    format!("value-{changes}")
}

/// Returns every account, region and number of a service.
fn places(scenario: &Scenario) -> impl Iterator<Item = (String, &'static str, usize)> {
    scenario.accounts.iter().flat_map(|account| {
        account
            .regions
            .iter()
            .flat_map(|region| scenario.services.iter().map(|service| (account.id(), *region, service.number)))
    })
}
