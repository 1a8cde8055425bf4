//! What ECS refuses in every account though its service model allows it.
//!
//! A value of the wrong type is no fault here: the model says so.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Finding, Kind, Step, describe, entry, member, placeholder};
use crate::fleet::image;

/// The most containers of a definition.
const CONTAINERS: usize = 10;
/// The largest definition, in bytes.
const LARGEST: usize = 64 * 1024;
/// What Fargate gives for each CPU size: the least and most memory in MiB, and the step.
const FARGATE: [(u64, u64, u64, u64); 6] = [
    (512, 1024, 4096, 1024),
    (1024, 2048, 8192, 1024),
    (2048, 4096, 16384, 1024),
    (4096, 8192, 30720, 1024),
    (8192, 16384, 61440, 4096),
    (16384, 32768, 122_880, 8192),
];

/// Returns what the rules say against a definition.
pub(super) fn judge(definition: &Value) -> Vec<Finding> {
    let mut rules = Rules { definition, findings: Vec::new() };
    rules.task();
    for (index, container) in list(definition, "containerDefinitions").iter().enumerate() {
        rules.container(container, &entry(&member(&[], "containerDefinitions"), index));
    }
    if rules.is_fargate() {
        rules.fargate();
    }
    rules.findings
}

struct Rules<'a> {
    definition: &'a Value,
    findings: Vec<Finding>,
}

