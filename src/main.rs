//! roleout.
fn main() {}
