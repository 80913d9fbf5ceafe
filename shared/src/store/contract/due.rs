//! The index of due records.

use super::*;

const SHARD: u8 = 3;

fn due_at(name: &str, at: Timestamp) -> Record {
    due_in(SHARD, name, at)
}

fn due_in(shard: u8, name: &str, at: Timestamp) -> Record {
    let mut record = Record::new(Key::new(format!("cli_{name}"), "tenant#t1"), 1);
    record.due = Some(Due { shard, at });
    record
}

async fn names(store: &dyn Store, shard: u8, until: Timestamp, limit: usize) -> Vec<String> {
    let due = store
        .due(Table::Tokens, shard, until, None, limit)
        .await
        .unwrap();
    due.into_iter()
        .map(|record| record.key.partition.trim_start_matches("cli_").to_owned())
        .collect()
}

/// Everything in [`SHARD`] that is due at `until`, in pages of `limit`, each continuing after the last record of the previous
/// one.
async fn paged(store: &dyn Store, until: Timestamp, limit: usize) -> Vec<Record> {
    let mut due: Vec<Record> = Vec::new();
    loop {
        let after = due.last().and_then(Record::due_position);
        let page = store.due(Table::Tokens, SHARD, until, after.as_ref(), limit);
        let page = page.await.unwrap();
        assert!(page.len() <= limit);
        if page.is_empty() {
            return due;
        }
        assert!(
            page.iter().all(|record| !due.contains(record)),
            "a page leads on"
        );
        due.extend(page);
    }
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

pub async fn what_is_due_comes_longest_due_first(store: &dyn Store, clock: &ManualClock) {
    let now = clock.now();
    for (name, ago) in [("b", 2), ("d", 0), ("a", 3), ("c", 1)] {
        put(store, &due_at(name, now - minutes(ago))).await;
    }
    assert_eq!(names(store, SHARD, now, 10).await, ["a", "b", "c", "d"]);
}

pub async fn what_is_due_now_is_due(store: &dyn Store, clock: &ManualClock) {
    put(store, &due_at("a", clock.now())).await;
    assert_eq!(names(store, SHARD, clock.now(), 10).await, ["a"]);
    assert_eq!(
        names(store, SHARD, clock.now() - Duration::from_millis(1), 10).await,
        [""; 0]
    );
}

pub async fn what_is_not_due_yet_is_left_out(store: &dyn Store, clock: &ManualClock) {
    put(store, &due_at("a", clock.now() + minutes(1))).await;
    put(store, &due_at("b", clock.now() + Duration::from_millis(1))).await;
    assert_eq!(names(store, SHARD, clock.now(), 10).await, [""; 0]);
    assert_eq!(
        names(store, SHARD, clock.now() + minutes(1), 10).await,
        ["b", "a"]
    );
}

pub async fn no_more_than_the_limit_come(store: &dyn Store, clock: &ManualClock) {
    for ago in 0..12 {
        put(
            store,
            &due_at(&format!("{ago:02}"), clock.now() - minutes(ago)),
        )
        .await;
    }
    assert_eq!(
        names(store, SHARD, clock.now(), 3).await,
        ["11", "10", "09"]
    );
    assert_eq!(names(store, SHARD, clock.now(), 0).await, [""; 0]);
    assert_eq!(names(store, SHARD, clock.now(), 100).await.len(), 12);
}

pub async fn shards_do_not_mix(store: &dyn Store, clock: &ManualClock) {
    for (shard, name) in [(0, "first"), (1, "second"), (u8::MAX, "last")] {
        put(store, &due_in(shard, name, clock.now())).await;
    }
    assert_eq!(names(store, 0, clock.now(), 10).await, ["first"]);
    assert_eq!(names(store, 1, clock.now(), 10).await, ["second"]);
    assert_eq!(names(store, 2, clock.now(), 10).await, [""; 0]);
    assert_eq!(names(store, u8::MAX, clock.now(), 10).await, ["last"]);
}

pub async fn a_record_moves_with_its_due_time(store: &dyn Store, clock: &ManualClock) {
    let now = clock.now();
    put(store, &due_at("a", now)).await;
    put(store, &due_at("a", now + minutes(5))).await;
    assert_eq!(names(store, SHARD, now, 10).await, [""; 0]);
    assert_eq!(names(store, SHARD, now + minutes(5), 10).await, ["a"]);
    put(store, &due_in(SHARD + 1, "a", now)).await;
    assert_eq!(names(store, SHARD, now + minutes(5), 10).await, [""; 0]);
    assert_eq!(names(store, SHARD + 1, now, 10).await, ["a"]);
}

pub async fn a_record_without_due_time_leaves_the_index(store: &dyn Store, clock: &ManualClock) {
    let mut record = due_at("a", clock.now());
    put(store, &record).await;
    record.due = None;
    put(store, &record).await;
    assert_eq!(names(store, SHARD, clock.now(), 10).await, [""; 0]);
    assert_eq!(
        store.get(Table::Tokens, &record.key).await.unwrap(),
        Some(record)
    );
}

pub async fn a_deleted_record_leaves_the_index(store: &dyn Store, clock: &ManualClock) {
    let record = due_at("a", clock.now());
    put(store, &record).await;
    store
        .delete(Table::Tokens, &record.key, Expect::Version(1))
        .await
        .unwrap();
    assert_eq!(names(store, SHARD, clock.now(), 10).await, [""; 0]);
}

pub async fn due_records_come_whole(store: &dyn Store, clock: &ManualClock) {
    let mut record = due_at("a", clock.now()).with("sealed", Value::Bytes(vec![1, 2, 3]));
    record.expires_at = Some(whole_seconds_ahead(clock, 60));
    put(store, &record).await;
    assert_eq!(
        store
            .due(Table::Tokens, SHARD, clock.now(), None, 10)
            .await
            .unwrap(),
        [record]
    );
}

pub async fn each_table_has_an_index_of_its_own(store: &dyn Store, clock: &ManualClock) {
    let (token, job) = (due_at("a", clock.now()), due_at("b", clock.now()));
    put(store, &token).await;
    store
        .put(Table::MessageJobs, &job, Expect::Anything)
        .await
        .unwrap();
    let due = async |table| {
        store
            .due(table, SHARD, clock.now(), None, 10)
            .await
            .unwrap()
    };
    assert_eq!(due(Table::Tokens).await, [token]);
    assert_eq!(due(Table::MessageJobs).await, std::slice::from_ref(&job));
    store
        .delete(Table::MessageJobs, &job.key, Expect::Version(1))
        .await
        .unwrap();
    assert_eq!(due(Table::MessageJobs).await, []);
}

pub async fn other_tables_have_no_index(store: &dyn Store, clock: &ManualClock) {
    let record = due_at("a", clock.now());
    store
        .put(Table::Directory, &record, Expect::Anything)
        .await
        .unwrap();
    let due = store.due(Table::Directory, SHARD, clock.now(), None, 10);
    assert_eq!(due.await.unwrap(), []);
    assert_eq!(names(store, SHARD, clock.now(), 10).await, [""; 0]);
    assert_eq!(
        store.get(Table::Directory, &record.key).await.unwrap(),
        Some(record)
    );
}

pub async fn every_due_record_is_on_one_page(store: &dyn Store, clock: &ManualClock) {
    let now = clock.now();
    // Four at the same moment, more than a page of three.
    let ago = [0, 1, 1, 2, 2, 2, 2, 3, 4, 4];
    for (number, ago) in ago.into_iter().enumerate() {
        put(store, &due_at(&format!("{number}"), now - minutes(ago))).await;
        put(
            store,
            &due_in(SHARD + 1, &format!("other_{number}"), now - minutes(ago)),
        )
        .await;
    }
    put(store, &due_at("later", now + minutes(1))).await;
    for limit in [1, 2, 3, 10, 100] {
        let due = paged(store, now, limit).await;
        let at: Vec<Timestamp> = due
            .iter()
            .filter_map(|record| Some(record.due?.at))
            .collect();
        let expected: Vec<Timestamp> = ago.iter().rev().map(|ago| now - minutes(*ago)).collect();
        assert_eq!(at, expected, "in pages of {limit}");
        let distinct: BTreeSet<&Key> = due.iter().map(|record| &record.key).collect();
        assert_eq!(distinct.len(), ago.len(), "in pages of {limit}");
    }
}

pub async fn what_is_due_is_read_on_past_records_that_moved(
    store: &dyn Store,
    clock: &ManualClock,
) {
    let now = clock.now();
    for (name, ago) in [("a", 3), ("b", 2), ("c", 1), ("d", 1)] {
        put(store, &due_at(name, now - minutes(ago))).await;
    }
    let seen = store.due(Table::Tokens, SHARD, now, None, 2).await.unwrap();
    put(store, &due_at("a", now + minutes(5))).await;
    store
        .delete(Table::Tokens, &seen[1].key, Expect::Anything)
        .await
        .unwrap();
    let rest = store
        .due(
            Table::Tokens,
            SHARD,
            now,
            seen[1].due_position().as_ref(),
            10,
        )
        .await
        .unwrap();
    let keys: BTreeSet<String> = rest
        .into_iter()
        .map(|record| record.key.partition)
        .collect();
    assert_eq!(keys, ["cli_c", "cli_d"].map(str::to_owned).into());
}

pub async fn nothing_is_due_after_a_later_position(store: &dyn Store, clock: &ManualClock) {
    let now = clock.now();
    let later = due_at("later", now + minutes(1));
    for record in [&due_at("a", now), &later] {
        put(store, record).await;
    }
    let after = later.due_position();
    let due = store
        .due(Table::Tokens, SHARD, now, after.as_ref(), 10)
        .await
        .unwrap();
    assert_eq!(due, []);
}
