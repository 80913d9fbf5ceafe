use lark_simulator::{chat_id, open_id, p2p_chat_id};
use serde_json::{Value, json};

use super::{Bot, content};
use crate::client::{app_id, start};
use crate::media::{PNG, upload_file, upload_image};

/// What chat 1 answers to contents of a type.
async fn check(bot: &Bot<'_>, msg_type: &str, cases: &[(Value, i64)]) {
    for (content, code) in cases {
        let answer = bot.say(msg_type, content).await;
        let status = if *code == 0 { 200 } else { 400 };
        assert_eq!(answer.code(), (status, *code), "{msg_type} {content}");
        if *code == 230_001 {
            assert!(answer.body["msg"].as_str().unwrap().contains("ext="));
        }
    }
}

#[tokio::test]
async fn texts_are_checked() {
    let simulator = start().await;
    let bot = Bot::new(&simulator).await;
    let cases = [
        (json!({ "text": "hi" }), 0),
        (json!({ "text": "x".repeat(140_000) }), 0),
        (json!({ "text": "x".repeat(154_000) }), 230_025),
        (json!({ "text": " " }), 230_001),
        (json!({ "text": 1 }), 230_001),
        (json!({}), 230_001),
        (json!(["text"]), 230_001),
    ];
    check(&bot, "text", &cases).await;
    check(&bot, "texts", &[(json!({ "text": "hi" }), 230_001)]).await;
    let answer = bot.send("chat_id", &chat_id(1), "text", "hi").await;
    assert_eq!(answer.code(), (400, 230_001));
    let query = "?receive_id_type=chat_id";
    let missing = json!({ "receive_id": chat_id(1), "msg_type": "text" });
    assert_eq!(bot.post(query, &missing).await.code(), (400, 99_992_402));
    let object =
        json!({ "receive_id": chat_id(1), "msg_type": "text", "content": { "text": "hi" } });
    assert_eq!(bot.post(query, &object).await.code(), (400, 99_992_402));
}