impl Rules<'_> {
    fn refuse(&mut self, path: Vec<Step>, message: impl AsRef<str>, help: impl Into<String>) {
        let message = format!("{} {}", describe(self.definition, &path), message.as_ref());
        self.findings.push(Finding { path, kind: Kind::Refused, message, help: help.into() });
    }

    fn is_fargate(&self) -> bool {
        list(self.definition, "requiresCompatibilities").iter().any(|it| it == "FARGATE")
    }

    fn task(&mut self) {
        let definition = self.definition;
        if let Some(family) = definition["family"].as_str()
            && !is_name(family)
        {
            let help = match family.rsplit_once(':') {
                Some((name, number)) if is_name(name) && number.parse::<u32>().is_ok() => {
                    format!("write \"family\": \"{name}\": ECS numbers the revisions itself")
                }
                _ => "a family is 1 to 255 letters, digits, `_` and `-`".to_owned(),
            };
            self.refuse(member(&[], "family"), "is not a task definition's family", help);
        }
        let containers = list(definition, "containerDefinitions");
        let path = member(&[], "containerDefinitions");
        if containers.is_empty() {
            self.refuse(path.clone(), "is empty", "add at least one container");
        }
        if containers.len() > CONTAINERS {
            let message = format!("has {} containers", containers.len());
            self.refuse(path.clone(), message, format!("ECS takes at most {CONTAINERS} in a task definition"));
        }
        if !containers.is_empty() && containers.iter().all(|container| container["essential"] == false) {
            self.refuse(path.clone(), "has no essential container", "at least one must be \"essential\": true");
        }
        let size = definition.to_string().len();
        if size > LARGEST {
            self.refuse(Vec::new(), format!("has {size} bytes"), format!("ECS takes at most {LARGEST}"));
        }
        self.unique(containers, &path, "name", "container");
        let volumes = list(definition, "volumes");
        self.unique(volumes, &member(&[], "volumes"), "name", "volume");
        for (index, volume) in volumes.iter().enumerate() {
            let docker = &volume["dockerVolumeConfiguration"];
            if !docker["autoprovision"].is_null() && docker["scope"] != "shared" && !docker.is_null() {
                let path = member(&entry(&member(&[], "volumes"), index), "dockerVolumeConfiguration");
                let help = "take `autoprovision` out, or write \"scope\": \"shared\"";
                self.refuse(member(&path, "autoprovision"), "is for volumes of the scope `shared` only", help);
            }
        }
        let fire = containers.iter().filter(|container| !container["firelensConfiguration"].is_null()).count();
        if fire > 1 {
            self.refuse(path, "has more than one container with `firelensConfiguration`", "keep it in one container");
        }
        self.circles();
        self.unique(list(definition, "tags"), &member(&[], "tags"), "key", "tag");
    }

    /// Refuses entries of one name.
    fn unique(&mut self, entries: &[Value], path: &[Step], key: &str, what: &str) {
        let mut seen = BTreeSet::new();
        for (index, one) in entries.iter().enumerate() {
            if let Some(name) = one[key].as_str()
                && !seen.insert(name)
            {
                let path = member(&entry(path, index), key);
                let message = format!("is `{name}`, and another {what} is called so");
                self.refuse(path, message, format!("give each {what} its own name"));
            }
        }
    }

    fn container(&mut self, container: &Value, path: &[Step]) {
        let definition = self.definition;
        match container["name"].as_str().filter(|name| !name.is_empty()) {
            None => self.refuse(path.to_vec(), "has no `name`", "give every container a \"name\""),
            Some(name) if !is_name(name) => {
                self.refuse(
                    member(path, "name"),
                    "is not a container's name",
                    "write 1 to 255 letters, digits, `_` and `-`",
                );
            }
            Some(_) => {}
        }
        match container["image"].as_str().filter(|image| !image.trim().is_empty()) {
            None => {
                self.refuse(path.to_vec(), "has no `image`", "add \"image\", or set it by `images` in the manifest")
            }
            Some(image) => {
                if let Err(reason) = image::check(image) {
                    self.refuse(
                        member(path, "image"),
                        format!("is wrong: {reason}"),
                        "write a reference of a registry",
                    );
                }
            }
        }
        let (memory, soft) = (container["memory"].as_u64(), container["memoryReservation"].as_u64());
        let named = !container["memory"].is_null() || !container["memoryReservation"].is_null();
        if !named && is_absent(&definition["memory"]) {
            let help = "write \"memory\" or \"memoryReservation\" for the container, or \"memory\" for the task";
            self.refuse(path.to_vec(), "has no memory", help);
        }
        if let (Some(memory), Some(soft)) = (memory, soft)
            && memory < soft
        {
            let help = format!("`memory` is {memory}, and must not be less");
            self.refuse(member(path, "memoryReservation"), format!("is {soft}"), help);
        }
        self.variables(container, path);
        self.mounts(container, path);
        self.depends(container, path);
        self.network(container, path);
        self.references(container, path);
        self.health(container, path);
    }

    fn variables(&mut self, container: &Value, path: &[Step]) {
        let named = |key: &str| -> BTreeSet<&str> {
            list(container, key).iter().filter_map(|one| one["name"].as_str()).collect()
        };
        let plain = named("environment");
        for (index, one) in list(container, "environment").iter().enumerate().filter(|(_, one)| one.is_object()) {
            let path = entry(&member(path, "environment"), index);
            if one["name"].as_str().is_none_or(str::is_empty) {
                self.refuse(path, "has no name", "name the variable");
            } else if one["value"].is_null() {
                let message = format!("{} has no value, and ECS leaves it out", describe(self.definition, &path));
                let help = "write a \"value\", or take the variable out".to_owned();
                self.findings.push(Finding { path, kind: Kind::Dropped, message, help });
            }
        }
        let secrets = list(container, "secrets");
        if !secrets.is_empty() && is_absent(&self.definition["executionRoleArn"]) {
            let help = "add \"executionRoleArn\": ECS reads the secrets by that role";
            self.refuse(member(path, "secrets"), "needs an execution role", help);
        }
        for (index, secret) in secrets.iter().enumerate() {
            let path = entry(&member(path, "secrets"), index);
            let name = secret["name"].as_str().unwrap_or_default();
            if name.is_empty() {
                self.refuse(path.clone(), "has no name", "name the variable");
            } else if plain.contains(name) {
                let message = format!("is `{name}`, which `environment` has, too");
                self.refuse(member(&path, "name"), message, "keep one of the two");
            }
            let from = secret["valueFrom"].as_str().unwrap_or_default();
            if let Err(reason) = check_secret(from) {
                let help = "write the ARN of a secret of Secrets Manager or of an SSM parameter, or a parameter's name";
                self.refuse(member(&path, "valueFrom"), reason, help);
            }
        }
    }

    fn mounts(&mut self, container: &Value, path: &[Step]) {
        let definition = self.definition;
        let is_volume = |name: &str| list(definition, "volumes").iter().any(|volume| volume["name"] == name);
        for (index, mount) in list(container, "mountPoints").iter().enumerate() {
            if let Some(name) = mount["sourceVolume"].as_str().filter(|name| !is_volume(name)) {
                let path = member(&entry(&member(path, "mountPoints"), index), "sourceVolume");
                self.refuse(path, format!("is `{name}`, which `volumes` does not have"), "add it to `volumes`");
            }
        }
    }

    fn depends(&mut self, container: &Value, path: &[Step]) {
        let definition = self.definition;
        for (index, one) in list(container, "dependsOn").iter().enumerate() {
            let Some(name) = one["containerName"].as_str() else { continue };
            let path = entry(&member(path, "dependsOn"), index);
            match list(definition, "containerDefinitions").iter().find(|other| other["name"] == name) {
                None => {
                    let message = format!("is `{name}`, and there is no such container");
                    self.refuse(member(&path, "containerName"), message, "name a container of this task definition");
                }
                Some(_) if container["name"] == name => {
                    self.refuse(member(&path, "containerName"), "is the container itself", "take it out");
                }
                Some(other) if one["condition"] == "HEALTHY" && other["healthCheck"].is_null() => {
                    let message = format!("is HEALTHY, and container `{name}` has no `healthCheck`");
                    self.refuse(member(&path, "condition"), message, "add a `healthCheck` there, or wait for START");
                }
                Some(_) => {}
            }
        }
    }

    /// Judges what a container refers to besides: containers, files, regions.
    fn references(&mut self, container: &Value, path: &[Step]) {
        let definition = self.definition;
        let is_container =
            |name: &str| list(definition, "containerDefinitions").iter().any(|container| container["name"] == name);
        for (index, from) in list(container, "volumesFrom").iter().enumerate() {
            if let Some(name) = from["sourceContainer"].as_str().filter(|name| !is_container(name)) {
                let path = member(&entry(&member(path, "volumesFrom"), index), "sourceContainer");
                let message = format!("is `{name}`, and there is no such container");
                self.refuse(path, message, "name a container of this task definition");
            }
        }
        for (index, file) in list(container, "environmentFiles").iter().enumerate() {
            let value = file["value"].as_str().unwrap_or_default();
            if placeholder::find(value).is_none() && !(value.starts_with("arn:") && value.contains(":s3:::")) {
                let path = entry(&member(path, "environmentFiles"), index);
                self.refuse(path, "is not the ARN of a file in S3", "write arn:aws:s3:::BUCKET/FILE.env");
            }
        }
        let log = &container["logConfiguration"];
        if log["logDriver"] == "awslogs"
            && let Some(region) = log["options"]["awslogs-region"].as_str().filter(|region| !is_region(region))
        {
            let path = member(&member(&member(path, "logConfiguration"), "options"), "awslogs-region");
            self.refuse(path, format!("is `{region}`, which is no region"), "write a region, as in `${region}`");
        }
    }

    /// Refuses containers that wait for each other.
    fn circles(&mut self) {
        let definition = self.definition;
        let containers = list(definition, "containerDefinitions");
        let waits = |name: &str| -> Vec<&str> {
            let container = containers.iter().find(|container| container["name"] == name);
            let needs = container.map(|container| list(container, "dependsOn")).unwrap_or_default();
            needs.iter().filter_map(|need| need["containerName"].as_str()).filter(|other| *other != name).collect()
        };
        for (index, container) in containers.iter().enumerate() {
            let Some(name) = container["name"].as_str() else { continue };
            let (mut seen, mut open) = (BTreeSet::new(), waits(name));
            while let Some(next) = open.pop() {
                if seen.insert(next) {
                    open.extend(waits(next));
                }
            }
            if seen.contains(name) {
                let path = member(&entry(&member(&[], "containerDefinitions"), index), "dependsOn");
                self.refuse(path, "waits in a circle", "take one of the dependencies out");
                return;
            }
        }
    }

    fn network(&mut self, container: &Value, path: &[Step]) {
        let mode = self.definition["networkMode"].as_str();
        if mode == Some("awsvpc") && !list(container, "links").is_empty() {
            let help = "take them out: containers of one task reach each other by localhost";
            self.refuse(member(path, "links"), "cannot be used with the network mode `awsvpc`", help);
        }
        if !matches!(mode, Some("awsvpc" | "host")) {
            return;
        }
        for (index, port) in list(container, "portMappings").iter().enumerate() {
            if let (Some(host), Some(own)) = (port["hostPort"].as_u64(), port["containerPort"].as_u64())
                && host != 0
                && host != own
            {
                let path = member(&entry(&member(path, "portMappings"), index), "hostPort");
                let help = format!("write {own}, or leave it out: this network mode maps no ports");
                self.refuse(path, format!("is {host}, and `containerPort` is {own}"), help);
            }
        }
    }

    fn health(&mut self, container: &Value, path: &[Step]) {
        let path = member(path, "healthCheck");
        for (name, least, most) in
            [("interval", 5, 300), ("timeout", 2, 60), ("retries", 1, 10), ("startPeriod", 0, 300)]
        {
            if let Some(number) = container["healthCheck"][name].as_i64().filter(|it| !(least..=most).contains(it)) {
                self.refuse(member(&path, name), format!("is {number}"), format!("ECS takes {least} to {most}"));
            }
        }
    }

    fn fargate(&mut self) {
        let definition = self.definition;
        if definition["networkMode"] != "awsvpc" {
            let help = "add \"networkMode\": \"awsvpc\", or take FARGATE out of `requiresCompatibilities`";
            self.refuse(member(&[], "networkMode"), "must be `awsvpc` on Fargate", help);
        }
        for name in ["cpu", "memory"] {
            if is_absent(&definition[name]) {
                let message = format!("has no `{name}`, which Fargate needs");
                self.refuse(Vec::new(), message, format!("add \"{name}\" to the task definition"));
            }
        }
        let sizes = (in_units(&definition["cpu"], "vcpu"), in_units(&definition["memory"], "gb"));
        if let (Some(cpu), Some(memory)) = sizes
            && !is_size(cpu, memory)
        {
            let message = format!("{memory} is not a memory size of Fargate for cpu {cpu}");
            let help = "see the task sizes of Fargate, such as cpu 256 with memory 512, 1024 or 2048";
            let path = member(&[], "memory");
            self.findings.push(Finding { path, kind: Kind::Refused, message, help: help.to_owned() });
        }
        if definition["pidMode"] == "host" {
            self.refuse(member(&[], "pidMode"), "cannot be `host` on Fargate", "take it out, or write `task`");
        }
        if !list(definition, "placementConstraints").is_empty() {
            self.refuse(member(&[], "placementConstraints"), "cannot be used on Fargate", "take them out");
        }
        for (index, volume) in list(definition, "volumes").iter().enumerate() {
            let path = entry(&member(&[], "volumes"), index);
            if !volume["dockerVolumeConfiguration"].is_null() {
                self.refuse(path, "is a Docker volume, which Fargate has not", "use an EFS volume, or an empty `host`");
            } else if volume["host"]["sourcePath"].as_str().is_some_and(|path| !path.is_empty()) {
                let help = "take `sourcePath` out: there is no host to mount from";
                self.refuse(path, "has a host's `sourcePath`, which Fargate has not", help);
            }
        }
        if let Some(size) = definition["ephemeralStorage"]["sizeInGiB"].as_i64().filter(|it| !(21..=200).contains(it)) {
            let path = member(&member(&[], "ephemeralStorage"), "sizeInGiB");
            self.refuse(path, format!("is {size}"), "Fargate takes 21 to 200");
        }
        for (index, container) in list(definition, "containerDefinitions").iter().enumerate() {
            let path = entry(&member(&[], "containerDefinitions"), index);
            if let Some(driver) = container["logConfiguration"]["logDriver"].as_str()
                && !["awslogs", "splunk", "awsfirelens", ""].contains(&driver)
            {
                let path = member(&member(&path, "logConfiguration"), "logDriver");
                let help = "Fargate has `awslogs`, `splunk` and `awsfirelens`";
                self.refuse(path, format!("cannot be `{driver}` on Fargate"), help);
            }
            if let Some(seconds) = container["stopTimeout"].as_i64().filter(|seconds| *seconds > 120) {
                self.refuse(member(&path, "stopTimeout"), format!("is {seconds}"), "Fargate takes at most 120");
            }
            if container["privileged"] == true {
                self.refuse(member(&path, "privileged"), "cannot be true on Fargate", "take it out");
            }
            let log = &container["logConfiguration"];
            if log["logDriver"] == "awslogs" && is_absent(&definition["executionRoleArn"]) {
                let help = "add \"executionRoleArn\": Fargate writes the logs by that role";
                self.refuse(member(&path, "logConfiguration"), "needs an execution role on Fargate", help);
            }
        }
    }
}

