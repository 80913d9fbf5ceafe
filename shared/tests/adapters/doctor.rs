//! What the doctor finds on real servers, with its remedies; and data keys under KMS, changed by two processes at once.

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use lark_service::clock::{SystemClock, Timestamp};
use lark_service::config::{Config, VARIABLES};
use lark_service::deadline::Deadline;
use lark_service::store::Table;
use lark_service::store::dynamodb::{TableNames, schema};
use lark_service::wiring::{Adapters, Services};
use lark_service_doctor::{Check, Options, Report, Status, examine};
use lark_simulator::Simulator;
use secrecy::ExposeSecret;

use crate::dynamodb::client;
use crate::server::{PATIENCE, Server};
use crate::{emulator, http_client, required, unique};

/// An emulator with DynamoDB and KMS.
const AWS: &str = "LARK_TEST_DYNAMODB_URL_1";

/// The variables of a process.
struct Place {
    variables: HashMap<&'static str, String>,
    _simulator: Simulator,
    _folder: tempfile::TempDir,
}

impl Place {
    /// Only a platform and an empty data folder.
    async fn embedded() -> Self {
        let simulator = Simulator::start(lark_simulator::Options::default()).await;
        let simulator = simulator.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let variables = HashMap::from([
            ("LARK_SERVICE_STORE", "embedded".to_owned()),
            ("LARK_SERVICE_DATA_DIR", folder.path().display().to_string()),
            ("LARK_SERVICE_FEISHU_URL", simulator.base_url()),
        ]);
        Self {
            variables,
            _simulator: simulator,
            _folder: folder,
        }
    }

    /// Its own tables and key.
    async fn on_aws() -> (Self, TableNames) {
        let names = TableNames::prefixed(&format!("{}-", unique()));
        schema::create_tables(&client(AWS).await, &names)
            .await
            .unwrap();
        let sdk = lark_service::aws::sdk_config(&http_client(), &emulator(&required(AWS))).await;
        let kms = aws_sdk_kms::Client::new(&sdk);
        let key = kms.create_key().send().await.unwrap().key_metadata.unwrap();
        let mut place = Self::embedded()
            .await
            .with("LARK_SERVICE_STORE", "dynamodb")
            .with("LARK_SERVICE_KMS_KEY_ID", key.key_id())
            .with("LARK_SERVICE_AWS_ENDPOINT_URL", &required(AWS))
            .with("AWS_REGION", "us-east-1")
            .with("AWS_ACCESS_KEY_ID", "000000000000")
            .with("AWS_SECRET_ACCESS_KEY", "test");
        for table in Table::ALL {
            place = place.with_table(table, names.get(table));
        }
        (place, names)
    }

    fn with(mut self, variable: &'static str, value: &str) -> Self {
        self.variables.insert(variable, value.to_owned());
        self
    }

    fn with_table(self, table: Table, name: &str) -> Self {
        let variable = format!("LARK_SERVICE_{}_TABLE", table.name().to_uppercase());
        let variable = VARIABLES.iter().find(|known| known.name == variable);
        self.with(variable.unwrap().name, name)
    }

    async fn services(&self) -> Services {
        let config = Config::from_lookup(|name| self.variables.get(name).cloned()).unwrap();
        let adapters = Box::pin(Adapters::connect(&config)).await.unwrap();
        Services::new(config, &adapters)
    }

    async fn examined(&self) -> Report {
        let lookup = |name| self.variables.get(name).cloned();
        let (options, clock) = (Options::default(), Arc::new(SystemClock));
        Box::pin(examine(lookup, &options, clock, &mut |_: &Check| ())).await
    }
}

fn soon() -> Deadline {
    Deadline::after(PATIENCE)
}

