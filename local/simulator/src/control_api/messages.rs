//! Controls of messages: what was delivered, how often, who has read it.

use http::Method;
use serde::Deserialize;
use serde_json::json;

use super::{ControlCall, Route, ok};
use crate::answer::Answer;
use crate::control::Control;
use crate::invalid::Invalid;
use crate::messages::DeliveryFilter;

/// How many deliveries are shown by default, and at most.
const SHOWN: usize = 1000;
const SHOWN_MAX: usize = 10_000;

pub(super) const ROUTES: &[Route] = &[
    (Method::GET, "/_sim/messages", deliveries),
    (Method::GET, "/_sim/messages/counts", counts),
    (Method::POST, "/_sim/messages/{message_id}/read", read),
    (Method::GET, "/_sim/batch_messages", batch_messages),
];

fn deliveries(control: &Control, call: &ControlCall<'_>) -> Result<Answer, Invalid> {
    let mut filter = DeliveryFilter::default();
    let mut limit = SHOWN;
    for (name, value) in call.request.query.pairs() {
        match name {
            "after" => filter.after = number(name, value)?,
            "limit" => limit = number(name, value)?,
            "chat_id" => filter.chat_id = Some(value.to_owned()),
            "app_id" => filter.app_id = Some(value.to_owned()),
            "user" => filter.user = Some(number(name, value)?),
            _ => {
                return Err(Invalid::new(
                    name,
                    "is none of after, limit, chat_id, app_id, user",
                ));
            }
        }
    }
    if !(1..=SHOWN_MAX).contains(&limit) {
        return Err(Invalid::new(
            "limit",
            format!("must be from 1 to {SHOWN_MAX}"),
        ));
    }
    let mut deliveries = control.deliveries(&filter, limit + 1);
    let has_more = deliveries.len() > limit;
    deliveries.truncate(limit);
    let next = deliveries.last().filter(|_| has_more);
    let next = next.map(|last| last.number);
    Ok(ok(&json!({ "deliveries": deliveries, "next": next })))
}

fn counts(control: &Control, _: &ControlCall<'_>) -> Result<Answer, Invalid> {
    Ok(ok(&control.message_counts()))
}

fn read(control: &Control, call: &ControlCall<'_>) -> Result<Answer, Invalid> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Read {
        users: Vec<u32>,
    }
    let Read { users } = call.body()?;
    control.mark_read(call.parameter(), &users)?;
    Ok(ok(&json!({})))
}

fn batch_messages(control: &Control, _: &ControlCall<'_>) -> Result<Answer, Invalid> {
    Ok(ok(&json!({ "batch_messages": control.batch_messages() })))
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, Invalid> {
    let number = value.parse();
    number.map_err(|_| Invalid::new(name, format!("{value:?} is not a number")))
}
