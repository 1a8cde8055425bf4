//! How much text the targets of a manifest may have: a small file can ask for far more of it than a machine has room for.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::fleet::desired::bytes_of;
use crate::fleet::{Base, Desired};

/// The most bytes that the task definitions and settings of all targets have: what a machine has room for.
pub const MAX_TEXT: usize = 256 << 20;

/// How much of [`MAX_TEXT`] is taken, and which task definitions are counted: targets share them.
#[derive(Default)]
pub struct Room {
    taken: usize,
    counted: BTreeSet<usize>,
}

impl Room {
    /// Counts what a target has of its own. Returns whether there was room for it.
    pub fn takes(&mut self, desired: &Desired) -> bool {
        self.taken += desired.text_bytes();
        if let Base::File(definition) = &desired.task_definition
            && self.counted.insert(Arc::as_ptr(definition).addr())
        {
            self.taken += bytes_of(&**definition);
        }
        self.taken <= MAX_TEXT
    }
}
