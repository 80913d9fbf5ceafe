//! What becomes of a job whose calls may have made a message, once a call can no longer be repeated: the chat's history decides, where
//! it can.
//!
//! # What proves what
//!
//! The history is read when nothing of the job can be under way any more, and no other job that called at the same time can still be
//! repeated: [`SETTLED`] after its last call. By then each message that a job is known to have made has its record
//! (`sent#<message_id>`). In the time from the first call whose outcome is unknown to the end of the last one:
//!
//! - A message whose record names this job is this job's. It died between two writes.
//! - A message of the app with exactly this content and without a record is taken for this job's, once: the record is written before
//!   the job's end, and only where there is none. So of several jobs with the same content as many are delivered as there are messages.
//! - No message of the app without a record: none was made. What the messages say does not matter for this.
//! - Anything else proves nothing, and the job ends as uncertain: a message of the app without a record that was recalled, edited, or
//!   reads otherwise, as mentions and Markdown do when they are read back.
//!
//! The platform shows of a thread only its first message, so a reply that is not there may be in a thread: its absence proves nothing.
//! Clocks are taken to be right within [`SKEW`]. What another program sends as the same app, with the same content within the same
//! minutes, cannot be told from a job's message.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::attempt::Progress;
use super::job::{Job, LEASE, REPEATABLE};
use super::target::Target;
use super::{Delivered, Delivery, End, HistoryRead, Refused, Uncertain};
use crate::apps::AppContext;
use crate::clock::Timestamp;
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::lark::messages::{MAX_HISTORY_PAGE, PlatformMessage, list_history};
use crate::page::PageRequest;
use crate::platform::SendError;
use crate::store::Expect;

/// How long after the last call the history is read. A job that called at the same moment is repeated for [`REPEATABLE`].
pub(super) const SETTLED: Duration = REPEATABLE.saturating_add(Duration::from_secs(10 * 60));
/// How far a clock may be wrong.
const SKEW: Duration = Duration::from_secs(5 * 60);
/// How long one try may take.
const TRY: Duration = Duration::from_secs(30);
/// How often it is tried to read the history, and the pause in between.
const TRIES: u32 = 12;
const PAUSE: Duration = Duration::from_secs(5 * 60);
/// How much of a history is read: each page is a call that the platform's quota counts.
const MAX_PAGES: u32 = 10;
/// For how many messages it is looked up who sent them.
const MAX_LOOKUPS: usize = 100;

/// A job that waits for the chat's history.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub struct Settling {
    /// When it is read.
    pub at: Timestamp,
    /// How often that failed.
    #[serde(default)]
    pub tries: u32,
    /// The refusal that came after the lost answer, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
}

/// What the history says.
enum Found {
    /// This is the job's message.
    Ours(String),
    /// None was made.
    Nothing,
    /// It cannot be told.
    Unclear(String),
}

impl Delivery {
    /// Goes on with a job whose outcome is unknown and that must not be sent again. `refused`: a later call was refused.
    ///
    /// # Errors
    /// [`Error::Store`], also when another worker has taken the job.
    pub(super) async fn unsettled(
        &self,
        job: Job,
        refused: Option<Refused>,
        deadline: Deadline,
    ) -> Result<Progress> {
        let now = self.inner.clock.now();
        let last = job.attempts.last().map_or(now, |last| last.at);
        if job.to.chat_id().is_none() {
            let why = "which chat it would be in is not known";
            return self.uncertain(job, refused.as_ref(), why, deadline).await;
        }
        if last > now + SKEW {
            let why = "a clock was wrong when it was sent";
            return self.uncertain(job, refused.as_ref(), why, deadline).await;
        }
        let settling = Settling {
            at: last + SETTLED,
            tries: 0,
            refused,
        };
        if settling.at <= now {
            return self.by_history(job, settling, deadline).await;
        }
        self.wait_for_history(&job, settling, deadline).await
    }

