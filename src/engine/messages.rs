//! What is known of a service while it is watched, besides its deployments: what ECS says of it, and its target groups.

use std::collections::HashSet;

use crate::observe::service::{LiveService, Message};

/// ECS's messages about a service since the watching began, and the target groups of its last look.
#[derive(Debug, Default)]
pub struct Messages {
    known: HashSet<String>,
    kept: Vec<Message>,
    since: bool,
    target_groups: Vec<String>,
}

impl Messages {
    /// Starts after the messages that a service already has.
    pub fn starting_after(service: &LiveService) -> Self {
        let known = service.messages.iter().map(|message| message.id.clone()).collect();
        Self { known, kept: Vec::new(), since: true, target_groups: service.target_groups.clone() }
    }

    /// Returns those that were taken, oldest first.
    pub fn kept(&self) -> &[Message] {
        &self.kept
    }

    /// Returns the ARNs of the service's target groups.
    pub fn target_groups(&self) -> &[String] {
        &self.target_groups
    }

    /// Returns those that were not seen before, oldest first, and keeps them.
    pub fn take(&mut self, service: &LiveService) -> Vec<Message> {
        if !self.since {
            *self = Self::starting_after(service);
        }
        self.target_groups.clone_from(&service.target_groups);
        let fresh = service.messages.iter().filter(|message| !self.known.contains(&message.id));
        let mut fresh: Vec<Message> = fresh.cloned().collect();
        fresh.reverse();
        self.known.extend(fresh.iter().map(|message| message.id.clone()));
        self.kept.extend(fresh.iter().cloned());
        fresh
    }
}
