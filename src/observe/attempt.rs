//! A deployment that was.

/// A deployment that was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The ARN of its task definition; `None` where ECS does not know it any more.
    pub task_definition: Option<String>,
    /// `SUCCESSFUL`, `ROLLBACK_SUCCESSFUL` and so on.
    pub status: String,
}

impl Attempt {
    /// Whether it completed.
    pub fn succeeded(&self) -> bool {
        self.status == "SUCCESSFUL"
    }
}
