//! Reactions to messages ("IM v1, Message reaction" in the platform's reference).

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Handler;
use super::messages::{self, error};
use crate::answer::{Answer, ApiError};
use crate::endpoint::{AuthMethod, Call, Endpoint};
use crate::messages::Reaction;
use crate::paging::{PageError, PageRequest, PageSizes};
use crate::platform::Platform;
use crate::rate_limit::Tier;

const SIZES: PageSizes = PageSizes {
    default: 20,
    max: 50,
};

/// The longest name of an emoji. The platform has a list; here every name of its form exists.
const EMOJI_MAX: usize = 40;

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    endpoint(
        "im.message_reaction.create",
        Method::POST,
        REACTIONS,
        create,
    ),
    endpoint("im.message_reaction.list", Method::GET, REACTIONS, list),
    endpoint(
        "im.message_reaction.delete",
        Method::DELETE,
        "/open-apis/im/v1/messages/{message_id}/reactions/{reaction_id}",
        delete,
    ),
];

const REACTIONS: &str = "/open-apis/im/v1/messages/{message_id}/reactions";

const fn endpoint(
    name: &'static str,
    method: Method,
    path: &'static str,
    handler: Handler,
) -> Endpoint {
    Endpoint {
        name,
        method,
        path,
        auth: AuthMethod::TenantToken,
        scopes: &[
            "im:message",
            "im:message.reactions:write_only",
            "im:message.reactions:read",
        ],
        tier: Tier::Four,
        handler,
    }
}

/// The same reaction of an app a second time is the first one.
fn create(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    #[derive(Deserialize)]
    struct Body {
        reaction_type: ReactionType,
    }
    #[derive(Deserialize)]
    struct ReactionType {
        emoji_type: String,
    }
    let body: Body = call.request.json().map_err(ApiError::body)?;
    let emoji = body.reaction_type.emoji_type;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if !(1..=EMOJI_MAX).contains(&emoji.len()) || !emoji.bytes().all(is_name) {
        return Err(error(231_001, "The message reaction type is invalid."));
    }
    let message = messages::find(platform, call)?;
    let changed = messages::change(platform, message.number, |message| {
        messages::check_not_recalled(message)?;
        message.react(&call.app.app_id, emoji.as_str(), call.now_ms);
        Ok(())
    })?;
    let mut reactions = changed.reactions.iter();
    let added = reactions.find(|it| *it.app_id == *call.app.app_id && *it.emoji == *emoji);
    Ok(Answer::data(&added.map(object)))
}

fn list(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    let message = messages::find(platform, call)?;
    let emoji = call.request.query.first("reaction_type");
    let emoji = emoji.filter(|emoji| !emoji.is_empty());
    let list = format!("im.message_reaction.list/{}/{emoji:?}", message.number);
    let page = PageRequest::parse(&call.request.query, list, SIZES).map_err(|problem| {
        let name = match problem {
            PageError::Size => "page_size",
            PageError::Token => "page_token",
        };
        error(231_012, format!("The {name} is invalid."))
    })?;
    let reactions = message.reactions.iter();
    let wanted = reactions.filter(|reaction| {
        reaction.number > page.after && emoji.is_none_or(|emoji| *reaction.emoji == *emoji)
    });
    let items = wanted.map(|reaction| (reaction.number, object(reaction)));
    Ok(Answer::data(&page.fill(items)))
}

/// Only the app's own.
fn delete(platform: &Platform, call: &Call<'_>) -> Result<Answer, ApiError> {
    let message = messages::find(platform, call)?;
    let number = Reaction::decode_id(call.parameter("reaction_id"))
        .ok_or_else(|| error(231_011, "The reaction_id is invalid."))?;
    let mut reactions = message.reactions.iter();
    let reaction = reactions
        .find(|reaction| reaction.number == number)
        .ok_or_else(|| error(231_010, "The reaction is not one of this message."))?;
    if *reaction.app_id != *call.app.app_id {
        return Err(error(231_007, "The operator has not added the reaction."));
    }
    messages::change(platform, message.number, |message| {
        message
            .reactions
            .retain(|reaction| reaction.number != number);
        Ok(())
    })?;
    Ok(Answer::data(&object(reaction)))
}

fn object(reaction: &Reaction) -> Value {
    json!({
        "reaction_id": reaction.id(),
        "operator": { "operator_id": reaction.app_id, "operator_type": "app" },
        "action_time": reaction.at_ms.to_string(),
        "reaction_type": { "emoji_type": reaction.emoji },
    })
}
