//! The durable store, as a port: versioned records with compare-and-set writes, and an index of due records.
//!
//! Adapters only map. Time-outs, metrics and the slow-operation log are applied once above them, in [`Storage`].

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

#[cfg(any(test, feature = "contract"))]
pub mod contract;
pub mod dynamodb;
#[cfg(feature = "embedded")]
pub mod embedded;
mod error;
mod inspection;
#[cfg(any(test, feature = "contract"))]
pub mod intercepted;
#[cfg(test)]
pub(crate) mod moody;
mod stand_in;
mod storage;
mod version;

pub use error::StoreError;
pub use inspection::{SchemaProblem, TableReport};
pub(crate) use stand_in::{Answer, or_copy};
pub use storage::Storage;
pub use version::{is_beyond, next_version};

/// Makes the enum, the list and the facts of the tables from one row each.
macro_rules! tables {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal;)+) => {
        /// What is kept where. Each is a table of its own, so that a function is granted just the ones it needs. Within a table, records
/// with different writers are in different partitions: IAM tells partitions apart (`dynamodb:LeadingKeys`), but not sort keys.
/// No app id and no key id has a `#`.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Table {
            $($(#[$doc])* $variant = $number,)+
        }

        impl Table {
            /// Every table, by its number.
            pub const ALL: [Self; [$($number),+].len()] = [$(Self::$variant),+];

            /// The table's name in metrics, logs and the embedded store.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

// The numbers count from zero and stand in embedded files: never change one.
tables! {
    /// Tokens and their refresh state: `kind#app_id` / `kind#subject`. Attempts to log in: `login#id` / `state`.
    Tokens = 0, "tokens";
    /// Users, departments, chats and pages of them, as the platform last told: `app_id#id` / `id_type`.
    Directory = 1, "directory";
    /// Registered apps: `app_id` / `app`. Beside them, in partitions of their own, what others write: `ticket#app_id`,
    /// `usage#app_id`, `change#app_id`, and the list of all, `listed`.
    Apps = 2, "apps";
    /// API keys: `key_id` / `key`. Beside them `used#key_id`, `callback#key_id`, `change#key_id` and `listed`.
    ApiKeys = 3, "api_keys";
    /// Wrapped data keys: `keyring` / `current`.
    DataKeys = 4, "data_keys";
    /// Messages to be delivered, and what became of them: `job#key_id` / `job_id` or `batch_id`. Who sent a message: `sent#message_id` / `sent`.
    /// Requests with an `Idempotency-Key`, of whatever kind: `once#hash` / `once`.
    /// Dead letters, and failures that are counted: `dead#letters` / its id.
    MessageJobs = 5, "message_jobs";
}

impl Table {
    /// The table's number in embedded files.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Whether its records can be due: it has the index that [`Store::due`] reads.
    #[must_use]
    pub const fn has_due_index(self) -> bool {
        match self {
            Self::Tokens | Self::MessageJobs => true,
            Self::Directory | Self::Apps | Self::ApiKeys | Self::DataKeys => false,
        }
    }
}

/// The key of a record. Neither part is empty.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Deserialize, Serialize)]
pub struct Key {
    /// Spreads the load: records of one partition are stored together.
    pub partition: String,
    /// Identifies a record within its partition.
    pub sort: String,
}

impl Key {
    /// The key of `partition` and `sort`.
    #[must_use]
    pub fn new(partition: impl Into<String>, sort: impl Into<String>) -> Self {
        Self {
            partition: partition.into(),
            sort: sort.into(),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.partition, self.sort)
    }
}

/// One attribute of a record.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub enum Value {
    /// Text; may be empty.
    Text(String),
    /// A whole number.
    Number(i64),
    /// Bytes, such as sealed data; may be empty.
    Bytes(Vec<u8>),
}

/// When a record is due, and in which shard of the index it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub struct Due {
    /// Which of the index's partitions.
    pub shard: u8,
    /// From this moment on the record is due.
    pub at: Timestamp,
}

/// A position in a shard of the index of due records, after which to continue reading. It stays valid when the record at this
/// position moves or is deleted.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct DuePosition {
    /// [`Due::at`] of the record.
    pub at: Timestamp,
    /// The record's key, which distinguishes records of the same moment.
    pub key: Key,
}

