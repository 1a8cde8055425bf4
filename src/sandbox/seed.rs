//! Furnishes a sandbox for a fleet: accounts, roles and their trust, clusters, and every service at an older revision.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::base::document::Document;
use crate::base::tfstate;
use crate::fleet::image_ref::ImageRef;
use crate::fleet::lookup::{Found, Known, StateSource, Store};
use crate::fleet::{Base, Desired, Fleet, IdentitySource, TargetSpec};
use crate::sandbox::account::{Provider, Role, parts};
use crate::sandbox::aws_sized::{Size, enlarge};
use crate::sandbox::behaviour::Behaviour;
use crate::sandbox::ecs::short;
use crate::sandbox::issuer::{AUDIENCE, ISSUER_HOST, PROJECT_PATH};
use crate::sandbox::moment::Moment;
use crate::sandbox::region::Cluster;
use crate::sandbox::services;
use crate::sandbox::session::{Principal, Session};
use crate::sandbox::world::{Call, World};

/// How long ago everything was made.
const AGE: u64 = 26 * 3_600_000;
/// How long ago a past was added to.
const RECENT: u64 = 3_600_000;

impl World {
    /// Adds an account, with its static keys.
    pub(crate) fn add_account(&mut self, id: &str, name: &str) {
        let account = self.accounts.entry(id.to_owned()).or_default();
        if account.name.is_empty() || account.name == id {
            account.name = name.to_owned();
        }
        let provider = Provider { host: ISSUER_HOST.to_owned(), client_ids: vec![AUDIENCE.to_owned()], key_set: None };
        account.providers.entry(ISSUER_HOST.to_owned()).or_insert(provider);
        let session =
            Session { secret: crate::sandbox::SECRET.to_owned(), token: None, expires: None, principal: admin(id) };
        self.sessions.insert(format!("{}{id}", crate::sandbox::KEY_PREFIX), session.clone());
        self.sessions.insert(id.to_owned(), session);
    }

    /// Adds a role, or joins its trust to that of the one that is there.
    pub(crate) fn add_role(&mut self, role: Role) {
        let id = parts(&role.arn).1.to_owned();
        if !self.accounts.contains_key(&id) {
            self.add_account(&id, &id);
        }
        let Some(account) = self.accounts.get_mut(&id) else { return };
        match account.roles.get_mut(&role.arn) {
            None => drop(account.roles.insert(role.arn.clone(), role)),
            Some(known) => {
                known.max_session = known.max_session.max(role.max_session);
                let more = role.trust["Statement"].as_array().cloned().unwrap_or_default();
                if let Some(Value::Array(statements)) = known.trust.get_mut("Statement") {
                    statements.extend(more.into_iter().filter(|one| !statements.contains(one)).collect::<Vec<_>>());
                }
            }
        }
    }

    /// Makes every target of the fleet exist.
    pub(crate) fn furnish(&mut self, fleet: &Fleet, now: Moment) {
        self.begun = now;
        for account in &fleet.accounts {
            self.add_account(account.id.as_str(), &account.name);
        }
        let ambient = fleet.identity.source == IdentitySource::Ambient;
        let organization = fleet.roster.organization.as_ref();
        organization.into_iter().for_each(|source| self.organize(source));
        let reader = organization.and_then(|source| source.chain.as_ref());
        for chain in fleet.accounts.iter().map(|account| &account.chain).chain(reader) {
            let mut previous: Option<&str> = None;
            for hop in &chain.hops {
                let mut role = Role::new(hop.arn.as_str());
                role.max_session = hop.duration.unwrap_or_default().max(Duration::from_secs(3600));
                role = match previous {
                    Some(principal) => role.trusting_role(principal, hop.external_id.as_deref()),
                    None if ambient => role.trusting_role("*", hop.external_id.as_deref()),
                    None => role.trusting_web_identity(&[&format!("project_path:{PROJECT_PATH}:*")]),
                };
                self.add_role(role);
                previous = Some(hop.arn.as_str());
            }
        }
        for target in &fleet.targets {
            match target.desired.lookups.is_empty() {
                true => self.add_target(target, now),
                false => {
                    let known = self.with_values(target);
                    self.add_target(&known, now);
                }
            }
        }
    }

