//! The doctor's report.

use std::error::Error;

use serde::Serialize;

/// How a check ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// All is well.
    Ok,
    /// The service works, but this needs attention.
    Warning,
    /// Something does not work.
    Failed,
    /// It does not apply, or could not be checked.
    Skipped,
}

/// One check.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Check {
    /// What was checked; several checks may share a name.
    pub name: &'static str,
    /// How it ended.
    pub status: Status,
    /// What was found; never a secret.
    pub detail: String,
    /// The command or setting that fixes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Check {
    pub(super) fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self::new(name, Status::Ok, detail, None)
    }

    pub(super) fn warning(
        name: &'static str,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(name, Status::Warning, detail, Some(remedy.into()))
    }

    pub(super) fn failed(
        name: &'static str,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(name, Status::Failed, detail, Some(remedy.into()))
    }

    pub(super) fn skipped(name: &'static str, why: impl Into<String>) -> Self {
        Self::new(name, Status::Skipped, why, None)
    }

    fn new(
        name: &'static str,
        status: Status,
        detail: impl Into<String>,
        remedy: Option<String>,
    ) -> Self {
        Self {
            name,
            status,
            detail: detail.into(),
            remedy,
        }
    }
}

/// All checks.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The checks, in order.
    pub checks: Vec<Check>,
}

impl Report {
    /// Whether something does not work.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.count(Status::Failed) > 0
    }

    /// How many checks ended with `status`.
    #[must_use]
    pub fn count(&self, status: Status) -> usize {
        let checks = self.checks.iter();
        checks.filter(|check| check.status == status).count()
    }
}

/// Collects checks and reports each at once.
pub(super) struct Findings<'t> {
    report: Report,
    tell: &'t mut (dyn FnMut(&Check) + Send),
}

impl<'t> Findings<'t> {
    pub(super) fn new(tell: &'t mut (dyn FnMut(&Check) + Send)) -> Self {
        Self {
            report: Report::default(),
            tell,
        }
    }

    pub(super) fn add(&mut self, check: Check) {
        (self.tell)(&check);
        self.report.checks.push(check);
    }

    pub(super) fn extend(&mut self, checks: impl IntoIterator<Item = Check>) {
        for check in checks {
            self.add(check);
        }
    }

    /// Adds checks that were skipped because of `why`.
    pub(super) fn skip(&mut self, names: &[&'static str], why: &str) {
        self.extend(names.iter().map(|name| Check::skipped(name, why)));
    }

    pub(super) fn into_report(self) -> Report {
        self.report
    }
}

/// `error` with its causes, in one line.
pub(super) fn because(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let next_text = next.to_string();
        if !text.ends_with(&next_text) {
            text.push_str(": ");
            text.push_str(&next_text);
        }
        cause = next.source();
    }
    text
}
