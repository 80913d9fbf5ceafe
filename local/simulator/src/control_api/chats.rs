//! Chats.

use super::{ControlCall, ok};
use crate::answer::Answer;
use crate::chats::ChatPatch;
use crate::control::Control;
use crate::invalid::Invalid;

pub(super) fn create(control: &Control, call: &ControlCall<'_>) -> Result<Answer, Invalid> {
    let chat: ChatPatch = match call.request.body.is_empty() {
        true => ChatPatch::default(),
        false => call.body()?,
    };
    show(control, control.create_chat(chat)?)
}

pub(super) fn read(control: &Control, call: &ControlCall<'_>) -> Result<Answer, Invalid> {
    show(control, call.n()?)
}

pub(super) fn change(control: &Control, call: &ControlCall<'_>) -> Result<Answer, Invalid> {
    let n = call.n()?;
    control.update_chat(n, call.body()?)?;
    show(control, n)
}

pub(super) fn dissolve(control: &Control, call: &ControlCall<'_>) -> Result<Answer, Invalid> {
    let n = call.n()?;
    control.dissolve_chat(n)?;
    show(control, n)
}

fn show(control: &Control, n: u32) -> Result<Answer, Invalid> {
    let chat = control
        .chat(n)
        .ok_or_else(|| Invalid::new("n", format!("there is no chat {n}")))?;
    Ok(ok(&chat))
}
