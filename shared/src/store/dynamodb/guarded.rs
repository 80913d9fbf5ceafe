//! A write that holds only while another record stays as it is: a transaction of a condition and a put.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{ConditionCheck, Put, ReturnConsumedCapacity, TransactWriteItem};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use super::DynamoDbStore;
use super::condition::Condition;
use super::item::{key_item, record_item};
use super::observed::Call;
use crate::store::{Expect, Guard, Record, StoreError, Table};

/// The reasons for which another write stands in the way of a transaction.
///
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>
const CONFLICTS: [&str; 2] = ["ConditionalCheckFailed", "TransactionConflict"];

impl DynamoDbStore {
    /// The SDK gives each call a token, by which DynamoDB recognizes a repetition of what it did already.
    pub(super) async fn put_in_transaction(
        &self,
        table: Table,
        record: &Record,
        expect: Expect,
        guard: &Guard,
    ) -> Result<(), StoreError> {
        let call = Call::new("put_guarded", table);
        let name = self.names.get(table);
        let unchanged = self.condition(Expect::Version(guard.version));
        let check = ConditionCheck::builder()
            .table_name(name)
            .set_key(Some(key_item(&guard.key)))
            .set_condition_expression(unchanged.as_ref().map(Condition::expression))
            .set_expression_attribute_names(unchanged.as_ref().map(Condition::names))
            .set_expression_attribute_values(unchanged.map(Condition::values))
            .build();
        let condition = self.condition(expect);
        let put = Put::builder()
            .table_name(name)
            .set_item(Some(record_item(record)))
            .set_condition_expression(condition.as_ref().map(Condition::expression))
            .set_expression_attribute_names(condition.as_ref().map(Condition::names))
            .set_expression_attribute_values(condition.map(Condition::values))
            .build();
        let check = check.map_err(|error| call.failed(error))?;
        let put = put.map_err(|error| call.failed(error))?;
        let request = self
            .patient
            .transact_write_items()
            .transact_items(TransactWriteItem::builder().condition_check(check).build())
            .transact_items(TransactWriteItem::builder().put(put).build())
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        let sent = request
            .customize()
            .interceptor(call.attempts())
            .send()
            .await;
        match sent {
            Ok(output) => {
                call.consumed(output.consumed_capacity());
                Ok(())
            }
            Err(error) if is_conflict(&error) => Err(StoreError::Conflict),
            Err(error) => Err(call.refused(error)),
        }
    }
}

fn is_conflict(error: &SdkError<TransactWriteItemsError, HttpResponse>) -> bool {
    let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) =
        error.as_service_error()
    else {
        return false;
    };
    let codes = cancelled.cancellation_reasons().iter();
    codes
        .filter_map(|reason| reason.code())
        .any(|code| CONFLICTS.contains(&code))
}
