//! The result of an inspection of the store.

use super::Table;

/// The state of a table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TableReport {
    /// Which table.
    pub table: Table,
    /// Its name in the store.
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
    /// Reading the table's description, or some of its settings, is denied. Those are then not checked.
    AccessDenied,
    /// The keys are not those of records. Only a new table can have others.
    WrongKeys,
    /// The index of due records is missing, has other keys or leaves attributes out.
    NoDueIndex,
    /// Expired records are not removed: time to live is off, or uses another attribute.
    NoTimeToLive,
    /// A mistake cannot be undone: the table has no point-in-time recovery.
    NoPointInTimeRecovery,
}