/// A versioned record. Whole records are written; there are no partial updates.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub struct Record {
    /// Its key.
    pub key: Key,
    /// Grows with each write; chosen by the writer. Compared by [`Expect::Version`].
    pub version: u64,
    /// The content. Names are snake case and never one of `pk`, `sk`, `version`, `due_shard`, `due_at`, `ttl`, `write_id`.
    pub attributes: BTreeMap<String, Value>,
    /// Its entry in the index of due records, if it has one.
    pub due: Option<Due>,
    /// When it expires, rounded up to a whole second by adapters. `None`: never.
    pub expires_at: Option<Timestamp>,
}

impl Record {
    /// A record without attributes, due time or expiry.
    #[must_use]
    pub fn new(key: Key, version: u64) -> Self {
        Self {
            key,
            version,
            attributes: BTreeMap::new(),
            due: None,
            expires_at: None,
        }
    }

    /// Adds an attribute.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.attributes.insert(name.to_owned(), value);
        self
    }

    /// Its position in the index of due records; `None` when it is not in it.
    #[must_use]
    pub fn due_position(&self) -> Option<DuePosition> {
        self.due.map(|due| DuePosition {
            at: due.at,
            key: self.key.clone(),
        })
    }

    /// The text attribute `name`.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.attributes.get(name)? {
            Value::Text(text) => Some(text),
            Value::Number(_) | Value::Bytes(_) => None,
        }
    }

    /// The number attribute `name`.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<i64> {
        match self.attributes.get(name)? {
            Value::Number(number) => Some(*number),
            Value::Text(_) | Value::Bytes(_) => None,
        }
    }

    /// The bytes attribute `name`.
    #[must_use]
    pub fn bytes(&self, name: &str) -> Option<&[u8]> {
        match self.attributes.get(name)? {
            Value::Bytes(bytes) => Some(bytes),
            Value::Text(_) | Value::Number(_) => None,
        }
    }
}

/// What must hold of the stored record for a write to happen. An expired record counts as absent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expect {
    /// Any state.
    Anything,
    /// No record exists.
    Absent,
    /// A record with exactly this version exists.
    Version(u64),
    /// No record with this version or a later one exists: what was read earlier replaces nothing that was read later. A version
    /// after `latest` counts as none, since nobody can have given it yet; it would otherwise stay for ever.
    Older {
        /// The version that is later than those that it may replace.
        version: u64,
        /// The latest version that anybody can have given by now.
        latest: u64,
    },
}

/// A record that must not change until another one is written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Guard {
    /// Its key, in the table of the record that is written. The two are different records.
    pub key: Key,
    /// The version that it must have.
    pub version: u64,
}

/// Which attributes of records are read. Key, version, due time and expiry always are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Attributes {
    /// All attributes.
    All,
    /// Only the attributes with these names, each named once, if a record has them.
    Only(&'static [&'static str]),
}

/// Some of the records of a partition, in ascending order of the bytes of their sort keys.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ListPage {
    /// The records; there may be few or none even if more follow.
    pub records: Vec<Record>,
    /// The sort key after which to continue, not necessarily that of a listed record. `None`: there are no more.
    pub next: Option<String>,
}

