//! Reseals everything with the current data key, so that older keys can be removed.
//!
//! Every record with sealed data is found without a scan: by the lists of apps and API keys, by app, and messages on their way by
//! the index of what is due. What the current key seals is skipped, so that an interrupted run continues where it stopped. Writes compare versions; any concurrent change to a record
//! wins.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use serde::Serialize;
use tracing::warn;

use crate::api_keys::{self, ApiKeys};
use crate::apps::{self, Apps};
use crate::changes::Actor;
use crate::clock::Clock;
use crate::deadline::Deadline;
use crate::delivery;
use crate::error::{Error, Result};
use crate::seal::{SealError, Sealer, key_id_of};
use crate::store::{self, Expect, Record, Storage, StoreError, Table};
use crate::tokens;

mod walk;

use walk::Walk;

/// How long a key stays after another replaced it: sealed data stays in the shared cache for a day at most, and no process
/// seals with an old key for more than an hour.
pub const RETIRED_AFTER: Duration = Duration::from_secs(25 * 3_600);
/// How many apps or tokens are read at a time.
const PAGE: usize = 100;
/// How many records are sealed concurrently.
const CONCURRENCY: usize = 8;
/// The time for one page or one record.
const STEP: Duration = Duration::from_secs(30);
/// How often a record is retried when others change it or renew its token at the same time.
const ATTEMPTS: u32 = 40;
/// The pause while another process renews a token.
const LEASED_PAUSE: Duration = Duration::from_secs(1);
/// How many passes over everything are made when others add keys meanwhile.
const PASSES: u32 = 4;
/// How many records that cannot be opened are listed.
const MAX_NAMED: usize = 100;

/// Reseals everything.
#[derive(Clone, Debug)]
pub struct Resealer {
    apps: Apps,
    api_keys: ApiKeys,
    storage: Storage,
    sealer: Sealer,
    clock: Arc<dyn Clock>,
}

/// The progress so far.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Tally {
    /// Apps that were checked.
    pub apps: u64,
    /// Records with sealed data that were checked.
    pub records: u64,
    /// Records that were resealed.
    pub resealed: u64,
    /// Records with sealed data that cannot be opened.
    pub unopened: u64,
    /// The first hundred of these, as `table key`.
    pub unopened_records: Vec<String>,
}

/// Which keys are still in use and which were removed.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Retired {
    /// The removed keys.
    pub removed: Vec<String>,
    /// The older keys that stay, each with the number of records that need it.
    pub in_use: BTreeMap<String, u64>,
}

/// The outcome of a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ending {
    Nothing,
    Current,
    Resealed,
    Unopened,
}

impl Resealer {
    /// A resealer over the given services.
    #[must_use]
    pub fn new(apps: Apps, storage: Storage, sealer: Sealer, clock: Arc<dyn Clock>) -> Self {
        Self {
            apps,
            // Nobody is told of a new seal: what the key may do stays.
            api_keys: ApiKeys::new(storage.clone(), None, Arc::clone(&clock)),
            storage,
            sealer,
            clock,
        }
    }

    /// Reseals everything that the current key does not seal, and reports to `progress` after each step.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Seal`]: what was done stays done. Records that cannot be opened are counted instead.
    pub async fn run(&self, actor: &Actor, mut progress: impl FnMut(&Tally)) -> Result<Tally> {
        let mut tally = Tally::default();
        for _ in 0..PASSES {
            let before = self.current_key_id().await?;
            let resealed = tally.resealed;
            tally = self.pass(actor, resealed, &mut progress).await?;
            if self.current_key_id().await? == before {
                break;
            }
        }
        Ok(tally)
    }

