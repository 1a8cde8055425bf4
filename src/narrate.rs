//! Words for the facts of a run: one sentence for each event, outcomes, stages, what is wrong, and links to the console.
//!
//! Pure, and below reports and views, which both say the same by it.

pub mod console;
pub mod headline;
pub mod next;
pub mod outcome;
pub mod sentence;
pub mod stage;
pub mod trouble;
