//! A platform with its limits, queues, and processes that accept and deliver messages.

use std::collections::BTreeMap;
use std::time::Duration;

use lark_service::apps::AppContext;
use lark_service::delivery::{Job, Message, NewMessage};
use lark_service::ids::AppId;
use lark_service::lark::messages::Address;
use lark_service::queue::Lane;
use lark_service_tests::cluster::TestCluster;
use lark_service_tests::worker::{Command, Worker};
use lark_service_tests::world::{Process, soon};
use lark_simulator::{Delivery, DeliveryFilter, Options, RateLimitWindows, Settings, chat_id};

pub(super) const KEY: &str = "load00000001";
pub(super) const PROCESSES: usize = 4;
/// How many messages are accepted side by side, each to a chat of its own.
pub(super) const ACCEPTING: usize = 16;
/// For how long a batch is hidden: a killed worker's comes back after this.
const HIDDEN_S: u64 = 20;

const SECOND: Duration = Duration::from_secs(1);

/// A size from the environment.
#[expect(
    clippy::disallowed_methods,
    reason = "the same test, with as many messages as somebody wants"
)]
pub(super) fn size(name: &str, otherwise: u32) -> u32 {
    let given = std::env::var(name).ok();
    given.map_or(otherwise, |given| given.parse().expect("a number"))
}

/// How much the platform allows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// By this the simulator shortens its windows: a minute's limit in six seconds, with ten.
    scale: u32,
    per_minute: &'static str,
    per_second: &'static str,
    /// What an app may send: so many calls in any such time.
    pub(super) of_app: &'static [(usize, Duration)],
    /// What a chat may get.
    pub(super) of_chat: &'static [(usize, Duration)],
}

impl Limits {
    /// All that the platform allows in a second, and ten times as much in a minute.
    pub(super) const TENFOLD: Self = Self {
        scale: 10,
        per_minute: "10000",
        per_second: "50",
        of_app: &[(50, SECOND)],
        of_chat: &[(5, SECOND)],
    };
    /// What the platform allows: 1,000 in a minute and 50 in a second.
    pub(super) const REAL: Self = Self {
        scale: 1,
        per_minute: "1000",
        per_second: "50",
        of_app: &[(50, SECOND), (1_000, Duration::from_secs(60))],
        of_chat: &[(5, SECOND)],
    };

    /// Five in a second, of [`Tier::Six`](lark_simulator::Tier::Six): any machine can use them up.
    pub(super) const FIVE: Self = Self {
        scale: 1,
        per_minute: "10000",
        per_second: "5",
        of_app: &[(5, SECOND)],
        of_chat: &[(5, SECOND)],
    };

    /// The real ones if `LARK_LOAD_REAL_LIMITS` is 1.
    pub(super) fn chosen() -> Self {
        match size("LARK_LOAD_REAL_LIMITS", 0) {
            0 => Self::TENFOLD,
            _ => Self::REAL,
        }
    }

    /// The limits as processes know them.
    pub(super) const fn variables(self) -> [(&'static str, &'static str); 3] {
        [
            ("LARK_SERVICE_LARK_LIMIT_PER_MINUTE", self.per_minute),
            ("LARK_SERVICE_LARK_LIMIT_PER_SECOND", self.per_second),
            ("LARK_SERVICE_LARK_TIMEOUT_MS", "3000"),
        ]
    }
}

pub(super) async fn cluster(chats: u32, apps: &[String], limits: Limits) -> TestCluster {
    let options = Options {
        chats: chats + chats / 49 + 1,
        seeded_apps: 2,
        settings: Settings {
            rate_limits: true,
            rate_limit_windows: RateLimitWindows::Sliding,
            rate_limit_scale: limits.scale,
            ..Settings::default()
        },
        ..Options::default()
    };
    let apps: Vec<&str> = apps.iter().map(String::as_str).collect();
    TestCluster::start_with_queues(options, &apps).await
}

pub(super) async fn context(process: &Process, app: &str) -> AppContext {
    let app_id = AppId::parse(app).expect("an app id");
    let app = process.0.apps.enabled(&app_id, soon()).await;
    AppContext::new(app.expect("an app"), None).expect("an internal app")
}

/// The id of the chat with this number. The bot is in none of the platform's chats whose numbers fifty divides.
pub(super) fn chat_of(chat: u32) -> String {
    chat_id(chat + (chat - 1) / 49)
}

pub(super) fn message(number: u32, chat: u32, lane: Lane) -> NewMessage {
    NewMessage {
        key_id: KEY.to_owned(),
        to: Address::ChatId(chat_of(chat)).into(),
        message: Message {
            msg_type: "text".to_owned(),
            content: format!(r#"{{"text":"{number}"}}"#),
        },
        lane,
        deliver_at: None,
        expires_at: None,
        wants_callback: false,
        once: None,
    }
}

/// Accepts a message, and says its number in the order of acceptance.
pub(super) async fn accept(process: &Process, context: &AppContext, new: NewMessage) -> Job {
    let accepted = process.0.delivery.accept(context, new, soon()).await;
    accepted.expect("a working store").job
}

/// The number that a message says.
pub(super) fn number_of(delivery: &Delivery) -> u32 {
    let content: serde_json::Value = serde_json::from_str(&delivery.content).expect("a text");
    let text = content["text"].as_str().expect("a text");
    text.parse().expect("a number")
}

/// What the platform has delivered, in its order.
pub(super) fn deliveries(cluster: &TestCluster) -> Vec<Delivery> {
    let control = cluster.simulator.control();
    let mut all = Vec::new();
    let mut filter = DeliveryFilter::default();
    loop {
        let page = control.deliveries(&filter, 1_000);
        let Some(last) = page.last() else {
            return all;
        };
        filter.after = last.number;
        all.extend(page);
    }
}

/// The numbers of the messages in each chat, in their order.
pub(super) fn delivered(cluster: &TestCluster) -> BTreeMap<String, Vec<u32>> {
    let mut by_chat: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for delivery in deliveries(cluster) {
        let number = number_of(&delivery);
        by_chat.entry(delivery.chat_id).or_default().push(number);
    }
    by_chat
}

pub(super) async fn worker(cluster: &TestCluster, limits: Limits) -> Worker {
    let mut worker = cluster.worker_as(&limits.variables()).await;
    let command = Command::Deliver {
        batches: size("LARK_LOAD_BATCHES", 3),
        hidden_s: HIDDEN_S,
    };
    worker.send(command).await;
    worker
}
