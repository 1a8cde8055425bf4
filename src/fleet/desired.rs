//! What a manifest declares of a target, with overrides applied and references put in.
//!
//! Nothing here is compared with what runs.

use std::io::{self, Write};

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::base::document::Document;
use crate::fleet::codedeploy::CodeDeploy;
use crate::fleet::{RunTasks, TargetId};

/// What the manifest declares of a target. Anything absent is left as it is in ECS.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Desired {
    /// The task definition that it starts from.
    pub task_definition: Base,
    /// Members of it that get other values: a JSON merge patch, in which containers are named instead of listed.
    pub set: Map<String, Value>,
    /// Image by container name.
    pub images: IndexMap<String, String>,
    /// The targets that run the images of other containers, by container name; read before the plan.
    pub promoted: IndexMap<String, TargetId>,
    /// Why it is not known what one of those runs.
    pub unpromoted: Option<String>,
    /// Environment variables by container name.
    pub environment: IndexMap<String, IndexMap<String, String>>,
    /// `valueFrom` ARNs by container name and secret name.
    pub secrets: IndexMap<String, IndexMap<String, String>>,
    /// The service's desired count; `None` = never touched.
    pub desired_count: Option<u32>,
    /// `deploymentConfiguration` in ECS's own (camelCase) terms; `None` = as it is.
    pub deployment: Option<Value>,
    /// What it runs before and after a deployment.
    pub run_tasks: RunTasks,
    /// How CodeDeploy deploys it; `None` where ECS does.
    pub codedeploy: Option<CodeDeploy>,
}

impl Desired {
    /// Whether anything of the task definition that it starts from is declared: members, images, environment or secrets.
    pub fn changes_definition(&self) -> bool {
        let containers = [self.environment.is_empty(), self.secrets.is_empty()];
        let images = [self.images.is_empty(), self.promoted.is_empty()];
        !(self.set.is_empty() && images == [true; 2] && containers == [true; 2])
    }

    /// Returns the bytes of its own text, without a file's task definition, which targets share.
    pub fn text_bytes(&self) -> usize {
        let of =
            |texts: &IndexMap<String, String>| texts.iter().map(|(key, text)| key.len() + text.len()).sum::<usize>();
        let containers = self.environment.values().chain(self.secrets.values());
        of(&self.images)
            + containers.map(of).sum::<usize>()
            + bytes_of(&self.set)
            + bytes_of(&self.deployment)
            + bytes_of(&self.run_tasks)
            + bytes_of(&self.codedeploy)
    }
}

/// Returns the bytes of a value as JSON, without writing it anywhere.
pub fn bytes_of(value: &impl Serialize) -> usize {
    struct Count(usize);

    impl Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let mut count = Count(0);
    // What it has no form for in JSON has no bytes.
    let _ = serde_json::to_writer(&mut count, value);
    count.0
}

/// The task definition that a target starts from, before what is declared of it is put in.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Base {
    /// The revision that the service runs.
    #[default]
    Live,
    /// A file: AWS's own JSON, interpolated.
    File(Document),
    /// A revision that exists; without a number, the family's newest ACTIVE one.
    Revision {
        /// The family.
        family: String,
        /// The number, from 1.
        number: Option<u32>,
    },
}