/// Returns the entries of a list member.
fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Whether a member is not there: null and blank are absent.
fn is_absent(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty())
}

/// Whether a text has the form of a region, as `eu-west-1` has.
fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [first, middle @ .., number] = parts.as_slice() else { return false };
    let is_word = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    first.len() >= 2
        && is_word(first)
        && !middle.is_empty()
        && middle.iter().all(is_word)
        && !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_name(name: &str) -> bool {
    let allowed = |char: char| char.is_ascii_alphanumeric() || "_-".contains(char);
    !name.is_empty() && name.len() <= 255 && name.chars().all(allowed)
}

/// Refuses what is the reference of no secret.
pub fn check_secret(from: &str) -> Result<(), String> {
    if from.is_empty() {
        return Err("is empty".to_owned());
    }
    let Some(arn) = from.strip_prefix("arn:") else { return Ok(()) };
    let mut parts = arn.split(':').skip(1);
    match parts.next() {
        Some("ssm" | "secretsmanager") => match parts.next() {
            Some(region) if is_region(region) || placeholder::find(region).is_some() => Ok(()),
            region => Err(format!("names the region `{}`, which is none", region.unwrap_or_default())),
        },
        Some(other) => Err(format!("is an ARN of `{other}`, and no secret")),
        None => Err("is not a whole ARN".to_owned()),
    }
}

/// Returns `1024` for `1 vCPU`, `1024`, `1GB` and 1024.
fn in_units(value: &Value, unit: &str) -> Option<u64> {
    let text = match value {
        Value::String(text) => text.trim().to_ascii_lowercase(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    match text.strip_suffix(unit) {
        // The sizes that Fargate has are small and exact in this unit.
        Some(number) => ["0.25", ".25", "0.5", ".5"]
            .into_iter()
            .zip([256, 256, 512, 512])
            .find(|it| it.0 == number.trim())
            .map(|it| it.1)
            .or_else(|| number.trim().parse::<u64>().ok().and_then(|it| it.checked_mul(1024))),
        None => text.parse().ok(),
    }
}

/// Whether Fargate has a task size.
fn is_size(cpu: u64, memory: u64) -> bool {
    let steps = |(_, least, most, step): &(u64, u64, u64, u64)| {
        (*least..=*most).contains(&memory) && (memory - least).is_multiple_of(*step)
    };
    match cpu {
        256 => [512, 1024, 2048].contains(&memory),
        _ => FARGATE.iter().find(|size| size.0 == cpu).is_some_and(steps),
    }
}
