//! Checks whether the tables of the account match [`super::schema`].

use std::collections::BTreeSet;
use std::error::Error as StdError;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{
    ContinuousBackupsDescription, GlobalSecondaryIndexDescription, IndexStatus, KeySchemaElement,
    KeyType, PointInTimeRecoveryStatus, ProjectionType, ScalarAttributeType, TableDescription,
    TableStatus, TimeToLiveDescription, TimeToLiveStatus,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use super::DynamoDbStore;
use super::observed::Call;
use super::schema::{DUE_AT, DUE_INDEX, DUE_SHARD, PARTITION, SORT, TTL};
use crate::store::{SchemaProblem, StoreError, Table, TableReport};

/// The answer to a request.
///
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>
#[derive(Clone, Debug)]
enum Answer<T> {
    Given(T),
    /// There is no such table.
    Missing,
    /// The policy does not allow the request.
    Denied,
    /// An emulator that lacks the operation, or leaves out its result.
    Unsupported,
}

/// Everything that is requested about a table.
#[derive(Clone, Debug)]
struct Description {
    table: Answer<TableDescription>,
    time_to_live: Answer<TimeToLiveDescription>,
    backups: Answer<ContinuousBackupsDescription>,
}

impl DynamoDbStore {
    /// What is wrong with `table`.
    pub(super) async fn inspect_table(&self, table: Table) -> Result<TableReport, StoreError> {
        let description = self.describe(table).await?;
        Ok(TableReport {
            table,
            name: self.names.get(table).to_owned(),
            problems: problems(table, &description),
        })
    }

    async fn describe(&self, table: Table) -> Result<Description, StoreError> {
        let call = Call::new("inspect", table);
        let name = self.names.get(table);
        let (described, time_to_live, backups) = futures_util::join!(
            self.patient.describe_table().table_name(name).send(),
            self.patient.describe_time_to_live().table_name(name).send(),
            self.patient
                .describe_continuous_backups()
                .table_name(name)
                .send(),
        );
        Ok(Description {
            table: answer(&call, described, |output| output.table)?,
            time_to_live: answer(&call, time_to_live, |output| {
                output.time_to_live_description
            })?,
            backups: answer(&call, backups, |output| {
                output.continuous_backups_description
            })?,
        })
    }
}

fn answer<O, T, E>(
    call: &Call,
    sent: Result<O, SdkError<E, HttpResponse>>,
    read: impl FnOnce(O) -> Option<T>,
) -> Result<Answer<T>, StoreError>
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let error = match sent {
        Ok(output) => return Ok(read(output).map_or(Answer::Unsupported, Answer::Given)),
        Err(error) => error,
    };
    let code = error
        .as_service_error()
        .and_then(ProvideErrorMetadata::code);
    match code {
        Some("ResourceNotFoundException" | "TableNotFoundException") => Ok(Answer::Missing),
        Some("AccessDeniedException") => Ok(Answer::Denied),
        Some("UnknownOperationException") => Ok(Answer::Unsupported),
        Some(_) | None => Err(call.refused(error)),
    }
}

/// What is wrong with `table`, according to the answers.
fn problems(table: Table, description: &Description) -> Vec<SchemaProblem> {
    let found: BTreeSet<SchemaProblem> = [
        judge(&description.table, |described| {
            schema_problems(table, described)
        }),
        judge(&description.time_to_live, time_to_live_problem),
        judge(&description.backups, backups_problem),
    ]
    .into_iter()
    .flatten()
    .collect();
    if found.contains(&SchemaProblem::Missing) {
        return vec![SchemaProblem::Missing];
    }
    found.into_iter().collect()
}

fn judge<T, P: IntoIterator<Item = SchemaProblem>>(
    answer: &Answer<T>,
    problems: impl FnOnce(&T) -> P,
) -> Vec<SchemaProblem> {
    match answer {
        Answer::Given(given) => problems(given).into_iter().collect(),
        Answer::Missing => vec![SchemaProblem::Missing],
        Answer::Denied => vec![SchemaProblem::AccessDenied],
        Answer::Unsupported => Vec::new(),
    }
}

fn schema_problems(table: Table, described: &TableDescription) -> Vec<SchemaProblem> {
    const TABLE_KEYS: [(&str, KeyType, ScalarAttributeType); 2] = [
        (PARTITION, KeyType::Hash, ScalarAttributeType::S),
        (SORT, KeyType::Range, ScalarAttributeType::S),
    ];
    let mut problems = Vec::new();
    let indexes = described.global_secondary_indexes();
    let due = indexes
        .iter()
        .find(|index| index.index_name() == Some(DUE_INDEX))
        .filter(|_| table.has_due_index());
    if !is_usable(described) || !due.is_none_or(is_index_usable) {
        problems.push(SchemaProblem::NotActive);
    }
    if !has_keys(described, described.key_schema(), &TABLE_KEYS) {
        problems.push(SchemaProblem::WrongKeys);
    }
    if table.has_due_index() && !due.is_some_and(|due| is_due_index(described, due)) {
        problems.push(SchemaProblem::NoDueIndex);
    }
    problems
}

/// A table can be read and written while it is updated.
fn is_usable(described: &TableDescription) -> bool {
    matches!(
        described.table_status(),
        Some(TableStatus::Active | TableStatus::Updating)
    )
}

/// Some emulators leave out the state of an index; such an index is ready.
fn is_index_usable(index: &GlobalSecondaryIndexDescription) -> bool {
    matches!(
        index.index_status(),
        None | Some(IndexStatus::Active | IndexStatus::Updating)
    )
}

fn is_due_index(described: &TableDescription, index: &GlobalSecondaryIndexDescription) -> bool {
    const INDEX_KEYS: [(&str, KeyType, ScalarAttributeType); 2] = [
        (DUE_SHARD, KeyType::Hash, ScalarAttributeType::N),
        (DUE_AT, KeyType::Range, ScalarAttributeType::N),
    ];
    let projected = index
        .projection()
        .and_then(|projection| projection.projection_type());
    projected == Some(&ProjectionType::All) && has_keys(described, index.key_schema(), &INDEX_KEYS)
}

/// Whether `keys` are the `expected` ones and no others, of the expected types.
fn has_keys(
    described: &TableDescription,
    keys: &[KeySchemaElement],
    expected: &[(&str, KeyType, ScalarAttributeType)],
) -> bool {
    let attributes = described.attribute_definitions();
    let has_type = |name: &str, kind: &ScalarAttributeType| {
        attributes.iter().any(|attribute| {
            attribute.attribute_name() == name && attribute.attribute_type() == kind
        })
    };
    keys.len() == expected.len()
        && keys.iter().zip(expected).all(|(key, (name, role, kind))| {
            key.attribute_name() == *name && key.key_type() == role && has_type(name, kind)
        })
}

/// DynamoDB takes up to an hour to enable it.
fn time_to_live_problem(described: &TimeToLiveDescription) -> Option<SchemaProblem> {
    let is_on = matches!(
        described.time_to_live_status(),
        Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)
    );
    let is_ours = described.attribute_name() == Some(TTL);
    (!is_on || !is_ours).then_some(SchemaProblem::NoTimeToLive)
}

fn backups_problem(described: &ContinuousBackupsDescription) -> Option<SchemaProblem> {
    let status = described
        .point_in_time_recovery_description()
        .and_then(|recovery| recovery.point_in_time_recovery_status());
    (status != Some(&PointInTimeRecoveryStatus::Enabled))
        .then_some(SchemaProblem::NoPointInTimeRecovery)
}

#[cfg(test)]
mod tests;
