//! From the job's ID token to a session in every account.
//!
//! [`token`] reads the token, [`session`] walks and renews role chains, [`preflight`] walks all of them before the
//! first change. What is done with a session is not known here.

pub mod preflight;
pub mod session;
pub mod token;