    /// Settles a job by the chat's history.
    ///
    /// # Errors
    /// As [`Delivery::unsettled`].
    pub(super) async fn settle(&self, job: Job, deadline: Deadline) -> Result<Progress> {
        match job.settling.clone() {
            Some(settling) => self.by_history(job, settling, deadline).await,
            None => self.unsettled(job, None, deadline).await,
        }
    }

    async fn by_history(
        &self,
        job: Job,
        settling: Settling,
        deadline: Deadline,
    ) -> Result<Progress> {
        let now = self.inner.clock.now();
        let window = window(&job, now);
        let found = match self.context_of(&job, deadline).await? {
            Some(context) => {
                let time = deadline.at_most(TRY);
                self.look(&context, &job, &window, time).await?
            }
            None => None,
        };
        match found {
            Some(Found::Ours(message_id)) => {
                let end = End::Delivered(Delivered {
                    at: now,
                    message_id,
                    chat_id: Some(window.chat_id.clone()),
                    log_id: None,
                    history: Some(window),
                });
                self.end(job, end, deadline).await
            }
            Some(Found::Nothing) => {
                let history = Some(window);
                let end = match settling.refused {
                    Some(refused) => End::Refused(Refused { history, ..refused }),
                    None => End::Expired { at: now, history },
                };
                self.end(job, end, deadline).await
            }
            Some(Found::Unclear(why)) => {
                self.uncertain(job, settling.refused.as_ref(), &why, deadline)
                    .await
            }
            None if settling.tries + 1 >= TRIES => {
                let why = "the chat's history could not be read in time";
                self.uncertain(job, settling.refused.as_ref(), why, deadline)
                    .await
            }
            None => {
                let settling = Settling {
                    at: now + PAUSE,
                    tries: settling.tries + 1,
                    refused: settling.refused,
                };
                self.wait_for_history(&job, settling, deadline).await
            }
        }
    }

    /// Puts the job off. No queue has it meanwhile: it keeps no later message waiting.
    async fn wait_for_history(
        &self,
        job: &Job,
        settling: Settling,
        deadline: Deadline,
    ) -> Result<Progress> {
        let wait = settling.at.since(self.inner.clock.now());
        let waiting = job.settling(settling);
        let expect = Expect::Version(job.version);
        let written = self.put(&waiting, expect, deadline).await?;
        Ok(Progress::Later(written, wait))
    }

    async fn uncertain(
        &self,
        job: Job,
        refused: Option<&Refused>,
        why: &str,
        deadline: Deadline,
    ) -> Result<Progress> {
        let now = self.inner.clock.now();
        let what = match refused {
            Some(refused) => {
                let code = refused.code.map(|code| format!("{code} ")).unwrap_or_default();
                format!(
                    "the answer of an earlier call was lost; a later one was refused: {code}{}",
                    refused.msg
                )
            }
            None => "its answer was lost, and the platform no longer tells a repeated call from a second message".to_owned(),
        };
        let end = End::Uncertain(Uncertain {
            at: now,
            since: job.unsettled_since.unwrap_or(now),
            reason: format!("{what}; {why}"),
        });
        self.end(job, end, deadline).await
    }

    /// What the history says; `None` when it cannot be read now.
    async fn look(
        &self,
        context: &AppContext,
        job: &Job,
        window: &HistoryRead,
        deadline: Deadline,
    ) -> Result<Option<Found>> {
        let unknown = match self.unknown_messages(context, job, window, deadline).await {
            Ok(Ok(unknown)) => unknown,
            Ok(Err(found)) => return Ok(Some(found)),
            Err(SendError::Lark(failure)) if !is_passing(&failure) => {
                let why = format!("the chat's history cannot be read: {failure}");
                return Ok(Some(Found::Unclear(why)));
            }
            Err(SendError::Unsent(error @ (Error::Store(_) | Error::Seal(_)))) => {
                return Err(error);
            }
            Err(error) => {
                warn!(message.job_id = job.key.job_id.as_str(), %error, "a chat's history is not read yet");
                return Ok(None);
            }
        };
        for message in unknown.iter().filter(|it| is_it(it, job)) {
            let id = message.message_id.as_str();
            let chat_id = Some(window.chat_id.as_str());
            if self.claim_sent(job, id, chat_id, deadline).await? {
                return Ok(Some(Found::Ours(id.to_owned())));
            }
        }
        let found = match &job.to {
            Target::Address(_) if unknown.is_empty() => Found::Nothing,
            Target::Reply(_) if unknown.is_empty() => Found::Unclear(
                "the chat's history does not have it, and does not show what is in threads"
                    .to_owned(),
            ),
            Target::Address(_) | Target::Reply(_) => Found::Unclear(format!(
                "the chat's history has {} of the app's messages of that time that may be it, and reads them otherwise",
                unknown.len()
            )),
        };
        Ok(Some(found))
    }

