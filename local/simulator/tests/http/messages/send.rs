use lark_simulator::{
    AppPatch, ChatPatch, DeliveryFilter, TENANT_KEY, UserPatch, chat_id, email, open_id,
    p2p_chat_id, union_id, user_id,
};
use serde_json::json;

use super::Bot;
use crate::client::{START_MS, app_id, start, start_with};
use lark_simulator::{App, Options};

#[tokio::test]
async fn a_message_has_the_documented_form() {
    let simulator = start().await;
    let bot = Bot::new(&simulator).await;
    let mention = format!("<at user_id=\"{}\">Tom</at> hi", user_id(5));
    let sent = bot.text(1, &mention).await;
    let id = sent["message_id"].as_str().unwrap();
    assert!(id.starts_with("om_") && id.len() == 35, "{id}");
    let name = sent["mentions"][0]["name"].as_str().unwrap();
    assert!(!name.is_empty());
    let expected = json!({
        "message_id": id, "msg_type": "text", "create_time": START_MS.to_string(),
        "update_time": START_MS.to_string(), "deleted": false, "updated": false, "chat_id": chat_id(1),
        "sender": {
            "id": app_id(), "id_type": "app_id", "sender_type": "app", "tenant_key": TENANT_KEY,
        },
        "body": { "content": r#"{"text":"@_user_1 hi"}"# },
        "mentions": [{
            "key": "@_user_1", "id": open_id(&app_id(), 5), "id_type": "open_id", "name": name,
            "tenant_key": TENANT_KEY,
        }],
    });
    assert_eq!(sent, expected);
    assert_eq!(bot.read(&sent).await, expected);
}

#[tokio::test]
async fn every_id_of_a_person_leads_to_one_chat() {
    let simulator = start().await;
    let bot = Bot::new(&simulator).await;
    let own_chat = p2p_chat_id(&app_id(), 7);
    for (id_type, id) in [
        ("open_id", open_id(&app_id(), 7)),
        ("union_id", union_id(7)),
        ("user_id", user_id(7)),
        ("email", email(7)),
        ("chat_id", own_chat.clone()),
    ] {
        let answer = bot.send(id_type, &id, "text", r#"{"text":"hi"}"#).await;
        assert_eq!(answer.code(), (200, 0), "{id_type}");
        assert_eq!(answer.body["data"]["chat_id"], own_chat, "{id_type}");
    }
    let to_seven = DeliveryFilter {
        user: Some(7),
        ..DeliveryFilter::default()
    };
    assert_eq!(simulator.control().deliveries(&to_seven, 100).len(), 5);
}

#[tokio::test]
async fn a_person_has_a_chat_of_their_own_with_each_app() {
    let simulator = start_with(Options {
        apps: vec![App::new("cli_other", "secret")],
        ..Options::default()
    })
    .await;
    let bot = Bot::new(&simulator).await;
    let other_chat = p2p_chat_id("cli_other", 7);
    assert_ne!(other_chat, p2p_chat_id(&app_id(), 7));
    let answer = bot
        .send("chat_id", &other_chat, "text", r#"{"text":"hi"}"#)
        .await;
    assert_eq!(answer.code(), (400, 230_034));
    let foreign = open_id("cli_other", 7);
    let answer = bot
        .send("open_id", &foreign, "text", r#"{"text":"hi"}"#)
        .await;
    assert_eq!(answer.code(), (400, 99_992_361));
}

#[tokio::test]
async fn receivers_who_cannot_get_a_message_have_their_codes() {
    let simulator = start().await;
    let bot = Bot::new(&simulator).await;
    let control = simulator.control();
    let leaver = UserPatch {
        is_resigned: Some(true),
        ..UserPatch::default()
    };
    control.update_user(9, leaver).unwrap();
    let patch = AppPatch {
        unavailable_users: Some([8].into()),
        ..AppPatch::default()
    };
    control.update_app(&app_id(), patch).unwrap();
    control.dissolve_chat(3).unwrap();
    for (id_type, id, code) in [
        ("open_id", open_id(&app_id(), 8), 230_013),
        ("email", email(8), 230_013),
        ("chat_id", p2p_chat_id(&app_id(), 8), 230_013),
        ("open_id", open_id(&app_id(), 9), 230_029),
        ("open_id", "ou_x".to_owned(), 99_992_351),
        ("open_id", open_id(&app_id(), 20_000), 99_992_351),
        ("union_id", "on_x".to_owned(), 99_992_363),
        ("user_id", "x".to_owned(), 99_992_360),
        ("email", "nobody@nowhere.invalid".to_owned(), 230_034),
        ("chat_id", "oc_x".to_owned(), 230_034),
        ("chat_id", chat_id(201), 230_034),
        ("chat_id", chat_id(3), 232_009),
        ("chat_id", chat_id(50), 230_002),
        ("thread_id", "omt_x".to_owned(), 99_992_402),
        ("", chat_id(1), 99_992_402),
    ] {
        let answer = bot.send(id_type, &id, "text", r#"{"text":"hi"}"#).await;
        assert_eq!(answer.code(), (400, code), "{id_type} {id}");
    }
    assert_eq!(control.message_counts().total.delivered, 0);
}

#[tokio::test]
async fn a_repeated_uuid_is_answered_with_the_first_message() {
    let simulator = start().await;
    let bot = Bot::new(&simulator).await;
    let send = async |uuid: &str, text: &str| {
        let body = json!({
            "receive_id": chat_id(1), "msg_type": "text", "content": json!({ "text": text }).to_string(),
            "uuid": uuid,
        });
        bot.post("?receive_id_type=chat_id", &body).await
    };
    let first = send("u-1", "one").await.body["data"].take();
    assert_eq!(send("u-1", "two").await.body["data"], first);
    assert_ne!(
        send("u-2", "two").await.body["data"]["message_id"],
        first["message_id"]
    );
    let long = "é".repeat(51);
    assert_eq!(send(&long, "x").await.code(), (400, 99_992_402));
    assert_eq!(send(&long[2..], "x").await.code(), (200, 0));
    let counts = simulator.control().message_counts();
    let of_chat = &counts.chats[&chat_id(1)];
    assert_eq!((of_chat.delivered, of_chat.repeated), (3, 1));

    simulator
        .control()
        .advance(std::time::Duration::from_secs(3600));
    assert_ne!(
        send("u-1", "one").await.body["data"]["message_id"],
        first["message_id"]
    );
}

#[tokio::test]
async fn deliveries_are_shown_over_http_page_by_page() {
    let simulator = start().await;
    let bot = Bot::new(&simulator).await;
    for n in 0..5 {
        bot.text(1 + n % 2, &n.to_string()).await;
    }
    let shown = crate::client::get(&simulator, "/_sim/messages?limit=2", "").await;
    let page = &shown.body["deliveries"];
    assert_eq!(page.as_array().unwrap().len(), 2);
    assert_eq!(
        page[0]["content_sha256"],
        // SHA-256 of {"text":"0"}
        "c9d6b860217600e5fd585ffecdac8aa4f1836a44674e68bc5dcce0e6764b8ce4"
    );
    assert_eq!(
        (&page[1]["chat_id"], &page[1]["at_ms"]),
        (&json!(chat_id(2)), &json!(START_MS))
    );
    let next = format!("/_sim/messages?after={}", shown.body["next"]);
    let rest = crate::client::get(&simulator, &next, "").await;
    assert_eq!(rest.body["deliveries"].as_array().unwrap().len(), 3);
    assert_eq!(rest.body["next"], json!(null));
    let counts = crate::client::get(&simulator, "/_sim/messages/counts", "")
        .await
        .body;
    assert_eq!(counts["total"]["delivered"], 5);
    assert_eq!(counts["chats"][chat_id(1)]["delivered"], 3);
    for (query, field) in [
        ("limit=0", "limit"),
        ("after=x", "after"),
        ("chat=1", "chat"),
    ] {
        let answer = crate::client::get(&simulator, &format!("/_sim/messages?{query}"), "").await;
        assert_eq!((answer.status, &answer.body["field"]), (400, &json!(field)));
    }
}

#[tokio::test]
async fn bots_that_leave_a_chat_cannot_write_there() {
    let simulator = start().await;
    let bot = Bot::new(&simulator).await;
    let sent = bot.text(1, "here").await;
    let patch = ChatPatch {
        has_bot: Some(false),
        ..ChatPatch::default()
    };
    simulator.control().update_chat(1, patch).unwrap();
    for method in ["GET", "DELETE"] {
        assert_eq!(
            bot.about(method, &sent, "", &json!({})).await.code(),
            (400, 230_002)
        );
    }
}
