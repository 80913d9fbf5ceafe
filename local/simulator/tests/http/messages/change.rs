use std::time::Duration;

use lark_simulator::{App, Options, chat_id};
use serde_json::{Value, json};

use super::{Bot, content};
use crate::client::{TENANT_TOKEN, post, start, start_with};

const DAY: Duration = Duration::from_secs(86_400);

fn text(text: &str) -> Value {
    json!({ "msg_type": "text", "content": json!({ "text": text }).to_string() })
}

fn card(title: &str) -> String {
    json!({
        "config": { "update_multi": true }, "elements": [{ "tag": "markdown", "content": title }],
    })
    .to_string()
}

#[tokio::test]
async fn a_text_is_edited_twenty_times() {
    let simulator = start().await;
    let bot = Bot::new(&simulator).await;
    let sent = bot.text(1, "old").await;
    simulator.control().advance(Duration::from_secs(5));
    for n in 0..20 {
        let edited = bot.about("PUT", &sent, "", &text(&n.to_string())).await;
        assert_eq!(edited.code(), (200, 0));
        assert_eq!(edited.body["data"]["updated"], true);
    }
    let answer = bot.about("PUT", &sent, "", &text("x")).await;
    assert_eq!(answer.code(), (400, 230_072));
    let read = bot.read(&sent).await;
    assert_eq!(content(&read), json!({ "text": "19" }));
    assert_eq!(read["create_time"], sent["create_time"]);
    assert_ne!(read["update_time"], sent["update_time"]);
}

#[tokio::test]
async fn only_young_texts_and_posts_of_ones_own_are_edited() {
    let simulator = start_with(Options {
        apps: vec![App::new("cli_other", "secret")],
        ..Options::default()
    })
    .await;
    let bot = Bot::new(&simulator).await;
    let sent = bot.text(1, "old").await;
    let body = json!({ "app_id": "cli_other", "app_secret": "secret" });
    let token = post(&simulator, TENANT_TOKEN, "", &body).await.body["tenant_access_token"].take();
    let other = Bot {
        simulator: &simulator,
        token: token.as_str().unwrap().to_owned(),
    };
    assert_eq!(
        other.about("PUT", &sent, "", &text("x")).await.code(),
        (400, 230_071)
    );
    assert_eq!(
        other.about("DELETE", &sent, "", &json!({})).await.code(),
        (400, 230_026)
    );
    let image = json!({ "msg_type": "image", "content": "{}" });
    assert_eq!(
        bot.about("PUT", &sent, "", &image).await.code(),
        (400, 230_054)
    );
    let bad = json!({ "msg_type": "text", "content": "{}" });
    assert_eq!(
        bot.about("PUT", &sent, "", &bad).await.code(),
        (400, 230_001)
    );

    simulator.control().advance(DAY);
    let bot = Bot::new(&simulator).await;
    let late = bot.about("PUT", &sent, "", &text("x")).await;
    assert_eq!(late.code(), (400, 230_075));
    let late = bot.about("DELETE", &sent, "", &json!({})).await;
    assert_eq!(late.code(), (400, 230_009));
}

#[tokio::test]
async fn a_recalled_message_has_no_content_and_stays_recalled() {
    let simulator = start().await;
    let bot = Bot::new(&simulator).await;
    let sent = bot.text(1, "old").await;
    assert_eq!(
        bot.about("DELETE", &sent, "", &json!({})).await.code(),
        (200, 0)
    );
    let read = bot.read(&sent).await;
    assert_eq!(
        (&read["deleted"], &read["body"]["content"]),
        (&json!(true), &json!("This message was recalled"))
    );
    assert_eq!(
        bot.about("DELETE", &sent, "", &json!({})).await.code(),
        (400, 230_011)
    );
    assert_eq!(
        bot.about("PUT", &sent, "", &text("x")).await.code(),
        (400, 230_011)
    );
    assert_eq!(
        bot.about("POST", &sent, "/reply", &text("x")).await.code(),
        (400, 230_011)
    );
    let unknown = json!({ "message_id": "om_x" });
    assert_eq!(
        bot.about("DELETE", &unknown, "", &json!({})).await.code(),
        (400, 99_992_354)
    );
}

#[tokio::test]
async fn a_shared_card_is_replaced_for_fourteen_days() {
    let simulator = start().await;
    let bot = Bot::new(&simulator).await;
    let send = async |card: &str| {
        let answer = bot.send("chat_id", &chat_id(1), "interactive", card).await;
        assert_eq!(answer.code(), (200, 0));
        answer.body["data"].clone()
    };
    let sent = send(&card("old")).await;
    let patch = async |message: &Value, card: &str| {
        bot.about("PATCH", message, "", &json!({ "content": card }))
            .await
    };
    let patched = patch(&sent, &card("new")).await;
    assert_eq!(
        (patched.code(), &patched.body["data"]),
        ((200, 0), &json!({}))
    );
    let read = bot.read(&sent).await;
    assert_eq!(content(&read)["elements"][0]["content"], "new");
    assert_eq!(read["updated"], false);

    let private = card("x").replace("true", "false");
    assert_eq!(patch(&sent, &private).await.code(), (400, 230_001));
    assert_eq!(
        patch(&send(&private).await, &card("x")).await.code(),
        (400, 230_001)
    );
    let a_text = bot.text(1, "x").await;
    assert_eq!(patch(&a_text, &card("x")).await.code(), (400, 230_001));
    assert_eq!(patch(&sent, "{").await.code(), (400, 230_099));

    simulator
        .control()
        .advance(DAY * 14 - Duration::from_millis(1));
    let bot = Bot::new(&simulator).await;
    let last = bot
        .about("PATCH", &sent, "", &json!({ "content": card("x") }))
        .await;
    assert_eq!(last.code(), (200, 0));
    simulator.control().advance(Duration::from_millis(1));
    let late = bot
        .about("PATCH", &sent, "", &json!({ "content": card("x") }))
        .await;
    assert_eq!(late.code(), (400, 230_031));
}
