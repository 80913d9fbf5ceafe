//! Checks of the store: it opens and answers, its tables have the right schema, nothing is denied, and sealed data opens
//! again.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::report::because;
use super::{Check, soon};
use lark_service::aws;
use lark_service::clock::{Clock, Timestamp};
use lark_service::config::{Config, KeysConfig, StoreConfig};
use lark_service::seal::{KeyFile, KeySource, Sealer};
use lark_service::store::dynamodb::DynamoDbError;
use lark_service::store::embedded::{EmbeddedStore, OpenError};
use lark_service::store::{
    Attributes, Expect, Key, Record, SchemaProblem, StoreError, Table, TableReport,
};
use lark_service::wiring::{Adapters, Services};

const STORE: &str = "store";
const SCHEMA: &str = "schema";
const PERMISSIONS: &str = "permissions";
const DATA_KEYS: &str = "data_keys";
/// The TTL of a probe that cannot be removed.
const PROBE_TTL: Duration = Duration::from_secs(60);

/// The adapters of the store that `config` names, without a cache, so that reads return what is stored.
pub(super) async fn open(config: &Config, clock: &Arc<dyn Clock>) -> Result<Adapters, Check> {
    if let StoreConfig::Embedded { data_dir } = &config.store {
        return open_embedded(data_dir, clock);
    }
    let without_cache = Config {
        cache: None,
        ..config.clone()
    };
    match Adapters::connect(&without_cache).await {
        Ok(adapters) => Ok(Adapters {
            clock: Arc::clone(clock),
            ..adapters
        }),
        Err(error) => Err(Check::failed(
            STORE,
            because(&error),
            "see docs/configuration.md",
        )),
    }
}

fn open_embedded(data_dir: &Path, clock: &Arc<dyn Clock>) -> Result<Adapters, Check> {
    let path = data_dir.join("store.redb");
    if !path.exists() {
        return Err(Check::failed(
            STORE,
            format!("there is no store at {}", path.display()),
            "set LARK_SERVICE_DATA_DIR to the folder of the service's data, or make a store with `lark-service app add`",
        ));
    }
    let store = EmbeddedStore::open(&path, Arc::clone(clock)).map_err(|error| {
        let remedy = match &error {
            OpenError::InUse { .. } => {
                "stop the process that has it, such as the local host (`make run`): the embedded store serves one at a time"
            }
            OpenError::Denied { .. } | OpenError::Unusable { .. } => {
                "run this as the user who owns the folder that LARK_SERVICE_DATA_DIR names"
            }
            OpenError::Damaged { .. } => {
                "restore the file from its backup; LARK_SERVICE_DATA_DIR names its folder"
            }
        };
        Check::failed(STORE, because(&error), remedy)
    })?;
    let http = aws::http(aws::DEFAULT_IDLE_TIMEOUT)
        .map_err(|error| Check::failed(STORE, because(&error), "see docs/configuration.md"))?;
    let keys = KeySource::File(KeyFile::at(data_dir.join("data-keys")));
    Ok(Adapters {
        store: Arc::new(store),
        cache: None,
        queue: None,
        staging: None,
        keys: Arc::new(Sealer::new(keys)),
        clock: Arc::clone(clock),
        http,
    })
}

/// Whether the store answers.
pub(super) async fn reachable(services: &Services) -> (bool, Check) {
    match services.storage.ping(soon()).await {
        Ok(()) => (true, Check::ok(STORE, "it answers")),
        // The next check reports what is wrong with the table.
        Err(StoreError::Unavailable { source, .. }) if refusal(&*source).is_some() => {
            (true, Check::ok(STORE, "it answers"))
        }
        Err(error) => {
            let remedy = match &services.config.store {
                StoreConfig::DynamoDb { .. } => {
                    "see that AWS_REGION, credentials and, for an emulator, LARK_SERVICE_AWS_ENDPOINT_URL are right and that this machine reaches DynamoDB"
                }
                StoreConfig::Embedded { .. } => {
                    "see that the disk of LARK_SERVICE_DATA_DIR has room and works"
                }
            };
            (false, Check::failed(STORE, because(&error), remedy))
        }
    }
}

