//! What goes in and out.

use std::time::Duration;

use lark_service::clock::Timestamp;
use lark_service::delivery::{
    BatchPlan, MAX_CHAT_NAMES, MAX_RECEIVERS, Message, Mode, NewBatch, Unreached,
};
use lark_service::error::{Error, Result};
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

/// A batch may be for as late as this.
const LATEST: Duration = Duration::from_secs(30 * 24 * 3_600);

/// One message to many. The content is given in one of four ways: `msg_type` with `content`, `text`, `markdown` or `card`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BatchSendMessagesRequest)]
pub(crate) struct BatchBody {
    /// Who gets it, each named in one way. Who is named twice gets it once. At most 50 of them are chats by name.
    #[schema(min_items = 1, max_items = 1_000)]
    to: Vec<ReceiverFields>,
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
    /// `each` unless said otherwise: a message for each receiver, with its own end. `broadcast`: calls of the platform for 200 people
    /// each; people only, plain content, and no message can be edited or answered. `auto`: `broadcast` where it can be used, for 50
    /// people or more.
    #[schema(schema_with = mode_schema, required = false)]
    mode: Option<String>,
    /// Whether each message must have an id of its own, to be edited, answered or recalled: `auto` then sends to each.
    #[serde(default)]
    needs_message_ids: bool,
    /// Which queue it takes: `bulk` unless said otherwise.
    #[schema(schema_with = lane_schema, required = false)]
    lane: Option<String>,
    /// Not before this moment, at most 30 days ahead (RFC 3339).
    #[schema(format = DateTime)]
    deliver_at: Option<String>,
    /// Not after this moment; a day after its time unless said otherwise (RFC 3339).
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// Checks everything, looks the receivers up, says what would happen, and sends nothing.
    #[serde(default)]
    dry_run: bool,
}

/// What would happen.
#[derive(Serialize, ToSchema)]
#[schema(as = MessageBatchDryRun)]
pub(crate) struct BatchDryRun {
    /// Always `true`.
    dry_run: bool,
    /// How many would get it. An `open_id` or `chat_id` is not looked up.
    receivers: usize,
    /// How many entries name somebody again.
    duplicates: u32,
    /// Those who would get nothing.
    unreached: Vec<Unreached>,
    /// Whether it would go out in calls for 200 people each.
    is_broadcast: bool,
    /// How many calls of the platform it takes. They count against the month's quota of the platform's free plan.
    calls: usize,
    /// The platform's type of the message.
    msg_type: String,
    /// `normal` or `bulk`.
    lane: &'static str,
}

impl BatchDryRun {
    pub(crate) fn of(new: &NewBatch, plan: BatchPlan) -> Self {
        let receivers = plan.people.len();
        Self {
            dry_run: true,
            receivers,
            duplicates: plan.duplicates,
            calls: plan.calls(),
            is_broadcast: plan.is_broadcast,
            unreached: plan.unreached,
            msg_type: new.message.msg_type.clone(),
            lane: new.lane.name(),
        }
    }
}

impl BatchBody {
    /// What the body asks for on behalf of the API key `key_id`, and whether it is a dry run.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] naming each field that is wrong, such as `to[17].email`.
    pub(crate) fn read(self, key_id: &str, now: Timestamp) -> Result<(NewBatch, bool)> {
        let mut problems = Problems::default();
        let mode = mode(self.mode.as_deref(), &mut problems);
        check_receivers(&self.to, mode, &mut problems);
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
        let Some(content) = content else {
            return Err(Error::internal("a message without problems has no content"));
        };
        let serialised = content.serialised();
        let new = NewBatch {
            key_id: key_id.to_owned(),
            receivers: self.to,
            message: Message {
                msg_type: serialised.msg_type.as_str().to_owned(),
                content: serialised.content,
            },
            mode,
            needs_message_ids: self.needs_message_ids,
            lane,
            deliver_at,
            expires_at,
            wants_callback: false,
            once: None,
        };
        Ok((new, self.dry_run))
    }
}

fn check_receivers(to: &[ReceiverFields], mode: Mode, problems: &mut Problems) {
    let path = Path::of("to");
    if !(1..=MAX_RECEIVERS).contains(&to.len()) {
        let given = to.len();
        problems.add(&path, format!("must have 1 to 1,000 entries, not {given}"));
        return;
    }
    let mut names = 0;
    for (index, fields) in to.iter().enumerate() {
        let entry = path.index(index);
        let (is_chat, field) = match Receiver::check(fields, &entry, problems) {
            Some(Receiver::Chat(_)) => (true, "chat_id"),
            Some(Receiver::ChatName(_)) => {
                names += 1;
                (true, "chat")
            }
            Some(Receiver::User(_) | Receiver::Contact(_)) | None => (false, ""),
        };
        if is_chat && mode == Mode::Broadcast {
            let message = "must be a person: the platform broadcasts to no chat, so use the mode each or auto";
            problems.add(&entry.field(field), message);
        }
    }
    if names > MAX_CHAT_NAMES {
        let message = format!(
            "must have at most {MAX_CHAT_NAMES} chats by name, not {names}: each is a search, so give their `chat_id`"
        );
        problems.add(&path, message);
    }
}

/// The schema of `mode`.
fn mode_schema() -> Object {
    one_of("How it is sent.", Mode::ALL.map(Mode::as_str))
}

