//! The PAUSE hooks at which deployments wait, and what became of each: the output of `roleout continue`.

use crate::base::text;
use crate::base::text::{clean, count};
use crate::event::Hook;
use crate::fleet::{Revision, TargetId};
use crate::narrate::outcome::Tone;
use crate::narrate::stage;
use crate::view::style::Paint;

/// A hook at which a target's deployment waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The target.
    pub target: TargetId,
    /// The hook.
    pub hook: Hook,
    /// The revision to which ECS would roll the deployment back, where that is known.
    pub back: Option<Revision>,
    /// Whether ECS did what it was asked for, or why not; `None` where it was not asked.
    pub ended: Option<Result<(), String>>,
}

/// Says what is done with hooks: they are continued, or their deployments rolled back.
pub fn action_words(rollback: bool) -> &'static str {
    if rollback { "rolled back" } else { "continued" }
}

/// Returns a line for each hook, and how many there are; with `rollback` ECS was, or would be, asked to roll back.
pub fn text(waiting: &[Waiting], rollback: bool, paint: Paint) -> String {
    let done = action_words(rollback);
    let name = |it: &Waiting| clean(&it.target.to_string()).into_owned();
    let column = waiting.iter().map(|it| text::width(&name(it))).max().unwrap_or(0);
    let mut text = String::new();
    for it in waiting {
        let to = it.back.as_ref().map(|back| format!(" to {}", clean(&back.to_string()))).unwrap_or_default();
        let place = stage::hook_words(&it.hook);
        let (tone, mark, words) = match &it.ended {
            None if rollback => (Tone::Warn, "!", format!("{place}; --rollback rolls back{to}")),
            None => (Tone::Warn, "!", place),
            Some(Ok(())) => {
                let goes = if rollback { format!("rolls back{to}") } else { "continues".to_owned() };
                (Tone::Good, "✔", format!("{goes}; it {}", place.replacen("waits", "waited", 1)))
            }
            Some(Err(reason)) => (Tone::Bad, "✖", format!("was not {done}: {}", clean(reason))),
        };
        text.push_str(&paint.paint(tone, &format!("{mark} {}  {words}", text::pad(&name(it), column))));
        text.push('\n');
    }
    let ended = waiting.iter().filter(|it| it.ended == Some(Ok(()))).count();
    let total = match waiting.len() {
        0 => "no deployment waits at a PAUSE hook".to_owned(),
        all if waiting.iter().all(|it| it.ended.is_none()) => {
            format!("{} at which deployments wait", count(all, "PAUSE hook"))
        }
        all => format!("{ended} of {} {done}", count(all, "PAUSE hook")),
    };
    text.push_str(&paint.paint(Tone::Strong, &total));
    text.push('\n');
    text
}
