//! The PAUSE hooks at which deployments wait, and what became of each: the output of `roleout continue`.

use crate::event::Hook;
use crate::fleet::TargetId;
use crate::view::stage;
use crate::view::style::{self, Paint, Tone, clean, count};

/// A hook at which a target's deployment waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The target.
    pub target: TargetId,
    /// The hook.
    pub hook: Hook,
    /// Whether ECS continued it, or why not; `None` where it was not asked to.
    pub continued: Option<Result<(), String>>,
}

/// Returns a line for each hook, and how many there are.
pub fn text(waiting: &[Waiting], paint: Paint) -> String {
    let name = |it: &Waiting| clean(&it.target.to_string()).into_owned();
    let column = waiting.iter().map(|it| style::width(&name(it))).max().unwrap_or(0);
    let mut text = String::new();
    for it in waiting {
        let (tone, mark, words) = match &it.continued {
            None => (Tone::Warn, "!", stage::place(&it.hook)),
            Some(Ok(())) => {
                (Tone::Good, "✔", format!("continues; it {}", stage::place(&it.hook).replacen("waits", "waited", 1)))
            }
            Some(Err(reason)) => (Tone::Bad, "✖", format!("was not continued: {}", clean(reason))),
        };
        text.push_str(&paint.paint(tone, &format!("{mark} {}  {words}", style::pad(&name(it), column))));
        text.push('\n');
    }
    let continued = waiting.iter().filter(|it| it.continued == Some(Ok(()))).count();
    let total = match waiting.len() {
        0 => "no deployment waits at a PAUSE hook".to_owned(),
        all if waiting.iter().all(|it| it.continued.is_none()) => {
            format!("{} at which deployments wait", count(all, "PAUSE hook"))
        }
        all => format!("{continued} of {} continued", count(all, "PAUSE hook")),
    };
    text.push_str(&paint.paint(Tone::Strong, &total));
    text.push('\n');
    text
}
