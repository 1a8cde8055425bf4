//! What ECS refuses of a definition that is to run on Fargate.

use serde_json::Value;

use crate::task_definition::rules::size::in_units;
use crate::task_definition::rules::{Rules, is_absent, list};
use crate::task_definition::{Finding, Kind, Step, entry, member};

/// What Fargate gives for each CPU size: the least and most memory in MiB, and the step.
const FARGATE: [(u64, u64, u64, u64); 6] = [
    (512, 1024, 4096, 1024),
    (1024, 2048, 8192, 1024),
    (2048, 4096, 16384, 1024),
    (4096, 8192, 30720, 1024),
    (8192, 16384, 61440, 4096),
    (16384, 32768, 122_880, 8192),
];

impl Rules<'_> {
    pub(super) fn fargate(&mut self) {
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
        if !is_absent(&definition["ipcMode"]) {
            self.refuse(member(&[], "ipcMode"), "cannot be used on Fargate", "take it out");
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
            for name in ["startTimeout", "stopTimeout"] {
                if let Some(seconds) = container[name].as_i64().filter(|seconds| *seconds > 120) {
                    self.refuse(member(&path, name), format!("is {seconds}"), "Fargate takes at most 120");
                }
            }
            if !list(container, "dockerSecurityOptions").is_empty() {
                self.refuse(member(&path, "dockerSecurityOptions"), "cannot be used on Fargate", "take them out");
            }
            if container["firelensConfiguration"]["options"]["config-file-type"] == "s3" {
                let path = member(&member(&path, "firelensConfiguration"), "options");
                let help = "write `file`, and put the file in the image";
                self.refuse(member(&path, "config-file-type"), "cannot be `s3` on Fargate", help);
            }
            self.fargate_linux(&container["linuxParameters"], &member(&path, "linuxParameters"));
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

    fn fargate_linux(&mut self, linux: &Value, path: &[Step]) {
        if !list(linux, "devices").is_empty() {
            self.refuse(member(path, "devices"), "cannot be used on Fargate", "take them out");
        }
        for name in ["sharedMemorySize", "maxSwap", "swappiness"] {
            if !linux[name].is_null() {
                self.refuse(member(path, name), "cannot be used on Fargate", "take it out");
            }
        }
        let path = member(&member(path, "capabilities"), "add");
        for (index, one) in list(&linux["capabilities"], "add").iter().enumerate() {
            if let Some(name) = one.as_str().filter(|name| *name != "SYS_PTRACE") {
                let message = format!("cannot be `{name}` on Fargate");
                self.refuse(entry(&path, index), message, "Fargate adds `SYS_PTRACE` alone");
            }
        }
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