/// The code with which DynamoDB refused, if that is what happened.
fn refusal<'e>(source: &'e (dyn std::error::Error + Send + Sync + 'static)) -> Option<&'e str> {
    match source.downcast_ref::<DynamoDbError>()? {
        DynamoDbError::Refused { code, .. } => Some(code),
        DynamoDbError::Throttled { .. }
        | DynamoDbError::Unreachable { .. }
        | DynamoDbError::Unprocessed { .. } => None,
    }
}

/// Whether the tables are usable, and what is wrong with them.
pub(super) async fn schema(config: &Config, adapters: &Adapters) -> (bool, Vec<Check>) {
    let inspected = soon().run(adapters.store.inspect()).await;
    let reports = match inspected {
        Ok(Ok(reports)) => reports,
        Ok(Err(error)) => {
            let remedy = "see that this machine may describe the tables: dynamodb:DescribeTable";
            return (true, vec![Check::failed(SCHEMA, because(&error), remedy)]);
        }
        Err(_) => {
            let remedy = "try again; see that this machine reaches the store";
            let detail = "the tables were not described in time";
            return (true, vec![Check::failed(SCHEMA, detail, remedy)]);
        }
    };
    let is_usable = !reports.iter().any(|report| {
        let breaks = [SchemaProblem::Missing, SchemaProblem::WrongKeys];
        breaks
            .iter()
            .any(|problem| report.problems.contains(problem))
    });
    let problems = reports.iter().flat_map(|report| {
        let problems = report.problems.iter();
        problems.map(|problem| schema_check(config, report, *problem))
    });
    let mut checks: Vec<_> = problems.collect();
    if checks.is_empty() {
        let detail = format!("{} tables as they should be", reports.len());
        checks.push(Check::ok(SCHEMA, detail));
    }
    (is_usable, checks)
}

fn schema_check(config: &Config, report: &TableReport, problem: SchemaProblem) -> Check {
    let name = &report.name;
    if matches!(config.store, StoreConfig::Embedded { .. }) {
        let remedy = "restore the file from its backup; LARK_SERVICE_DATA_DIR names its folder";
        return Check::failed(SCHEMA, format!("the table {name}: {problem:?}"), remedy);
    }
    let remedy = schema_remedy(name, variable(report.table), problem);
    match problem {
        SchemaProblem::Missing => {
            Check::failed(SCHEMA, format!("there is no table {name}"), remedy)
        }
        SchemaProblem::NotActive => {
            let detail = format!("the table {name} or its index is not active");
            Check::failed(SCHEMA, detail, remedy)
        }
        SchemaProblem::WrongKeys => {
            let detail = format!("the table {name} has other keys than pk and sk, both text");
            Check::failed(SCHEMA, detail, remedy)
        }
        SchemaProblem::NoDueIndex => {
            let detail = format!(
                "the table {name} has no index `due` over the numbers due_shard and due_at with all attributes"
            );
            Check::failed(SCHEMA, detail, remedy)
        }
        SchemaProblem::NoTimeToLive => {
            let detail =
                format!("expired records stay in the table {name}: its time to live is off");
            Check::warning(SCHEMA, detail, remedy)
        }
        SchemaProblem::NoPointInTimeRecovery => {
            let detail = format!(
                "a mistake in the table {name} cannot be undone: point-in-time recovery is off"
            );
            Check::warning(SCHEMA, detail, remedy)
        }
        SchemaProblem::AccessDenied => {
            let detail = format!("this user may not look at the table {name}");
            Check::warning(SCHEMA, detail, remedy)
        }
    }
}

fn schema_remedy(name: &str, variable: &str, problem: SchemaProblem) -> String {
    match problem {
        SchemaProblem::Missing => {
            format!("deploy template.yaml, or set {variable} to the name of its table")
        }
        SchemaProblem::NotActive => {
            format!("wait: aws dynamodb wait table-exists --table-name {name}")
        }
        SchemaProblem::WrongKeys => {
            format!(
                "deploy template.yaml, which makes a right table, and set {variable} to its name"
            )
        }
        SchemaProblem::NoDueIndex => format!(
            "deploy template.yaml, or: aws dynamodb update-table --table-name {name} --attribute-definitions \
             AttributeName=due_shard,AttributeType=N AttributeName=due_at,AttributeType=N \
             --global-secondary-index-updates '[{{\"Create\":{{\"IndexName\":\"due\",\"KeySchema\":[{{\"AttributeName\":\
             \"due_shard\",\"KeyType\":\"HASH\"}},{{\"AttributeName\":\"due_at\",\"KeyType\":\"RANGE\"}}],\"Projection\":\
             {{\"ProjectionType\":\"ALL\"}}}}}}]'"
        ),
        SchemaProblem::NoTimeToLive => format!(
            "aws dynamodb update-time-to-live --table-name {name} --time-to-live-specification Enabled=true,AttributeName=ttl"
        ),
        SchemaProblem::NoPointInTimeRecovery => format!(
            "aws dynamodb update-continuous-backups --table-name {name} \
             --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true"
        ),
        SchemaProblem::AccessDenied => format!(
            "allow dynamodb:DescribeTable, dynamodb:DescribeTimeToLive and dynamodb:DescribeContinuousBackups on {name}"
        ),
    }
}

/// The variable that names `table`.
const fn variable(table: Table) -> &'static str {
    match table {
        Table::Tokens => "LARK_SERVICE_TOKENS_TABLE",
        Table::Directory => "LARK_SERVICE_DIRECTORY_TABLE",
        Table::Apps => "LARK_SERVICE_APPS_TABLE",
        Table::ApiKeys => "LARK_SERVICE_API_KEYS_TABLE",
        Table::DataKeys => "LARK_SERVICE_DATA_KEYS_TABLE",
        Table::MessageJobs => "LARK_SERVICE_MESSAGE_JOBS_TABLE",
    }
}

