//! What an inspection finds in two different emulators of DynamoDB.

use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TableStatus,
};
use lark_service::clock::SystemClock;
use lark_service::store::SchemaProblem::{
    self, Missing, NoDueIndex, NoPointInTimeRecovery, NoTimeToLive, WrongKeys,
};
use lark_service::store::dynamodb::{DynamoDbStore, TableNames, schema};
use lark_service::store::{Store, Table, TableReport};

use crate::dynamodb::client;
use crate::server::eventually;
use crate::unique;

const FIRST: &str = "LARK_TEST_DYNAMODB_URL_1";
const SECOND: &str = "LARK_TEST_DYNAMODB_URL_2";

/// A client, and the names of tables with the right schema.
async fn right_tables(variable: &str) -> (Client, TableNames) {
    let client = client(variable).await;
    let names = TableNames::prefixed(&format!("{}-", unique()));
    schema::create_tables(&client, &names).await.unwrap();
    (client, names)
}

/// The name of a new table with the key `id`, for another purpose.
async fn foreign_table(client: &Client) -> String {
    let name = format!("{}-foreign", unique());
    let id = AttributeDefinition::builder()
        .attribute_name("id")
        .attribute_type(ScalarAttributeType::S);
    let key = KeySchemaElement::builder()
        .attribute_name("id")
        .key_type(KeyType::Hash);
    let table = client
        .create_table()
        .table_name(&name)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(id.build().unwrap())
        .key_schema(key.build().unwrap());
    table.send().await.unwrap();
    eventually("the table is active", async || {
        let described = client.describe_table().table_name(&name).send().await;
        let table = described.unwrap().table.unwrap();
        table.table_status() == Some(&TableStatus::Active)
    })
    .await;
    name
}

async fn inspect(client: Client, names: &TableNames) -> Vec<TableReport> {
    let store = DynamoDbStore::new(client, names.clone(), Arc::new(SystemClock));
    store.inspect().await.unwrap()
}

fn report(table: Table, names: &TableNames, problems: &[SchemaProblem]) -> TableReport {
    TableReport {
        table,
        name: names.get(table).to_owned(),
        problems: problems.to_vec(),
    }
}

/// `always` are the problems that the emulator reports for every table.
async fn check_right_tables(variable: &str, always: &[SchemaProblem]) {
    let (client, names) = right_tables(variable).await;
    let expected = Table::ALL.map(|table| report(table, &names, always));
    assert_eq!(inspect(client, &names).await, expected);
}

/// `unset` are the problems of a table without any settings.
async fn check_wrong_tables(variable: &str, always: &[SchemaProblem], unset: &[SchemaProblem]) {
    let (client, right) = right_tables(variable).await;
    let mut names = right.clone();
    // As it should be, but for the index.
    right
        .get(Table::Directory)
        .clone_into(names.get_mut(Table::Tokens));
    *names.get_mut(Table::Directory) = format!("{}-missing", unique());
    *names.get_mut(Table::Apps) = foreign_table(&client).await;
    let expected = [
        report(Table::Tokens, &names, &[&[NoDueIndex], always].concat()),
        report(Table::Directory, &names, &[Missing]),
        report(Table::Apps, &names, &[&[WrongKeys], unset].concat()),
        report(Table::ApiKeys, &names, always),
        report(Table::DataKeys, &names, always),
        report(Table::MessageJobs, &names, always),
    ];
    assert_eq!(inspect(client, &names).await, expected);
}

#[tokio::test]
async fn tables_as_they_should_be_have_no_problems() {
    check_right_tables(FIRST, &[]).await;
}

#[tokio::test]
async fn tables_that_are_not_ours_are_found() {
    check_wrong_tables(FIRST, &[], &[NoTimeToLive, NoPointInTimeRecovery]).await;
}

/// Dynalite always reports that time to live is off, and does not support backups.
#[tokio::test]
async fn what_an_emulator_does_not_know_is_no_problem() {
    check_right_tables(SECOND, &[NoTimeToLive]).await;
}

#[tokio::test]
async fn tables_that_are_not_ours_are_found_by_a_simpler_emulator() {
    check_wrong_tables(SECOND, &[NoTimeToLive], &[NoTimeToLive]).await;
}
