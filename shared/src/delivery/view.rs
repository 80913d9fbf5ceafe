//! A job as the API shows it: no content, only what became of it.

use serde::Serialize;
use utoipa::ToSchema;

use super::{CallbackState, DeadReason, End, HistoryRead, Job, State};
use crate::clock::Timestamp;
use crate::lark::remedies::{Actor, Remedy, remedy};
use crate::page::Page;
use crate::queue::Lane;

/// A message on its way, or how it ended.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MessageJob)]
pub struct JobView {
    /// Its id: `mj_` and 26 characters; of a batch with the place of its receiver.
    job_id: String,
    /// The batch that it is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    batch_id: Option<String>,
    /// The place of its receiver in the batch's `to`, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<u32>,
    state: State,
    /// The app that sends it.
    app_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_key: Option<String>,
    to: ReceiverView,
    /// `normal` or `bulk`.
    #[schema(value_type = String)]
    lane: Lane,
    /// The platform's type of the message.
    msg_type: String,
    /// When it was accepted.
    #[schema(format = DateTime)]
    created_at: String,
    /// Not before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    deliver_at: Option<String>,
    /// Not after.
    #[schema(format = DateTime)]
    expires_at: String,
    /// How often the platform was called.
    attempt_count: u32,
    /// The last five calls that made no message, the newest last.
    attempts: Vec<AttemptView>,
    /// The evidence of a `delivered` one.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivered: Option<DeliveredView>,
    /// Why a `refused` one will never be sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<RefusedView>,
    /// What is known of an `uncertain` one.
    #[serde(skip_serializing_if = "Option::is_none")]
    uncertain: Option<UncertainView>,
    /// The service failed at it again and again: it waits for an operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    dead_letter: Option<DeadView>,
    /// When an `expired` or `cancelled` one ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    ended_at: Option<String>,
    /// What was read of the chat's history, when an answer was lost and the history showed what came of the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<HistoryView>,
    /// How its API key is told of the end; absent if the key had no `callback_url` when the message was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    callback: Option<CallbackView>,
}

/// The post to the `callback_url`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MessageCallback)]
struct CallbackView {
    state: CallbackState,
    /// How often it was sent.
    attempts: u32,
    /// The status that the receiver answered last; absent if it did not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_status: Option<u16>,
    /// When it is sent next.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    next_at: Option<String>,
}

/// Whom it goes to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MessageReceiver)]
struct ReceiverView {
    /// `open_id` or `chat_id`; `message_id` for a reply.
    kind: &'static str,
    id: String,
}

/// A call of the platform.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MessageAttempt)]
struct AttemptView {
    /// When it was written down, right before the call.
    #[schema(format = DateTime)]
    at: String,
    /// Whether it may have made the message all the same; absent while that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    may_have_happened: Option<bool>,
    /// The platform's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<i64>,
    /// The platform's words, or what happened to the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    msg: Option<String>,
    /// The platform's id of the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    log_id: Option<String>,
    /// Who can do something about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    who: Option<Actor>,
    /// What they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'static str>,
}

/// The message that the platform made.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MessageDelivered)]
struct DeliveredView {
    #[schema(format = DateTime)]
    at: String,
    /// The platform's id of the message.
    message_id: String,
    /// The chat that it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    chat_id: Option<String>,
    /// The platform's id of the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    log_id: Option<String>,
}

/// The platform's refusal.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MessageRefused)]
struct RefusedView {
    #[schema(format = DateTime)]
    at: String,
    /// The platform's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<i64>,
    /// The platform's words.
    msg: String,
    /// The platform's id of the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    log_id: Option<String>,
    /// Who can do something about it; absent for a code that is not known here.
    #[serde(skip_serializing_if = "Option::is_none")]
    who: Option<Actor>,
    /// What they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'static str>,
}

/// What was read of a chat's history.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MessageHistoryRead)]
struct HistoryView {
    /// When.
    #[schema(format = DateTime)]
    at: String,
    chat_id: String,
    /// From this moment.
    #[schema(format = DateTime)]
    from: String,
    /// Up to this one.
    #[schema(format = DateTime)]
    until: String,
}

/// Nobody can tell whether the message was made.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MessageUncertain)]
struct UncertainView {
    #[schema(format = DateTime)]
    at: String,
    /// When the first call went out whose outcome is unknown.
    #[schema(format = DateTime)]
    since: String,
    /// Why it cannot be found out.
    reason: String,
}

