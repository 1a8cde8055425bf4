//! What ECS refuses of ports, names and the proxy, which depend on the network mode.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::task_definition::rules::{Rules, is_absent, list};
use crate::task_definition::{Step, describe, entry, member, placeholder};

impl Rules<'_> {
    pub(super) fn network(&mut self, container: &Value, path: &[Step]) {
        let mode = self.definition["networkMode"].as_str();
        if mode == Some("awsvpc") && !list(container, "links").is_empty() {
            let help = "take them out: containers of one task reach each other by localhost";
            self.refuse(member(path, "links"), "cannot be used with the network mode `awsvpc`", help);
        }
        if mode == Some("awsvpc") && !is_absent(&container["hostname"]) {
            let help = "take it out: the task's network interface has a name of its own";
            self.refuse(member(path, "hostname"), "cannot be used with the network mode `awsvpc`", help);
        }
        if mode == Some("awsvpc") && !list(container, "extraHosts").is_empty() {
            self.refuse(member(path, "extraHosts"), "cannot be used with the network mode `awsvpc`", "take them out");
        }
        if mode == Some("none") && !list(container, "portMappings").is_empty() {
            self.refuse(member(path, "portMappings"), "cannot be used with the network mode `none`", "take them out");
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

    /// Refuses a port of the host that is mapped twice. Where none is written, what ECS makes of equal ports is not known.
    pub(super) fn ports(&mut self) {
        let definition = self.definition;
        let mut taken: BTreeMap<(u64, String), String> = BTreeMap::new();
        for (index, container) in list(definition, "containerDefinitions").iter().enumerate() {
            let path = entry(&member(&[], "containerDefinitions"), index);
            let owner = describe(definition, &path);
            for (index, mapping) in list(container, "portMappings").iter().enumerate() {
                let Some(port) = mapping["hostPort"].as_u64().filter(|port| *port != 0) else { continue };
                let protocol = if mapping["protocol"] == "udp" { "udp" } else { "tcp" };
                let earlier = taken.insert((port, protocol.to_owned()), owner.clone());
                if let Some(earlier) = earlier {
                    let path = entry(&member(&path, "portMappings"), index);
                    let message = format!("maps the {protocol} port {port} of the host, and {earlier} does so, too");
                    self.refuse(path, message, "give each mapping of a task its own port");
                }
            }
        }
    }

    /// Judges the proxy of App Mesh.
    pub(super) fn proxy(&mut self) {
        let definition = self.definition;
        let proxy = &definition["proxyConfiguration"];
        if proxy.is_null() {
            return;
        }
        let path = member(&[], "proxyConfiguration");
        if definition["networkMode"] != "awsvpc" {
            let help = "write \"networkMode\": \"awsvpc\", or take the proxy out";
            self.refuse(path.clone(), "needs the network mode `awsvpc`", help);
        }
        if let Some(name) = proxy["containerName"].as_str().filter(|name| placeholder::find(name).is_none())
            && !list(definition, "containerDefinitions").iter().any(|container| container["name"] == name)
        {
            let message = format!("is `{name}`, and there is no such container");
            self.refuse(member(&path, "containerName"), message, "name a container of this task definition");
        }
    }
}
