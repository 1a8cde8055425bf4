//! How a new deployment behaves: by the words in its images' tags, and by what a fault adds.

use serde_json::Value;

use crate::sandbox::hook::Verdict;
use crate::sandbox::service::Act;
use crate::sandbox::task::{Nature, word};

/// How a new deployment behaves.
#[derive(Clone, Debug)]
pub(crate) struct Behaviour {
    pub(crate) nature: Nature,
    pub(crate) factor: f64,
    pub(crate) degrades: bool,
    pub(crate) raises: bool,
    pub(crate) poisons: bool,
    /// How its lifecycle hooks end.
    pub(crate) hooks: Verdict,
    /// Whether its alarms go off.
    pub(crate) alarms: bool,
    pub(crate) strands: bool,
    /// What is done to the service while it is being deployed.
    pub(crate) act: Option<Act>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            nature: Nature::Sound,
            factor: 1.0,
            degrades: false,
            raises: false,
            poisons: false,
            strands: false,
            hooks: Verdict::Passes,
            alarms: false,
            act: None,
        }
    }
}

impl Behaviour {
    /// Reads how a definition behaves from the words in its images' tags.
    pub(crate) fn parse(definition: &Value) -> Self {
        let containers = definition.get("containerDefinitions").and_then(Value::as_array).into_iter().flatten();
        let images: Vec<&str> = containers.filter_map(|container| container["image"].as_str()).collect();
        let has = |wanted: &str| images.iter().any(|image| word(image, wanted));
        let mut behaviour = Self::default();
        if has("crash") {
            behaviour.nature = Nature::Crash;
        }
        if has("nopull") {
            behaviour.nature = Nature::NoPull;
        }
        if has("hang") {
            behaviour.nature = Nature::Hang;
        }
        if has("slow") {
            behaviour.factor = crate::sandbox::fault::SLOW_FACTOR;
        }
        behaviour
    }
}
