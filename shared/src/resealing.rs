//! Sealing everything anew with the current data key, so that older keys can go.
//!
//! Every record with something sealed is found without a scan: by the list of apps, and by app. What is under the current
//! key is left alone, so that work that was broken off goes on where it was. Writes compare versions; whatever else happens
//! to a record meanwhile wins.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use serde::Serialize;
use tracing::warn;

use crate::apps::{self, Apps};
use crate::changes::Actor;
use crate::clock::{Clock, Timestamp};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::ids::AppId;
use crate::seal::{SealError, Sealer, key_id_of};
use crate::store::{Attributes, Expect, Record, Storage, StoreError, Table};
use crate::tokens;

/// How long a key stays after another took its place: what waits in the shared cache is sealed for a day at most, and no
/// process seals with an old key for more than an hour.
pub const RETIRED_AFTER: Duration = Duration::from_secs(25 * 3_600);
/// How many apps or tokens are read at a time.
const PAGE: usize = 100;
/// How many records are sealed at a time.
const CONCURRENCY: usize = 8;
/// The time for one page or one record.
const STEP: Duration = Duration::from_secs(30);
/// How often a record is tried again when others change it meanwhile or renew its token.
const ATTEMPTS: u32 = 40;
/// The pause while somebody renews a token.
const LEASED_PAUSE: Duration = Duration::from_secs(1);
/// How often everything is gone through when others add keys meanwhile.
const PASSES: u32 = 4;
/// How many records that do not open are named.
const MAX_NAMED: usize = 100;

/// Seals everything anew.
#[derive(Clone, Debug)]
pub struct Resealer {
    apps: Apps,
    storage: Storage,
    sealer: Sealer,
    clock: Arc<dyn Clock>,
}

/// What was done so far.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Tally {
    /// Apps that were looked at.
    pub apps: u64,
    /// Records with something sealed that were looked at.
    pub records: u64,
    /// Records that were sealed anew.
    pub resealed: u64,
    /// Records with something that does not open.
    pub unopened: u64,
    /// The first hundred of these, as `table key`.
    pub unopened_records: Vec<String>,
}

/// How many keys are in use and how many went.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Retired {
    /// The keys that are gone.
    pub removed: Vec<String>,
    /// The older keys that stay, each with how many records need it.
    pub in_use: BTreeMap<String, u64>,
}

/// How it went with a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ending {
    Nothing,
    Current,
    Resealed,
    Unopened,
}

impl Resealer {
    /// Over these.
    #[must_use]
    pub const fn new(apps: Apps, storage: Storage, sealer: Sealer, clock: Arc<dyn Clock>) -> Self {
        Self {
            apps,
            storage,
            sealer,
            clock,
        }
    }

    /// Seals everything anew that is not under the current key, and tells `progress` after each step.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Seal`]: what was done stays done. Records that do not open are counted instead.
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

    /// Removes those older keys that no record needs, and tells `progress` after each step how many were looked at.
    ///
    /// What only caches hold is not looked at: leave the keys in place for [`RETIRED_AFTER`].
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Seal`]: nothing was removed then.
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

    /// How many records are sealed with which key.
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

    /// Seals one record anew, again if others write it meanwhile.
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

    /// What `record` is under the current key, if it is not already, and how it then ends.
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
                    resealed = Some(base.with(name, crate::store::Value::Bytes(sealed)));
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
        let resealed = Record {
            version: version_after(before.version, self.clock.now()),
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
    /// What the record ends with when two of its attributes end so.
    const fn worse(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unopened, _) | (_, Self::Unopened) => Self::Unopened,
            (Self::Resealed, _) | (_, Self::Resealed) => Self::Resealed,
            (Self::Current, _) | (_, Self::Current) => Self::Current,
            (Self::Nothing, Self::Nothing) => Self::Nothing,
        }
    }
}

/// Goes through all records that may have something sealed.
struct Walk<'r> {
    resealer: &'r Resealer,
    apps: VecDeque<AppId>,
    /// Where the next page of apps begins; `None` after the last one.
    next_apps: Option<Option<String>>,
    /// Whose tokens come next, and after which one.
    tokens: Option<(AppId, Option<String>)>,
    /// How many apps came.
    seen: u64,
}

impl<'r> Walk<'r> {
    const fn begin(resealer: &'r Resealer) -> Self {
        Self {
            resealer,
            apps: VecDeque::new(),
            next_apps: Some(None),
            tokens: None,
            seen: 0,
        }
    }

    /// Some records of a table; `None` when there are no more.
    async fn next(&mut self) -> Result<Option<(Table, Vec<Record>)>> {
        let deadline = Deadline::after(STEP);
        let (apps, storage) = (&self.resealer.apps, &self.resealer.storage);
        loop {
            if let Some((app_id, after)) = self.tokens.take() {
                let (id, after) = (app_id.as_str(), after.as_deref());
                let page = storage.list(Table::Tokens, id, "", after, PAGE, deadline);
                let page = page.await?;
                self.tokens = page.next.map(|next| (app_id, Some(next)));
                if !page.records.is_empty() {
                    return Ok(Some((Table::Tokens, page.records)));
                }
            } else if let Some(app_id) = self.apps.pop_front() {
                let keys = apps::sealed_records(&app_id);
                let records = storage
                    .get_many(Table::Apps, &keys, Attributes::All, deadline)
                    .await?;
                self.seen += 1;
                self.tokens = Some((app_id, None));
                return Ok(Some((Table::Apps, records)));
            } else if let Some(after) = self.next_apps.take() {
                let (ids, next) = apps.ids(after.as_deref(), PAGE, deadline).await?;
                self.apps.extend(ids);
                self.next_apps = next.map(Some);
            } else {
                return Ok(None);
            }
        }
    }
}

fn sealed_attributes(table: Table, record: &Record) -> Vec<(&'static str, String)> {
    match table {
        Table::Apps => apps::sealed_attributes(record),
        Table::Tokens => tokens::sealed_attributes(record),
        Table::Directory | Table::ApiKeys | Table::DataKeys => Vec::new(),
    }
}

fn version_after(version: u64, now: Timestamp) -> u64 {
    u64::try_from(now.as_millis())
        .unwrap_or(0)
        .max(version.saturating_add(1))
}

#[cfg(test)]
mod tests;