    /// The app's messages of that time that no other job is known to have sent; or what was found on the way.
    async fn unknown_messages(
        &self,
        context: &AppContext,
        job: &Job,
        window: &HistoryRead,
        deadline: Deadline,
    ) -> std::result::Result<std::result::Result<Vec<PlatformMessage>, Found>, SendError> {
        let too_many = || Found::Unclear("too many messages were sent there meanwhile".to_owned());
        let from = window.from.as_millis().div_euclid(1_000);
        let until = window.until.as_seconds_rounded_up();
        let mut page = PageRequest::first(MAX_HISTORY_PAGE);
        let (mut unknown, mut lookups) = (Vec::new(), 0);
        for _ in 0..MAX_PAGES {
            let request = list_history(&window.chat_id, from, until, &page);
            let read = self
                .inner
                .platform
                .send(context, &request, deadline)
                .await?;
            for message in read.items {
                if !message.may_be_by(job.app_id.as_str()) {
                    continue;
                }
                lookups += 1;
                if lookups > MAX_LOOKUPS {
                    return Ok(Err(too_many()));
                }
                match self.sent(&message.message_id, deadline).await? {
                    Some(sent) if sent.job_id == job.key.job_id => {
                        return Ok(Err(Found::Ours(message.message_id)));
                    }
                    Some(_) => {}
                    None => unknown.push(message),
                }
            }
            match read.next_page_token {
                None => return Ok(Ok(unknown)),
                token => page.page_token = token,
            }
        }
        Ok(Err(too_many()))
    }
}

/// What of the chat's history is read for `job` at `now`.
fn window(job: &Job, now: Timestamp) -> HistoryRead {
    let last = job.attempts.last().map_or(now, |last| last.at);
    let since = job.unsettled_since.unwrap_or(last);
    HistoryRead {
        at: now,
        chat_id: job.to.chat_id().unwrap_or_default().to_owned(),
        from: Timestamp::from_millis(since.as_millis() - millis(SKEW)),
        until: last + LEASE + SKEW,
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// Whether `message` is exactly what `job` sends.
fn is_it(message: &PlatformMessage, job: &Job) -> bool {
    let Some(ours) = &job.message else {
        return false;
    };
    let is_where_it_goes = match &job.to {
        Target::Address(_) => message.parent_id.is_none(),
        Target::Reply(reply) => message.parent_id.as_deref() == Some(reply.reply_to.as_str()),
    };
    is_where_it_goes
        && message.is_by(job.app_id.as_str())
        && !message.is_recalled()
        && !message.is_edited()
        && message.says(&ours.msg_type, &ours.content)
}

/// Whether a failure to read passes by itself.
fn is_passing(failure: &crate::error::LarkFailure) -> bool {
    use crate::error::FailureKind as Kind;
    match failure.kind {
        Kind::TokenInvalid
        | Kind::AppRefused
        | Kind::TenantRefused
        | Kind::TicketMissing
        | Kind::RateLimited
        | Kind::Unavailable
        | Kind::Timeout => true,
        // An answer that is not as documented.
        Kind::Rejected => matches!(failure.code, None | Some(0)),
        Kind::NotFound
        | Kind::Forbidden
        | Kind::GrantVoid
        | Kind::QuotaExhausted
        | Kind::Invalid => false,
    }
}
