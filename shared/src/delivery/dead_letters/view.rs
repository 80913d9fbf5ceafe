//! Dead letters as the API shows them: no content.

use serde::Serialize;
use utoipa::ToSchema;

use super::{About, Acted, DEAD_KEPT, DeadLetter, DeadReason};
use crate::clock::Timestamp;
use crate::delivery::State;
use crate::page::Page;
use crate::queue::Lane;

/// What a worker could not bring any further because of a failure of the service.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadLetter)]
pub struct DeadLetterView {
    /// Its id: the job's, or of what names no job `qm_` and 32 hexadecimal digits.
    #[schema(pattern = "^(mj_[0-9a-hjkmnp-tv-z]{26}(_[0-9]{4})?|qm_[0-9a-f]{32})$")]
    id: String,
    /// The job, unless it names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<String>,
    /// The API key that sent the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
    /// The app that was to send it, if that can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    app_id: Option<String>,
    /// `normal` or `bulk`.
    #[schema(value_type = String)]
    lane: Lane,
    reason: DeadReason,
    /// The last failure, in the service's words. Not stable.
    detail: String,
    /// How many failures there were.
    failures: u32,
    /// The first of them.
    #[schema(format = DateTime)]
    first_failure_at: String,
    /// Since when it is a dead letter.
    #[schema(format = DateTime)]
    since: String,
    /// Until when it waits for an operator.
    #[schema(format = DateTime)]
    kept_until: String,
}

/// What became of a dead letter.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadLetterOutcome)]
pub struct ActedView {
    /// The letter's id.
    id: String,
    /// The job, if it can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<String>,
    /// Where the job is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<State>,
}

impl DeadLetterView {
    /// The view of `letter`.
    #[must_use]
    pub fn of(letter: &DeadLetter) -> Self {
        let key = match &letter.about {
            About::Job(key) => Some(key),
            About::Ticket { .. } => None,
        };
        let since = letter.since.unwrap_or(letter.last_at);
        Self {
            id: letter.id.clone(),
            job_id: key.map(|key| key.job_id.to_string()),
            key_id: key.map(|key| key.key_id.clone()),
            app_id: letter.app_id.as_ref().map(ToString::to_string),
            lane: letter.lane,
            reason: letter.reason,
            detail: if letter.detail.is_empty() {
                letter.reason.told().to_owned()
            } else {
                letter.detail.clone()
            },
            failures: letter.failures,
            first_failure_at: letter.first_at.to_string(),
            since: since.to_string(),
            kept_until: (since + DEAD_KEPT).to_string(),
        }
    }
}

impl ActedView {
    /// The view of `acted` at `now`.
    #[must_use]
    pub fn of(acted: &Acted, now: Timestamp) -> Self {
        let job = acted.job.as_ref();
        Self {
            id: acted.id.clone(),
            job_id: job.map(|job| job.key.job_id.to_string()),
            state: job.map(|job| job.state(now)),
        }
    }
}

/// `page` as the API shows it.
#[must_use]
pub fn page_of_dead_letters(page: Page<DeadLetter>) -> Page<DeadLetterView> {
    Page {
        items: page.items.iter().map(DeadLetterView::of).collect(),
        next_page_token: page.next_page_token,
    }
}
