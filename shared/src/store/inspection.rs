//! What an inspection of the store finds.

use super::Table;

/// The state of a table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TableReport {
    /// Which table.
    pub table: Table,
    /// What it is called where it is kept.
    pub name: String,
    /// What is wrong with it, each once, in the order of [`SchemaProblem`]. Empty: all is well.
    pub problems: Vec<SchemaProblem>,
}

/// What may be wrong with a table.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum SchemaProblem {
    /// There is no such table.
    Missing,
    /// The table, or its index, is being created or deleted or is out of use. An update under way is no problem.
    NotActive,
    /// Looking at the table, or at some of its settings, is not allowed. What was not seen is not judged.
    AccessDenied,
    /// The keys are not those that records are found by. Only a new table can have others.
    WrongKeys,
    /// The index of what is due is missing, has other keys or leaves attributes out.
    NoDueIndex,
    /// Expired records are not removed: it is off, or goes by another attribute.
    NoTimeToLive,
    /// A mistake cannot be undone: the table's past is not kept.
    NoPointInTimeRecovery,
}
