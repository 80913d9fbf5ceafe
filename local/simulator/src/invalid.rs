//! Why the simulator rejects a control.

use std::fmt;

/// A rejected control; nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The invalid field.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
}

impl Invalid {
    pub(crate) fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            problem: problem.into(),
        }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.field, self.problem)
    }
}

impl std::error::Error for Invalid {}
