//! Looks at services right before their updates, ten with one call where they are wanted at the same moment.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::aws::ecs::{Ecs, SERVICES_PER_CALL};
use crate::aws::error::CallError;
use crate::fleet::TargetSpec;
use crate::observe::service::LiveService;

/// How long a look waits for others: short beside a call, and no look is older than this and the call.
const GATHER: Duration = Duration::from_millis(20);

type Waiting = BTreeMap<String, oneshot::Sender<Option<LiveService>>>;

/// The looks that are wanted, by account, region and cluster.
#[derive(Debug, Default)]
pub struct BatchedReads(Mutex<BTreeMap<(String, String, String), Waiting>>);

impl BatchedReads {
    /// Looks at a target's service; `None` where ECS does not know it.
    pub async fn read_service(&self, target: &TargetSpec, ecs: &Ecs) -> Result<Option<LiveService>, CallError> {
        let key = (target.account.id.to_string(), target.id.region.to_string(), target.cluster.clone());
        let (sender, receiver) = oneshot::channel();
        self.waiting().entry(key.clone()).or_default().insert(target.service.clone(), sender);
        tokio::time::sleep(GATHER).await;
        let others = self.take(&key, &target.service);
        let Some(others) = others else {
            // Another target's look has taken this one along. Where that failed, this one looks for itself.
            return match receiver.await {
                Ok(service) => Ok(service),
                Err(_) => Ok(describe(ecs, target, &[]).await?.remove(&target.service)),
            };
        };
        let names: Vec<&str> = others.keys().map(String::as_str).collect();
        let mut found = describe(ecs, target, &names).await?;
        let own = found.remove(&target.service);
        for (name, sender) in others {
            // Who waited for it may be gone.
            let _ = sender.send(found.remove(&name));
        }
        Ok(own)
    }

    /// Takes as many others as one call holds, unless another look has taken this service along.
    fn take(&self, key: &(String, String, String), service: &str) -> Option<Waiting> {
        let mut waiting = self.waiting();
        let all = waiting.get_mut(key)?;
        all.remove(service)?;
        let names: Vec<String> = all.keys().take(SERVICES_PER_CALL - 1).cloned().collect();
        Some(names.into_iter().filter_map(|name| all.remove_entry(&name)).collect())
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<(String, String, String), Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn describe(ecs: &Ecs, target: &TargetSpec, others: &[&str]) -> Result<BTreeMap<String, LiveService>, CallError> {
    let names: Vec<&str> = std::iter::once(target.service.as_str()).chain(others.iter().copied()).collect();
    let answer = ecs.describe_services(&target.cluster, &names).await?;
    let services = answer.found.iter().map(LiveService::read);
    Ok(services.map(|service| (service.name.clone(), service)).collect())
}
