//! What ECS says of a service while it is watched.

use std::collections::HashSet;

use crate::observe::service::{LiveService, Message};

/// ECS's messages about a service since the watching began.
#[derive(Debug, Default)]
pub struct Messages {
    known: HashSet<String>,
    kept: Vec<Message>,
    since: bool,
}

impl Messages {
    /// Starts after the messages that a service already has.
    pub fn after(service: &LiveService) -> Self {
        let known = service.messages.iter().map(|message| message.id.clone()).collect();
        Self { known, kept: Vec::new(), since: true }
    }

    /// Returns those that were taken, oldest first.
    pub fn kept(&self) -> &[Message] {
        &self.kept
    }

    /// Returns those that were not seen before, oldest first, and keeps them.
    pub fn take(&mut self, service: &LiveService) -> Vec<Message> {
        if !self.since {
            *self = Self::after(service);
        }
        let fresh = service.messages.iter().filter(|message| !self.known.contains(&message.id));
        let mut fresh: Vec<Message> = fresh.cloned().collect();
        fresh.reverse();
        self.known.extend(fresh.iter().map(|message| message.id.clone()));
        self.kept.extend(fresh.iter().cloned());
        fresh
    }
}
