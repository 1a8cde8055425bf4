//! Commands of others with sessions of the accounts: what `roleout exec` starts, and what it gives them.
//!
//! A child gets an address on loopback where an SDK finds the session of one account, renewed as long as the child runs,
//! and nothing with which it could become another account. No key is written anywhere, unless that is asked for.

pub mod child;
pub mod endpoint;
pub mod environment;
pub mod keys;
pub mod relay;
pub mod signals;
