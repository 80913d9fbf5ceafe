use lark_simulator::{chat_id, open_id, p2p_chat_id};
use serde_json::{Value, json};

use super::Bot;
use crate::client::{app_id, start};

fn reply(text: &str) -> Value {
    json!({ "msg_type": "text", "content": json!({ "text": text }).to_string() })
}

#[tokio::test]
async fn replies_name_their_parent_and_the_first_message() {
    let simulator = start().await;
    let bot = Bot::new(&simulator).await;
    let first = bot.text(1, "first").await;
    let second = bot
        .about("POST", &first, "/reply", &reply("second"))
        .await
        .body["data"]
        .take();
    let third = bot
        .about("POST", &second, "/reply", &reply("third"))
        .await
        .body["data"]
        .take();
    assert_eq!(
        (&second["root_id"], &second["parent_id"]),
        (&first["message_id"], &first["message_id"])
    );
    assert_eq!(
        (&third["root_id"], &third["parent_id"]),
        (&first["message_id"], &second["message_id"])
    );
    assert_eq!(third["chat_id"], chat_id(1));
    assert!(third.get("thread_id").is_none() && first.get("root_id").is_none());
}

#[tokio::test]
async fn a_reply_in_a_thread_begins_one_or_stays_in_it() {
    let simulator = start().await;
    let bot = Bot::new(&simulator).await;
    let first = bot.text(1, "first").await;
    let in_thread = json!({
        "msg_type": "text", "content": r#"{"text":"x"}"#, "reply_in_thread": true,
    });
    let second = bot.about("POST", &first, "/reply", &in_thread).await.body["data"].take();
    let thread_id = second["thread_id"].as_str().unwrap();
    assert!(thread_id.starts_with("omt_"));
    assert_eq!(bot.read(&first).await["thread_id"], thread_id);
    let third = bot.about("POST", &second, "/reply", &reply("x")).await.body["data"].take();
    assert_eq!(third["thread_id"], thread_id);
}

#[tokio::test]
async fn a_reply_has_uuids_of_its_own() {
    let simulator = start().await;
    let bot = Bot::new(&simulator).await;
    let first = bot.text(1, "first").await;
    let mut body = reply("x");
    body["uuid"] = json!("u");
    let one = bot.about("POST", &first, "/reply", &body).await;
    let two = bot.about("POST", &first, "/reply", &body).await;
    assert_eq!(one.body["data"], two.body["data"]);
    body["receive_id"] = json!(chat_id(1));
    let sent = bot.post("?receive_id_type=chat_id", &body).await;
    assert_ne!(
        sent.body["data"]["message_id"],
        one.body["data"]["message_id"]
    );
}

#[tokio::test]
async fn a_forward_has_the_same_content_in_another_chat() {
    let simulator = start().await;
    let bot = Bot::new(&simulator).await;
    let mention = format!("<at user_id=\"{}\"></at>", open_id(&app_id(), 3));
    let first = bot.text(1, &mention).await;
    let to_person = json!({ "receive_id": open_id(&app_id(), 7) });
    let end = "/forward?receive_id_type=open_id&uuid=u";
    let forwarded = bot.about("POST", &first, end, &to_person).await.body["data"].take();
    assert_eq!(forwarded["chat_id"], p2p_chat_id(&app_id(), 7));
    assert_eq!(
        (&forwarded["body"], &forwarded["mentions"]),
        (&first["body"], &first["mentions"])
    );
    assert_ne!(forwarded["message_id"], first["message_id"]);
    let again = bot.about("POST", &first, end, &to_person).await.body["data"].take();
    assert_eq!(again, forwarded);
    let other = json!({ "receive_id": open_id(&app_id(), 8) });
    let other = bot.about("POST", &first, end, &other).await.body["data"].take();
    assert_ne!(other["message_id"], forwarded["message_id"]);
}

#[tokio::test]
async fn a_forward_can_go_to_a_thread() {
    let simulator = start().await;
    let bot = Bot::new(&simulator).await;
    let first = bot.text(1, "first").await;
    let in_thread = json!({
        "msg_type": "text", "content": r#"{"text":"x"}"#, "reply_in_thread": true,
    });
    let second = bot.about("POST", &first, "/reply", &in_thread).await.body["data"].take();
    let end = "/forward?receive_id_type=thread_id";
    let to_thread = json!({ "receive_id": second["thread_id"] });
    let elsewhere = bot.text(2, "elsewhere").await;
    let forwarded = bot.about("POST", &elsewhere, end, &to_thread).await.body["data"].take();
    assert_eq!(
        (&forwarded["thread_id"], &forwarded["chat_id"]),
        (&second["thread_id"], &first["chat_id"])
    );
    for (thread, code) in [("omt_x", 230_034), ("oc_x", 230_034)] {
        let answer = bot
            .about("POST", &elsewhere, end, &json!({ "receive_id": thread }))
            .await;
        assert_eq!(answer.code(), (400, code), "{thread}");
    }
}