    /// Removes the older keys that no record needs, and reports to `progress` after each step how many were checked.
    ///
    /// Data that is only in caches is not checked: leave the keys in place for [`RETIRED_AFTER`].
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Seal`]: then nothing was removed.
    pub async fn retire(&self, mut progress: impl FnMut(&Tally)) -> Result<Retired> {
        let ring = self.sealer.keyring(Deadline::after(STEP)).await?;
        let current = ring.current_key_id();
        let older = ring.key_ids().filter(|id| *id != current);
        let older: Vec<String> = older.map(str::to_owned).collect();
        let mut in_use = self.keys_in_use(&mut progress).await?;
        in_use.remove(current);
        let removed = older.into_iter().filter(|id| !in_use.contains_key(id));
        let removed: Vec<_> = removed.collect();
        if !removed.is_empty() {
            self.sealer
                .remove_keys(&removed, Deadline::after(STEP))
                .await?;
        }
        Ok(Retired { removed, in_use })
    }

    /// The number of records per key that seals them.
    async fn keys_in_use(
        &self,
        progress: &mut impl FnMut(&Tally),
    ) -> Result<BTreeMap<String, u64>> {
        let (mut tally, mut keys) = (Tally::default(), BTreeMap::new());
        let mut walk = Walk::begin(self);
        while let Some((table, records)) = walk.next().await? {
            for record in &records {
                let names = sealed_attributes(table, record).into_iter();
                let sealed = names.filter_map(|(name, _)| record.bytes(name));
                let mut ids: Vec<_> = sealed.filter_map(key_id_of).collect();
                ids.sort_unstable();
                ids.dedup();
                tally.records += u64::from(!ids.is_empty());
                for id in ids {
                    *keys.entry(id.to_owned()).or_insert(0) += 1;
                }
            }
            tally.apps = walk.seen;
            progress(&tally);
        }
        Ok(keys)
    }

    async fn current_key_id(&self) -> Result<String> {
        let ring = self.sealer.keyring(Deadline::after(STEP)).await?;
        Ok(ring.current_key_id().to_owned())
    }

    async fn pass(
        &self,
        actor: &Actor,
        resealed: u64,
        progress: &mut impl FnMut(&Tally),
    ) -> Result<Tally> {
        let mut tally = Tally {
            resealed,
            ..Tally::default()
        };
        let mut walk = Walk::begin(self);
        while let Some((table, records)) = walk.next().await? {
            let mut endings = stream::iter(records)
                .map(|record| async move {
                    let name = format!("{} {}", table.name(), record.key);
                    (name, self.reseal(table, record, actor).await)
                })
                .buffer_unordered(CONCURRENCY);
            while let Some((name, ending)) = endings.next().await {
                tally.add(name, ending?);
            }
            tally.apps = walk.seen;
            progress(&tally);
        }
        Ok(tally)
    }

    /// Reseals one record; retries on a conflict.
    async fn reseal(&self, table: Table, mut record: Record, actor: &Actor) -> Result<Ending> {
        for attempt in 1..=ATTEMPTS {
            let deadline = Deadline::after(STEP);
            let (resealed, ending) = self.resealed(table, &record, deadline).await?;
            let Some(resealed) = resealed else {
                return Ok(ending);
            };
            let until = tokens::leased_until(&record).filter(|_| table == Table::Tokens);
            if until.is_some_and(|until| until > self.clock.now()) && attempt < ATTEMPTS {
                tokio::time::sleep(LEASED_PAUSE).await;
            } else {
                match self.put(table, &record, resealed, actor, deadline).await {
                    Ok(()) => return Ok(ending),
                    Err(Error::Store(StoreError::Conflict)) => {}
                    Err(error) => return Err(error),
                }
            }
            let found = self.storage.get(table, &record.key, deadline).await?;
            let Some(found) = found else {
                return Ok(Ending::Nothing);
            };
            record = found;
        }
        Err(StoreError::Conflict.into())
    }

    /// `record` resealed with the current key, if it is not yet, and its outcome.
    async fn resealed(
        &self,
        table: Table,
        record: &Record,
        deadline: Deadline,
    ) -> Result<(Option<Record>, Ending)> {
        let (mut resealed, mut ending) = (None, Ending::Nothing);
        for (name, context) in sealed_attributes(table, record) {
            let Some(sealed) = record.bytes(name) else {
                continue;
            };
            let outcome = self.sealer.reseal(&context, sealed, deadline).await;
            let now = match outcome {
                Ok(None) => Ending::Current,
                Ok(Some(sealed)) => {
                    let base = resealed.unwrap_or_else(|| record.clone());
                    resealed = Some(base.with(name, store::Value::Bytes(sealed)));
                    Ending::Resealed
                }
                Err(error @ (SealError::Broken | SealError::UnknownKey(_))) => {
                    warn!(store.table = table.name(), store.key = %record.key, %error, "something sealed does not open");
                    Ending::Unopened
                }
                Err(error @ SealError::Keys(_)) => return Err(error.into()),
            };
            ending = ending.worse(now);
        }
        Ok((resealed, ending))
    }

    async fn put(
        &self,
        table: Table,
        before: &Record,
        resealed: Record,
        actor: &Actor,
        deadline: Deadline,
    ) -> Result<()> {
        if table == Table::Apps {
            let put = self.apps.put_resealed(before, resealed, actor, deadline);
            return put.await;
        }
        if table == Table::ApiKeys {
            let put = self
                .api_keys
                .put_resealed(before, resealed, actor, deadline);
            return put.await;
        }
        let resealed = Record {
            version: store::next_version(before.version, self.clock.now()),
            ..resealed
        };
        let expect = Expect::Version(before.version);
        Ok(self.storage.put(table, &resealed, expect, deadline).await?)
    }
}

impl Tally {
    fn add(&mut self, name: String, ending: Ending) {
        self.records += u64::from(ending != Ending::Nothing);
        match ending {
            Ending::Nothing | Ending::Current => {}
            Ending::Resealed => self.resealed += 1,
            Ending::Unopened => {
                self.unopened += 1;
                if self.unopened_records.len() < MAX_NAMED {
                    self.unopened_records.push(name);
                }
            }
        }
    }
}

impl Ending {
    /// The outcome of a record from those of two of its attributes.
    const fn worse(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unopened, _) | (_, Self::Unopened) => Self::Unopened,
            (Self::Resealed, _) | (_, Self::Resealed) => Self::Resealed,
            (Self::Current, _) | (_, Self::Current) => Self::Current,
            (Self::Nothing, Self::Nothing) => Self::Nothing,
        }
    }
}

fn sealed_attributes(table: Table, record: &Record) -> Vec<(&'static str, String)> {
    match table {
        Table::Apps => apps::sealed_attributes(record),
        Table::Tokens => tokens::sealed_attributes(record),
        Table::MessageJobs => delivery::sealed_attributes(record),
        Table::ApiKeys => api_keys::callback::sealed_attributes(record),
        Table::Directory | Table::DataKeys => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
