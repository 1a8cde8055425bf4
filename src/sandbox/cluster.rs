//! The operations on clusters, and on tags.

use serde_json::{Map, Value, json};

use crate::sandbox::ecs::{list_of, page, short, text_of};
use crate::sandbox::region::Cluster;
use crate::sandbox::services::own;
use crate::sandbox::wire::AwsError;
use crate::sandbox::world::{Call, World};

pub(crate) fn create(world: &mut World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    let name = text_of(input, "clusterName").unwrap_or("default");
    if name.is_empty() || name.len() > 255 || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
        return Err(AwsError::invalid("Cluster name contains invalid characters."));
    }
    let region = world.region(&call.account, &call.region);
    // Creating a cluster that exists gives it back.
    let cluster = region.clusters.entry(name.to_owned()).or_insert_with(|| Cluster {
        name: name.to_owned(),
        settings: input.as_object().cloned().unwrap_or_else(Map::new),
        ..Cluster::default()
    });
    let cluster = cluster.clone();
    if let Some(tags) = input.get("tags").and_then(Value::as_array).filter(|tags| !tags.is_empty()) {
        region.tags.insert(call.arn(&format!("cluster/{name}")), tags.clone());
    }
    Ok(json!({ "cluster": region.describe_cluster(&cluster, call.now) }))
}

pub(crate) fn describe(world: &mut World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    let mut names = list_of(input, "clusters");
    if names.len() > 100 {
        return Err(AwsError::invalid("Clusters cannot have more than 100 elements."));
    }
    if names.is_empty() {
        names.push("default");
    }
    let pace = world.pace();
    let region = world.region(&call.account, &call.region);
    let (mut clusters, mut failures) = (Vec::new(), Vec::new());
    for reference in names {
        let name = region.cluster_name(Some(reference));
        if let Some(cluster) = region.clusters.get_mut(&name) {
            cluster.services.values_mut().for_each(|service| service.advance(call.now, pace));
        }
        match region.clusters.get(&name) {
            Some(cluster) => {
                let mut body = region.describe_cluster(cluster, call.now);
                if list_of(input, "include").contains(&"TAGS") {
                    body["tags"] =
                        json!(region.tags.get(&call.arn(&format!("cluster/{name}"))).cloned().unwrap_or_default());
                }
                clusters.push(body);
            }
            None => {
                failures.push(json!({ "arn": call.arn(&format!("cluster/{}", short(reference))), "reason": "MISSING" }))
            }
        }
    }
    Ok(json!({ "clusters": clusters, "failures": failures }))
}

pub(crate) fn list(world: &mut World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    let region = world.region(&call.account, &call.region);
    let arns = region.clusters.keys().map(|name| json!(call.arn(&format!("cluster/{name}")))).collect();
    page(input, arns, "clusterArns", 100)
}

/// Returns where a resource's tags are kept; only a task definition keeps its own.
fn kept<'a>(world: &'a mut World, call: &Call, arn: &str) -> Result<&'a mut Vec<Value>, AwsError> {
    if !arn.starts_with("arn:") || !own(call, arn) {
        return Err(AwsError::invalid("Invalid resource ARN."));
    }
    let region = world.region(&call.account, &call.region);
    let resource = arn.splitn(6, ':').nth(5).unwrap_or_default();
    let gone = || AwsError::invalid("The specified resource does not exist.");
    match resource.split('/').collect::<Vec<_>>()[..] {
        ["task-definition", name] => {
            let (family, number) = name.rsplit_once(':').ok_or_else(gone)?;
            let number: u32 = number.parse().map_err(|_| gone())?;
            let family = region.families.get_mut(family).ok_or_else(gone)?;
            return family.revisions.get_mut(&number).map(|one| &mut one.tags).ok_or_else(gone);
        }
        ["service", cluster, name] => {
            let cluster = region.clusters.get(cluster);
            cluster
                .and_then(|cluster| cluster.services.get(name))
                .ok_or_else(|| AwsError::new("ServiceNotFoundException", "Service not found."))?;
        }
        ["cluster", name] => {
            region.clusters.get(name).ok_or_else(|| AwsError::new("ClusterNotFoundException", "Cluster not found."))?;
        }
        ["task", _, _] => {}
        _ => return Err(gone()),
    }
    Ok(region.tags.entry(arn.to_owned()).or_default())
}

pub(crate) fn tag(world: &mut World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    let arn = text_of(input, "resourceArn").ok_or_else(|| AwsError::invalid("resourceArn can not be blank."))?;
    let given = input.get("tags").and_then(Value::as_array).cloned().unwrap_or_default();
    let tags = kept(world, call, arn)?;
    tags.retain(|old| !given.iter().any(|new| new["key"] == old["key"]));
    tags.extend(given);
    if tags.len() > 50 {
        return Err(AwsError::invalid("Too many tags: at most 50 tags are allowed."));
    }
    Ok(json!({}))
}

pub(crate) fn untag(world: &mut World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    let arn = text_of(input, "resourceArn").ok_or_else(|| AwsError::invalid("resourceArn can not be blank."))?;
    let keys = list_of(input, "tagKeys");
    kept(world, call, arn)?.retain(|tag| !keys.iter().any(|key| tag["key"] == *key));
    Ok(json!({}))
}

pub(crate) fn tags(world: &mut World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    let arn = text_of(input, "resourceArn").ok_or_else(|| AwsError::invalid("resourceArn can not be blank."))?;
    Ok(json!({ "tags": kept(world, call, arn)?.clone() }))
}