/// Expects a check `name` with this status and these words in its detail and its remedy.
#[track_caller]
fn check(report: &Report, name: &str, status: Status, detail: &str, remedy: &str) {
    let found = report.checks.iter().filter(|check| check.name == name);
    let found: Vec<_> = found.collect();
    let is_it = |check: &&&Check| {
        let given = check.remedy.as_deref().unwrap_or_default();
        check.status == status && check.detail.contains(detail) && given.contains(remedy)
    };
    assert!(found.iter().any(|check| is_it(&check)), "{found:#?}");
}

#[tokio::test]
async fn a_healthy_stack_has_nothing_wrong_with_its_store_and_keys() {
    let (place, _) = Place::on_aws().await;
    let report = place.examined().await;
    for name in [
        "store",
        "schema",
        "permissions",
        "data_keys",
        "lark",
        "clock",
    ] {
        check(&report, name, Status::Ok, "", "");
    }
}

#[tokio::test]
async fn a_missing_table_names_its_variable() {
    let (place, _) = Place::on_aws().await;
    let missing = format!("{}-missing", unique());
    let place = place.with_table(Table::Directory, &missing);
    let report = place.examined().await;
    let remedy = "set LARK_SERVICE_DIRECTORY_TABLE";
    check(&report, "schema", Status::Failed, &missing, remedy);
    check(&report, "apps", Status::Skipped, "needs the tables", "");
}

#[tokio::test]
async fn a_table_with_other_keys_is_to_be_made_anew() {
    let (place, _) = Place::on_aws().await;
    let foreign = format!("{}-foreign", unique());
    let id = AttributeDefinition::builder().attribute_name("id");
    let id = id.attribute_type(ScalarAttributeType::S).build().unwrap();
    let key = KeySchemaElement::builder().attribute_name("id");
    let key = key.key_type(KeyType::Hash).build().unwrap();
    let client = client(AWS).await;
    let table = client.create_table().table_name(&foreign);
    let table = table.attribute_definitions(id).key_schema(key);
    let table = table.billing_mode(BillingMode::PayPerRequest).send();
    table.await.unwrap();
    let report = place.with_table(Table::Apps, &foreign).examined().await;
    check(
        &report,
        "schema",
        Status::Failed,
        "other keys",
        "set LARK_SERVICE_APPS_TABLE",
    );
    check(
        &report,
        "schema",
        Status::Warning,
        &foreign,
        "aws dynamodb update-time-to-live",
    );
    check(
        &report,
        "schema",
        Status::Warning,
        &foreign,
        "aws dynamodb update-continuous-backups",
    );
}

#[tokio::test]
async fn a_missing_index_comes_with_the_command_that_makes_it() {
    let (place, names) = Place::on_aws().await;
    let report = place
        .with_table(Table::Tokens, names.get(Table::Directory))
        .examined()
        .await;
    let name = names.get(Table::Directory);
    let remedy = format!("aws dynamodb update-table --table-name {name}");
    check(&report, "schema", Status::Failed, "no index `due`", &remedy);
}

#[tokio::test]
async fn a_key_that_is_not_there_names_the_permissions() {
    let (place, _) = Place::on_aws().await;
    let report = place
        .with("LARK_SERVICE_KMS_KEY_ID", "alias/none")
        .examined()
        .await;
    check(
        &report,
        "data_keys",
        Status::Failed,
        "KMS",
        "allow kms:Decrypt",
    );
    check(&report, "credentials", Status::Skipped, "data keys", "");
}

#[tokio::test]
async fn a_cache_that_answers_may_have_the_wrong_policy_for_a_full_memory() {
    let place = Place::embedded().await;
    let wrong = Server::start(&[]).await;
    let place = place.with("LARK_SERVICE_CACHE_URL", &wrong.url());
    let report = place.examined().await;
    check(&report, "cache", Status::Ok, "", "");
    check(&report, "cache_permissions", Status::Ok, "", "");
    check(
        &report,
        "cache_eviction",
        Status::Warning,
        "noeviction",
        "maxmemory-policy volatile-lru",
    );
    let right = Server::start(&["--maxmemory-policy", "volatile-lru"]).await;
    let place = place.with("LARK_SERVICE_CACHE_URL", &right.url());
    check(
        &place.examined().await,
        "cache_eviction",
        Status::Ok,
        "volatile-lru",
        "",
    );
}

