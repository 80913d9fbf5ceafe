use std::collections::HashMap;
use std::time::Duration;

use lark_simulator::{App, DeliveryFilter, Options, Settings, Simulator, chat_id, open_id};
use serde_json::json;
use tokio::task::JoinSet;

use super::{Bot, MESSAGES};
use crate::client::{
    TENANT_TOKEN, USERS, app_id, call, call_at, get, post, start_with, tenant_token,
};

const OTHER: &str = "cli_other";

async fn limited(settings: Settings) -> Simulator {
    start_with(Options {
        apps: vec![App::new(OTHER, "secret")],
        settings: Settings {
            rate_limits: true,
            ..settings
        },
        ..Options::default()
    })
    .await
}

async fn other_bot(simulator: &Simulator) -> Bot<'_> {
    let body = json!({ "app_id": OTHER, "app_secret": "secret" });
    let answer = post(simulator, TENANT_TOKEN, "", &body).await;
    let token = answer.body["tenant_access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    Bot { simulator, token }
}

#[tokio::test]
async fn a_chat_takes_five_a_second_from_all_bots_together() {
    let simulator = limited(Settings::default()).await;
    let (one, two) = (Bot::new(&simulator).await, other_bot(&simulator).await);
    let say = async |bot: &Bot<'_>, n: u32| {
        bot.send("chat_id", &chat_id(n), "text", r#"{"text":"x"}"#)
            .await
            .code()
    };
    for _ in 0..3 {
        assert_eq!(say(&one, 1).await, (200, 0));
    }
    simulator.control().advance(Duration::from_millis(600));
    for _ in 0..2 {
        assert_eq!(say(&two, 1).await, (200, 0));
    }
    assert_eq!(say(&two, 1).await, (400, 230_020));
    assert_eq!(say(&one, 1).await, (400, 230_020));
    assert_eq!(say(&one, 2).await, (200, 0));
    // A new second of the clock, but five in the second before.
    simulator.control().advance(Duration::from_millis(399));
    assert_eq!(say(&one, 1).await, (400, 230_020));
    simulator.control().advance(Duration::from_millis(1));
    for expected in [(200, 0), (200, 0), (200, 0), (400, 230_020)] {
        assert_eq!(say(&one, 1).await, expected);
    }
    let counts = simulator.control().message_counts();
    let of_chat = &counts.chats[&chat_id(1)];
    assert_eq!(
        (of_chat.delivered, of_chat.refused, of_chat.peak_in_window),
        (8, 4, 5)
    );
    let counters = simulator.control().counters();
    assert_eq!(counters.endpoints["im.message.create"].errors[&230_020], 4);
}

