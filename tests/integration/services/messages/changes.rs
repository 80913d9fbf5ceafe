//! Messages that were sent: answered, edited, recalled and read, by the key that sent them.

use lark_service::delivery::{End, Message, NewMessage, State, Target};
use lark_service::error::{Error, ErrorCode};
use lark_service::lark::messages::{Address, MessageId};
use lark_service::store::{Expect, Key, Table};
use lark_service_tests::requests::{TestRequest, TestResponse};
use lark_service_tests::world::{Process, World, soon};
use lark_simulator::{Fault, FaultAction, FaultStage};
use serde_json::{Value, json};

use super::{MINUTE, accept, context, deliveries, job, person, refusal, send, state, text, work};

/// The key of [`text`].
const KEY: &str = "test00000001";
const OTHER_KEY: &str = "test00000002";
const REPLY: &str = "im.message.reply";

fn to_chat(says: &str) -> NewMessage {
    NewMessage {
        to: Address::ChatId(lark_simulator::chat_id(1)).into(),
        ..text(says)
    }
}

fn card(title: &str) -> Message {
    let card = json!({
        "config": {"update_multi": true},
        "elements": [{"tag": "markdown", "content": title}],
    });
    Message {
        msg_type: "interactive".to_owned(),
        content: card.to_string(),
    }
}

async fn sent(process: &Process, new: NewMessage) -> MessageId {
    let job = send(process, new).await.job;
    match job.end {
        Some(End::Delivered(delivered)) => MessageId::parse(&delivered.message_id).unwrap(),
        other => panic!("{other:?}"),
    }
}

async fn reply_to(process: &Process, id: &MessageId) -> Target {
    let context = context(process).await;
    let reply = process
        .0
        .delivery
        .reply_to(&context, id.clone(), false, soon());
    reply.await.unwrap()
}

async fn edit(process: &Process, id: &MessageId, message: &Message) -> Result<(), Error> {
    let context = context(process).await;
    let delivery = &process.0.delivery;
    delivery.edit(&context, KEY, id, message, soon()).await
}

/// What the platform has of the message.
async fn says(process: &Process, id: &MessageId) -> String {
    let context = context(process).await;
    let message = process.0.delivery.message(&context, KEY, id, soon()).await;
    message.unwrap().content().unwrap_or_default().to_owned()
}

/// Changes whose answer is lost this many times: each is repeated while its caller waits.
fn lost(endpoint: &str, times: u64) -> Fault {
    Fault {
        count: Some(times),
        stage: FaultStage::After,
        ..Fault::new(endpoint, FaultAction::Reset)
    }
}

#[tokio::test]
async fn a_reply_is_made_once_below_its_message_in_the_order_of_its_receiver() {
    let world = World::begin().await;
    let process = world.process();
    for (first, receiver) in [
        (to_chat("one"), Address::ChatId(lark_simulator::chat_id(1))),
        (text("one"), person(1)),
    ] {
        let id = sent(&process, first).await;
        let before = deliveries(&world).len();
        let new = NewMessage {
            to: reply_to(&process, &id).await,
            ..text("two")
        };
        world.control().add_fault(lost(REPLY, 2)).unwrap();
        let reply = accept(&process, new).await;
        let beside = NewMessage {
            to: receiver.into(),
            ..text("three")
        };
        let beside = accept(&process, beside).await;
        assert_eq!(reply.group(), beside.group());
        for left in [2, 2, 0] {
            assert_eq!(work(&world, &process).await, left);
            world.advance(MINUTE);
        }
        let made = &deliveries(&world)[before..];
        let origins: Vec<_> = made.iter().map(|it| it.origin).collect();
        assert_eq!(origins, ["reply", "create"]);
        assert_eq!(made[0].uuid.as_deref(), Some(reply.key.job_id.uuid()));
        assert_eq!(
            state(&world, &job(&process, &reply).await),
            State::Delivered
        );
        // Nobody had to ask the platform where the message is.
        assert_eq!(world.requests("im.message.get"), 0);
    }
}

