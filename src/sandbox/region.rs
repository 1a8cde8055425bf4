//! What runs in one account and region: clusters with their services and tasks, and task definition families.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::sandbox::account::partition;
use crate::sandbox::moment::Moment;
use crate::sandbox::service::Service;
use crate::sandbox::task::Task;
use crate::sandbox::taskdef::Family;
use crate::sandbox::wire::AwsError;

/// The ECS of one account and region.
#[derive(Clone, Debug)]
pub(crate) struct Region {
    pub(crate) place: Place,
    pub(crate) clusters: BTreeMap<String, Cluster>,
    pub(crate) families: BTreeMap<String, Family>,
    /// The tags of services, clusters and tasks by ARN; a task definition keeps its own.
    pub(crate) tags: BTreeMap<String, Vec<Value>>,
}

/// An account and region.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) account: String,
    pub(crate) region: String,
}

impl Place {
    /// Returns an ECS ARN.
    pub(crate) fn arn(&self, resource: &str) -> String {
        format!("arn:{}:ecs:{}:{}:{resource}", partition(&self.region), self.region, self.account)
    }
}

/// A cluster.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cluster {
    pub(crate) name: String,
    /// What CreateCluster was given.
    pub(crate) settings: Map<String, Value>,
    pub(crate) services: BTreeMap<String, Service>,
    /// Tasks of RunTask, by id.
    pub(crate) tasks: BTreeMap<String, Task>,
    /// The task ids of each RunTask by its client token.
    pub(crate) tokens: BTreeMap<String, (Value, Vec<String>)>,
}

impl Region {
    pub(crate) fn new(account: &str, region: &str) -> Self {
        Self {
            place: Place { account: account.to_owned(), region: region.to_owned() },
            clusters: BTreeMap::new(),
            families: BTreeMap::new(),
            tags: BTreeMap::new(),
        }
    }

    /// Returns an ECS ARN.
    pub(crate) fn arn(&self, resource: &str) -> String {
        self.place.arn(resource)
    }

    /// Finds a cluster by its name or ARN; `default` where none is named.
    pub(crate) fn cluster(&mut self, reference: Option<&str>) -> Result<&mut Cluster, AwsError> {
        let name = self.cluster_name(reference);
        self.clusters.get_mut(&name).ok_or_else(|| AwsError::new("ClusterNotFoundException", "Cluster not found."))
    }

    /// Returns the name in a cluster's name or ARN. An ARN of another account or region names no cluster here.
    pub(crate) fn cluster_name(&self, reference: Option<&str>) -> String {
        let reference = reference.unwrap_or("default");
        match reference.strip_prefix(&self.arn("cluster/")) {
            Some(name) => name.to_owned(),
            None => reference.to_owned(),
        }
    }

    /// Returns a cluster as DescribeClusters has it.
    pub(crate) fn describe_cluster(&self, cluster: &Cluster, now: Moment) -> Value {
        let services = || cluster.services.values().filter(|service| service.is_active(now));
        let running: u32 = services().map(|service| service.counts(None).running).sum();
        let pending: u32 = services().map(|service| service.counts(None).pending).sum();
        let one_off = |status: &str| cluster.tasks.values().filter(|task| task.status() == status).count();
        let mut body = json!({
            "clusterArn": self.arn(&format!("cluster/{}", cluster.name)),
            "clusterName": cluster.name,
            "status": "ACTIVE",
            "registeredContainerInstancesCount": 0,
            "runningTasksCount": running as usize + one_off("RUNNING"),
            "pendingTasksCount": pending as usize + one_off("PENDING") + one_off("PROVISIONING"),
            "activeServicesCount": services().count(),
            "statistics": [],
            "tags": [],
            "settings": [{ "name": "containerInsights", "value": "disabled" }],
            "capacityProviders": ["FARGATE", "FARGATE_SPOT"],
            "defaultCapacityProviderStrategy": [],
        });
        for key in ["configuration", "settings", "capacityProviders", "defaultCapacityProviderStrategy"] {
            if let Some(value) = cluster.settings.get(key) {
                body[key] = value.clone();
            }
        }
        body
    }
}