/// What the service could not bring any further. An operator has it tried again, or drops it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MessageDeadLetter)]
struct DeadView {
    #[schema(format = DateTime)]
    since: String,
    reason: DeadReason,
}

impl JobView {
    /// `job` as it is at `now`.
    #[must_use]
    pub fn of(job: &Job, now: Timestamp) -> Self {
        let mut view = Self {
            job_id: job.key.job_id.to_string(),
            batch_id: job.key.job_id.batch().map(|id| id.to_string()),
            entry: job.key.job_id.place(),
            state: job.state(now),
            app_id: job.app_id.to_string(),
            tenant_key: job.tenant.as_ref().map(ToString::to_string),
            to: ReceiverView {
                kind: job.to.kind(),
                id: job.to.id().to_owned(),
            },
            lane: job.lane,
            msg_type: job.msg_type.clone(),
            created_at: job.created_at.to_string(),
            deliver_at: job.deliver_at.as_ref().map(ToString::to_string),
            expires_at: job.expires_at.to_string(),
            attempt_count: job.attempt_count,
            attempts: job.attempts.iter().map(attempt).collect(),
            delivered: None,
            refused: None,
            uncertain: None,
            dead_letter: job.dead.map(|dead| DeadView {
                since: dead.since.to_string(),
                reason: dead.reason,
            }),
            ended_at: None,
            history: None,
            callback: job.callback.map(|it| CallbackView {
                state: it.state,
                attempts: it.attempt_count,
                last_status: it.last_status,
                next_at: it.next_at.as_ref().map(ToString::to_string),
            }),
        };
        if let Some(end) = &job.end {
            view.end(end);
        }
        view
    }

    /// The same however often its callback is sent.
    pub(super) fn without_callback(self) -> Self {
        Self {
            callback: None,
            ..self
        }
    }

    /// Shows how the job ended.
    fn end(&mut self, end: &End) {
        let view = self;
        match end {
            End::Delivered(it) => {
                view.history = it.history.as_ref().map(history);
                view.delivered = Some(DeliveredView {
                    at: it.at.to_string(),
                    message_id: it.message_id.clone(),
                    chat_id: it.chat_id.clone(),
                    log_id: it.log_id.clone(),
                });
            }
            End::Refused(it) => {
                view.history = it.history.as_ref().map(history);
                let remedy = remedy_of(it.code, &it.msg);
                view.refused = Some(RefusedView {
                    at: it.at.to_string(),
                    code: it.code,
                    msg: it.msg.clone(),
                    log_id: it.log_id.clone(),
                    who: remedy.map(|it| it.who),
                    action: remedy.map(|it| it.action),
                });
            }
            End::Uncertain(it) => {
                view.uncertain = Some(UncertainView {
                    at: it.at.to_string(),
                    since: it.since.to_string(),
                    reason: it.reason.clone(),
                });
            }
            End::Expired { at, history: read } => {
                view.ended_at = Some(at.to_string());
                view.history = read.as_ref().map(history);
            }
            End::Cancelled { at } => view.ended_at = Some(at.to_string()),
        }
    }
}

fn history(read: &HistoryRead) -> HistoryView {
    HistoryView {
        at: read.at.to_string(),
        chat_id: read.chat_id.clone(),
        from: read.from.to_string(),
        until: read.until.to_string(),
    }
}

fn remedy_of(code: Option<i64>, msg: &str) -> Option<&'static Remedy> {
    remedy(code?, msg)
}

fn attempt(attempt: &super::Attempt) -> AttemptView {
    let outcome = attempt.outcome.as_ref();
    let remedy = outcome.and_then(|it| remedy_of(it.code, &it.msg));
    AttemptView {
        at: attempt.at.to_string(),
        may_have_happened: outcome.map(|it| it.may_have_happened),
        code: outcome.and_then(|it| it.code),
        msg: outcome.map(|it| it.msg.clone()),
        log_id: outcome.and_then(|it| it.log_id.clone()),
        who: remedy.map(|it| it.who),
        action: remedy.map(|it| it.action),
    }
}

/// `page` as the API shows it at `now`.
#[must_use]
pub fn page_of_jobs(page: Page<Job>, now: Timestamp) -> Page<JobView> {
    Page {
        items: page.items.iter().map(|job| JobView::of(job, now)).collect(),
        next_page_token: page.next_page_token,
    }
}
