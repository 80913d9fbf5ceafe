//! A store that denies writes.

use async_trait::async_trait;

use super::*;
use lark_service::store::StoreError;
use lark_service::store::dynamodb::DynamoDbError;
use lark_service::store::intercepted::{InterceptedStore, Operation, StoreHook};
use lark_service::wiring::Adapters;

/// Denies writes, as a role without `dynamodb:PutItem` does.
#[derive(Debug)]
struct DenyPut;

#[async_trait]
impl StoreHook for DenyPut {
    async fn before(&self, operation: Operation, table: Option<Table>) -> Result<(), StoreError> {
        if !matches!(operation, Operation::Put | Operation::PutMany) {
            return Ok(());
        }
        let refused = DynamoDbError::Refused {
            code: "AccessDeniedException".to_owned(),
            source: "not authorized".into(),
        };
        let table = table.map_or("all", Table::name);
        Err(StoreError::unavailable("put", table, refused))
    }
}

#[tokio::test]
async fn what_is_denied_is_named_by_action_and_table() {
    let place = Place::healthy().await;
    let config = place.config();
    let mut adapters = Adapters::connect(&config).await.unwrap();
    adapters.store = Arc::new(InterceptedStore::new(adapters.store, Arc::new(DenyPut)));
    let services = Services::new(config.clone(), &adapters);
    let checks = store::permissions(&config, &services).await;
    assert_eq!(checks.len(), Table::ALL.len());
    let remedy = checks[0].remedy.clone().unwrap();
    assert!(
        remedy.contains("allow dynamodb:PutItem on the table tokens"),
        "{remedy}"
    );
}
