//! What is refused, by field, and what is accepted, as it is sent. The cases are data, so that a test of the whole service can
//! post them too.

use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::error::FieldError;

mod properties;
mod sizes;

const REFUSED: &str = include_str!("tests/refused.jsonl");
const ACCEPTED: &str = include_str!("tests/accepted.jsonl");

/// A body that is refused, the field that is named, and a part of what is told.
#[derive(Deserialize)]
struct Refused {
    field: String,
    told: String,
    body: Value,
}

/// A body that is accepted, and what is sent.
#[derive(Deserialize)]
struct Accepted {
    msg_type: MsgType,
    sent: Value,
    body: Value,
}

fn parse(body: &Value) -> Result<MessageContent> {
    parse_for(body, Purpose::Send)
}

fn parse_for(body: &Value, purpose: Purpose) -> Result<MessageContent> {
    let fields: ContentFields = serde_json::from_value(body.clone()).unwrap();
    MessageContent::parse(fields, purpose)
}

fn problems(refused: &Result<MessageContent>) -> Vec<FieldError> {
    match refused {
        Err(Error::InvalidArgument(errors)) => errors.clone(),
        Err(Error::FieldTooLarge(error)) => vec![error.clone()],
        Err(_) | Ok(_) => Vec::new(),
    }
}

/// Checks that `refused` names exactly one field, and tells so much of it.
#[track_caller]
fn check_refused(refused: &Result<MessageContent>, field: &str, told: &str) {
    let problems = problems(refused);
    let found = problems
        .iter()
        .any(|problem| problem.field == field && problem.message.contains(told));
    assert!(found, "{field}, {told}: {problems:?}");
}

fn lines<'t, T: Deserialize<'t>>(text: &'t str) -> Vec<T> {
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect()
}

#[test]
fn what_is_wrong_is_refused_by_field() {
    let cases: Vec<Refused> = lines(REFUSED);
    assert!(cases.len() > 400, "{}", cases.len());
    let mut wrong = Vec::new();
    for case in cases {
        let problems = problems(&parse(&case.body));
        let is_told = |problem: &FieldError| {
            problem.field == case.field && problem.message.contains(&case.told)
        };
        if !problems.iter().any(is_told) {
            wrong.push(format!(
                "{}\n  {}: {}\n  {problems:?}",
                case.body, case.field, case.told
            ));
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_is_right_is_sent_as_it_was_given() {
    for case in lines::<Accepted>(ACCEPTED) {
        let content = parse(&case.body).unwrap_or_else(|error| panic!("{}: {error}", case.body));
        let sent = content.serialised();
        assert_eq!(sent.msg_type, case.msg_type, "{}", case.body);
        let text: Value = serde_json::from_str(&sent.content).unwrap();
        assert_eq!(text, case.sent, "{}", case.body);
    }
}

#[test]
fn every_problem_is_told_at_once_with_its_place() {
    let nodes =
        json!([[{"tag": "a", "text": 5, "href": "x"}, {"tag": "img", "image_key": "a.png"}]]);
    let refused =
        parse(&json!({"msg_type": "post", "content": {"zh_cn": {"content": nodes}, "zh": {}}}));
    let fields: Vec<_> = problems(&refused).into_iter().map(|it| it.field).collect();
    assert_eq!(
        fields,
        [
            "content.zh",
            "content.zh_cn.content[0][0].text",
            "content.zh_cn.content[0][0].href",
            "content.zh_cn.content[0][1]",
            "content.zh_cn.content[0][1].image_key",
        ]
    );
    let paragraphs: Vec<_> = (0..1_000).map(|_| json!([{"tag": "x"}])).collect();
    let refused =
        parse(&json!({"msg_type": "post", "content": {"zh_cn": {"content": paragraphs}}}));
    assert_eq!(problems(&refused).len(), Problems::MAX);
}

#[test]
fn a_text_and_a_post_can_be_edited_and_nothing_else() {
    let edit = |body: Value| parse_for(&body, Purpose::Edit);
    assert!(edit(json!({"text": "hi"})).is_ok());
    assert!(edit(json!({"markdown": "hi"})).is_ok());
    check_refused(
        &edit(json!({"card": {"elements": []}})),
        "card",
        "must be a text or a post",
    );
    let image = json!({"msg_type": "image", "content": {"image_key": "img_v3_0001"}});
    check_refused(&edit(image), "msg_type", "must be a text or a post");
}

#[test]
fn a_card_is_replaced_by_a_shared_card() {
    let patch = |body: Value| parse_for(&body, Purpose::Patch);
    for card in [
        json!({"config": {"update_multi": true}, "elements": []}),
        json!({"schema": "2.0", "body": {"elements": []}}),
        json!({"type": "template", "data": {"template_id": "AAq"}}),
        json!({"kind": "notification", "title": "t"}),
    ] {
        assert!(patch(json!({ "card": card })).is_ok(), "{card}");
    }
    for card in [
        json!({"elements": []}),
        json!({"config": {"update_multi": false}, "elements": []}),
        json!({"config": {}, "elements": []}),
    ] {
        check_refused(
            &patch(json!({ "card": card })),
            "card.config.update_multi",
            "must be true",
        );
    }
    check_refused(&patch(json!({"text": "hi"})), "text", "must be a card");
}

#[test]
fn a_broadcast_is_an_object_in_the_words_of_the_older_api() {
    let broadcast = |body: Value| {
        let sent = parse(&body).unwrap().serialised().broadcast();
        sent.map(|sent| serde_json::to_value(sent).unwrap())
    };
    let of = |msg_type: &str, content: Value| {
        broadcast(json!({"msg_type": msg_type, "content": content}))
    };
    assert_eq!(
        broadcast(json!({"text": "hi"})),
        Some(json!({"msg_type": "text", "content": {"text": "hi"}}))
    );
    let post = json!({"zh_cn": {"content": [[{"tag": "hr"}]]}});
    assert_eq!(
        of("post", post.clone()),
        Some(json!({"msg_type": "post", "content": {"post": post}}))
    );
    assert_eq!(
        of("share_chat", json!({"chat_id": "oc_1"})),
        Some(json!({"msg_type": "share_chat", "content": {"share_chat_id": "oc_1"}}))
    );
    assert_eq!(
        of("interactive", json!({"elements": []})),
        Some(json!({"msg_type": "interactive", "card": {"elements": []}}))
    );
    assert_eq!(
        of(
            "interactive",
            json!({"type": "card", "data": {"card_id": "1"}})
        ),
        None
    );
    assert_eq!(broadcast(json!({"markdown": "hi"})), None);
    assert_eq!(broadcast(json!({"text": "**hi**"})), None);
    let styled = json!({"zh_cn": {"content": [[{"tag": "text", "text": "x", "style": ["bold"]}]]}});
    assert_eq!(of("post", styled), None);
    assert_eq!(of("file", json!({"file_key": "file_v3_0001"})), None);
    assert_eq!(of("share_user", json!({"user_id": "ou_1"})), None);
}

#[test]
fn nothing_of_a_message_gets_into_a_log() {
    let content = parse(&json!({"text": "a secret"})).unwrap();
    let printed = format!(
        "{content:?} {:?} {:?}",
        content.serialised(),
        content.serialised().broadcast()
    );
    assert!(!printed.contains("secret"), "{printed}");
}
