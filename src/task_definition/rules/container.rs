//! What ECS refuses of a container, whatever it runs on.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::fleet::image;
use crate::task_definition::rules::{Rules, is_absent, is_name, list, secret};
use crate::task_definition::{Finding, Kind, Step, describe, entry, member, placeholder};

/// The most environment files of a container.
const FILES: usize = 10;
/// The most exit codes that a restart policy ignores.
const EXIT_CODES: usize = 50;

impl Rules<'_> {
    pub(super) fn container(&mut self, container: &Value, path: &[Step]) {
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
        self.accelerators(container, path);
        self.credentials(container, path);
        self.restarts(container, path);
        self.log(container, path);
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
            if let Err(reason) = secret::check(from) {
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

    /// Judges what a container refers to besides: other containers, and files.
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
        let files = list(container, "environmentFiles");
        if files.len() > FILES {
            let message = format!("has {} files", files.len());
            self.refuse(member(path, "environmentFiles"), message, format!("ECS takes at most {FILES}"));
        }
        for (index, file) in files.iter().enumerate() {
            let value = file["value"].as_str().unwrap_or_default();
            if placeholder::find(value).is_some() {
                continue;
            }
            let path = entry(&member(path, "environmentFiles"), index);
            if !(value.starts_with("arn:") && value.contains(":s3:::")) {
                self.refuse(path, "is not the ARN of a file in S3", "write arn:aws:s3:::BUCKET/FILE.env");
            } else if !value.ends_with(".env") {
                self.refuse(path, "does not end in `.env`", "name the file so: ECS takes no other environment files");
            }
        }
    }

    /// Refuses accelerators that the task has not.
    fn accelerators(&mut self, container: &Value, path: &[Step]) {
        let definition = self.definition;
        for (index, one) in list(container, "resourceRequirements").iter().enumerate() {
            let Some(name) = one["value"].as_str().filter(|_| one["type"] == "InferenceAccelerator") else { continue };
            let known = list(definition, "inferenceAccelerators").iter().any(|device| device["deviceName"] == name);
            if !known && placeholder::find(name).is_none() {
                let path = member(&entry(&member(path, "resourceRequirements"), index), "value");
                let message = format!("is `{name}`, which is no `deviceName` of `inferenceAccelerators`");
                self.refuse(path, message, "add it to `inferenceAccelerators`");
            }
        }
    }

    /// Refuses what is no file of credentials for Active Directory.
    fn credentials(&mut self, container: &Value, path: &[Step]) {
        let specs = list(container, "credentialSpecs");
        let path = member(path, "credentialSpecs");
        if specs.len() > 1 {
            self.refuse(path.clone(), format!("has {} entries", specs.len()), "ECS takes one");
        }
        for (index, spec) in specs.iter().enumerate() {
            let Some(text) = spec.as_str() else { continue };
            let from = text.strip_prefix("credentialspecdomainless:").or_else(|| text.strip_prefix("credentialspec:"));
            if from.is_none() && placeholder::find(text).is_none() {
                let help = "write credentialspec:ARN or credentialspecdomainless:ARN, with the ARN of a file in S3 or of an \
                            SSM parameter";
                self.refuse(entry(&path, index), "is no credential spec", help);
            }
        }
    }

    fn restarts(&mut self, container: &Value, path: &[Step]) {
        let policy = &container["restartPolicy"];
        let path = member(path, "restartPolicy");
        if let Some(seconds) = policy["restartAttemptPeriod"].as_i64().filter(|it| !(60..=1800).contains(it)) {
            self.refuse(member(&path, "restartAttemptPeriod"), format!("is {seconds}"), "ECS takes 60 to 1800");
        }
        let codes = list(policy, "ignoredExitCodes").len();
        if codes > EXIT_CODES {
            let help = format!("ECS takes at most {EXIT_CODES}");
            self.refuse(member(&path, "ignoredExitCodes"), format!("has {codes} entries"), help);
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
}
