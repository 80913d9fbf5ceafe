//! Writes whose answers are lost on the way, in front of an emulator that shows the item with which a condition fails.

use std::sync::Arc;

use lark_service::apps::NewApp;
use lark_service::aws::sdk_config;
use lark_service::changes::Actor;
use lark_service::clock::{SystemClock, Timestamp};
use lark_service::config::Config;
use lark_service::deadline::Deadline;
use lark_service::error::Error;
use lark_service::ids::AppId;
use lark_service::logins::{Callback, LoginStart};
use lark_service::seal::{KeyRing, KeySource, Sealer};
use lark_service::store::dynamodb::{DynamoDbStore, TableNames, schema};
use lark_service::store::{Attributes, Due, Expect, Guard, Key, Record, Store, Table, Value};
use lark_service::wiring::{Adapters, Services};

use crate::lossy::LossyProxy;
use crate::{dynamodb, emulator, http_client, required, unique};

/// The emulator that shows the item.
const EMULATOR: &str = "LARK_TEST_DYNAMODB_URL_1";

/// A store whose answers the test can lose, and one beside it.
async fn world() -> (LossyProxy, DynamoDbStore, DynamoDbStore) {
    let proxy = LossyProxy::start(&required(EMULATOR)).await;
    let names = TableNames::prefixed(&format!("{}-", unique()));
    let direct = dynamodb::client(EMULATOR).await;
    schema::create_tables(&direct, &names).await.unwrap();
    let lossy = sdk_config(&http_client(), &emulator(&proxy.url())).await;
    let lossy = aws_sdk_dynamodb::Client::new(&lossy);
    let store = |client, names| DynamoDbStore::new(client, names, Arc::new(SystemClock));
    (proxy, store(lossy, names.clone()), store(direct, names))
}

#[tokio::test]
async fn tables_are_created_whatever_answers_are_lost() {
    let proxy = LossyProxy::start(&required(EMULATOR)).await;
    let names = TableNames::prefixed(&format!("{}-", unique()));
    let client = sdk_config(&http_client(), &emulator(&proxy.url())).await;
    proxy.lose("CreateTable", 5);
    let created = schema::create_tables(&aws_sdk_dynamodb::Client::new(&client), &names).await;
    created.unwrap();
    assert_eq!(proxy.requests("CreateTable"), 5 + Table::ALL.len());
}

fn key() -> Key {
    Key::new("cli_a", "app")
}

fn record(version: u64, writer: &str) -> Record {
    Record::new(key(), version).with("writer", Value::Text(writer.to_owned()))
}

#[tokio::test]
async fn a_put_whose_answer_is_lost_succeeds_and_is_written_once() {
    for answers in [1, 2] {
        let (proxy, store, other) = world().await;
        for (version, expect) in [(1, Expect::Absent), (2, Expect::Version(1))] {
            let before = proxy.requests("PutItem");
            proxy.lose("PutItem", answers);
            let written = record(version, "we");
            store.put(Table::Apps, &written, expect).await.unwrap();
            let attempts = usize::try_from(answers).unwrap() + 1;
            assert_eq!(proxy.requests("PutItem") - before, attempts);
            let found = other.get(Table::Apps, &key()).await.unwrap();
            assert_eq!(found, Some(written), "{expect:?}");
        }
        assert_eq!(proxy.requests("GetItem"), 0, "no second read");
    }
}

#[tokio::test]
async fn a_guarded_put_whose_answer_is_lost_succeeds_and_is_written_once() {
    for answers in [1, 2] {
        let (proxy, store, other) = world().await;
        let guarding = Record::new(Key::new("cli_b", "app"), 7);
        let put = other.put(Table::Apps, &guarding, Expect::Absent);
        put.await.unwrap();
        let guard = Guard {
            key: guarding.key,
            version: 7,
        };
        for (version, expect) in [(1, Expect::Absent), (2, Expect::Version(1))] {
            let before = proxy.requests("TransactWriteItems");
            proxy.lose("TransactWriteItems", answers);
            let written = record(version, "we");
            let put = store.put_guarded(Table::Apps, &written, expect, &guard);
            put.await.unwrap();
            let attempts = usize::try_from(answers).unwrap() + 1;
            assert_eq!(proxy.requests("TransactWriteItems") - before, attempts);
            let found = other.get(Table::Apps, &key()).await.unwrap();
            assert_eq!(found, Some(written), "{expect:?}");
        }
    }
}