    /// Makes what a target looks up exist, and fills it in.
    fn with_values(&mut self, target: &TargetSpec) -> TargetSpec {
        let place = (target.account.id.as_str(), target.id.region.as_ref());
        let mut known = Known::new();
        for lookup in target.desired.lookups.keys() {
            let value = self.given.get(lookup).cloned().unwrap_or_else(|| lookup.made_up());
            match lookup.store {
                Store::Ssm => self.put_parameter(place, &lookup.key, "String", &value),
                Store::Cfn => {
                    let (stack, output) = lookup.key.rsplit_once('.').unwrap_or_default();
                    self.put_output(place, stack, output, &value);
                }
                Store::Tfstate => match target.desired.state_of(lookup) {
                    Some(StateSource::S3 { bucket, key, region }) => {
                        let state = self.object(bucket, key).and_then(|text| serde_json::from_str(text).ok());
                        let mut state = state.unwrap_or_default();
                        tfstate::put(&mut state, lookup.state_and_address().1, &value);
                        self.put_object(region, bucket, key, state.to_string());
                    }
                    _ => continue,
                },
                Store::CfnExport => self.put_export(place, &lookup.key, &value),
            }
            known.insert(lookup.clone(), Found::of_text(value, "the sandbox"));
        }
        let mut target = target.clone();
        target.desired.fill(&known);
        target
    }

    fn add_target(&mut self, target: &TargetSpec, now: Moment) {
        let account = target.account.id.as_str();
        let region_name = target.id.region.as_ref();
        let key = (account.to_owned(), region_name.to_owned(), target.service.clone());
        self.aliases.entry(key).or_default().push(target.id.service.to_string());
        let then = now.saturating_sub(AGE);
        let call = Call {
            account: account.to_owned(),
            region: region_name.to_owned(),
            operation: "CreateService".to_owned(),
            principal: admin(account),
            sent: then,
            now: then,
        };
        self.add_alarms(target);
        let (chance, pace) = (self.chance, self.pace());
        let region = self.region(account, region_name);
        let cluster = short(&region.cluster_name(Some(&target.cluster))).to_owned();
        let name = cluster.clone();
        let entry = region.clusters.entry(cluster.clone()).or_insert_with(|| Cluster { name, ..Cluster::default() });
        if entry.services.contains_key(&target.service) {
            return;
        }
        let definition = self.older(target);
        self.provide(target, &definition);
        // What the manifest deploys: the file itself, which the older definition no longer is.
        let base = match &target.desired.task_definition {
            Base::File(given) => &given.value(),
            Base::Live | Base::Revision { .. } => &definition,
        };
        if let Ok(wanted) = crate::task_definition::compose::build(base, &target.desired) {
            self.provide(target, &wanted);
        }
        let region = self.region(account, region_name);
        let family = definition["family"].as_str().unwrap_or(&target.service).to_owned();
        let named = match &target.desired.task_definition {
            Base::Revision { number, .. } => Some(*number),
            Base::Live | Base::File(_) => None,
        };
        // A revision that is named by its number comes right after the one that runs.
        let begun = match named.flatten() {
            Some(number) => number.saturating_sub(2),
            None => u32::try_from(chance.bits(&family) % 40).unwrap_or_default(),
        };
        region
            .families
            .entry(family.clone())
            .or_insert_with(|| crate::sandbox::taskdef::Family { last: begun, ..Default::default() });
        let body = region.register(&family, &definition, Vec::new(), &call.principal.arn, then);
        if let Some(number) = named {
            let known = &region.families[&family];
            let number = number.unwrap_or(known.last + 1);
            if !known.revisions.contains_key(&number) {
                let other = released(&definition, number);
                region.register_as((&family, number), &other, Vec::new(), &call.principal.arn, then);
            }
        }
        let mut input = json!({
            "cluster": cluster,
            "serviceName": target.service,
            "taskDefinition": body["taskDefinitionArn"],
            "desiredCount": target.desired.desired_count.unwrap_or(2),
            "launchType": "FARGATE",
            "networkConfiguration": { "awsvpcConfiguration": {
                "subnets": ["subnet-0a1b2c3d", "subnet-4e5f6071"], "securityGroups": ["sg-0011aabb"], "assignPublicIp": "DISABLED",
            } },
            // Off by default in ECS; on in most services that someone cares for.
            "deploymentConfiguration": { "deploymentCircuitBreaker": { "enable": true, "rollback": true } },
        });
        if let Some(Value::Object(settings)) = &target.desired.deployment
            && let Some(Value::Object(configuration)) = input.get_mut("deploymentConfiguration")
        {
            configuration.extend(settings.clone());
        }
        let strategy = target.desired.deployment.as_ref().and_then(|settings| settings["strategy"].as_str());
        if strategy.is_some_and(|strategy| strategy != "ROLLING") {
            input["loadBalancers"] = json!([balancer(account, region_name)]);
        } else if let Some((container, port)) = listens(&definition) {
            let group = arn(account, region_name, &format!("targetgroup/{}/2b3c4d5e6f708192", target.service));
            input["loadBalancers"] =
                json!([{ "targetGroupArn": group, "containerName": container, "containerPort": port }]);
        }
        if target.desired.codedeploy.is_some() {
            input["deploymentController"] = json!({ "type": "CODE_DEPLOY" });
            self.add_deployment_group(target, &cluster);
        }
        // What ECS would not have is not there.
        if services::create(self, &call, &input).is_err() {
            return;
        }
        let size = self.size;
        if let Ok(service) = self.service(&call, Some(&cluster), &target.service) {
            service.advance(now, pace);
            if size == Size::Aws {
                service.fill_events(then + RECENT, now);
            }
        }
    }

