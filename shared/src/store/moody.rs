//! A store in memory that is slow, silent or failing when a test says so. It answers in the calling task, so that paused time
//! stands still meanwhile.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;

use super::{
    Attributes, DuePosition, Expect, Guard, Key, ListPage, Record, Store, StoreError, Table,
    TableReport,
};
use crate::clock::Timestamp;

/// How the store treats an operation.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mood {
    /// It answers after this time.
    Takes(Duration),
    /// It never answers.
    Silent,
    /// It refuses at once.
    Fails,
}

impl Mood {
    /// It answers at once.
    pub(crate) const WELL: Self = Self::Takes(Duration::ZERO);
}

/// The store. It knows no expiry.
#[derive(Debug)]
pub(crate) struct Moody {
    records: Mutex<BTreeMap<(Table, Key), Record>>,
    reads: Mutex<Mood>,
    writes: Mutex<Mood>,
    reads_asked: AtomicU32,
}

impl Moody {
    /// An empty store that is well, also as the one to change its mood.
    pub(crate) fn store() -> (Arc<dyn Store>, Arc<Self>) {
        let moody = Arc::new(Self {
            records: Mutex::default(),
            reads: Mutex::new(Mood::WELL),
            writes: Mutex::new(Mood::WELL),
            reads_asked: AtomicU32::new(0),
        });
        (Arc::clone(&moody) as Arc<dyn Store>, moody)
    }

    /// From now on reads are treated like this.
    pub(crate) fn reads(&self, mood: Mood) {
        *self.reads.lock().expect("no panic") = mood;
    }

    /// From now on writes are treated like this.
    pub(crate) fn writes(&self, mood: Mood) {
        *self.writes.lock().expect("no panic") = mood;
    }

    /// How many reads reached the store.
    pub(crate) fn reads_asked(&self) -> u32 {
        self.reads_asked.load(Ordering::SeqCst)
    }

    async fn read(&self) -> Result<MutexGuard<'_, BTreeMap<(Table, Key), Record>>, StoreError> {
        self.reads_asked.fetch_add(1, Ordering::SeqCst);
        pass(&self.reads).await?;
        Ok(self.records.lock().expect("no panic"))
    }

    /// Whether `expect` holds, once the mood lets a write pass.
    async fn write(
        &self,
        table: Table,
        key: &Key,
        expect: Expect,
    ) -> Result<MutexGuard<'_, BTreeMap<(Table, Key), Record>>, StoreError> {
        pass(&self.writes).await?;
        let records = self.records.lock().expect("no panic");
        let stored = records.get(&(table, key.clone())).map(|it| it.version);
        let holds = match expect {
            Expect::Anything => true,
            Expect::Absent => stored.is_none(),
            Expect::Version(version) => stored == Some(version),
            Expect::Older { version, latest } => {
                stored.is_none_or(|stored| stored < version || stored > latest)
            }
        };
        holds.then_some(records).ok_or(StoreError::Conflict)
    }
}

async fn pass(mood: &Mutex<Mood>) -> Result<(), StoreError> {
    let mood = *mood.lock().expect("no panic");
    match mood {
        Mood::Takes(time) if time.is_zero() => Ok(()),
        Mood::Takes(time) => {
            tokio::time::sleep(time).await;
            Ok(())
        }
        Mood::Silent => std::future::pending().await,
        Mood::Fails => Err(StoreError::unavailable("any", "all", "in a bad mood")),
    }
}

#[async_trait]
impl Store for Moody {
    async fn get(&self, table: Table, key: &Key) -> Result<Option<Record>, StoreError> {
        Ok(self.read().await?.get(&(table, key.clone())).cloned())
    }

    async fn get_many(
        &self,
        table: Table,
        keys: &[Key],
        _: Attributes,
    ) -> Result<Vec<Record>, StoreError> {
        let records = self.read().await?;
        let found = keys
            .iter()
            .filter_map(|key| records.get(&(table, key.clone())));
        Ok(found.cloned().collect())
    }

    async fn put(&self, table: Table, record: &Record, expect: Expect) -> Result<(), StoreError> {
        let mut records = self.write(table, &record.key, expect).await?;
        records.insert((table, record.key.clone()), record.clone());
        Ok(())
    }

    async fn put_guarded(
        &self,
        table: Table,
        record: &Record,
        expect: Expect,
        guard: &Guard,
    ) -> Result<(), StoreError> {
        let mut records = self.write(table, &record.key, expect).await?;
        let guarding = records.get(&(table, guard.key.clone()));
        if guarding.map(|it| it.version) != Some(guard.version) {
            return Err(StoreError::Conflict);
        }
        records.insert((table, record.key.clone()), record.clone());
        Ok(())
    }

    async fn put_many(&self, table: Table, records: &[Record]) -> Result<(), StoreError> {
        for record in records {
            self.put(table, record, Expect::Anything).await?;
        }
        Ok(())
    }

    async fn put_newer(
        &self,
        table: Table,
        records: &[Record],
        latest: u64,
    ) -> Result<(), StoreError> {
        for record in records {
            let version = record.version;
            let expect = Expect::Older { version, latest };
            match self.put(table, record, expect).await {
                Ok(()) | Err(StoreError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn delete(&self, table: Table, key: &Key, expect: Expect) -> Result<(), StoreError> {
        let mut records = self.write(table, key, expect).await?;
        records.remove(&(table, key.clone()));
        Ok(())
    }

    async fn list(
        &self,
        _: Table,
        _: &str,
        _: &str,
        _: Option<&str>,
        _: usize,
    ) -> Result<ListPage, StoreError> {
        self.read().await.map(|_| ListPage::default())
    }

    async fn due(
        &self,
        _: Table,
        _: u8,
        _: Timestamp,
        _: Option<&DuePosition>,
        _: usize,
    ) -> Result<Vec<Record>, StoreError> {
        self.read().await.map(|_| Vec::new())
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.read().await.map(drop)
    }

    async fn inspect(&self) -> Result<Vec<TableReport>, StoreError> {
        self.read().await.map(|_| Vec::new())
    }
}
