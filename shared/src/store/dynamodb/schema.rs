//! The schema of the tables; `template.yaml` declares the same for CloudFormation.
//!
//! Every table: partition key `pk` and sort key `sk`, both text; time to live by `ttl`; point-in-time recovery; on-demand
//! billing. Tables whose records can be due have the index `due`: partition key `due_shard`, sort key `due_at`, both numbers, with all attributes.

use crate::store::Table;

/// Text: [`crate::store::Key::partition`].
pub(super) const PARTITION: &str = "pk";
/// Text: [`crate::store::Key::sort`].
pub(super) const SORT: &str = "sk";
/// Number: [`crate::store::Record::version`].
pub(super) const VERSION: &str = "version";
/// Number: [`crate::store::Due::shard`].
pub(super) const DUE_SHARD: &str = "due_shard";
/// Number: [`crate::store::Due::at`], in milliseconds since the Unix epoch.
pub(super) const DUE_AT: &str = "due_at";
/// Number: [`crate::store::Record::expires_at`], in seconds since the Unix epoch, as DynamoDB's time to live requires.
pub(super) const TTL: &str = "ttl";
/// Bytes: which call of [`crate::store::Store::put`] wrote the item, if it expected something. No part of the record.
pub(super) const WRITE_ID: &str = "write_id";
/// The index over [`DUE_SHARD`] and [`DUE_AT`].
pub(super) const DUE_INDEX: &str = "due";

/// The name of each [`Table`] in the account.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TableNames([String; Table::ALL.len()]);

impl TableNames {
    /// The names that `name` gives to the tables.
    ///
    /// # Errors
    /// The first that `name` answers with.
    pub fn read<E>(mut name: impl FnMut(Table) -> Result<String, E>) -> Result<Self, E> {
        let mut names = Self::prefixed("");
        for table in Table::ALL {
            *names.get_mut(table) = name(table)?;
        }
        Ok(names)
    }

    /// `prefix` followed by the table's own name: `lark_` makes `lark_tokens`.
    #[must_use]
    pub fn prefixed(prefix: &str) -> Self {
        Self(Table::ALL.map(|table| format!("{prefix}{}", table.name())))
    }

    /// The name of `table`.
    #[must_use]
    pub fn get(&self, table: Table) -> &str {
        &self.0[usize::from(table.number())]
    }

    /// The name of `table`, to be changed.
    pub fn get_mut(&mut self, table: Table) -> &mut String {
        &mut self.0[usize::from(table.number())]
    }
}

#[cfg(any(test, feature = "contract"))]
pub use create::{CreateTableError, create_tables};

/// Tables in an emulator; in AWS the template creates them.
#[cfg(any(test, feature = "contract"))]
mod create {
    use std::time::Duration;

    use aws_sdk_dynamodb::Client;
    use aws_sdk_dynamodb::config::retry::RetryConfig;
    use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
    use aws_sdk_dynamodb::error::DisplayErrorContext;
    use aws_sdk_dynamodb::operation::create_table::builders::CreateTableFluentBuilder;
    use aws_sdk_dynamodb::types::{
        AttributeDefinition, BillingMode, GlobalSecondaryIndex, IndexStatus, KeySchemaElement,
        KeyType, PointInTimeRecoverySpecification, Projection, ProjectionType, ScalarAttributeType,
        TableDescription, TableStatus, TimeToLiveSpecification,
    };

    use super::{DUE_AT, DUE_INDEX, DUE_SHARD, PARTITION, SORT, TTL, TableNames};
    use crate::store::Table;

    /// How often an operation is tried. Each of them may be repeated.
    const ATTEMPTS: u32 = 6;
    /// How long one attempt may take. An emulator that serves a test under load answers after many seconds.
    const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
    /// How often to check whether a new table is usable.
    const POLL: Duration = Duration::from_millis(50);
    /// How many checks before giving up.
    const POLLS: u32 = 400;

    /// Why the tables could not be created.
    #[derive(Debug, thiserror::Error)]
    pub enum CreateTableError {
        /// DynamoDB refused or is unreachable.
        #[error("{step} {table}: {detail}")]
        Refused {
            /// What was attempted.
            step: &'static str,
            /// The table's name.
            table: String,
            /// What DynamoDB said.
            detail: String,
        },
        /// The table was created but is not usable 20 s later.
        #[error("{table} does not become active")]
        NotActive {
            /// The table's name.
            table: String,
        },
    }

