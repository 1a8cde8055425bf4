//! What is wrong between a job and its accounts, said with its evidence and its fix.

pub mod finding;
