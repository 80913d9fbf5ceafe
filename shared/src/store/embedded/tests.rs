use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use redb::{ReadableDatabase, ReadableTable, ReadableTableMetadata};
use tempfile::TempDir;

use super::tables::{DUE_INDEXES, RECORDS};
use super::*;
use crate::clock::ManualClock;
use crate::store::contract::{self, test_store_adapter};
use crate::store::{Due, Value};

test_store_adapter!(|clock| async { EmbeddedStore::in_memory(clock).unwrap() });

mod in_a_file {
    use super::*;

    thread_local! {
        /// Deletes the file when the test's thread ends.
        static FOLDER: TempDir = tempfile::tempdir().unwrap();
    }

    test_store_adapter!(|clock| async {
        let path = FOLDER.with(|folder| folder.path().join("lark.redb"));
        EmbeddedStore::open(&path, clock).unwrap()
    });
}

/// A token that is due and expires.
fn token(number: u64, version: u64, clock: &ManualClock) -> Record {
    let mut record = Record::new(
        Key::new(format!("cli_{}", number % 5), format!("tenant#{number}")),
        version,
    )
    .with("sealed", Value::Bytes(vec![0xab; 200]));
    record.due = Some(Due {
        shard: u8::try_from(number % 4).unwrap(),
        at: clock.now(),
    });
    record.expires_at = Some(clock.now() + Duration::from_secs(60));
    record
}

/// How many entries the records, the due index and the expiry index have.
fn sizes(store: &EmbeddedStore) -> [u64; 3] {
    let read = store.database.begin_read().unwrap();
    [
        read.open_table(RECORDS).unwrap().len().unwrap(),
        read.open_table(DUE_INDEXES[0]).unwrap().len().unwrap(),
        read.open_table(tables::EXPIRY).unwrap().len().unwrap(),
    ]
}

/// Each index entry refers to a record that declares it, and each declared entry exists.
fn indexes_agree(store: &EmbeddedStore) {
    let read = store.database.begin_read().unwrap();
    let (mut due, mut expiry) = (Vec::new(), Vec::new());
    for entry in read.open_table(RECORDS).unwrap().iter().unwrap() {
        let (key, bytes) = entry.unwrap();
        let (table, partition, sort) = key.value();
        let record =
            codec::decode(Table::Tokens, Key::new(partition, sort), bytes.value()).unwrap();
        let name = (partition.to_owned(), sort.to_owned());
        due.extend(record.due.map(|due| {
            (
                due.shard,
                due.at.as_millis(),
                name.0.clone(),
                name.1.clone(),
            )
        }));
        expiry.extend(
            record
                .expires_at
                .map(|at| (at.as_seconds_rounded_up(), table, name.0, name.1)),
        );
    }
    due.sort();
    expiry.sort();
    let indexed = read.open_table(DUE_INDEXES[0]).unwrap();
    let indexed = indexed.iter().unwrap().map(|entry| {
        let (key, _) = entry.unwrap();
        let (shard, at, partition, sort) = key.value();
        (shard, at, partition.to_owned(), sort.to_owned())
    });
    assert_eq!(indexed.collect::<Vec<_>>(), due);
    let indexed = read.open_table(tables::EXPIRY).unwrap();
    let indexed = indexed.iter().unwrap().map(|entry| {
        let (key, _) = entry.unwrap();
        let (second, table, partition, sort) = key.value();
        (second, table, partition.to_owned(), sort.to_owned())
    });
    assert_eq!(indexed.collect::<Vec<_>>(), expiry);
}

