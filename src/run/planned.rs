//! A plan with what it was made from, until it is shown, refused or carried out.

use crate::base::error::Error;
use crate::connect::{CommandContext, Connection};
use crate::fleet::Fleet;
use crate::identity::preflight::Unreachable;
use crate::observe::Observation;
use crate::plan::diff::Values;
use crate::plan::preview::{Preview, PreviewOptions};
use crate::plan::work::Plan;
use crate::preflight::references::{observed, verify};
use crate::preflight::{limits, refusal};
use crate::view::View;

/// What a run that is refused because of blocked targets says.
pub const UNCHANGED: &str = "nothing was changed; --skip-blocked goes on without these targets";

/// What a run says that would go on without every single target.
pub const NONE_LEFT: &str = "nothing was changed: without these targets no target is left";

/// A plan, and what it was made from.
pub struct Planned {
    /// What was planned.
    pub fleet: Fleet,
    /// The accounts that could not be reached.
    pub unreachable: Vec<Unreachable>,
    /// What was seen of each target.
    pub seen: Vec<Observation>,
    /// The plan.
    pub plan: Plan,
}

impl Planned {
    /// Looks for what the targets need, unless that is skipped, and returns what was not checked.
    pub async fn verify(&mut self, skip: bool, context: &mut CommandContext<'_>) -> Result<Vec<String>, Error> {
        Ok(verify(&self.fleet, &mut self.plan, observed(&self.seen), skip, context).await?.notes)
    }

    /// Returns why the run may not start.
    pub fn refusal(&self) -> Option<Error> {
        refusal(&self.fleet, &self.unreachable, &self.seen, &self.plan.outline)
    }

    /// Refuses the run because of the targets that are blocked, unless it goes on without them, and others are left.
    pub fn refuse(&self, skip_blocked: bool, help: &str, view: &mut View) -> Result<(), Error> {
        let none_left = skip_blocked && self.plan.outline.is_all_blocked();
        match self.refusal() {
            Some(error) if !skip_blocked || none_left => {
                view.planned(self.plan.outline.clone());
                return Err(error.help(if none_left { NONE_LEFT } else { help }));
            }
            Some(error) => view.warning(&format!("going on without these targets: {error}")),
            None => {}
        }
        Ok(())
    }

    /// Makes what is shown of the plan: with the differences, and the time of this job.
    pub fn preview(&self, connection: &Connection, from: Option<&str>, values: &Values) -> Preview {
        let options = PreviewOptions { values, limits: &limits(connection), from };
        Preview::new(&self.fleet, &self.seen, &self.plan, options)
    }
}