/// Reads and writes a probe in each table.
pub(super) async fn permissions(config: &Config, services: &Services) -> Vec<Check> {
    let probes = Table::ALL.map(|table| probe(services, table));
    let refused: Vec<_> = join_all(probes).await.into_iter().flatten().collect();
    if refused.is_empty() {
        return vec![Check::ok(
            PERMISSIONS,
            "every table can be read and written",
        )];
    }
    let checks = refused.iter().map(|(table, action, error)| {
        let name = match &config.store {
            StoreConfig::DynamoDb { tables, .. } => tables.get(*table),
            StoreConfig::Embedded { .. } => table.name(),
        };
        let denied = match error {
            StoreError::Unavailable { source, .. } => refusal(&**source),
            StoreError::Conflict
            | StoreError::Timeout { .. }
            | StoreError::Skipped { .. }
            | StoreError::Corrupt { .. } => None,
        };
        match denied.filter(|code| code.contains("AccessDenied")) {
            Some(_) => Check::failed(
                PERMISSIONS,
                format!("{action} on the table {name} is denied"),
                format!("allow {action} on the table {name} in the policy of the user or role that runs this"),
            ),
            None => Check::failed(
                PERMISSIONS,
                format!("{action} on the table {name}: {}", because(error)),
                "see that the store is reached and has room; then run `lark-service doctor` again",
            ),
        }
    });
    checks.collect()
}

/// The operations that are refused on `table`.
async fn probe(services: &Services, table: Table) -> Vec<(Table, &'static str, StoreError)> {
    let key = Key::new(format!("doctor#{:016x}", fastrand::u64(..)), "probe");
    let mut record = Record::new(key.clone(), 1);
    record.expires_at = Some(services.clock.now() + PROBE_TTL);
    let (storage, deadline) = (&services.storage, soon());
    let keys = [key.clone()];
    let partition = key.partition.as_str();
    let mut outcomes = vec![
        (
            "dynamodb:GetItem",
            storage.get(table, &key, deadline).await.err(),
        ),
        (
            "dynamodb:BatchGetItem",
            storage
                .get_many(table, &keys, Attributes::All, deadline)
                .await
                .err(),
        ),
        (
            "dynamodb:Query",
            storage
                .list(table, partition, "", None, 1, deadline)
                .await
                .err(),
        ),
        (
            "dynamodb:PutItem",
            storage
                .put(table, &record, Expect::Absent, deadline)
                .await
                .err(),
        ),
        (
            "dynamodb:DeleteItem",
            storage
                .delete(table, &key, Expect::Anything, deadline)
                .await
                .err(),
        ),
    ];
    if table == Table::Tokens {
        let due = storage
            .due(Table::Tokens, 0, Timestamp::default(), None, 1, deadline)
            .await;
        outcomes.push(("dynamodb:Query (index due)", due.err()));
    }
    let refused = outcomes.into_iter();
    refused
        .filter_map(|(action, error)| Some((table, action, error?)))
        .collect()
}

/// Whether the data keys work: seals something and opens it again.
pub(super) async fn data_keys(config: &Config, services: &Services) -> (bool, Check) {
    const CONTEXT: &str = "doctor/probe";
    let sealer = &services.sealer;
    let outcome = async {
        let sealed = sealer.seal(CONTEXT, &"probe".into(), soon()).await?;
        sealer.open(CONTEXT, &sealed, soon()).await?;
        sealer.keyring(soon()).await
    };
    match outcome.await {
        Ok(ring) => {
            let detail = format!(
                "{} in the ring, {} seals",
                ring.key_ids().count(),
                ring.current_key_id()
            );
            (true, Check::ok(DATA_KEYS, detail))
        }
        Err(error) => {
            let remedy = match &config.store {
                StoreConfig::DynamoDb {
                    keys: KeysConfig::Kms(_),
                    ..
                } => {
                    "see that the key that LARK_SERVICE_KMS_KEY_ID names is enabled, and allow kms:Decrypt and kms:GenerateDataKey on it"
                }
                StoreConfig::DynamoDb {
                    keys: KeysConfig::Absent,
                    ..
                } => {
                    "set LARK_SERVICE_KMS_KEY_ID to the key of the stack, or LARK_SERVICE_KEY_FILE to a key file"
                }
                StoreConfig::DynamoDb {
                    keys: KeysConfig::File(_),
                    ..
                }
                | StoreConfig::Embedded { .. } => {
                    "restore the key file from its backup, with mode 600"
                }
            };
            (false, Check::failed(DATA_KEYS, error.to_string(), remedy))
        }
    }
}
