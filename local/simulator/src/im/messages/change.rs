//! Edit, change of a card, recall.

use serde::Deserialize;
use serde_json::json;

use super::content::{self, Context, card};
use super::{change, check_not_recalled, error, find, invalid, object, too_many};
use crate::answer::{Answer, ApiError};
use crate::endpoint::Call;
use crate::messages::{Message, MessageType};
use crate::platform::Platform;

/// The most edits of a message.
const EDITS_MAX: u32 = 20;

/// How long a card can be changed: 14 days.
const CARD_MS: u64 = 14 * 86_400_000;

/// Only texts and posts.
pub(super) fn update(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    #[derive(Deserialize)]
    struct Body {
        msg_type: String,
        content: String,
    }
    let body: Body = call.request.json().map_err(ApiError::body)?;
    let message = find(platform, call)?;
    let is_editable = |kind| matches!(kind, MessageType::Text | MessageType::Post);
    let kind = MessageType::parse(&body.msg_type).ok_or_else(|| invalid("invalid msg_type"))?;
    if !is_editable(kind) || !is_editable(message.message_type) {
        let msg = "This operation is not supported for this message type.";
        return Err(error(230_054, msg));
    }
    let context = Context::new(platform, call, Some(&message.chat));
    let content = content::read(&context, &body.msg_type, &body.content)?;
    let window_ms = window_ms(platform.settings().edit_window_seconds);
    let now_ms = platform.clock.now_ms();
    let edited = change(platform, message.number, |message| {
        check_sender(call, message, 230_071)?;
        check_not_recalled(message)?;
        if message.edits >= EDITS_MAX {
            return Err(error(
                230_072,
                "The message has reached its number of edits.",
            ));
        }
        if now_ms >= message.created_ms.saturating_add(window_ms) {
            return Err(error(230_075, "The message is too old to be edited."));
        }
        message.message_type = content.message_type;
        message.content = content.text.into();
        message.mentions = content.mentions;
        message.edits += 1;
        message.updated_ms = now_ms;
        Ok(())
    })?;
    Ok(Answer::data(&object::of(&edited, call)))
}

/// Replaces a card that all see alike, before and after.
pub(super) fn patch(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    #[derive(Deserialize)]
    struct Body {
        content: String,
    }
    let body: Body = call.request.json().map_err(ApiError::body)?;
    let message = find(platform, call)?;
    if message.message_type != MessageType::Interactive {
        return Err(invalid("This message is NOT a card"));
    }
    let context = Context::new(platform, call, Some(&message.chat));
    let content = content::read(&context, MessageType::Interactive.name(), &body.content)?;
    let settings = platform.settings();
    let now_ms = platform.clock.now_ms();
    change(platform, message.number, |message| {
        check_sender(call, message, 230_027)?;
        check_not_recalled(message)?;
        if !card::is_shared(&message.content) || !card::is_shared(&content.text) {
            return Err(invalid("config.update_multi of both cards must be true"));
        }
        if now_ms >= message.created_ms.saturating_add(CARD_MS) {
            return Err(error(230_031, "The card is older than 14 days."));
        }
        let window_ms = settings.second_ms();
        let recent = &mut message.card_changes_ms;
        recent.retain(|changed_ms| now_ms.abs_diff(*changed_ms) < window_ms);
        if settings.rate_limits && recent.len() >= settings.card_changes_per_second as usize {
            return Err(too_many());
        }
        recent.push(now_ms);
        message.content = content.text.into();
        message.updated_ms = now_ms;
        Ok(())
    })?;
    Ok(Answer::data(&json!({})))
}

pub(super) fn delete(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    let message = find(platform, call)?;
    let window_ms = window_ms(platform.settings().recall_window_seconds);
    let now_ms = platform.clock.now_ms();
    change(platform, message.number, |message| {
        check_sender(call, message, 230_026)?;
        check_not_recalled(message)?;
        if now_ms >= message.created_ms.saturating_add(window_ms) {
            return Err(error(230_009, "This message can no longer be recalled."));
        }
        message.is_recalled = true;
        message.updated_ms = now_ms;
        Ok(())
    })?;
    Ok(Answer::data(&json!({})))
}

/// `code` is the call's for a message that another app has sent.
fn check_sender(call: &Call<'_>, message: &Message, code: i64) -> Result<(), ApiError> {
    match *message.app_id == *call.app.app_id {
        true => Ok(()),
        false => Err(error(
            code,
            "The operator is not the sender of the message.",
        )),
    }
}

fn window_ms(seconds: u64) -> u64 {
    seconds.saturating_mul(1000)
}
