//! What goes in.

use lark_service::clock::Timestamp;
use lark_service::delivery::Message;
use lark_service::error::{Error, Result};
use lark_service::messages::cards::AnyCard;
use lark_service::messages::content::{
    ContentFields, MessageContent, MsgType, Purpose, content_schema,
};
use lark_service::messages::{Problems, Timing, TimingFields, lane_schema};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

/// A reply. The content is given in one of four ways: `msg_type` with `content`, `text`, `markdown` or `card`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReplyMessageRequest)]
pub(crate) struct ReplyBody {
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
    /// Begins a thread at the message. A reply to a message that is in a thread is in it too.
    #[serde(default)]
    reply_in_thread: bool,
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
    pub(crate) message: Message,
    pub(crate) in_thread: bool,
    pub(crate) timing: Timing,
    pub(crate) is_dry_run: bool,
}

impl ReplyBody {
    /// # Errors
    /// [`Error::InvalidArgument`] naming each field that is wrong.
    pub(crate) fn read(self, now: Timestamp) -> Result<Wanted> {
        let mut problems = Problems::default();
        let fields = ContentFields {
            msg_type: self.msg_type,
            content: self.content,
            text: self.text,
            markdown: self.markdown,
            card: self.card,
        };
        let content = MessageContent::check(fields, Purpose::Send, &mut problems);
        let timing = TimingFields {
            lane: self.lane.as_deref(),
            deliver_at: self.deliver_at.as_deref(),
            expires_at: self.expires_at.as_deref(),
        };
        let timing = Timing::check(timing, now, &mut problems);
        problems.into_result()?;
        let content =
            content.ok_or_else(|| Error::internal("a reply without problems has no content"))?;
        let serialised = content.serialised();
        Ok(Wanted {
            message: Message {
                msg_type: serialised.msg_type.as_str().to_owned(),
                content: serialised.content,
            },
            in_thread: self.reply_in_thread,
            timing,
            is_dry_run: self.dry_run,
        })
    }
}
