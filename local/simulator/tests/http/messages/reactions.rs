use lark_simulator::{DeliveryFilter, open_id, user_id};
use serde_json::{Value, json};

use super::{Bot, MESSAGES};
use crate::client::{START_MS, app_id, pages, start};

fn reaction(emoji: &str) -> Value {
    json!({ "reaction_type": { "emoji_type": emoji } })
}

#[tokio::test]
async fn reactions_are_added_once_listed_and_removed() {
    let simulator = start().await;
    let bot = Bot::new(&simulator).await;
    let sent = bot.text(1, "x").await;
    let add = async |emoji: &str| {
        bot.about("POST", &sent, "/reactions", &reaction(emoji))
            .await
    };
    let smile = add("SMILE").await.body["data"].take();
    let id = smile["reaction_id"].as_str().unwrap();
    let expected = json!({
        "reaction_id": id, "operator": { "operator_id": app_id(), "operator_type": "app" },
        "action_time": START_MS.to_string(), "reaction_type": { "emoji_type": "SMILE" },
    });
    assert_eq!(smile, expected);
    assert_eq!(add("SMILE").await.body["data"], smile);
    let heart = add("HEART").await.body["data"].take();
    assert_eq!(add("no emoji").await.code(), (400, 231_001));

    let message_id = sent["message_id"].as_str().unwrap();
    let path = format!("{MESSAGES}/{message_id}/reactions?page_size=1");
    assert_eq!(
        pages(&simulator, &bot.token, &path).await,
        [smile.clone(), heart.clone()]
    );
    let path = format!("{path}&reaction_type=HEART");
    assert_eq!(pages(&simulator, &bot.token, &path).await, [heart]);

    let end = format!("/reactions/{id}");
    let removed = bot.about("DELETE", &sent, &end, &json!({})).await;
    assert_eq!(removed.body["data"], smile);
    assert_eq!(
        bot.about("DELETE", &sent, &end, &json!({})).await.code(),
        (400, 231_010)
    );
    let unknown = bot.about("DELETE", &sent, "/reactions/x", &json!({})).await;
    assert_eq!(unknown.code(), (400, 231_011));
}

#[tokio::test]
async fn a_message_is_urgent_for_members_of_its_chat() {
    let simulator = start().await;
    let bot = Bot::new(&simulator).await;
    let sent = bot.tell(7, "now").await.body["data"].take();
    let body = json!({ "user_id_list": [open_id(&app_id(), 7), open_id(&app_id(), 8), "ou_x"] });
    let answer = bot.about("PATCH", &sent, "/urgent_app", &body).await;
    assert_eq!(answer.code(), (200, 0));
    let invalid = &answer.body["data"]["invalid_user_id_list"];
    assert_eq!(invalid, &json!([open_id(&app_id(), 8), "ou_x"]));
    let found = simulator
        .control()
        .deliveries(&DeliveryFilter::default(), 1);
    assert_eq!(found[0].urgent_for, [7].into());

    let nobody = json!({ "user_id_list": [user_id(8)] });
    let end = "/urgent_sms?user_id_type=user_id";
    assert_eq!(
        bot.about("PATCH", &sent, end, &nobody).await.code(),
        (400, 230_001)
    );
    let many: Vec<_> = (0..201).map(user_id).collect();
    let many = json!({ "user_id_list": many });
    assert_eq!(
        bot.about("PATCH", &sent, end, &many).await.code(),
        (400, 99_992_402)
    );
}