#[tokio::test]
async fn mentions_of_unknown_users_stay_in_the_text() {
    let simulator = start().await;
    let bot = Bot::new(&simulator).await;
    let known = open_id(&app_id(), 2);
    let text = format!(
        "<at user_id=\"all\"></at> <at user_id=\"ou_x\">X</at> <at user_id='{known}'>B</at>"
    );
    let sent = bot.text(1, &text).await;
    let expected = json!({ "text": "@_all <at user_id=\"ou_x\">X</at> @_user_1" });
    assert_eq!(content(&sent), expected);
    assert_eq!(sent["mentions"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn posts_are_checked_node_by_node() {
    let simulator = start().await;
    let bot = Bot::new(&simulator).await;
    let image_key = upload_image(&bot, PNG).await;
    let post = |node: Value| json!({ "zh_cn": { "title": "t", "content": [[node]] } });
    let at = |id: &str| json!({ "tag": "at", "user_id": id });
    let text = json!({ "tag": "text", "text": "x" });
    let cases = [
        (post(text.clone()), 0),
        (
            post(json!({ "tag": "a", "text": "x", "href": "https://example.com" })),
            0,
        ),
        (post(json!({ "tag": "a", "text": "x" })), 230_001),
        (post(at(&open_id(&app_id(), 1))), 0),
        (post(at("all")), 0),
        (post(at("ou_x")), 230_001),
        (post(json!({ "tag": "img", "image_key": image_key })), 0),
        (post(json!({ "tag": "img", "image_key": "img_x" })), 230_001),
        (
            json!({ "zh_cn": { "content": [[{ "tag": "img", "image_key": image_key }, text]] } }),
            230_001,
        ),
        (
            post(json!({ "tag": "code_block", "language": "GO", "text": "x" })),
            0,
        ),
        (post(json!({ "tag": "md", "text": "x" })), 0),
        (
            json!({ "zh_cn": { "content": [[{ "tag": "md", "text": "x" }, text]] } }),
            230_001,
        ),
        (post(json!({ "tag": "hr" })), 0),
        (post(json!({ "tag": "marquee" })), 230_001),
        (post(json!("text")), 230_001),
        (json!({ "zh_cn": { "title": "", "content": [] } }), 230_001),
        (json!({ "title": "t", "content": [[text]] }), 230_001),
        (json!({ "post": { "zh_cn": {} } }), 230_001),
        (json!({}), 230_001),
        (
            post(json!({ "tag": "text", "text": "x".repeat(31_000) })),
            230_025,
        ),
    ];
    check(&bot, "post", &cases).await;
}

#[tokio::test]
async fn a_post_is_read_back_in_one_language() {
    let simulator = start().await;
    let bot = Bot::new(&simulator).await;
    let user = open_id(&app_id(), 4);
    let markdown = format!("**x** <at user_id=\"{user}\"></at>");
    let nodes = json!([[{ "tag": "at", "user_id": user }], [{ "tag": "md", "text": markdown }]]);
    let sent = bot
        .say(
            "post",
            &json!({
                "zh_cn": { "title": "标题", "content": [[{ "tag": "hr" }]] },
                "en_us": { "title": "t", "content": nodes },
            }),
        )
        .await;
    let sent = &sent.body["data"];
    let read_back = content(sent);
    assert_eq!(read_back["title"], "t");
    assert_eq!(read_back["content"][0][0]["user_id"], "@_user_1");
    let markdown = json!({ "tag": "text", "text": "**x** @_user_2", "style": [] });
    assert_eq!(read_back["content"][1][0], markdown);
    assert_eq!(sent["mentions"][1]["id"], user);
}

#[tokio::test]
async fn keys_must_be_the_apps_own_and_of_the_right_kind() {
    let simulator = start().await;
    let bot = Bot::new(&simulator).await;
    let image = upload_image(&bot, PNG).await;
    let pdf = upload_file(&bot, "pdf").await;
    let opus = upload_file(&bot, "opus").await;
    let mp4 = upload_file(&bot, "mp4").await;
    let image_key = |key: &str| json!({ "image_key": key });
    let file_key = |key: &str| json!({ "file_key": key });
    check(
        &bot,
        "image",
        &[
            (image_key(&image), 0),
            (image_key(&pdf), 230_055),
            (image_key("img_x"), 230_001),
        ],
    )
    .await;
    check(
        &bot,
        "file",
        &[
            (file_key(&pdf), 0),
            (file_key(&opus), 230_055),
            (file_key(&image), 230_055),
        ],
    )
    .await;
    check(
        &bot,
        "audio",
        &[(file_key(&opus), 0), (file_key(&pdf), 230_055)],
    )
    .await;
    let video = json!({ "file_key": mp4, "image_key": image });
    check(&bot, "media", &[(video, 0), (file_key(&pdf), 230_055)]).await;
    check(
        &bot,
        "sticker",
        &[(file_key("file_v3_x"), 0), (file_key(&pdf), 230_055)],
    )
    .await;

    let other = lark_simulator::App::new("cli_other", "secret");
    simulator.control().add_app(other).unwrap();
    let body = json!({ "app_id": "cli_other", "app_secret": "secret" });
    let token = crate::client::post(&simulator, crate::client::TENANT_TOKEN, "", &body).await;
    let token = token.body["tenant_access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    let other = Bot {
        simulator: &simulator,
        token,
    };
    check(&other, "image", &[(image_key(&image), 230_017)]).await;
}

#[tokio::test]
async fn chats_users_and_lines_can_be_shared() {
    let simulator = start().await;
    let bot = Bot::new(&simulator).await;
    let chat = |id: &str| json!({ "chat_id": id });
    let cases = [
        (chat(&chat_id(2)), 0),
        (chat(&chat_id(50)), 230_002),
        (chat("oc_x"), 230_001),
        (chat(&p2p_chat_id(&app_id(), 2)), 230_015),
    ];
    check(&bot, "share_chat", &cases).await;
    let user = |id: &str| json!({ "user_id": id });
    let cases = [
        (user(&open_id(&app_id(), 2)), 0),
        (user(&lark_simulator::user_id(2)), 230_001),
    ];
    check(&bot, "share_user", &cases).await;
    let divider = json!({ "type": "divider", "params": { "divider_text": { "text": "New" } } });
    check(&bot, "system", &[(divider.clone(), 230_001)]).await;
    let open_id = open_id(&app_id(), 2);
    let answer = bot
        .send("open_id", &open_id, "system", &divider.to_string())
        .await;
    assert_eq!(answer.code(), (200, 0));
}