#[tokio::test]
async fn a_wrong_password_for_the_cache_is_to_be_corrected() {
    let place = Place::embedded().await;
    // The server's own probe has no password: it is set once the server answers.
    let server = Server::start(&[]).await;
    let admin = redis::Client::open(server.url()).unwrap();
    let mut admin = admin.get_multiplexed_async_connection().await.unwrap();
    let mut set = redis::cmd("CONFIG");
    set.arg("SET").arg("requirepass").arg("right");
    let _: () = set.query_async(&mut admin).await.unwrap();
    let remedy = "user and password into LARK_SERVICE_CACHE_URL";
    let wrong = server.url().replace("redis://", "redis://:wrong@");
    for url in [wrong, server.url()] {
        let report = Place::embedded().await.with("LARK_SERVICE_CACHE_URL", &url);
        let report = report.examined().await;
        check(&report, "cache", Status::Failed, "", remedy);
        let text = serde_json::to_string(&report).unwrap();
        assert!(!text.contains("wrong@"), "{text}");
    }
    let right = server.url().replace("redis://", "redis://:right@");
    let report = place
        .with("LARK_SERVICE_CACHE_URL", &right)
        .examined()
        .await;
    check(&report, "cache", Status::Ok, "", "");
}

#[tokio::test]
async fn a_user_of_the_cache_without_our_keys_needs_another_access_string() {
    let server = Server::start(&["--user", "guest", "on", ">pass", "~other:*", "+@all"]).await;
    let url = server.url().replace("redis://", "redis://guest:pass@");
    let place = Place::embedded().await.with("LARK_SERVICE_CACHE_URL", &url);
    let report = place.examined().await;
    check(&report, "cache_permissions", Status::Failed, "", "~lark:*");
}

#[tokio::test]
async fn a_cache_with_tls_where_none_is_expected_and_the_reverse_are_told_apart() {
    let plain_to_tls = required("LARK_TEST_VALKEY_TLS_URL").replace("rediss://", "redis://");
    let place = Place::embedded()
        .await
        .with("LARK_SERVICE_CACHE_URL", &plain_to_tls);
    check(
        &place.examined().await,
        "cache",
        Status::Failed,
        "",
        "use rediss://",
    );
    let tls_to_plain = required("LARK_TEST_VALKEY_URL").replace("redis://", "rediss://");
    let place = place.with("LARK_SERVICE_CACHE_URL", &tls_to_plain);
    check(
        &place.examined().await,
        "cache",
        Status::Failed,
        "",
        "use redis://",
    );
}

#[tokio::test]
async fn two_who_add_data_keys_under_kms_at_once_lose_none() {
    let (place, _) = Place::on_aws().await;
    let (one, other) = (place.services().await, place.services().await);
    let sealed = one.sealer.seal("c", &"x".into(), soon()).await.unwrap();
    let now = Timestamp::from_seconds(1);
    let adding = [&one, &other, &one, &other].map(|services| services.sealer.add_key(now, soon()));
    let added = futures_util::future::try_join_all(adding).await.unwrap();
    let late = place.services().await;
    let ring = late.sealer.keyring(soon()).await.unwrap();
    assert_eq!(ring.key_ids().count(), 5);
    assert!(
        added
            .iter()
            .all(|added| ring.key_ids().any(|id| id == added))
    );
    let opened = late.sealer.open("c", &sealed, soon()).await.unwrap();
    assert_eq!(opened.expose_secret(), "x");
    // A process with an older ring loads the newest key when it has to open something sealed with it.
    let sealed = late.sealer.seal("c", &"y".into(), soon()).await.unwrap();
    let opened = one.sealer.open("c", &sealed, soon()).await.unwrap();
    assert_eq!(opened.expose_secret(), "y");
}
