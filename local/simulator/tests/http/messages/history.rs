use std::time::Duration;

use lark_simulator::{AppPatch, chat_id, open_id, p2p_chat_id, user_id};
use serde_json::{Value, json};

use super::{Bot, MESSAGES};
use crate::client::{START_MS, app_id, call, get, pages, post, start};

fn texts(items: &[Value]) -> Vec<String> {
    let text = |item: &Value| super::content(item)["text"].as_str().unwrap().to_owned();
    items.iter().map(text).collect()
}

fn list(chat_id: &str, more: &str) -> String {
    format!("{MESSAGES}?container_id_type=chat&container_id={chat_id}{more}")
}

#[tokio::test]
async fn a_chat_is_read_page_by_page_in_either_order() {
    let simulator = start().await;
    let bot = Bot::new(&simulator).await;
    for n in 0..7 {
        bot.text(1, &n.to_string()).await;
        bot.text(2, "elsewhere").await;
        simulator.control().advance(Duration::from_secs(1));
    }
    let expected: Vec<_> = (0..7).map(|n| n.to_string()).collect();
    let path = list(&chat_id(1), "&page_size=3");
    assert_eq!(texts(&pages(&simulator, &bot.token, &path).await), expected);
    let path = list(&chat_id(1), "&page_size=3&sort_type=ByCreateTimeDesc");
    let mut newest_first = texts(&pages(&simulator, &bot.token, &path).await);
    newest_first.reverse();
    assert_eq!(newest_first, expected);

    let start = START_MS / 1000;
    let range = format!("&start_time={}&end_time={}", start + 2, start + 4);
    let path = list(&chat_id(1), &range);
    assert_eq!(
        texts(&pages(&simulator, &bot.token, &path).await),
        ["2", "3", "4"]
    );
    let nothing = pages(&simulator, &bot.token, &list(&chat_id(3), "")).await;
    assert!(nothing.is_empty());
}

#[tokio::test]
async fn a_recalled_message_stays_in_the_history_without_its_content() {
    let simulator = start().await;
    let bot = Bot::new(&simulator).await;
    bot.tell(7, "one").await;
    let two = bot.tell(7, "two").await.body["data"].take();
    bot.about("DELETE", &two, "", &json!({})).await;
    let path = list(&p2p_chat_id(&app_id(), 7), "");
    let items = pages(&simulator, &bot.token, &path).await;
    assert_eq!(texts(&items[..1]), ["one"]);
    assert_eq!(items[1]["body"]["content"], "This message was recalled");
    assert_eq!(items[1]["deleted"], true);
}

#[tokio::test]
async fn a_thread_is_read_by_itself() {
    let simulator = start().await;
    let bot = Bot::new(&simulator).await;
    let first = bot.text(1, "first").await;
    bot.text(1, "beside").await;
    let reply = json!({
        "msg_type": "text", "content": r#"{"text":"second"}"#, "reply_in_thread": true,
    });
    let second = bot.about("POST", &first, "/reply", &reply).await.body["data"].take();
    let thread_id = second["thread_id"].as_str().unwrap();
    let path = format!("{MESSAGES}?container_id_type=thread&container_id={thread_id}&start_time=x");
    let items = pages(&simulator, &bot.token, &path).await;
    assert_eq!(texts(&items), ["first", "second"]);
}

#[tokio::test]
async fn bad_arguments_of_the_history_are_refused() {
    let simulator = start().await;
    let bot = Bot::new(&simulator).await;
    for (path, code) in [
        (list("oc_x", ""), 230_001),
        (list(&chat_id(50), ""), 230_002),
        (list(&chat_id(1), "&page_size=51"), 230_001),
        (list(&chat_id(1), "&page_token=x"), 230_001),
        (list(&chat_id(1), "&sort_type=x"), 230_001),
        (list(&chat_id(1), "&start_time=x"), 230_001),
        (list(&chat_id(1), "&start_time=2&end_time=1"), 230_001),
        (format!("{MESSAGES}?container_id={}", chat_id(1)), 230_001),
        (format!("{MESSAGES}/om_x"), 99_992_354),
        (format!("{MESSAGES}/om_x/read_users"), 99_992_354),
    ] {
        assert_eq!(
            get(&simulator, &path, &bot.token).await.code(),
            (400, code),
            "{path}"
        );
    }
}

#[tokio::test]
async fn the_history_of_a_group_needs_a_scope_of_its_own() {
    let simulator = start().await;
    let bot = Bot::new(&simulator).await;
    let patch = AppPatch {
        granted_scopes: Some(Some(["im:message".to_owned()].into())),
        ..AppPatch::default()
    };
    simulator.control().update_app(&app_id(), patch).unwrap();
    let group = get(&simulator, &list(&chat_id(1), ""), &bot.token).await;
    assert_eq!(group.code(), (400, 230_027));
    let direct = list(&p2p_chat_id(&app_id(), 7), "");
    assert_eq!(get(&simulator, &direct, &bot.token).await.code(), (200, 0));
}

#[tokio::test]
async fn who_has_read_a_message_is_told_for_a_week() {
    let simulator = start().await;
    let bot = Bot::new(&simulator).await;
    let sent = bot.text(1, "read me").await;
    let id = sent["message_id"].as_str().unwrap();
    let control = format!("/_sim/messages/{id}/read");
    post(&simulator, &control, "", &json!({ "users": [9, 3] })).await;
    simulator.control().advance(Duration::from_secs(1));
    simulator.control().mark_read(id, &[3, 5]).unwrap();
    let path = format!("{MESSAGES}/{id}/read_users?user_id_type=user_id&page_size=2");
    let readers = pages(&simulator, &bot.token, &path).await;
    let ids: Vec<_> = readers
        .iter()
        .map(|it| it["user_id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, [user_id(3), user_id(5), user_id(9)]);
    assert_eq!(readers[0]["timestamp"], START_MS.to_string());
    assert_eq!(readers[0]["user_id_type"], "user_id");
    for (path, body, field) in [
        (control.as_str(), json!({ "users": [20_000] }), "users"),
        (
            "/_sim/messages/om_x/read",
            json!({ "users": [1] }),
            "message_id",
        ),
    ] {
        let answer = call(&simulator, "POST", path, "", &body.to_string()).await;
        assert_eq!((answer.status, &answer.body["field"]), (400, &json!(field)));
    }
    simulator.control().advance(Duration::from_secs(7 * 86_400));
    let bot = Bot::new(&simulator).await;
    assert_eq!(
        get(&simulator, &path, &bot.token).await.code(),
        (400, 230_001)
    );
}

#[tokio::test]
async fn mentions_are_read_with_the_ids_that_were_asked_for() {
    let simulator = start().await;
    let bot = Bot::new(&simulator).await;
    let mention = format!("<at user_id=\"{}\"></at>", open_id(&app_id(), 3));
    let sent = bot.text(1, &mention).await;
    let id = sent["message_id"].as_str().unwrap();
    let path = format!("{MESSAGES}/{id}?user_id_type=user_id");
    let item = get(&simulator, &path, &bot.token).await.body["data"]["items"][0].take();
    let mention = &item["mentions"][0];
    assert_eq!(
        (&mention["id"], &mention["id_type"]),
        (&json!(user_id(3)), &json!("user_id"))
    );
}