    /// Returns the definition that a target ran before the manifest's.
    fn older(&self, target: &TargetSpec) -> Value {
        let mut definition = older(&target.desired, &target.service);
        if self.size == Size::Aws {
            enlarge(&mut definition, target);
        }
        definition
    }
}

impl World {
    /// Deploys a newer revision to every target of the fleet, an hour ago.
    pub(crate) fn add_history(&mut self, fleet: &Fleet, now: Moment) {
        let pace = self.pace();
        for target in &fleet.targets {
            let mut definition = self.older(target);
            for container in definition["containerDefinitions"].as_array_mut().into_iter().flatten() {
                let image = container["image"].as_str().unwrap_or_default();
                container["image"] = json!(format!("{}:present", ImageRef::parse(image).name));
            }
            let family = definition["family"].as_str().unwrap_or(&target.service).to_owned();
            let (account, at) = (target.account.id.as_str(), now.saturating_sub(RECENT));
            let region = self.region(account, &target.id.region);
            let body = region.register(&family, &definition, Vec::new(), &admin(account).arn, at);
            let arn = body["taskDefinitionArn"].as_str().unwrap_or_default().to_owned();
            let cluster = region.cluster(Some(&target.cluster));
            if let Some(service) = cluster.ok().and_then(|cluster| cluster.services.get_mut(&target.service)) {
                service.deploy(&arn, Document::write(&body), Behaviour::default(), at, pace);
                service.advance(now, pace);
            }
        }
    }
}

/// Returns a load balancer with two target groups, between which ECS can shift traffic.
fn balancer(account: &str, region: &str) -> Value {
    let partition = crate::sandbox::account::partition(region);
    let arn = |what: &str| arn(account, region, what);
    json!({
        "targetGroupArn": arn("targetgroup/blue/0a1b2c3d4e5f6071"),
        "containerName": "app",
        "containerPort": 8080,
        "advancedConfiguration": {
            "alternateTargetGroupArn": arn("targetgroup/green/1a2b3c4d5e6f7081"),
            "productionListenerRule": arn("listener-rule/app/main/0a1b/2c3d/4e5f"),
            "testListenerRule": arn("listener-rule/app/main/0a1b/2c3d/6071"),
            "roleArn": format!("arn:{partition}:iam::{account}:role/ecs-load-balancers"),
        },
    })
}

/// Returns an ARN of Elastic Load Balancing.
fn arn(account: &str, region: &str, what: &str) -> String {
    format!("arn:{}:elasticloadbalancing:{region}:{account}:{what}", crate::sandbox::account::partition(region))
}

/// Returns the first container of a definition that listens on a port, by its name, and the port.
fn listens(definition: &Value) -> Option<(&str, u64)> {
    let mut containers = definition["containerDefinitions"].as_array()?.iter();
    containers.find_map(|one| Some((one["name"].as_str()?, one["portMappings"][0]["containerPort"].as_u64()?)))
}

/// Returns the user of an account's static keys, who may do everything in it.
pub(crate) fn admin(account: &str) -> Principal {
    Principal {
        account: account.to_owned(),
        arn: format!("arn:aws:iam::{account}:user/sandbox"),
        user_id: "AIDASANDBOXSANDBOX123".to_owned(),
        role: None,
        tags: std::collections::BTreeMap::new(),
        transitive: std::collections::BTreeSet::new(),
        source_identity: None,
        policy: None,
    }
}