/// A durable store of versioned records. [`contract`] states its promises and tests every adapter for them.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync {
    /// The record at `key`, read consistently; `None` when there is none or it has expired.
    async fn get(&self, table: Table, key: &Key) -> Result<Option<Record>, StoreError>;

    /// The records at `keys` that exist, with those `attributes`, in no particular order, read consistently. Any number of
    /// keys; a repeated key is returned once.
    async fn get_many(
        &self,
        table: Table,
        keys: &[Key],
        attributes: Attributes,
    ) -> Result<Vec<Record>, StoreError>;

    /// Writes the whole record if `expect` holds.
    ///
    /// An adapter may repeat a put whose answer was lost, and then takes what it finds of its own for success: a conflict means
    /// that another call stands in the way. (If yet another call has written over one's own record before the repetition, that
    /// is a conflict too.)
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it does not hold; nothing is then written.
    async fn put(&self, table: Table, record: &Record, expect: Expect) -> Result<(), StoreError>;

    /// [`Store::put`], if besides `expect` the record of `guard` exists with its version at the moment of the write. It costs twice
    /// what a put costs.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when one of the two does not hold, or another write to one of them is under way; nothing is then
    /// written.
    async fn put_guarded(
        &self,
        table: Table,
        record: &Record,
        expect: Expect,
        guard: &Guard,
    ) -> Result<(), StoreError>;

    /// Writes whole records unconditionally. Any number of records; of several with the same key the last is written.
    ///
    /// # Errors
    /// The store's error; some of the records may have been written.
    async fn put_many(&self, table: Table, records: &[Record]) -> Result<(), StoreError>;

    /// Writes each of `records` for which [`Expect::Older`] holds, with its own version and `latest`; the others are left out. Any
    /// number of records; of several with the same key the one with the highest version is kept. A write costs what a
    /// [`Store::put`] costs.
    ///
    /// # Errors
    /// The store's error; some of the records may have been written.
    async fn put_newer(
        &self,
        table: Table,
        records: &[Record],
        latest: u64,
    ) -> Result<(), StoreError>;

    /// Deletes the record at `key` if `expect` holds. Deleting what is absent succeeds with [`Expect::Anything`].
    ///
    /// What was deleted cannot show by whom: after a lost answer a repetition with [`Expect::Version`] is a conflict. Where it
    /// matters who of several took a record, put one that says that it is taken.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it does not hold.
    async fn delete(&self, table: Table, key: &Key, expect: Expect) -> Result<(), StoreError>;

    /// At most `limit` records of `partition` whose sort keys start with `sort_prefix` (any, if it is empty), read
    /// consistently, from the first one after the sort key `after`, which need not exist or start with the prefix.
    ///
    /// Expired records are left out of the page, and adapters bound its size, so it may be short: to read everything, continue
    /// until [`ListPage::next`] is `None`. A limit of zero reads nothing and has no next.
    async fn list(
        &self,
        table: Table,
        partition: &str,
        sort_prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ListPage, StoreError>;

    /// At most `limit` records of `table` in `shard` of its index ([`Table::has_due_index`]; of another table none) that are due at `until` or before, the longest due
    /// first, from the first one after the position `after`. The order of records that are due at the same moment is the
    /// adapter's own, and always the same. The index may lag slightly behind the table: write with [`Expect::Version`].
    async fn due(
        &self,
        table: Table,
        shard: u8,
        until: Timestamp,
        after: Option<&DuePosition>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError>;

    /// Whether the store answers.
    async fn ping(&self) -> Result<(), StoreError>;

    /// What is wrong with each table, in the order of [`Table::ALL`]: for an operator's check-up, as it takes several requests
    /// per table. A refused request is a problem of the table, not an error.
    async fn inspect(&self) -> Result<Vec<TableReport>, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_grows_with_time_and_with_each_write_and_comes_back_from_the_future() {
        let now = Timestamp::from_seconds(1_800_000_000);
        let now_ms = 1_800_000_000_000;
        let day_ms = 24 * 3_600 * 1_000;
        let check = |version, next| assert_eq!(next_version(version, now), next, "{version}");
        check(0, now_ms);
        check(now_ms - 1, now_ms);
        check(now_ms, now_ms + 1);
        check(now_ms + day_ms, now_ms + day_ms + 1);
        check(now_ms + day_ms + 1, now_ms);
        check(u64::MAX, now_ms);
    }

    #[test]
    fn tables_are_listed_by_their_numbers() {
        let numbers: Vec<u8> = Table::ALL.map(Table::number).to_vec();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5]);
    }
}
