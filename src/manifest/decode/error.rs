//! Why a node cannot be decoded.

use std::fmt;

use serde::de;

/// Why a value could not be decoded.
#[derive(Debug)]
pub enum DecodeError {
    /// The fault is recorded already.
    Recorded,
    /// What is wrong; a second line, if any, says what to do.
    Message(String),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recorded => f.write_str("a fault that is recorded"),
            Self::Message(message) => f.write_str(message),
        }
    }
}

impl de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Message(message.to_string())
    }
}
