use std::collections::BTreeMap;

use lark_simulator::{DeliveryFilter, Fault, FaultAction, FaultStage, chat_id};
use serde_json::json;

use super::{Bot, MESSAGES};
use crate::client::{start, try_call};

fn fault(stage: FaultStage, action: FaultAction) -> Fault {
    Fault {
        stage,
        count: Some(1),
        ..Fault::new("im.message.create", action)
    }
}

/// A text with this uuid.
fn body(uuid: &str) -> String {
    let content = r#"{"text":"x"}"#;
    json!({ "receive_id": chat_id(1), "msg_type": "text", "content": content, "uuid": uuid })
        .to_string()
}

#[tokio::test]
async fn a_lost_answer_leaves_a_message_that_its_uuid_finds() {
    let simulator = start().await;
    let bot = Bot::new(&simulator).await;
    let control = simulator.control();
    let path = format!("{MESSAGES}?receive_id_type=chat_id");
    for (uuid, stage, action, delivered) in [
        ("before", FaultStage::Before, FaultAction::answer(500, 1), 0),
        ("after", FaultStage::After, FaultAction::answer(502, 1), 1),
        ("reset", FaultStage::After, FaultAction::Reset, 1),
    ] {
        control.reset_counters();
        control.add_fault(fault(stage, action)).unwrap();
        let first = try_call(&simulator, "POST", &path, &bot.token, &body(uuid)).await;
        assert!(first.is_err() || first.is_ok_and(|answer| answer.status >= 500));
        let found = control.deliveries(&DeliveryFilter::default(), 10);
        assert_eq!(found.len(), delivered, "{uuid}");
        let again = try_call(&simulator, "POST", &path, &bot.token, &body(uuid))
            .await
            .unwrap();
        let id = again.body["data"]["message_id"].as_str().unwrap();
        let found = control.deliveries(&DeliveryFilter::default(), 10);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].message_id.as_str(), found[0].uuid.as_deref()),
            (id, Some(uuid))
        );
    }
}

#[tokio::test]
async fn a_call_that_hangs_after_the_delivery_is_seen_by_the_test() {
    let simulator = start().await;
    let bot = Bot::new(&simulator).await;
    let control = simulator.control();
    control
        .add_fault(fault(FaultStage::After, FaultAction::Hang))
        .unwrap();
    let path = format!("{MESSAGES}?receive_id_type=chat_id");
    let body = body("u");
    tokio::select! {
        answer = try_call(&simulator, "POST", &path, &bot.token, &body) => {
            panic!("an answer: {}", answer.map_or(0, |answer| answer.status))
        }
        () = control.delivered(1) => {}
    }
    let again = try_call(&simulator, "POST", &path, &bot.token, &body)
        .await
        .unwrap();
    assert_eq!(again.code(), (200, 0));
    let counts = control.message_counts().total;
    assert_eq!((counts.delivered, counts.repeated), (1, 1));
}

#[tokio::test]
async fn limits_and_the_months_quota_are_injected_by_api() {
    let simulator = start().await;
    let bot = Bot::new(&simulator).await;
    let control = simulator.control();
    let reset = BTreeMap::from([("x-ogw-ratelimit-reset".to_owned(), "99999".to_owned())]);
    let limited = FaultAction::Answer {
        status: 429,
        code: 99_991_400,
        msg: "request trigger frequency limit".to_owned(),
        body: None,
        headers: reset,
    };
    let cases = [
        (FaultAction::answer(400, 230_020), (400, 230_020), ""),
        (limited, (429, 99_991_400), "99999"),
        (FaultAction::answer(429, 99_991_403), (429, 99_991_403), ""),
        (FaultAction::answer(200, 4242), (200, 4242), ""),
    ];
    for (action, code, reset) in cases {
        control
            .add_fault(fault(FaultStage::Before, action))
            .unwrap();
        let answer = bot.say("text", &json!({ "text": "x" })).await;
        assert_eq!(answer.code(), code);
        assert_eq!(answer.header("x-ogw-ratelimit-reset"), reset);
    }
    let counts = control.message_counts().total;
    assert_eq!((counts.delivered, counts.refused), (0, 0));
}