    /// Creates every table with its index and waits until all are usable. Time to live and point-in-time recovery are
    /// requested; an emulator without them (dynalite) is good enough, since readers filter expired records.
    ///
    /// # Errors
    /// [`CreateTableError`] when a table is refused or does not become active within 20 s.
    pub async fn create_tables(
        client: &Client,
        names: &TableNames,
    ) -> Result<(), CreateTableError> {
        let client = &patient(client);
        for table in Table::ALL {
            let name = names.get(table);
            match definition(client, table, name).send().await {
                Ok(_) => {}
                // A repeated request meets the table that the first one made.
                Err(error)
                    if error
                        .as_service_error()
                        .is_some_and(|refusal| refusal.is_resource_in_use_exception()) => {}
                Err(error) => return Err(refused("creating", name, &error)),
            }
            wait_until_usable(client, name).await?;
            // Dynalite does not know these operations, and nothing depends on them.
            let _ = client
                .update_time_to_live()
                .table_name(name)
                .time_to_live_specification(time_to_live())
                .send()
                .await;
            let _ = client
                .update_continuous_backups()
                .table_name(name)
                .point_in_time_recovery_specification(point_in_time_recovery())
                .send()
                .await;
        }
        Ok(())
    }

    /// The same client with more time and more attempts than a request of the service has.
    fn patient(client: &Client) -> Client {
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT);
        let config = client.config().to_builder();
        let config = config.timeout_config(timeouts.build());
        let config = config.retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS));
        Client::from_conf(config.build())
    }

    fn definition(client: &Client, table: Table, name: &str) -> CreateTableFluentBuilder {
        let definition = client
            .create_table()
            .table_name(name)
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(attribute(PARTITION, ScalarAttributeType::S))
            .attribute_definitions(attribute(SORT, ScalarAttributeType::S))
            .key_schema(key(PARTITION, KeyType::Hash))
            .key_schema(key(SORT, KeyType::Range));
        if !table.has_due_index() {
            return definition;
        }
        definition
            .attribute_definitions(attribute(DUE_SHARD, ScalarAttributeType::N))
            .attribute_definitions(attribute(DUE_AT, ScalarAttributeType::N))
            .global_secondary_indexes(
                GlobalSecondaryIndex::builder()
                    .index_name(DUE_INDEX)
                    .key_schema(key(DUE_SHARD, KeyType::Hash))
                    .key_schema(key(DUE_AT, KeyType::Range))
                    .projection(
                        Projection::builder()
                            .projection_type(ProjectionType::All)
                            .build(),
                    )
                    .build()
                    .expect("name and keys are given"),
            )
    }

    fn attribute(name: &str, kind: ScalarAttributeType) -> AttributeDefinition {
        AttributeDefinition::builder()
            .attribute_name(name)
            .attribute_type(kind)
            .build()
            .expect("both are given")
    }

    fn key(name: &str, kind: KeyType) -> KeySchemaElement {
        KeySchemaElement::builder()
            .attribute_name(name)
            .key_type(kind)
            .build()
            .expect("both are given")
    }

    fn time_to_live() -> TimeToLiveSpecification {
        TimeToLiveSpecification::builder()
            .attribute_name(TTL)
            .enabled(true)
            .build()
            .expect("both are given")
    }

    fn point_in_time_recovery() -> PointInTimeRecoverySpecification {
        PointInTimeRecoverySpecification::builder()
            .point_in_time_recovery_enabled(true)
            .build()
            .expect("it is given")
    }

    async fn wait_until_usable(client: &Client, name: &str) -> Result<(), CreateTableError> {
        for _ in 0..POLLS {
            let described = client.describe_table().table_name(name).send().await;
            let described = described.map_err(|error| refused("describing", name, &error))?;
            if described.table.as_ref().is_some_and(is_usable) {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
        Err(CreateTableError::NotActive {
            table: name.to_owned(),
        })
    }

    /// Some emulators leave out the state of an index; such an index is ready.
    fn is_usable(table: &TableDescription) -> bool {
        let is_active = |status: Option<&IndexStatus>| {
            status.is_none_or(|status| *status == IndexStatus::Active)
        };
        table.table_status() == Some(&TableStatus::Active)
            && table
                .global_secondary_indexes()
                .iter()
                .all(|index| is_active(index.index_status()))
    }

    fn refused(
        step: &'static str,
        table: &str,
        error: &(impl std::error::Error + 'static),
    ) -> CreateTableError {
        let detail = DisplayErrorContext(error).to_string();
        CreateTableError::Refused {
            step,
            table: table.to_owned(),
            detail,
        }
    }
}
