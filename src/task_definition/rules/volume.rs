//! What ECS refuses of a task's volumes.

use serde_json::Value;

use crate::task_definition::rules::{Rules, is_absent, list};
use crate::task_definition::{Step, entry, member};

impl Rules<'_> {
    pub(super) fn volumes(&mut self) {
        let volumes = list(self.definition, "volumes");
        let path = member(&[], "volumes");
        self.unique(volumes, &path, "name", "volume");
        for (index, volume) in volumes.iter().enumerate() {
            let path = entry(&path, index);
            let docker = &volume["dockerVolumeConfiguration"];
            if !docker["autoprovision"].is_null() && docker["scope"] != "shared" {
                let path = member(&member(&path, "dockerVolumeConfiguration"), "autoprovision");
                let help = "take `autoprovision` out, or write \"scope\": \"shared\"";
                self.refuse(path, "is for volumes of the scope `shared` only", help);
            }
            self.efs(&volume["efsVolumeConfiguration"], &member(&path, "efsVolumeConfiguration"));
        }
    }

    fn efs(&mut self, efs: &Value, path: &[Step]) {
        let access = &efs["authorizationConfig"];
        let point = !is_absent(&access["accessPointId"]);
        let because = match (point, access["iam"] == "ENABLED") {
            (true, _) => "an access point",
            (false, true) => "\"iam\": \"ENABLED\"",
            (false, false) => return,
        };
        if efs["transitEncryption"] != "ENABLED" {
            let message = format!("needs `transitEncryption`, since it has {because}");
            self.refuse(path.to_vec(), message, "write \"transitEncryption\": \"ENABLED\"");
        }
        let root = efs["rootDirectory"].as_str().filter(|root| point && !["", "/"].contains(root));
        if let Some(root) = root {
            let message = format!("is `{root}`, and there is an access point, which has its own");
            self.refuse(member(path, "rootDirectory"), message, "take it out, or write `/`");
        }
    }
}
