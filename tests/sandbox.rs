//! The sandbox as the real AWS SDK clients see it, under a paused clock.

#[path = "sandbox/failing.rs"]
mod failing;
#[path = "sandbox/fixture.rs"]
mod fixture;
#[path = "sandbox/happy.rs"]
mod happy;
#[path = "sandbox/identity.rs"]
mod identity;
#[path = "sandbox/limits.rs"]
mod limits;
#[path = "sandbox/recorded.rs"]
mod recorded;
#[path = "sandbox/strategies.rs"]
mod strategies;
#[path = "sandbox/tasks.rs"]
mod tasks;
#[path = "sandbox/wire.rs"]
mod wire;
