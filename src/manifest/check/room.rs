//! How much text the targets of a manifest may have: a small file can ask for far more of it than a machine has room for.

use std::collections::HashSet;

use crate::base::document::Document;
use crate::fleet::{Base, Desired};

/// The most bytes that the task definitions and settings of all targets have: what a machine has room for.
pub const MAX_TEXT: usize = 256 << 20;

/// How much of [`MAX_TEXT`] is taken, and which task definitions are counted: targets share them.
#[derive(Default)]
pub struct Room {
    taken: usize,
    counted: HashSet<Document>,
}

impl Room {
    /// Counts what a target has of its own. Returns whether there was room for it.
    pub fn takes(&mut self, desired: &Desired) -> bool {
        self.taken += desired.text_bytes();
        if let Base::File(definition) = &desired.task_definition
            && self.counted.insert(definition.clone())
        {
            self.taken += definition.text().len();
        }
        self.taken <= MAX_TEXT
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_task_definition_is_counted_once_however_many_targets_share_it() {
        let of = |text: &str| Document::write(&json!({ "family": text }));
        let (shared, bytes) = (of("api"), r#"{"family":"api"}"#.len());
        let mut room = Room::default();
        let mut takes = |definition: &Document| {
            let desired = Desired { task_definition: Base::File(definition.clone()), ..Desired::default() };
            let own = desired.text_bytes();
            let before = room.taken;
            assert!(room.takes(&desired));
            room.taken - before - own
        };
        assert_eq!([takes(&shared), takes(&of("api")), takes(&of("web"))], [bytes, 0, bytes]);
        room.taken = MAX_TEXT - 1;
        assert!(!room.takes(&Desired { images: [("app".to_owned(), "x".to_owned())].into(), ..Desired::default() }));
    }
}