#[tokio::test]
async fn a_reply_to_a_message_that_is_not_ours_asks_the_platform_where_it_is() {
    let world = World::begin().await;
    let process = world.process();
    let id = sent(&process, to_chat("one")).await;
    forget(&world, &id).await;
    let target = reply_to(&process, &id).await;
    assert_eq!(target.chat_id(), Some(lark_simulator::chat_id(1).as_str()));
    assert_eq!(world.requests("im.message.get"), 1);
    // The platform does not tell now: the reply goes out without.
    let outage = Fault::new("im.message.get", refusal(400, 230_002));
    world.control().add_fault(outage).unwrap();
    let target = reply_to(&process, &id).await;
    assert_eq!(target.chat_id(), None);
    let reply = NewMessage {
        to: target,
        ..text("two")
    };
    sent(&process, reply).await;
    world.control().clear_faults();
    let unknown = MessageId::parse("om_1").unwrap();
    let context = context(&process).await;
    let refused = process
        .0
        .delivery
        .reply_to(&context, unknown, false, soon());
    assert_eq!(
        refused.await.unwrap_err().code(),
        ErrorCode::MessageNotFound
    );
}

/// Its record is gone, as after 30 days.
async fn forget(world: &World, id: &MessageId) {
    let key = Key::new(format!("sent#{}", id.as_str()), "sent");
    let store = world.shared_store();
    let delete = store.delete(Table::MessageJobs, &key, Expect::Anything);
    delete.await.unwrap();
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_is_repeated_and_done() {
    let world = World::begin().await;
    let process = world.process();
    let a_text = sent(&process, text("one")).await;
    world
        .control()
        .add_fault(lost("im.message.update", 2))
        .unwrap();
    let two = text("two").message;
    edit(&process, &a_text, &two).await.unwrap();
    assert_eq!(says(&process, &a_text).await, two.content);

    let new = NewMessage {
        message: card("one"),
        ..text("")
    };
    let a_card = sent(&process, new).await;
    world
        .control()
        .add_fault(lost("im.message.patch", 2))
        .unwrap();
    edit(&process, &a_card, &card("two")).await.unwrap();
    // A card reads as it was sent.
    assert_eq!(says(&process, &a_card).await, card("two").content);

    world
        .control()
        .add_fault(lost("im.message.delete", 1))
        .unwrap();
    let (context, delivery) = (context(&process).await, &process.0.delivery);
    for _ in 0..2 {
        delivery
            .recall(&context, KEY, &a_text, soon())
            .await
            .unwrap();
    }
    let recalled = delivery.message(&context, KEY, &a_text, soon()).await;
    assert!(recalled.unwrap().is_recalled());
    let late = edit(&process, &a_text, &two).await;
    assert_eq!(late.unwrap_err().code(), ErrorCode::MessageNotFound);
}

#[tokio::test]
async fn the_last_edit_is_done_although_its_repetition_is_refused() {
    let world = World::begin().await;
    let process = world.process();
    let id = sent(&process, text("0")).await;
    for number in 1..20 {
        // Five a second.
        world.advance(MINUTE);
        edit(&process, &id, &text(&number.to_string()).message)
            .await
            .unwrap();
    }
    world
        .control()
        .add_fault(lost("im.message.update", 1))
        .unwrap();
    let last = text("last").message;
    world.advance(MINUTE);
    edit(&process, &id, &last).await.unwrap();
    let late = edit(&process, &id, &text("late").message)
        .await
        .unwrap_err();
    assert_eq!(late.lark().and_then(|it| it.code), Some(230_072));
    assert_eq!(says(&process, &id).await, last.content);
    assert_eq!(deliveries(&world)[0].edits, 20);
}

#[tokio::test]
async fn a_key_reaches_no_message_that_another_one_sent() {
    let world = World::begin().await;
    let process = world.process();
    let id = sent(&process, text("one")).await;
    let before = world.control().counters().endpoints;
    let (context, delivery) = (context(&process).await, &process.0.delivery);
    let two = text("two").message;
    let refused = [
        delivery
            .edit(&context, OTHER_KEY, &id, &two, soon())
            .await
            .err(),
        delivery
            .recall(&context, OTHER_KEY, &id, soon())
            .await
            .err(),
        delivery
            .message(&context, OTHER_KEY, &id, soon())
            .await
            .err(),
    ];
    for refused in refused {
        assert_eq!(refused.unwrap().code(), ErrorCode::MessageNotFound);
    }
    assert_eq!(world.control().counters().endpoints, before);
    // Whose it is is forgotten after 30 days: then the platform decides.
    forget(&world, &id).await;
    delivery
        .edit(&context, OTHER_KEY, &id, &two, soon())
        .await
        .unwrap();
    let unknown = MessageId::parse("om_1").unwrap();
    let refused = delivery.recall(&context, KEY, &unknown, soon()).await;
    assert_eq!(refused.unwrap_err().code(), ErrorCode::MessageNotFound);
}

async fn ask(
    process: &Process,
    method: &'static str,
    target: &str,
    body: Option<Value>,
) -> TestResponse {
    let request = TestRequest::new(method, target).header("x-lark-app-id", super::APP);
    let request = match body {
        Some(body) => request.body(&body),
        None => request,
    };
    request.send(process).await
}

#[tokio::test]
async fn messages_are_answered_changed_and_read_over_http() {
    let world = World::begin().await;
    let process = world.process();
    let chat = lark_simulator::chat_id(1);
    let body = json!({"to": {"chat_id": chat}, "text": "one"});
    let made = ask(&process, "POST", "/v1/messages", Some(body)).await;
    let id = made.body["delivered"]["message_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let message = format!("/v1/messages/{id}");

    let body = json!({"text": "two", "reply_in_thread": true});
    let replies = format!("{message}/replies");
    let reply = ask(&process, "POST", &replies, Some(body)).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(reply.body["to"], json!({"kind": "message_id", "id": id}));
    let reply_id = reply.body["delivered"]["message_id"].as_str().unwrap();
    let shown = ask(&process, "GET", &format!("/v1/messages/{reply_id}"), None).await;
    assert_eq!(shown.body["parent_id"], json!(id));
    assert!(shown.body["thread_id"].is_string(), "{}", shown.body);
    assert_eq!(shown.body["content"], json!(r#"{"text":"two"}"#));

    let dry = json!({"text": "two", "dry_run": true});
    let dry = ask(&process, "POST", &replies, Some(dry)).await;
    assert_eq!(
        (dry.status, &dry.body["receiver_kind"]),
        (200, &json!("message_id"))
    );
    let changed = ask(
        &process,
        "PATCH",
        &message,
        Some(json!({"markdown": "**three**"})),
    )
    .await;
    assert_eq!(changed.status, 204, "{}", changed.body);
    let shown = ask(&process, "GET", &message, None).await;
    assert_eq!(
        (&shown.body["is_edited"], &shown.body["msg_type"]),
        (&json!(true), &json!("post"))
    );
    for _ in 0..2 {
        assert_eq!(ask(&process, "DELETE", &message, None).await.status, 204);
    }
    let shown = ask(&process, "GET", &message, None).await;
    assert_eq!(shown.body["is_recalled"], json!(true));
    assert_eq!(shown.body["content"], json!(null));
    assert_eq!(deliveries(&world).len(), 2);
}

#[tokio::test]
async fn a_wrong_request_about_a_message_names_its_field_and_asks_nobody() {
    let world = World::begin().await;
    let process = world.process();
    for (method, target, body, field) in [
        ("GET", "/v1/messages/oc_1", None, "message_id"),
        ("DELETE", "/v1/messages/om_", None, "message_id"),
        ("DELETE", "/v1/messages/om_%2E%2E%2Fx", None, "message_id"),
        ("GET", "/v1/messages/om_1?x=1", None, "x"),
        ("PATCH", "/v1/messages/om_1", Some(json!({})), "body"),
        (
            "PATCH",
            "/v1/messages/om_1",
            Some(json!({"text": ""})),
            "text",
        ),
        (
            "PATCH",
            "/v1/messages/om_1",
            Some(json!({"msg_type": "image", "content": {"image_key": "img_1"}})),
            "msg_type",
        ),
        (
            "POST",
            "/v1/messages/om_1/replies",
            Some(json!({"text": "x", "to": {}})),
            "to",
        ),
        (
            "POST",
            "/v1/messages/om_1/replies",
            Some(json!({"text": "x", "lane": "x"})),
            "lane",
        ),
    ] {
        let asked = world.control().counters().endpoints;
        let answer = ask(&process, method, target, body).await;
        assert_eq!(answer.status, 400, "{method} {target}: {}", answer.body);
        assert_eq!(answer.body["errors"][0]["field"], field, "{}", answer.body);
        assert_eq!(world.control().counters().endpoints, asked, "{target}");
    }
}