fn mode(text: Option<&str>, problems: &mut Problems) -> Mode {
    let Some(text) = text else {
        return Mode::Each;
    };
    let known = Mode::ALL.into_iter().find(|mode| mode.as_str() == text);
    known.unwrap_or_else(|| {
        let message = "must be `each`, `broadcast` or `auto`";
        problems.add(&Path::of("mode"), message);
        Mode::Each
    })
}

/// The schema of `lane`.
fn lane_schema() -> Object {
    one_of("Which queue it takes.", Lane::ALL.map(Lane::name))
}

fn lane(text: Option<&str>, problems: &mut Problems) -> Lane {
    let Some(text) = text else {
        return Lane::Bulk;
    };
    let known = Lane::ALL.into_iter().find(|lane| lane.name() == text);
    known.unwrap_or_else(|| {
        problems.add(&Path::of("lane"), "must be `normal` or `bulk`");
        Lane::Bulk
    })
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn read(body: Value) -> Result<(NewBatch, bool)> {
        let body: BatchBody = serde_json::from_value(body).unwrap();
        body.read("demo0000key0", NOW)
    }

    #[test]
    fn a_right_body_is_taken() {
        let (new, is_dry_run) = read(json!({
            "to": [{"open_id": "ou_1"}, {"email": "a@example.com"}, {"chat_id": "oc_1"}, {"chat": "lunch"}],
            "text": "hi",
        }))
        .unwrap();
        assert_eq!((new.receivers.len(), is_dry_run), (4, false));
        assert_eq!((new.lane, new.mode), (Lane::Bulk, Mode::Each));
        assert_eq!(new.message.content, r#"{"text":"hi"}"#);
    }

    fn refused(rows: impl IntoIterator<Item = (Value, &'static str)>) {
        for (body, field) in rows {
            let Err(Error::InvalidArgument(errors)) = read(body.clone()) else {
                panic!("{field} is accepted: {body}");
            };
            assert_eq!(errors[0].field, field, "{}", errors[0].message);
        }
    }

    #[test]
    fn what_is_wrong_with_a_receiver_is_named_by_entry() {
        let with = |entry: Value| {
            let mut to = vec![json!({"open_id": "ou_1"}); 18];
            to[17] = entry;
            json!({"to": to, "text": "hi"})
        };
        let both = json!({"open_id": "ou_1", "chat_id": "oc_1"});
        let names = vec![json!({"chat": "lunch"}); 51];
        let many = vec![json!({"open_id": "ou_1"}); 1_001];
        let broadcast = |to: Value| json!({"to": [to], "text": "hi", "mode": "broadcast"});
        refused([
            (with(json!({"email": "jane"})), "to[17].email"),
            (with(json!({"open_id": "on_1"})), "to[17].open_id"),
            (with(json!({"mobile": "12"})), "to[17].mobile"),
            (with(json!({})), "to[17]"),
            (with(both), "to[17].chat_id"),
            (json!({"to": [], "text": "hi"}), "to"),
            (json!({"to": many, "text": "hi"}), "to"),
            (json!({"to": names, "text": "hi"}), "to"),
            (broadcast(json!({"chat_id": "oc_1"})), "to[0].chat_id"),
            (broadcast(json!({"chat": "lunch"})), "to[0].chat"),
        ]);
    }

    #[test]
    fn what_is_wrong_with_the_rest_is_named_by_field() {
        let with = |field: &str, value: Value| {
            let mut body = json!({"to": [{"open_id": "ou_1"}], "text": "hi"});
            body[field] = value;
            body
        };
        let to = json!([{"open_id": "ou_1"}]);
        refused([
            (with("mode", json!("all")), "mode"),
            (with("lane", json!("fast")), "lane"),
            (with("deliver_at", json!("now")), "deliver_at"),
            (
                with("deliver_at", json!("2099-01-01T00:00:00Z")),
                "deliver_at",
            ),
            (
                with("expires_at", json!("2001-01-01T00:00:00Z")),
                "expires_at",
            ),
            (with("card", json!({})), "card"),
            (json!({"to": to}), "body"),
            (json!({"to": to, "msg_type": "text"}), "content"),
        ]);
    }

    #[test]
    fn a_broadcast_takes_plain_content_only() {
        let to = json!([{"open_id": "ou_1"}]);
        let check = |body: Value| read(body).and_then(|(new, _)| new.check());
        check(json!({"to": to, "text": "hi", "mode": "broadcast"})).unwrap();
        check(json!({"to": to, "markdown": "**hi**", "mode": "auto"})).unwrap();
        for body in [
            json!({"to": to, "markdown": "**hi**", "mode": "broadcast"}),
            json!({"to": to, "msg_type": "file", "content": {"file_key": "file_v2_1"}, "mode": "broadcast"}),
        ] {
            let Err(Error::InvalidArgument(errors)) = check(body) else {
                panic!("it is accepted");
            };
            assert_eq!(errors[0].field, "mode");
        }
    }

    #[test]
    fn what_no_record_has_room_for_is_refused_as_too_large() {
        let address = |n: usize| json!({"email": format!("{}@{n}.example.com", "a".repeat(150))});
        let to: Vec<Value> = (0..1_000).map(address).collect();
        let large = json!({"to": to, "text": "a".repeat(120 * 1024)});
        let refused = read(large).and_then(|(new, _)| new.check());
        assert!(matches!(refused, Err(Error::FieldTooLarge(error)) if error.field == "to"));
        let cards = json!({"to": to, "text": "a".repeat(20 * 1024)});
        read(cards).and_then(|(new, _)| new.check()).unwrap();
    }
}
