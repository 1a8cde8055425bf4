//! What the commands do that deploy nothing: each finds its account, its services or its journals, and says what it found.

pub mod accounts;
pub mod continue_hooks;
pub mod exec;
pub mod iam_check;
pub mod iam_files;
pub mod init;
pub mod journal;
pub mod pipeline;
pub mod running_images;
pub mod status;
