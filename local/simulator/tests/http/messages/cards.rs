use lark_simulator::open_id;
use serde_json::{Value, json};

use super::Bot;
use crate::client::{app_id, start};
use crate::media::{PNG, upload_image};

fn card_1_0(elements: &Value) -> Value {
    json!({ "config": { "update_multi": true }, "elements": elements })
}

fn card_2_0(elements: &Value) -> Value {
    json!({ "schema": "2.0", "body": { "elements": elements } })
}

#[tokio::test]
async fn cards_of_every_form_are_accepted() {
    let simulator = start().await;
    let bot = Bot::new(&simulator).await;
    let key = upload_image(&bot, PNG).await;
    let mention = format!("<at id={}></at> **x**", open_id(&app_id(), 1));
    let image =
        json!({ "tag": "img", "img_key": key, "alt": { "tag": "plain_text", "content": "" } });
    let button = json!({
        "tag": "button", "text": { "tag": "plain_text", "content": "OK" }, "value": { "tag": "mine" },
    });
    let hundred: Vec<_> = (0..100).map(|_| json!({ "tag": "hr" })).collect();
    for card in [
        card_1_0(&json!([
            { "tag": "div", "text": { "tag": "lark_md", "content": mention } },
            { "tag": "action", "actions": [button] }, image,
        ])),
        json!({ "i18n_elements": { "zh_cn": hundred, "en_us": hundred, "ja_jp": hundred } }),
        card_2_0(&json!([{ "tag": "markdown", "content": mention }, button, image])),
        json!({ "type": "template", "data": { "template_id": "AAqx", "template_variable": { "a": 1 } } }),
        json!({ "type": "card", "data": { "card_id": "7371713483664506900" } }),
    ] {
        let answer = bot.say("interactive", &card).await;
        assert_eq!(answer.code(), (200, 0), "{card}");
    }
}

#[tokio::test]
async fn a_bad_card_has_the_code_of_the_card_service() {
    let simulator = start().await;
    let bot = Bot::new(&simulator).await;
    let many: Vec<_> = (0..201).map(|_| json!({ "tag": "hr" })).collect();
    let markdown = |content: &str| json!([{ "tag": "markdown", "content": content }]);
    let template = |data: Value| json!({ "type": "template", "data": data });
    for (card, code) in [
        (json!({}), 200_621),
        (json!([]), 200_621),
        (card_1_0(&json!([{ "tag": "marquee" }])), 200_621),
        (card_2_0(&json!([{ "tag": "action" }])), 200_861),
        (json!({ "schema": "2.0", "elements": [] }), 200_621),
        (card_1_0(&json!(many)), 11_310),
        (card_2_0(&markdown("<at id=ou_x></at>")), 100_290),
        (
            card_1_0(&json!([{ "tag": "img", "img_key": "img_x" }])),
            200_570,
        ),
        (template(json!({})), 200_380),
        (
            template(json!({ "template_id": "AAqx", "template_variable": "a" })),
            200_732,
        ),
        (
            json!({ "type": "card", "data": { "card_id": "x" } }),
            11_310,
        ),
    ] {
        let answer = bot.say("interactive", &card).await;
        assert_eq!(answer.code(), (400, 230_099), "{card}");
        let expected = format!("Failed to create card content, ext=ErrCode: {code}; ");
        let msg = answer.body["msg"].as_str().unwrap();
        assert!(msg.starts_with(&expected), "{card}: {msg}");
    }
    let long = card_2_0(&markdown(&"x".repeat(31_000)));
    assert_eq!(bot.say("interactive", &long).await.code(), (400, 230_025));
}