#[tokio::test]
async fn expired_records_are_removed_by_later_writes() {
    let clock = contract::clock();
    let store = EmbeddedStore::in_memory(Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
    for number in 0..100 {
        store
            .put(Table::Tokens, &token(number, 1, &clock), Expect::Absent)
            .await
            .unwrap();
    }
    assert_eq!(sizes(&store), [100, 100, 100]);
    clock.advance(Duration::from_secs(61));
    let lasting = Record::new(Key::new("cli_a", "app"), 1);
    for _ in 0..7 {
        store
            .put(Table::Apps, &lasting, Expect::Anything)
            .await
            .unwrap();
    }
    assert_eq!(sizes(&store), [1, 0, 0]);
}

#[tokio::test]
async fn as_many_expired_records_are_removed_as_are_written_together() {
    let clock = contract::clock();
    let store = EmbeddedStore::in_memory(Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
    for round in 0..3 {
        let tokens = (100 * round..100 * (round + 1)).map(|number| token(number, 1, &clock));
        let tokens: Vec<Record> = tokens.collect();
        store.put_many(Table::Tokens, &tokens).await.unwrap();
        assert_eq!(sizes(&store), [100, 100, 100]);
        clock.advance(Duration::from_secs(61));
    }
}

#[tokio::test]
async fn what_was_written_is_there_after_closing_and_opening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lark.redb");
    let clock = contract::clock();
    let open = || EmbeddedStore::open(&path, Arc::clone(&clock) as Arc<dyn Clock>);
    let store = open().unwrap();
    let expected = token(1, 1, &clock);
    store
        .put(Table::Tokens, &expected, Expect::Absent)
        .await
        .unwrap();
    assert!(matches!(open().unwrap_err(), OpenError::InUse { .. }));
    store.close().await;
    let store = open().unwrap();
    let got = store
        .get(Table::Tokens, &expected.key)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(got.attributes, expected.attributes);
    indexes_agree(&store);
}

/// Set by the parent for the child that it starts from this same program.
const CRASH_FILE: &str = "LARK_TEST_CRASH_FILE";
/// The path of the child's test within the program.
const CHILD: &str = "store::embedded::tests::writes_until_it_is_killed";
const WRITERS: u64 = 16;

/// The child: without the parent's variable there is nothing to do.
#[expect(
    clippy::disallowed_methods,
    reason = "how the parent passes the file to its child"
)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_until_it_is_killed() {
    let Ok(path) = std::env::var(CRASH_FILE) else {
        return;
    };
    let clock = contract::clock();
    let store =
        EmbeddedStore::open(Path::new(&path), Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
    let (store, clock) = (&store, &clock);
    let write = |writer: u64| async move {
        for version in 1.. {
            let expect = if version == 1 {
                Expect::Absent
            } else {
                Expect::Version(version - 1)
            };
            store
                .put(Table::Tokens, &token(writer, version, clock), expect)
                .await
                .unwrap();
            // Once the parent has read this line, it relies on it.
            println!("\nACKNOWLEDGED {writer} {version}");
        }
    };
    futures_util::future::join_all((0..WRITERS).map(write)).await;
}

#[tokio::test]
async fn every_acknowledged_write_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    for (round, lines) in [40, 400, 1_500].into_iter().enumerate() {
        let path = folder.path().join(format!("lark{round}.redb"));
        let acknowledged = kill_after(&path, lines);
        let clock = contract::clock();
        let store = EmbeddedStore::open(&path, Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
        for (writer, version) in acknowledged {
            let stored = store
                .get(Table::Tokens, &token(writer, version, &clock).key)
                .await
                .unwrap()
                .unwrap();
            assert!(
                stored.version >= version,
                "writer {writer}: {} < {version}",
                stored.version
            );
            assert_eq!(stored.attributes, token(writer, version, &clock).attributes);
        }
        indexes_agree(&store);
    }
}

/// The last version of each writer that the child acknowledged until it was killed after `lines` of them.
fn kill_after(path: &Path, lines: usize) -> BTreeMap<u64, u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", CHILD, "--nocapture", "--test-threads", "1"])
        .env(CRASH_FILE, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut acknowledged = BTreeMap::new();
    let mut seen = 0;
    for line in BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
    {
        let Some(numbers) = line.strip_prefix("ACKNOWLEDGED ") else {
            continue;
        };
        // The kill may cut the last line short.
        let Some((writer, version)) = numbers.split_once(' ') else {
            continue;
        };
        let (Ok(writer), Ok(version)) = (writer.parse(), version.parse()) else {
            continue;
        };
        acknowledged.insert(writer, version);
        seen += 1;
        if seen == lines {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(
        seen >= lines,
        "the child ended after {seen} writes by itself"
    );
    acknowledged
}

#[tokio::test]
async fn a_damaged_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lark.redb");
    let clock = contract::clock();
    let store = EmbeddedStore::open(&path, Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
    for number in 0..200 {
        store
            .put(Table::Tokens, &token(number, 1, &clock), Expect::Absent)
            .await
            .unwrap();
    }
    store.close().await;
    let mut bytes = std::fs::read(&path).unwrap();
    for start in (0..bytes.len() - 8)
        .filter(|start| bytes[*start..].starts_with(&[0xab; 8]))
        .collect::<Vec<_>>()
    {
        bytes[start] = 0;
    }
    std::fs::write(&path, bytes).unwrap();
    let error = EmbeddedStore::open(&path, clock as Arc<dyn Clock>).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
}
