//! What becomes of an answer once it is sent: it arrives, is lost, or breaks off.

use crate::sandbox::fault::Fault;
use crate::sandbox::moment::{Moment, millis};
use crate::sandbox::wire::{Answer, Fate};
use crate::sandbox::world::World;

impl World {
    /// Sends an answer. `call` is the name of its request, for chance, and when it is; `write` is the account and region
    /// where it is that of a write that has happened.
    pub(super) fn send(
        &mut self,
        answer: Answer,
        faults: &[Fault],
        (call, now): (&str, Moment),
        write: Option<(String, String)>,
    ) -> Fate {
        for fault in faults {
            match fault {
                Fault::Lost(percent) if write.is_some() && self.chance.happens(*percent, &format!("lost/{call}")) => {
                    return Fate::Reset;
                }
                Fault::Blind(long) => {
                    let Some(place) = write else { continue };
                    self.blind.insert(place, now + millis(*long));
                    return Fate::Reset;
                }
                Fault::Truncated(percent) if self.chance.happens(*percent, &format!("truncated/{call}")) => {
                    return Fate::Truncated(answer);
                }
                _ => {}
            }
        }
        Fate::Answered(answer)
    }
}
