//! A row of the table, and what must hold of it.

use std::fmt;
use std::time::Duration;

use lark_service_tests::function::Ended;
use lark_service_tests::site::Site;

use crate::Cell;
use crate::scenario::{NEW_NAME, Scenario};

/// What a process that goes on after a freeze may take for its next answer.
const NEXT: Duration = Duration::from_secs(5);
/// The same for a warm-up, which may have everything to do.
const NEXT_WARM_UP: Duration = Duration::from_secs(60);
/// A freeze that is shorter than this costs no answer.
const SHORT: Duration = Duration::from_secs(5);

/// What came of a cell.
pub(super) struct Row {
    pub(super) cell: Cell,
    /// What the frozen process answered, when it went on.
    ended: Ended,
    /// What another process answered during the freeze.
    pub(super) other: String,
    /// What the process answered to its next event; `None`: it did not make the request at which it was to be stopped.
    next: Option<Ended>,
    /// What a new process answered at the end.
    after: String,
    token_requests: u64,
    refreshes: u64,
    refused_refreshes: u64,
}

impl Row {
    pub(super) fn of(cell: Cell, site: &Site, ended: Ended) -> Self {
        let counters = site.control().counters();
        Self {
            cell,
            ended,
            other: String::new(),
            next: None,
            after: String::new(),
            token_requests: site.requests("auth.tenant_access_token.internal"),
            refreshes: counters.refresh_grants,
            refused_refreshes: counters.refresh_rejected,
        }
    }

    /// Whether a process was stopped where it was to be.
    pub(super) const fn was_reached(&self) -> bool {
        self.next.is_some()
    }

    pub(super) fn finish(&mut self, site: &Site, next: Ended, after: String) {
        let counters = site.control().counters();
        self.next = Some(next);
        self.after = after;
        self.token_requests = site.requests("auth.tenant_access_token.internal");
        self.refreshes = counters.refresh_grants;
        self.refused_refreshes = counters.refresh_rejected;
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} | ", self.cell)?;
        let Some(next) = &self.next else {
            return f.write_str("not reached");
        };
        write!(
            f,
            "{} | {} | {} in {} ms | {} | {} | {} + {}",
            self.ended.outcome(),
            self.other,
            next.outcome(),
            next.took.as_millis(),
            self.after,
            self.token_requests,
            self.refreshes,
            self.refused_refreshes,
        )
    }
}

/// What is wrong with `row`.
pub(super) fn violations(row: &Row) -> Vec<&'static str> {
    let Some(next) = &row.next else {
        return Vec::new();
    };
    let (scenario, freeze) = (row.cell.scenario, row.cell.freeze);
    let is_login = matches!(
        scenario,
        Scenario::UserToken | Scenario::FinishLogin | Scenario::Refresh | Scenario::EndLogin
    );
    let longest = if scenario == Scenario::Warm {
        NEXT_WARM_UP
    } else {
        NEXT
    };
    let is_short = freeze < SHORT;
    let is_in_doubt = row.after.ends_with("in doubt");
    // One for each process, if the lease of the first has ended or its request never left.
    let needed = if is_short { 1 } else { 2 };
    let checks = [
        (
            "a short freeze costs the answer",
            is_short && !scenario.is_right(&row.ended),
        ),
        ("the next answer is wrong", !scenario.is_right(next)),
        ("the next answer is late", next.took > longest),
        (
            "another process is refused",
            !is_login && !row.other.starts_with("200"),
        ),
        ("a new process is refused", !row.after.starts_with("200")),
        ("a granted pair is lost", is_in_doubt && row.refreshes > 0),
        // After a longer one another process cannot know whether the refresh token was presented.
        (
            "a short freeze leaves a login in doubt",
            is_in_doubt && is_short,
        ),
        // After a longer freeze the next caller has to try: the process that presented it may be dead. Its pair heals the login.
        (
            "a refresh token is presented twice",
            row.refused_refreshes > 0 && (is_short || !row.after.starts_with("200")),
        ),
        ("too many token requests", row.token_requests > needed),
        (
            "older data over newer",
            row.other == NEW && (row.after != NEW || !has_new_name(next)),
        ),
    ];
    let wrong = checks.into_iter().filter(|(_, is_wrong)| *is_wrong);
    wrong.map(|(what, _)| what).collect()
}

/// The answer with the user's name of now.
const NEW: &str = "200 new";

fn has_new_name(ended: &Ended) -> bool {
    ended.response().body["name"] == NEW_NAME
}
