//! What ECS says of why a target does not get on: of all its words about one deployment the most telling.
//!
//! Why tasks stopped is looked for when a deployment has ended; until then ECS's messages are all that there is.

use std::collections::HashMap;

use crate::event::{Event, is_trouble};
use crate::fleet::TargetId;
use crate::narrate::headline;
use crate::narrate::headline::Headline;
use crate::state::TargetState;

/// How much a message tells: that tasks are stopped, which is also so where all goes well.
const STOPPED: u8 = 1;
/// That something is wrong.
const TROUBLE: u8 = 2;
/// And why.
const CAUSE: u8 = 3;

/// The complaints about each target that is under way.
#[derive(Debug, Default)]
pub struct TroubleTracker(HashMap<TargetId, (u8, String)>);

impl TroubleTracker {
    /// Applies an event. Another deployment of a target, such as its rollback, starts again without complaints.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::ServiceMessage { target, text } => {
                let cause = headline::of_words(text).filter(Headline::tells_why).map(|headline| headline.text);
                let weight = if cause.is_some() { CAUSE } else { weight(text) };
                if weight > 0 && self.0.get(target).is_none_or(|(known, _)| weight >= *known) {
                    self.0.insert(target.clone(), (weight, cause.unwrap_or_else(|| gist(text).to_owned())));
                }
            }
            Event::RollbackStarted { target, .. }
            | Event::RolloutFinished { target, .. }
            | Event::RollbackFinished { target, .. } => drop(self.0.remove(target)),
            _ => {}
        }
    }

    /// Returns why a target does not get on, in ECS's words, as short as they can be: where its tasks fail, or where
    /// some are missing and ECS complains.
    pub fn newest(&self, target: &TargetState) -> Option<&str> {
        let (weight, text) = self.0.get(&target.target)?;
        let misses = target.tasks.is_some_and(|tasks| tasks.running < tasks.desired);
        (target.is_failing() || misses && *weight >= TROUBLE).then_some(text)
    }
}

fn weight(text: &str) -> u8 {
    if is_trouble(text) {
        // `Reason: CannotPullContainerError: …` and `due to (reason Health checks failed)`.
        if text.to_lowercase().contains("reason") { CAUSE } else { TROUBLE }
    } else {
        u8::from(text.contains("has stopped")) * STOPPED
    }
}

/// Returns what a message comes to: without `(service api) ` before it, and only the reason where it gives one.
fn gist(text: &str) -> &str {
    let text = text.strip_prefix("(service ").and_then(|text| text.split_once(") ")).map_or(text, |(_, text)| text);
    text.split_once("Reason: ").map_or(text, |(_, reason)| reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_telling_words_stay_and_the_newest_of_equals() {
        let target: TargetId = "prod/eu-west-1/api".to_owned().try_into().expect("a target's name");
        let mut complaints = TroubleTracker::default();
        let mut heard = |text: &str| {
            complaints.apply(&Event::ServiceMessage { target: target.clone(), text: format!("(service api) {text}") });
            complaints.0.get(&target).map(|(_, text)| text.clone())
        };
        assert_eq!(heard("has started 2 tasks: (task 1)."), None);
        for (text, kept) in [
            ("has stopped 1 running tasks: (task 1).", "has stopped 1 running tasks: (task 1)."),
            ("has stopped 1 running tasks: (task 2).", "has stopped 1 running tasks: (task 2)."),
            ("(deployment 1) deployment failed: it is over.", "(deployment 1) deployment failed: it is over."),
            ("(task 3) failed container health checks.", "container health check fails"),
            ("has stopped 1 running tasks: (task 3).", "container health check fails"),
            ("was unable to place a task. Reason: CannotPullContainerError: x.", "image cannot be pulled"),
            ("is unable to consistently start tasks.", "image cannot be pulled"),
        ] {
            assert_eq!(heard(text).as_deref(), Some(kept), "{text}");
        }
    }
}
