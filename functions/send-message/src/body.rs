//! What goes in and out.

use std::time::Duration;

use lark_service::clock::Timestamp;
use lark_service::delivery::{Message, NewMessage};
use lark_service::error::{Error, Result};
use lark_service::http::Call;
use lark_service::messages::cards::AnyCard;
use lark_service::messages::content::{
    ContentFields, MessageContent, MsgType, Purpose, content_schema,
};
use lark_service::messages::{Path, Problems, Receiver, ReceiverFields};
use lark_service::queue::Lane;
use lark_service::schema::one_of;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::schema::Object;

/// A message may be for as late as this.
const LATEST: Duration = Duration::from_secs(30 * 24 * 3_600);

/// A message, to one receiver. The content is given in one of four ways: `msg_type` with `content`, `text`, `markdown` or `card`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SendMessageRequest)]
pub(crate) struct SendBody {
    /// Who gets it.
    to: ReceiverFields,
    /// The platform's type of the message, with `content`.
    #[schema(value_type = Option<MsgType>)]
    msg_type: Option<String>,
    /// The platform's content of that type: an object, or the same as JSON in a text.
    #[schema(schema_with = content_schema, required = false)]
    content: Option<Value>,
    /// A plain text.
    #[schema(min_length = 1)]
    text: Option<String>,
    /// Markdown, which becomes a post.
    #[schema(min_length = 1)]
    markdown: Option<String>,
    /// A card: the platform's JSON of version 1.0 or 2.0, a template, a card's id, or one of ours with `kind`.
    #[schema(value_type = Option<AnyCard>)]
    card: Option<Value>,
    /// `bulk` for one of many: it takes half of an app's turns at most. `normal` unless said otherwise.
    #[schema(schema_with = lane_schema, required = false)]
    lane: Option<String>,
    /// Not before this moment, at most 30 days ahead (RFC 3339).
    #[schema(format = DateTime)]
    deliver_at: Option<String>,
    /// Not after this moment; a day after its time unless said otherwise (RFC 3339).
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// Checks everything, says what would happen, and sends nothing.
    #[serde(default)]
    dry_run: bool,
}

/// What the body asks for.
pub(crate) struct Wanted {
    pub(crate) receiver: Receiver,
    pub(crate) message: Message,
    pub(crate) lane: Lane,
    pub(crate) deliver_at: Option<Timestamp>,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) is_dry_run: bool,
}

/// What would happen.
#[derive(Serialize, ToSchema)]
#[schema(as = MessageDryRun)]
pub(crate) struct DryRun {
    /// Always `true`.
    dry_run: bool,
    /// `open_id` or `chat_id`: what the receiver was found to be.
    receiver_kind: &'static str,
    /// The platform's id of the receiver.
    receiver_id: String,
    /// The platform's type of the message.
    msg_type: String,
    /// `normal` or `bulk`.
    lane: &'static str,
    /// Whether a worker delivers it.
    is_queued: bool,
    /// Whether the call counts against the month's quota of the platform's free plan.
    counts_against_quota: bool,
}

impl DryRun {
    pub(crate) fn of(new: &NewMessage, is_queued: bool) -> Self {
        Self {
            dry_run: true,
            receiver_kind: new.to.kind(),
            receiver_id: new.to.id().to_owned(),
            msg_type: new.message.msg_type.clone(),
            lane: new.lane.name(),
            is_queued,
            counts_against_quota: true,
        }
    }
}

impl SendBody {
    /// # Errors
    /// [`Error::InvalidArgument`] naming each field that is wrong.
    pub(crate) fn read(self, now: Timestamp) -> Result<Wanted> {
        let mut problems = Problems::default();
        let receiver = Receiver::check(&self.to, &Path::of("to"), &mut problems);
        let fields = ContentFields {
            msg_type: self.msg_type,
            content: self.content,
            text: self.text,
            markdown: self.markdown,
            card: self.card,
        };
        let content = MessageContent::check(fields, Purpose::Send, &mut problems);
        let lane = lane(self.lane.as_deref(), &mut problems);
        let deliver_at = moment("deliver_at", self.deliver_at.as_deref(), &mut problems);
        if deliver_at.is_some_and(|at| at > now + LATEST) {
            problems.add(&Path::of("deliver_at"), "must be at most 30 days ahead");
        }
        let expires_at = moment("expires_at", self.expires_at.as_deref(), &mut problems);
        let earliest = deliver_at.map_or(now, |at| at.max(now));
        if expires_at.is_some_and(|at| at <= earliest || at > earliest + LATEST) {
            let message = "must be after `deliver_at` and after now, by at most 30 days";
            problems.add(&Path::of("expires_at"), message);
        }
        problems.into_result()?;
        let (Some(receiver), Some(content)) = (receiver, content) else {
            return Err(Error::internal("a message without problems has no content"));
        };
        let serialised = content.serialised();
        Ok(Wanted {
            receiver,
            message: Message {
                msg_type: serialised.msg_type.as_str().to_owned(),
                content: serialised.content,
            },
            lane,
            deliver_at,
            expires_at,
            is_dry_run: self.dry_run,
        })
    }
}

/// The schema of `lane`.
fn lane_schema() -> Object {
    one_of("Which queue it takes.", Lane::ALL.map(Lane::name))
}

fn lane(text: Option<&str>, problems: &mut Problems) -> Lane {
    match text {
        None => Lane::Normal,
        Some(text) => {
            let known = Lane::ALL.into_iter().find(|lane| lane.name() == text);
            known.unwrap_or_else(|| {
                problems.add(&Path::of("lane"), "must be `normal` or `bulk`");
                Lane::Normal
            })
        }
    }
}

fn moment(field: &'static str, text: Option<&str>, problems: &mut Problems) -> Option<Timestamp> {
    let text = text?;
    let moment = Timestamp::parse(text);
    if moment.is_none() {
        let message = "must be a moment in RFC 3339 form, such as 2026-01-31T08:00:00Z";
        problems.add(&Path::of(field), message);
    }
    moment
}

/// Whether the header `Prefer` asks for an answer before the message is sent (RFC 7240).
///
/// # Errors
/// [`Error::InvalidArgument`] for a header that is not visible ASCII.
pub(crate) fn prefers_async(call: &Call<'_>) -> Result<bool> {
    let prefer = call.header("prefer")?.unwrap_or_default();
    let mut preferences = prefer.split(',').map(|one| one.trim());
    Ok(preferences.any(|one| one.eq_ignore_ascii_case("respond-async")))
}
