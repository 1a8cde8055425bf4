//! What a manifest declares of a target, with overrides applied and references put in.
//!
//! Nothing here is compared with what runs.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::base::document::Document;
use crate::fleet::codedeploy::CodeDeploy;
use crate::fleet::image_ref::ImageRef;
use crate::fleet::lookup::{Asked, Known, Lookup, StateSource, fill_json, fill_text};
use crate::fleet::{Launch, Pin, RunTasks, TargetId};

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
    /// How its new revision names the images that the manifest gives by a tag.
    pub pin: Pin,
    /// How long an image that is not there yet is waited for.
    pub wait_for_images: Duration,
    /// Why its images cannot be deployed, and what to do about it; known before the plan.
    pub without_images: Option<(String, String)>,
    /// Why not all of this is known, and what to do: what runs elsewhere, or a lookup.
    pub unknown: Option<(String, String)>,
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
    /// The lookups in these texts.
    pub lookups: BTreeMap<Lookup, Asked>,
    /// The Terraform states that they look into, by the manifest's names.
    pub states: BTreeMap<String, Arc<StateSource>>,
    /// Where in the task definition their values were put, as JSON pointers.
    pub filled: Vec<(String, Lookup)>,
}

impl Desired {
    /// Whether anything of the task definition that it starts from is declared: members, images, environment or secrets.
    pub fn changes_definition(&self) -> bool {
        let containers = [self.environment.is_empty(), self.secrets.is_empty()];
        let images = [self.images.is_empty(), self.promoted.is_empty()];
        !(self.set.is_empty() && images == [true; 2] && containers == [true; 2])
    }

    /// Returns the images that the manifest gives without a digest, by container: those of `images`, and those of the task
    /// definition file. What is deployed as it runs, or as an existing revision has it, stays as it is.
    pub fn tagged_images(&self) -> Vec<(String, String)> {
        let file = match &self.task_definition {
            Base::File(definition) => definition.value(),
            Base::Live | Base::Revision { .. } => Value::Null,
        };
        let containers = file["containerDefinitions"].as_array().into_iter().flatten();
        let of_file =
            containers.filter_map(|container| Some((container["name"].as_str()?, container["image"].as_str()?)));
        let of_file =
            of_file.filter(|(name, _)| !self.images.contains_key(*name) && !self.promoted.contains_key(*name));
        let own = self.images.iter().map(|(name, image)| (name.as_str(), image.as_str()));
        let all = own.chain(of_file).filter(|(_, image)| !image.is_empty() && ImageRef::parse(image).digest.is_none());
        all.map(|(name, image)| (name.to_owned(), image.to_owned())).collect()
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

impl Desired {
    /// Returns the lookups whose values are not known.
    pub fn open_lookups(&self) -> impl Iterator<Item = &Lookup> {
        self.lookups.iter().filter(|(_, asked)| asked.found.is_none()).map(|(lookup, _)| lookup)
    }

    /// Returns the state that a lookup looks into.
    pub fn state_of(&self, lookup: &Lookup) -> Option<&StateSource> {
        match lookup.state_and_address().0 {
            Some(name) => self.states.get(name).map(|source| &**source),
            None => self.states.values().next().map(|source| &**source),
        }
    }

    /// Puts values into all texts. What is not known stays.
    pub fn fill(&mut self, known: &Known) {
        let names = [&mut self.environment, &mut self.secrets].into_iter().flat_map(|it| it.values_mut());
        let texts = self.images.values_mut().chain(names.flat_map(|it| it.values_mut()));
        let tasks = self.run_tasks.before.iter_mut().chain(&mut self.run_tasks.after);
        texts.for_each(|text| fill_text(text, known));
        for task in tasks {
            task.environment.values_mut().chain(task.command.iter_mut().flatten()).for_each(|it| fill_text(it, known));
            task.network.iter_mut().for_each(|network| fill_json(network, known));
            if let Some(Launch::CapacityProviders(providers)) = &mut task.launch {
                providers.iter_mut().for_each(|provider| fill_json(provider, known));
            }
        }
        self.set.values_mut().chain(&mut self.deployment).for_each(|value| fill_json(value, known));
        if let Base::File(document) = &mut self.task_definition
            && Lookup::is_in_document(document)
        {
            let mut value = document.value();
            fill_json(&mut value, known);
            *document = Document::write(&value);
        }
        for (lookup, asked) in &mut self.lookups {
            asked.found = known.get(lookup).cloned().or(asked.found.take());
        }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fleet::lookup::{Found, Store};

    #[test]
    fn what_the_manifest_names_by_a_tag_is_to_be_pinned() {
        let file = json!({ "containerDefinitions": [
            { "name": "app", "image": "r/app:0" }, { "name": "proxy", "image": "r/proxy" },
            { "name": "log", "image": "r/log@sha256:ab" }, { "name": "tried", "image": "r/tried:1" },
        ] });
        let mut desired = Desired { task_definition: Base::File(Document::write(&file)), ..Desired::default() };
        desired.images.insert("app".to_owned(), "r/app:1".to_owned());
        desired.promoted.insert("tried".to_owned(), "a/eu-west-1/s".to_owned().try_into().expect("a target"));
        let names = |desired: &Desired| desired.tagged_images().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(&desired), ["app", "proxy"]);
        desired.task_definition = Base::Live;
        assert_eq!(names(&desired), ["app"]);
    }

    #[test]
    fn every_text_of_a_target_is_filled() {
        let lookup = Lookup::new(Store::Ssm, "/b").expect("a name");
        let document = json!({ "taskRoleArn": "${ssm:/b}" });
        let entry = |text: &str| IndexMap::from([("app".to_owned(), text.to_owned())]);
        let mut desired = Desired {
            images: entry("${ssm:/b}"),
            environment: IndexMap::from([("app".to_owned(), entry("${ssm:/b}"))]),
            secrets: IndexMap::from([("app".to_owned(), entry("${ssm:/b}"))]),
            set: json!({ "cpu": "${ssm:/b}" }).as_object().cloned().expect("an object"),
            deployment: Some(json!({ "alarms": "${ssm:/b}" })),
            task_definition: Base::File(Document::write(&document)),
            lookups: BTreeMap::from([(lookup.clone(), Asked::default())]),
            ..Desired::default()
        };
        assert_eq!(desired.open_lookups().count(), 1);
        desired.fill(&Known::from([(lookup.clone(), Found::of_text("B", ""))]));
        assert_eq!(desired.open_lookups().count(), 0);
        let Base::File(document) = &desired.task_definition else { panic!("a file") };
        assert_eq!(document.value(), json!({ "taskRoleArn": "B" }));
        let texts = [&desired.images["app"], &desired.environment["app"]["app"], &desired.secrets["app"]["app"]];
        assert_eq!((texts, &desired.set["cpu"]), (["B"; 3].map(str::to_owned).each_ref(), &json!("B")));
        assert_eq!(desired.deployment, Some(json!({ "alarms": "B" })));
    }
}
