//! Open variables: what the manifest deploys is not all known where they are not set, so it is taken as what runs.
//!
//! Pure. Only commands that deploy nothing of it read a manifest with open variables.

use std::borrow::Cow;

use serde_json::Value;

use crate::fleet::{Base, Desired, Fleet, TargetSpec};
use crate::observe::Observed;

/// Returns a target of which everything is known: what holds an open variable is as it runs. `None` = nothing of it is open.
pub fn settled(fleet: &Fleet, target: &TargetSpec, observed: &Observed) -> Option<TargetSpec> {
    let open = |text: &str| fleet.open_in(text).is_some();
    let desired = &target.desired;
    let in_base = match &desired.task_definition {
        Base::File(definition) => any(&definition.value(), &open),
        Base::Live | Base::Revision { .. } => false,
    };
    let named = [&desired.environment, &desired.secrets].into_iter().flat_map(|names| names.values());
    let texts = desired.images.values().chain(named.flat_map(|names| names.values()));
    let in_settings = desired.deployment.as_ref().is_some_and(|settings| any(settings, &open));
    if !(in_base || in_settings || texts.into_iter().any(|text| open(text))) {
        return None;
    }
    let mut desired = desired.clone();
    if in_base {
        desired.task_definition = Base::Live;
    }
    if let Some(settings) = &mut desired.deployment {
        drop_open(settings, &open);
    }
    take_live(&mut desired, &observed.live.value(), &open);
    Some(TargetSpec { desired, ..target.clone() })
}

/// Returns the targets of a fleet as [`settled`] has them.
pub fn settled_fleet<'f>(fleet: &'f Fleet, seen: &[crate::observe::Observation]) -> Cow<'f, Fleet> {
    if fleet.open.is_empty() {
        return Cow::Borrowed(fleet);
    }
    let mut known = fleet.clone();
    for (target, seen) in known.targets.iter_mut().zip(seen) {
        if let Some(better) = seen.as_ref().ok().and_then(|observed| settled(fleet, target, observed)) {
            *target = better;
        }
    }
    Cow::Owned(known)
}

/// Puts what runs in the place of what is open, and leaves out what does not run.
fn take_live(desired: &mut Desired, live: &Value, open: &dyn Fn(&str) -> bool) {
    let container = |name: &str| {
        let mut containers = live["containerDefinitions"].as_array().into_iter().flatten();
        containers.find(|container| container["name"] == *name)
    };
    desired.images.retain(|name, image| {
        if open(image) {
            let Some(runs) = container(name).and_then(|container| container["image"].as_str()) else { return false };
            *image = runs.to_owned();
        }
        true
    });
    for (member, value, containers) in
        [("environment", "value", &mut desired.environment), ("secrets", "valueFrom", &mut desired.secrets)]
    {
        for (name, entries) in containers {
            entries.retain(|key, text| {
                if open(text) {
                    let mut live = container(name).and_then(|it| it[member].as_array()).into_iter().flatten();
                    let runs = live.find(|entry| entry["name"] == **key).and_then(|entry| entry[value].as_str());
                    let Some(runs) = runs else { return false };
                    *text = runs.to_owned();
                }
                true
            });
        }
    }
}

fn any(value: &Value, open: &dyn Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => open(text),
        Value::Array(items) => items.iter().any(|item| any(item, open)),
        Value::Object(members) => members.values().any(|member| any(member, open)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Leaves out the members and items that hold an open variable.
fn drop_open(value: &mut Value, open: &dyn Fn(&str) -> bool) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !matches!(member, Value::String(text) if open(text)));
            members.values_mut().for_each(|member| drop_open(member, open));
        }
        Value::Array(items) => {
            items.retain(|item| !matches!(item, Value::String(text) if open(text)));
            items.iter_mut().for_each(|item| drop_open(item, open));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
