//! Controls of users and chats.

use http::Method;
use serde_json::json;

use super::{ControlCall, Route, ok};
use crate::answer::Answer;
use crate::chats::ChatPatch;
use crate::control::Control;
use crate::directory::UserPatch;
use crate::invalid::Invalid;

pub(super) const ROUTES: &[Route] = &[
    (Method::POST, "/_sim/users", create_user),
    (Method::GET, "/_sim/users/{n}", read_user),
    (Method::PATCH, "/_sim/users/{n}", change_user),
    (Method::DELETE, "/_sim/users/{n}", delete_user),
    (Method::POST, "/_sim/chats", create_chat),
    (Method::GET, "/_sim/chats/{n}", read_chat),
    (Method::PATCH, "/_sim/chats/{n}", change_chat),
    (Method::DELETE, "/_sim/chats/{n}", dissolve_chat),
];

fn create_user(control: &Control, call: &ControlCall<'_>) -> Result<Answer, Invalid> {
    let user: UserPatch = match call.request.body.is_empty() {
        true => UserPatch::default(),
        false => call.body()?,
    };
    let n = control.create_user(user)?;
    user_answer(control, call, n)
}

fn read_user(control: &Control, call: &ControlCall<'_>) -> Result<Answer, Invalid> {
    user_answer(control, call, call.n()?)
}

fn change_user(control: &Control, call: &ControlCall<'_>) -> Result<Answer, Invalid> {
    let n = call.n()?;
    control.update_user(n, call.body()?)?;
    user_answer(control, call, n)
}

fn delete_user(control: &Control, call: &ControlCall<'_>) -> Result<Answer, Invalid> {
    let n = call.n()?;
    control.delete_user(n)?;
    Ok(ok(&json!({ "n": n })))
}

fn user_answer(control: &Control, call: &ControlCall<'_>, n: u32) -> Result<Answer, Invalid> {
    let app_id = call.request.query.first("app_id");
    let ids = control
        .user_ids(n, app_id)
        .ok_or_else(|| Invalid::new("n", format!("there is no user {n}")))?;
    Ok(ok(&ids))
}

fn create_chat(control: &Control, call: &ControlCall<'_>) -> Result<Answer, Invalid> {
    let chat: ChatPatch = match call.request.body.is_empty() {
        true => ChatPatch::default(),
        false => call.body()?,
    };
    chat_answer(control, control.create_chat(chat)?)
}

fn read_chat(control: &Control, call: &ControlCall<'_>) -> Result<Answer, Invalid> {
    chat_answer(control, call.n()?)
}

fn change_chat(control: &Control, call: &ControlCall<'_>) -> Result<Answer, Invalid> {
    let n = call.n()?;
    control.update_chat(n, call.body()?)?;
    chat_answer(control, n)
}

fn dissolve_chat(control: &Control, call: &ControlCall<'_>) -> Result<Answer, Invalid> {
    let n = call.n()?;
    control.dissolve_chat(n)?;
    chat_answer(control, n)
}

fn chat_answer(control: &Control, n: u32) -> Result<Answer, Invalid> {
    let chat = control
        .chat(n)
        .ok_or_else(|| Invalid::new("n", format!("there is no chat {n}")))?;
    Ok(ok(&chat))
}
