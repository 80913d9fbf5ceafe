use std::time::Duration;

use lark_simulator::{
    AppPatch, chat_id, department_id, open_department_id, open_id, union_id, user_id,
};
use serde_json::{Value, json};

use super::Bot;
use crate::client::{Answer, app_id, call, get, post, start};

async fn send(bot: &Bot<'_>, body: &Value) -> Answer {
    post(
        bot.simulator,
        "/open-apis/message/v4/batch_send/",
        &bot.token,
        body,
    )
    .await
}

async fn about(bot: &Bot<'_>, method: &str, id: &str, end: &str) -> Answer {
    let path = format!("/open-apis/im/v1/batch_messages/{id}{end}");
    call(bot.simulator, method, &path, &bot.token, "{}").await
}

async fn delivered(bot: &Bot<'_>, id: &str) -> Value {
    let mut progress = about(bot, "GET", id, "/get_progress").await;
    assert_eq!(progress.code(), (200, 0));
    progress.body["data"].take()
}

#[tokio::test]
async fn a_batch_reaches_each_person_once_and_names_bad_ids() {
    let simulator = start().await;
    let bot = Bot::new(&simulator).await;
    let patch = AppPatch {
        unavailable_users: Some([4].into()),
        ..AppPatch::default()
    };
    simulator.control().update_app(&app_id(), patch).unwrap();
    let open = |n| open_id(&app_id(), n);
    let body = json!({
        "msg_type": "text", "content": { "text": "all hands" },
        "open_ids": [open(1), open(2), open(4), "ou_x"], "user_ids": [user_id(2), "x"],
        "union_ids": [union_id(3), "on_x"], "department_ids": ["0", open_department_id(100), department_id(99), "x"],
    });
    let answer = send(&bot, &body).await;
    assert_eq!(answer.code(), (200, 0));
    let data = &answer.body["data"];
    assert_eq!(data["invalid_open_ids"], json!([open(4), "ou_x"]));
    assert_eq!(data["invalid_user_ids"], json!(["x"]));
    assert_eq!(data["invalid_union_ids"], json!(["on_x"]));
    assert_eq!(data["invalid_department_ids"], json!(["0", "x"]));
    let id = data["message_id"].as_str().unwrap();
    assert!(id.starts_with("bm-"));

    let batches = simulator.control().batch_messages();
    assert_eq!((batches.len(), batches[0].people.len()), (1, 203));
    assert_eq!(batches[0].people[..4], [1, 2, 3, 99]);
    let shown = get(&simulator, "/_sim/batch_messages", "").await.body;
    assert_eq!(shown["batch_messages"][0]["message_id"], id);
}

#[tokio::test]
async fn a_batch_takes_time_and_a_recall_stops_it() {
    let simulator = start().await;
    let bot = Bot::new(&simulator).await;
    let people: Vec<_> = (1..=200).map(user_id).collect();
    let body = json!({
        "msg_type": "post", "content": { "post": { "zh_cn": { "title": "t", "content": [] } } },
        "user_ids": people,
    });
    let answer = send(&bot, &body).await;
    let id = answer.body["data"]["message_id"].as_str().unwrap();
    for (wait_ms, expected) in [(0, 0), (250, 50), (250, 100)] {
        simulator.control().advance(Duration::from_millis(wait_ms));
        let progress = &delivered(&bot, id).await["batch_message_send_progress"];
        assert_eq!(progress["success_user_ids_count"], expected);
        assert_eq!(progress["valid_user_ids_count"], 200);
    }
    // The last one has not got it yet.
    simulator.control().mark_read(id, &[1, 2, 200]).unwrap();
    let read = about(&bot, "GET", id, "/read_user").await;
    let expected = json!({ "read_count": "2", "total_count": "100" });
    assert_eq!(read.body["data"]["read_user"], expected);
    assert_eq!(about(&bot, "DELETE", id, "").await.code(), (200, 0));
    simulator.control().advance(Duration::from_secs(10));
    let progress = delivered(&bot, id).await;
    assert_eq!(
        progress["batch_message_send_progress"]["success_user_ids_count"],
        100
    );
    let recall = json!({ "recall": true, "recall_count": 100 });
    assert_eq!(progress["batch_message_recall_progress"], recall);
    assert_eq!(about(&bot, "DELETE", id, "").await.code(), (200, 0));
    for (method, end) in [
        ("GET", "/get_progress"),
        ("GET", "/read_user"),
        ("DELETE", ""),
    ] {
        assert_eq!(
            about(&bot, method, "bm-x", end).await.code(),
            (400, 230_030)
        );
    }
}

#[tokio::test]
async fn errors_of_a_batch_have_status_200() {
    let simulator = start().await;
    let bot = Bot::new(&simulator).await;
    let ids = [user_id(1)];
    let many: Vec<_> = (0..201).map(|n| n.to_string()).collect();
    let text = json!({ "text": "x" });
    for (body, code) in [
        (json!([]), 10_002),
        (json!({ "msg_type": "text", "content": text }), 10_002),
        (
            json!({ "msg_type": "text", "content": text.to_string(), "user_ids": ids }),
            10_002,
        ),
        (
            json!({ "msg_type": "text", "content": {}, "user_ids": ids }),
            230_001,
        ),
        (
            json!({ "msg_type": "file", "content": text, "user_ids": ids }),
            11_203,
        ),
        (
            json!({ "msg_type": "interactive", "content": text, "user_ids": ids }),
            10_002,
        ),
        (
            json!({ "msg_type": "interactive", "card": {}, "user_ids": ids }),
            230_099,
        ),
        (
            json!({ "msg_type": "text", "content": text, "user_ids": many }),
            11_235,
        ),
    ] {
        assert_eq!(send(&bot, &body).await.code(), (200, code), "{body}");
    }
    let card = json!({ "elements": [] });
    let good = json!({ "msg_type": "interactive", "card": card, "user_ids": ids });
    assert_eq!(send(&bot, &good).await.code(), (200, 0));
    let shared = json!({
        "msg_type": "share_chat", "content": { "share_chat_id": chat_id(1) }, "user_ids": ids,
    });
    assert_eq!(send(&bot, &shared).await.code(), (200, 0));
}
