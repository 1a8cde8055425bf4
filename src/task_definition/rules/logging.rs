//! What ECS refuses of log drivers and of FireLens.

use serde_json::Value;

use crate::fleet::is_region;
use crate::task_definition::rules::{Rules, is_absent, list};
use crate::task_definition::{Step, entry, member};

impl Rules<'_> {
    pub(super) fn log(&mut self, container: &Value, path: &[Step]) {
        let log = &container["logConfiguration"];
        if log["logDriver"] != "awslogs" {
            return;
        }
        let path = member(&member(path, "logConfiguration"), "options");
        let options = &log["options"];
        let needed = ["awslogs-group", "awslogs-region"].into_iter();
        for name in needed.chain(self.is_fargate().then_some("awslogs-stream-prefix")) {
            // An option may come from a secret.
            let secret = list(log, "secretOptions").iter().any(|option| option["name"] == name);
            if is_absent(&options[name]) && !secret {
                let message = format!("has no `{name}`, which awslogs needs");
                self.refuse(path.clone(), message, format!("add \"{name}\""));
            }
        }
        let region = options["awslogs-region"].as_str().filter(|region| !region.is_empty() && !is_region(region));
        if let Some(region) = region {
            let path = member(&path, "awslogs-region");
            self.refuse(path, format!("is `{region}`, which is no region"), "write a region, as in `${region}`");
        }
    }

    /// Judges the routers of FireLens, and who writes to them.
    pub(super) fn routers(&mut self) {
        let definition = self.definition;
        let list_path = member(&[], "containerDefinitions");
        let containers = || list(definition, "containerDefinitions").iter().enumerate();
        let mut routers = containers().filter(|(_, container)| !container["firelensConfiguration"].is_null());
        let mut writers =
            containers().filter(|(_, container)| container["logConfiguration"]["logDriver"] == "awsfirelens");
        let (router, writer) = (routers.next(), writers.next());
        if routers.next().is_some() {
            let help = "keep it in one container";
            self.refuse(list_path.clone(), "has more than one container with `firelensConfiguration`", help);
        }
        match (router, writer) {
            (Some((index, _)), None) => {
                let path = member(&entry(&list_path, index), "firelensConfiguration");
                let help = "write \"logDriver\": \"awsfirelens\" in the container whose log it routes, or take it out";
                self.refuse(path, "has no container that logs by `awsfirelens`", help);
            }
            (None, Some((index, _))) => {
                let path = member(&member(&entry(&list_path, index), "logConfiguration"), "logDriver");
                let help = "add a container with `firelensConfiguration`";
                self.refuse(path, "is `awsfirelens`, and no container has a `firelensConfiguration`", help);
            }
            (None, None) | (Some(_), Some(_)) => {}
        }
        for (index, container) in containers() {
            let option = container["firelensConfiguration"]["options"]["config-file-type"].as_str();
            let Some(kind) = option.filter(|kind| !["file", "s3"].contains(kind)) else { continue };
            let path = member(&member(&entry(&list_path, index), "firelensConfiguration"), "options");
            let message = format!("is `{kind}`");
            self.refuse(member(&path, "config-file-type"), message, "write `file` or `s3`");
        }
    }
}