#[tokio::test]
async fn a_person_takes_five_a_second_from_all_apps_together() {
    let simulator = limited(Settings::default()).await;
    let (one, two) = (Bot::new(&simulator).await, other_bot(&simulator).await);
    for _ in 0..5 {
        assert_eq!(one.tell(7, "x").await.code(), (200, 0));
    }
    let id = open_id(OTHER, 7);
    let answer = two.send("open_id", &id, "text", r#"{"text":"x"}"#).await;
    assert_eq!(answer.code(), (400, 230_020));
    assert_eq!(simulator.control().message_counts().people[&7].refused, 1);
}

#[tokio::test]
async fn replies_and_forwards_count_as_well() {
    let simulator = limited(Settings::default()).await;
    let bot = Bot::new(&simulator).await;
    let first = bot.text(1, "x").await;
    let reply = json!({ "msg_type": "text", "content": r#"{"text":"x"}"# });
    let forward = json!({ "receive_id": chat_id(1) });
    let end = "/forward?receive_id_type=chat_id";
    for _ in 0..2 {
        assert_eq!(
            bot.about("POST", &first, "/reply", &reply).await.code(),
            (200, 0)
        );
        assert_eq!(
            bot.about("POST", &first, end, &forward).await.code(),
            (200, 0)
        );
    }
    for (end, body) in [("/reply", &reply), (end, &forward)] {
        assert_eq!(
            bot.about("POST", &first, end, body).await.code(),
            (400, 230_020)
        );
    }
}

#[tokio::test]
async fn a_card_is_changed_five_times_a_second() {
    let simulator = limited(Settings::default()).await;
    let bot = Bot::new(&simulator).await;
    let card = json!({ "schema": "2.0", "body": { "elements": [] } });
    let sent = bot.say("interactive", &card).await.body["data"].take();
    let patch = json!({ "content": card.to_string() });
    for n in 0..6 {
        let expected = if n < 5 { (200, 0) } else { (400, 230_020) };
        assert_eq!(bot.about("PATCH", &sent, "", &patch).await.code(), expected);
    }
    simulator.control().advance(Duration::from_secs(1));
    assert_eq!(bot.about("PATCH", &sent, "", &patch).await.code(), (200, 0));
}

/// How many texts chat 1 takes at this moment.
async fn taken(bot: &Bot<'_>) -> usize {
    for taken in 0.. {
        match bot.say("text", &json!({ "text": "x" })).await.code() {
            (200, 0) => {}
            (400, 230_020) => return taken,
            other => panic!("{other:?}"),
        }
    }
    unreachable!("a limit is reached")
}

#[tokio::test]
async fn limits_can_be_larger_and_windows_shorter() {
    let simulator = limited(Settings {
        rate_limit_scale: 10,
        ..Settings::default()
    })
    .await;
    let bot = Bot::new(&simulator).await;
    for _ in 0..3 {
        assert_eq!(taken(&bot).await, 5);
        simulator.control().advance(Duration::from_millis(100));
    }
    let change = json!({ "rate_limit_scale": 1, "chat_messages_per_second": 12 });
    let changed = call(
        &simulator,
        "PATCH",
        "/_sim/settings",
        "",
        &change.to_string(),
    )
    .await;
    assert_eq!(changed.body["person_messages_per_second"], 5);
    simulator.control().advance(Duration::from_secs(1));
    assert_eq!(taken(&bot).await, 12);
    let zero = json!({ "chat_messages_per_second": 0 });
    let refused = call(&simulator, "PATCH", "/_sim/settings", "", &zero.to_string()).await;
    assert_eq!(refused.body["field"], "chat_messages_per_second");
}

#[tokio::test]
async fn the_quota_of_a_month_ends_messages_only_until_the_next() {
    let settings = Settings {
        monthly_quota: Some(2),
        ..Settings::default()
    };
    let simulator = start_with(Options {
        settings,
        ..Options::default()
    })
    .await;
    let bot = Bot::new(&simulator).await;
    let user = format!("{USERS}/{}", open_id(&app_id(), 1));
    for (text, code) in [
        ("one", (200, 0)),
        ("", (400, 230_001)),
        ("two", (200, 0)),
        ("three", (429, 99_991_403)),
    ] {
        assert_eq!(bot.tell(7, text).await.code(), code, "{text}");
        assert_eq!(get(&simulator, &user, &bot.token).await.code(), (200, 0));
    }
    simulator
        .control()
        .advance(Duration::from_secs(31 * 86_400));
    let bot = Bot::new(&simulator).await;
    assert_eq!(bot.tell(7, "three").await.code(), (200, 0));
    let change = r#"{"monthly_quota":null}"#;
    call(&simulator, "PATCH", "/_sim/settings", "", change).await;
    for _ in 0..3 {
        assert_eq!(bot.tell(7, "more").await.code(), (200, 0));
    }
}

#[tokio::test]
async fn without_limits_the_peaks_are_counted() {
    let simulator = start_with(Options::default()).await;
    let bot = Bot::new(&simulator).await;
    for _ in 0..9 {
        bot.text(1, "x").await;
    }
    assert_eq!(bot.tell(7, "x").await.code(), (200, 0));
    let counts = simulator.control().message_counts();
    assert_eq!(counts.total.peak_in_window, 9);
    assert_eq!(counts.people[&7].peak_in_window, 1);
    simulator.control().reset_counters();
    assert_eq!(
        simulator.control().message_counts(),
        lark_simulator::MessageCounts::default()
    );
}

#[tokio::test]
async fn senders_side_by_side_never_exceed_the_limit_nor_double_a_uuid() {
    let settings = Settings {
        rate_limits: true,
        rate_limit_scale: 10,
        ..Settings::default()
    };
    // A clock that runs.
    let simulator = Simulator::start(Options {
        settings,
        ..Options::default()
    })
    .await
    .unwrap();
    let (addr, token) = (simulator.addr(), tenant_token(&simulator).await);
    let mut senders = JoinSet::new();
    for sender in 0..8_u32 {
        let token = token.clone();
        senders.spawn(async move {
            for call in 0..40 {
                // Two senders each use the same uuids.
                let body = json!({
                    "receive_id": chat_id(1 + call % 3), "msg_type": "text", "content": r#"{"text":"x"}"#,
                    "uuid": format!("{}-{call}", sender / 2),
                });
                let path = format!("{MESSAGES}?receive_id_type=chat_id");
                let answer = call_at(addr, "POST", &path, &token, &body.to_string()).await.unwrap();
                let code = answer.code().1;
                assert!([0, 230_020, 99_991_400].contains(&code), "{code}");
            }
        });
    }
    while let Some(sender) = senders.join_next().await {
        sender.unwrap();
    }
    let delivered = simulator
        .control()
        .deliveries(&DeliveryFilter::default(), 1000);
    let mut chats: HashMap<_, Vec<u64>> = HashMap::new();
    let mut uuids = HashMap::new();
    for delivery in &delivered {
        chats
            .entry(&delivery.chat_id)
            .or_default()
            .push(delivery.at_ms);
        *uuids.entry(&delivery.uuid).or_insert(0) += 1;
    }
    assert!(chats.len() == 3 && uuids.values().all(|times| *times == 1));
    for times in chats.values() {
        assert!(times.is_sorted());
        assert!(
            times.windows(6).all(|six| six[5] - six[0] >= 100),
            "{times:?}"
        );
    }
    let counts = simulator.control().message_counts();
    assert_eq!(counts.total.delivered, delivered.len() as u64);
    assert!(counts.chats.values().all(|chat| chat.peak_in_window <= 5));
}
