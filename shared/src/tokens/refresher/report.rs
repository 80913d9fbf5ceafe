//! What a scheduled run did.

use serde::Serialize;
use tracing::info;

/// What a run did. Counts of tokens.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct RunReport {
    /// Found due.
    pub due: u64,
    /// Renewed.
    pub refreshed: u64,
    /// Not issued by Lark, or failed to read or write; they are due again later.
    pub failed: u64,
    /// Taken over by another process.
    pub skipped: u64,
    /// Of deleted or disabled apps: no longer due, or, for logins, due later.
    pub retired: u64,
    /// Left for the next run: the time was too short for them.
    pub left: u64,
    /// Whether time ran out before everything due was done.
    pub is_partial: bool,
}

/// The outcome for one token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ending {
    Refreshed,
    Failed,
    /// Failed because Lark refuses the app's credentials.
    Refused,
    Skipped,
    Retired,
    /// Not begun: the time left is too short.
    Left,
}

/// What a page of the index had. Counts of records.
#[derive(Default)]
pub(super) struct Page {
    pub(super) due: u64,
    /// Not a token's.
    pub(super) unusable: u64,
    /// Too many of one app wait already.
    pub(super) postponed: u64,
}

impl RunReport {
    /// Counts what a page had; returns how many must wait.
    pub(super) fn found(&mut self, page: &Page) -> u64 {
        self.due += page.due;
        self.failed += page.unusable;
        page.postponed
    }

    pub(super) fn count(&mut self, ending: Ending) {
        let count = match ending {
            Ending::Refreshed => &mut self.refreshed,
            Ending::Failed | Ending::Refused => &mut self.failed,
            Ending::Skipped => &mut self.skipped,
            Ending::Retired => &mut self.retired,
            Ending::Left => &mut self.left,
        };
        *count += 1;
    }

    pub(super) fn log(&self) {
        info!(
            due = self.due,
            refreshed = self.refreshed,
            failed = self.failed,
            skipped = self.skipped,
            retired = self.retired,
            left = self.left,
            is_partial = self.is_partial,
            "the scheduled refresh ended"
        );
    }
}
