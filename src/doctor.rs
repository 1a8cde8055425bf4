//! What is wrong between a job and its accounts, said with its evidence and its fix.
//!
//! Pure: what AWS answered, what a token says and what a policy holds come in, findings go out. [`token`] looks at the ID
//! token, [`trust`] and [`chain`] hold a role's trust policy against it and against the session before, [`refusal`] says
//! what AWS's answer means, and [`report`] puts all of that together. `preflight/diagnosis.rs` asks.

pub mod causes;
pub mod chain;
pub mod finding;
pub mod live;
pub mod policy;
pub mod refusal;
pub mod report;
pub mod token;
pub mod trust;
