//! What becomes of a call that is not carried out, and of an answer once it is sent: it arrives, is lost, or breaks off.

use crate::sandbox::fault::Fault;
use crate::sandbox::moment::{Moment, millis};
use crate::sandbox::wire::{Answer, AwsError, Fate};
use crate::sandbox::world::World;

/// What becomes of a call that is not carried out.
pub(crate) enum Mishap {
    /// It is not answered.
    Unanswered(Fate),
    /// It is answered with an error of the server.
    Refused(AwsError),
}

impl World {
    /// Returns what keeps a call from being carried out, if anything does. `call` is the name of its request, for chance;
    /// `changes` says whether it may change something, and `code` is what the service says where it is not available.
    pub(crate) fn mishap(&self, faults: &[Fault], call: &str, changes: bool, code: &'static str) -> Option<Mishap> {
        let happens = |percent: u8, what: &str| self.chance.happens(percent, &format!("{what}/{call}"));
        faults.iter().find_map(|fault| match fault {
            Fault::Silent => Some(Mishap::Unanswered(Fate::Silent)),
            Fault::Reset => Some(Mishap::Unanswered(Fate::Reset)),
            Fault::Cut(percent) if changes && happens(*percent, "cut") => Some(Mishap::Unanswered(Fate::Reset)),
            Fault::Broken(percent) if changes && happens(*percent, "broken") => {
                let text = "Service Unavailable. Please try again later.";
                Some(Mishap::Refused(AwsError::with_status(500, "ServerException", text)))
            }
            Fault::Unavailable(percent) if happens(*percent, "unavailable") => {
                Some(Mishap::Refused(AwsError::with_status(503, code, "Service Unavailable")))
            }
            _ => None,
        })
    }

    /// Sends an answer. `call` is the name of its request, for chance, and when it is; `write` is the account and region
    /// where it is that of a write that has happened.
    pub(crate) fn send(
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