#[tokio::test]
async fn a_conflict_with_another_writer_stays_one_when_its_answer_is_lost() {
    let (proxy, store, other) = world().await;
    for (version, expect) in [(1, Expect::Absent), (2, Expect::Version(1))] {
        let theirs = record(version, "they");
        other.put(Table::Apps, &theirs, expect).await.unwrap();
        proxy.lose("PutItem", 1);
        let ours = record(version, "we");
        let outcome = store.put(Table::Apps, &ours, expect).await;
        let is_conflict = outcome.is_err_and(|error| error.is_conflict());
        assert!(is_conflict, "{expect:?}");
        let found = other.get(Table::Apps, &key()).await.unwrap();
        assert_eq!(found, Some(theirs));
    }
}

#[tokio::test]
async fn the_id_of_a_write_is_no_part_of_its_record() {
    let (_proxy, store, _) = world().await;
    let mut written = record(1, "we");
    written.due = Some(Due {
        shard: 3,
        at: Timestamp::from_seconds(1),
    });
    let table = Table::Tokens;
    store.put(table, &written, Expect::Absent).await.unwrap();
    let got = store.get(table, &key()).await.unwrap();
    assert_eq!(got.as_ref(), Some(&written));
    let many = store.get_many(table, &[key()], Attributes::All).await;
    let many = many.unwrap();
    let page = store.list(table, "cli_a", "", None, 10).await.unwrap();
    let due = store
        .due(Table::Tokens, 3, Timestamp::from_seconds(2), None, 10)
        .await;
    let due = due.unwrap();
    for found in [many, page.records, due] {
        assert_eq!(found, [written.clone()]);
    }
}

#[tokio::test]
async fn a_login_goes_on_when_the_answer_to_its_claim_is_lost() {
    let (proxy, store, _) = world().await;
    let services = services(store);
    let app_id = AppId::parse("cli_a").unwrap();
    let new = NewApp::new(app_id.clone(), "secret".into());
    let actor = Actor::operator("test");
    services.apps.register(&new, &actor, soon()).await.unwrap();
    let public_url = "http://127.0.0.1:9000".parse().unwrap();
    let start = LoginStart {
        app_id: &app_id,
        scope: None,
        redirect_to: None,
        public_url: &public_url,
    };
    let started = services.logins.start(&start, soon()).await.unwrap();
    let state = started
        .location
        .query_pairs()
        .find(|(name, _)| name == "state");
    let (_, state) = state.unwrap();
    let (name, rest) = started.cookie.split_once('=').unwrap();
    let cookie = |asked: &str| rest.split(';').next().filter(|_| asked == name);
    let callback = Callback {
        state: Some(&state),
        code: None,
        error: Some("access_denied"),
        public_url: &public_url,
    };
    for write in ["PutItem", "DeleteItem"] {
        proxy.lose(write, 1);
    }
    let finished = services.logins.finish(&callback, cookie, soon()).await;
    let outcome = finished.unwrap().outcome;
    assert!(
        matches!(outcome, Err(Error::LoginRefused(_))),
        "{outcome:?}"
    );
    let again = services.logins.finish(&callback, cookie, soon()).await;
    assert!(matches!(again, Err(Error::LoginInvalid(_))), "{again:?}");
}

fn services(store: DynamoDbStore) -> Services {
    let config =
        Config::from_lookup(|name| (name == "LARK_SERVICE_STORE").then(|| "embedded".to_owned()));
    let adapters = Adapters {
        store: Arc::new(store),
        cache: None,
        queue: None,
        staging: None,
        keys: Arc::new(Sealer::new(KeySource::Given(KeyRing::generate().unwrap()))),
        clock: Arc::new(SystemClock),
        http: http_client(),
    };
    Services::new(config.unwrap(), &adapters)
}

fn soon() -> Deadline {
    Deadline::after(std::time::Duration::from_secs(30))
}