/// Returns the definition that a service ran before the manifest's: older images, none of its variables and secrets.
fn older(desired: &Desired, service: &str) -> Value {
    let mut definition = match &desired.task_definition {
        Base::File(given) => crate::task_definition::normalise::registrable(&given.value()),
        Base::Live | Base::Revision { .. } => {
            let mut names: Vec<&String> = desired
                .images
                .keys()
                .chain(desired.promoted.keys())
                .chain(desired.environment.keys())
                .chain(desired.secrets.keys())
                .collect();
            names.sort_unstable();
            names.dedup();
            let app = "app".to_owned();
            if names.is_empty() {
                names.push(&app);
            }
            let containers: Vec<Value> = names
                .iter()
                .map(
                    |name| json!({ "name": name, "image": format!("registry.sandbox.test/{service}/{name}:previous") }),
                )
                .collect();
            let mut made = json!({ "containerDefinitions": containers });
            // ECS refuses secrets without the role that reads them.
            if desired.secrets.values().any(|secrets| !secrets.is_empty()) {
                made["executionRoleArn"] = json!("ecsTaskExecutionRole");
            }
            made
        }
    };
    if !definition.is_object() {
        definition = json!({});
    }
    if let (Base::Revision { family, .. }, Some(map)) = (&desired.task_definition, definition.as_object_mut()) {
        map.insert("family".to_owned(), json!(family));
    }
    // A file says itself where its tasks run.
    let is_file = matches!(desired.task_definition, Base::File(_));
    let defaults = [
        ("family", json!(service)),
        ("containerDefinitions", json!([{ "name": "app", "image": "registry.sandbox.test/app:previous" }])),
        ("networkMode", json!("awsvpc")),
        ("requiresCompatibilities", json!(["FARGATE"])),
        ("cpu", json!("256")),
        ("memory", json!("512")),
    ];
    if let Some(map) = definition.as_object_mut() {
        for (key, value) in defaults.into_iter().take(if is_file { 2 } else { usize::MAX }) {
            map.entry(key).or_insert(value);
        }
    }
    for container in definition["containerDefinitions"].as_array_mut().into_iter().flatten() {
        let Some(container) = container.as_object_mut() else { continue };
        age(container, desired);
    }
    definition
}

/// Returns the definition of a revision that exists besides the older one: its images have the number as their tag.
fn released(older: &Value, number: u32) -> Value {
    let mut definition = older.clone();
    for container in definition["containerDefinitions"].as_array_mut().into_iter().flatten() {
        let image = ImageRef::parse(container["image"].as_str().unwrap_or_default()).name.to_owned();
        container["image"] = json!(format!("{image}:{number}"));
    }
    definition
}

fn age(container: &mut Map<String, Value>, desired: &Desired) {
    let name = container.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let given = container.get("image").and_then(Value::as_str).map(str::to_owned);
    if let Some(image) = desired.images.get(&name).cloned().or(given) {
        container.insert("image".into(), json!(format!("{}:previous", ImageRef::parse(&image).name)));
    }
    for (key, set) in [("environment", &desired.environment), ("secrets", &desired.secrets)] {
        if let (Some(set), Some(Value::Array(items))) = (set.get(&name), container.get_mut(key)) {
            items.retain(|item| item["name"].as_str().is_none_or(|name| !set.contains_key(name)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_definition_keeps_the_file_and_lacks_what_the_manifest_sets() {
        let given = json!({ "family": "shop-api", "containerDefinitions": [
            { "name": "app", "image": "r/api:0", "environment": [{ "name": "NEW", "value": "1" }, { "name": "OLD", "value": "1" }] },
            { "name": "proxy", "image": "r/proxy:3" },
        ] });
        let desired = Desired {
            task_definition: Base::File(Document::write(&given)),
            images: [("app".to_owned(), "r/api:sha".to_owned())].into_iter().collect(),
            environment: [("app".to_owned(), [("NEW".to_owned(), "2".to_owned())].into_iter().collect())]
                .into_iter()
                .collect(),
            ..Desired::default()
        };
        let older = older(&desired, "api");
        assert_eq!(older["family"], "shop-api");
        assert!(older.get("networkMode").is_none() && older.get("cpu").is_none(), "{older}");
        assert_eq!(older["containerDefinitions"][0]["image"], "r/api:previous");
        assert_eq!(older["containerDefinitions"][0]["environment"], json!([{ "name": "OLD", "value": "1" }]));
        assert_eq!(older["containerDefinitions"][1]["image"], "r/proxy:previous");
    }

    #[test]
    fn the_older_definition_of_a_described_file_has_no_number_of_its_own() {
        let arn = "arn:aws:ecs:us-east-1:111111111111:task-definition/api:7";
        let described = json!({ "taskDefinition": { "taskDefinitionArn": arn, "revision": 7, "status": "INACTIVE",
            "family": "api", "containerDefinitions": [{ "name": "app", "image": "r/api:0" }] } });
        let desired = Desired { task_definition: Base::File(Document::write(&described)), ..Desired::default() };
        let older = older(&desired, "api");
        assert!(older.get("taskDefinitionArn").is_none() && older.get("revision").is_none(), "{older}");
        assert_eq!(older["containerDefinitions"][0]["image"], "r/api:previous");
    }
}
