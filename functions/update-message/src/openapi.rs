//! What the API's document says of it.

use api_document::{Answer, Content, Operation, Tag, parameters, problems};
use lark_service::api_keys::Scope;
use lark_service::messages::content::ContentFields;

/// `PATCH /v1/messages/{message_id}`.
#[must_use]
pub fn operations() -> Vec<Operation> {
    let body = Content::body::<ContentFields>()
        .named_example("text", "{ text: The build is green again. }")
        .named_example(
            "card",
            "{ card: { kind: alert, status: resolved, title: The build is green again } }",
        );
    vec![
        Operation::patch(
            "/v1/messages/{message_id}",
            "updateMessage",
            Tag::Messages,
            "Change what a message says",
            body,
        )
        .description(
            "Of a message that the app sent: a text or a post in place of one, 20 times at most and while the tenant's time for \
             edits lasts; a card in place of a card, for 14 days, where both are shared (`update_multi: true`). Which of these \
             it is follows from what is given. Repeated, it changes nothing more.",
        )
        .scope(Scope::MessagesSend)
        .parameter(parameters::message())
        .for_a_tenant()
        .asks_the_platform()
        .answer(Answer::empty(204, "The message says this now."))
        .problem(problems::MESSAGE_NOT_FOUND),
    ]
}
