//! What is known of a service while it is watched, besides its deployments: what ECS says of it, and its target groups.

use std::time::Duration;

use jiff::Timestamp;

use crate::observe::service::{LiveService, Message};

/// ECS shows a message somewhat later than it dates it, and not always in order: what is dated so much before the newest one
/// may still be new.
const LATE: Duration = Duration::from_secs(60);

/// ECS's messages about a service since the watching began, and the target groups of its last look.
#[derive(Debug, Default)]
pub struct Messages {
    /// When it began: what is dated before is old. A service keeps a hundred messages, and hardly any of them is newer.
    since: Option<Timestamp>,
    /// The ids of those that are dated later and were there when it began.
    known: Vec<String>,
    kept: Vec<Message>,
    has_begun: bool,
    target_groups: Vec<String>,
}

impl Messages {
    /// Starts after the messages that a service already has.
    pub fn starting_after(service: &LiveService) -> Self {
        let newest = service.messages.iter().filter_map(|message| message.at).max();
        let since = newest.and_then(|newest| newest.checked_sub(LATE).ok());
        let mut begun = Self { since, has_begun: true, ..Self::default() };
        begun.target_groups.clone_from(&service.target_groups);
        begun.known = begun.fresh(service).map(|message| message.id.clone()).collect();
        begun
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
        if !self.has_begun {
            *self = Self::starting_after(service);
        }
        self.target_groups.clone_from(&service.target_groups);
        let mut fresh: Vec<Message> = self.fresh(service).cloned().collect();
        fresh.reverse();
        self.kept.extend(fresh.iter().cloned());
        fresh
    }

    /// Returns those that are neither old nor known.
    fn fresh<'a>(&self, service: &'a LiveService) -> impl Iterator<Item = &'a Message> {
        let is_old = |message: &Message| message.at.zip(self.since).is_some_and(|(at, since)| at < since);
        let is_known = |message: &Message| {
            self.known.contains(&message.id) || self.kept.iter().any(|known| known.id == message.id)
        };
        service.messages.iter().filter(move |message| !is_old(message) && !is_known(message))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A service with messages at these seconds, which are their ids too.
    fn service(said: impl IntoIterator<Item = u32>) -> LiveService {
        let event = |at: u32| json!({ "id": at.to_string(), "createdAt": at, "message": at.to_string() });
        let events: Vec<Value> = said.into_iter().map(event).collect();
        LiveService::read(&json!({ "events": events }))
    }

    fn taken(messages: &mut Messages, said: &[u32]) -> Vec<String> {
        messages.take(&service(said.iter().copied())).into_iter().map(|message| message.text).collect()
    }

    #[test]
    fn what_comes_late_and_out_of_order_is_taken_once_and_what_was_there_never() {
        let mut messages = Messages::starting_after(&service([1_000, 900, 100]));
        assert_eq!(taken(&mut messages, &[1_000, 900, 100]), [""; 0]);
        // 990 was dated before the newest one that was there, and shown after it.
        assert_eq!(taken(&mut messages, &[1_010, 1_000, 990, 900, 100]), ["990", "1010"]);
        // A look that lags behind shows nothing new.
        assert_eq!(taken(&mut messages, &[1_000, 900, 100]), [""; 0]);
        assert_eq!(taken(&mut messages, &[1_020, 1_010, 1_000, 990]), ["1020"]);
        let kept: Vec<&str> = messages.kept().iter().map(|message| message.text.as_str()).collect();
        assert_eq!(kept, ["990", "1010", "1020"]);
    }

    #[test]
    fn a_hundred_old_messages_take_no_room() {
        let messages = Messages::starting_after(&service((0..100).map(|number| 1_000_000 - 3_600 * number)));
        assert_eq!(messages.known.len(), 1);
    }
}
