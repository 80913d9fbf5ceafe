//! The contract of the store on DynamoDB, in two different emulators.

use std::sync::Arc;

use lark_service::aws::sdk_config;
use lark_service::clock::Clock;
use lark_service::store::contract::test_store_adapter;
use lark_service::store::dynamodb::{DynamoDbStore, TableNames, schema};

use crate::{emulator, http_client, required, unique};

pub(crate) async fn client(variable: &str) -> aws_sdk_dynamodb::Client {
    let settings = emulator(&required(variable));
    aws_sdk_dynamodb::Client::new(&sdk_config(&http_client(), &settings).await)
}

async fn store(variable: &str, clock: Arc<dyn Clock>) -> DynamoDbStore {
    let client = client(variable).await;
    let names = TableNames::prefixed(&format!("{}-", unique()));
    schema::create_tables(&client, &names).await.unwrap();
    DynamoDbStore::new(client, names, clock)
}

mod first {
    use super::*;
    test_store_adapter!(|clock| store("LARK_TEST_DYNAMODB_URL_1", clock));
}

/// It has no transactions.
mod second {
    use super::*;
    test_store_adapter!(|clock| store("LARK_TEST_DYNAMODB_URL_2", clock), without guards);
}
