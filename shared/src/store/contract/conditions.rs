//! Compare and set.

use futures_util::future::join_all;

use super::*;

/// How many writers race.
const WRITERS: u64 = 32;

async fn is_refused(store: &dyn Store, record: &Record, expect: Expect) -> bool {
    store
        .put(Table::Tokens, record, expect)
        .await
        .map_or_else(|error| error.is_conflict(), |()| false)
}

pub async fn anything_goes_over_nothing_and_something(store: &dyn Store, _: &ManualClock) {
    store
        .put(Table::Tokens, &record(2), Expect::Anything)
        .await
        .unwrap();
    store
        .put(Table::Tokens, &record(1), Expect::Anything)
        .await
        .unwrap();
    assert_eq!(stored(store).await, Some(record(1)));
}

pub async fn absent_holds_only_where_nothing_is(store: &dyn Store, _: &ManualClock) {
    store
        .put(Table::Tokens, &record(1), Expect::Absent)
        .await
        .unwrap();
    assert!(is_refused(store, &record(2), Expect::Absent).await);
    store
        .delete(Table::Tokens, &key(), Expect::Anything)
        .await
        .unwrap();
    store
        .put(Table::Tokens, &record(3), Expect::Absent)
        .await
        .unwrap();
    assert_eq!(stored(store).await, Some(record(3)));
}

pub async fn a_version_holds_only_for_itself(store: &dyn Store, _: &ManualClock) {
    assert!(
        is_refused(store, &record(6), Expect::Version(5)).await,
        "nothing is there"
    );
    put(store, &record(5)).await;
    assert!(is_refused(store, &record(6), Expect::Version(4)).await);
    assert!(is_refused(store, &record(6), Expect::Version(6)).await);
    store
        .put(Table::Tokens, &record(6), Expect::Version(5))
        .await
        .unwrap();
    assert_eq!(stored(store).await, Some(record(6)));
}

pub async fn older_holds_over_nothing_and_over_what_is_older(
    store: &dyn Store,
    clock: &ManualClock,
) {
    let older_than = |version| Expect::Older {
        version,
        latest: 100,
    };
    let expires_at = whole_seconds_ahead(clock, 5);
    let expiring = Record {
        expires_at: Some(expires_at),
        ..record(7)
    };
    let put = store.put(Table::Tokens, &expiring, older_than(7));
    put.await.unwrap();
    for version in [1, 6, 7] {
        let refused = is_refused(store, &record(version), older_than(version)).await;
        assert!(refused, "{version}");
        let deleted = store
            .delete(Table::Tokens, &key(), older_than(version))
            .await;
        assert!(deleted.unwrap_err().is_conflict(), "{version}");
    }
    assert_eq!(stored(store).await, Some(expiring));
    // What has expired is nothing.
    clock.advance(expires_at.since(clock.now()));
    // Nobody can have given the version 101 yet.
    for version in [3, 8, 100, 101, 9] {
        let record = record(version);
        let put = store.put(Table::Tokens, &record, older_than(version));
        put.await.unwrap();
        assert_eq!(stored(store).await, Some(record), "{version}");
    }
    store
        .delete(Table::Tokens, &key(), older_than(10))
        .await
        .unwrap();
    assert_eq!(stored(store).await, None);
}

pub async fn of_many_those_that_are_newer_are_written(store: &dyn Store, _: &ManualClock) {
    const LATEST: u64 = 1_000;
    let made = |number: u64, version| {
        let key = Key::new("cli_a", format!("many#{number:03}"));
        Record::new(key, version).with("value", Value::Text(format!("v{version}")))
    };
    let there: Vec<Record> = (0..60).map(|number| made(number, 500)).collect();
    store.put_many(Table::Tokens, &there).await.unwrap();
    // Older, the same, newer; and over nothing.
    let news: Vec<Record> = (0..90)
        .map(|number| made(number, 499 + number % 3))
        .collect();
    let put = store.put_newer(Table::Tokens, &news, LATEST).await;
    put.unwrap();
    // A version that nobody can have given gives way to an older one.
    let ahead = [made(0, LATEST + 1), made(1, LATEST)];
    store.put_many(Table::Tokens, &ahead).await.unwrap();
    let back = [made(0, 7), made(1, 7)];
    let put = store.put_newer(Table::Tokens, &back, LATEST).await;
    put.unwrap();
    let keys: Vec<Key> = news.iter().map(|record| record.key.clone()).collect();
    let stored = store.get_many(Table::Tokens, &keys, Attributes::All).await;
    let mut stored = stored.unwrap();
    stored.sort_by(|one, other| one.key.cmp(&other.key));
    let expected = (0..90).map(|number| match number {
        0 => made(0, 7),
        1 => made(1, LATEST),
        2..60 => made(number, if number % 3 == 2 { 501 } else { 500 }),
        _ => made(number, 499 + number % 3),
    });
    assert_eq!(stored, expected.collect::<Vec<_>>());
    store.put_newer(Table::Tokens, &[], LATEST).await.unwrap();
}

pub async fn versions_cover_the_whole_range(store: &dyn Store, _: &ManualClock) {
    put(store, &record(u64::MAX - 1)).await;
    assert!(is_refused(store, &record(0), Expect::Version(u64::MAX)).await);
    store
        .put(
            Table::Tokens,
            &record(u64::MAX),
            Expect::Version(u64::MAX - 1),
        )
        .await
        .unwrap();
    store
        .put(Table::Tokens, &record(0), Expect::Version(u64::MAX))
        .await
        .unwrap();
    assert_eq!(stored(store).await, Some(record(0)));
}

pub async fn a_refused_put_writes_nothing(store: &dyn Store, clock: &ManualClock) {
    let mut first = record(1);
    first.due = Some(Due {
        shard: 1,
        at: clock.now(),
    });
    put(store, &first).await;
    let mut second = record(2).with("more", Value::Number(2));
    second.due = Some(Due {
        shard: 2,
        at: clock.now(),
    });
    assert!(is_refused(store, &second, Expect::Absent).await);
    assert!(is_refused(store, &second, Expect::Version(9)).await);
    assert_eq!(stored(store).await, Some(first.clone()));
    assert_eq!(
        store
            .due(Table::Tokens, 1, clock.now(), None, 10)
            .await
            .unwrap(),
        [first]
    );
    assert_eq!(
        store
            .due(Table::Tokens, 2, clock.now(), None, 10)
            .await
            .unwrap(),
        []
    );
}

pub async fn a_refused_delete_deletes_nothing(store: &dyn Store, _: &ManualClock) {
    put(store, &record(1)).await;
    for expect in [Expect::Absent, Expect::Version(2)] {
        assert!(
            store
                .delete(Table::Tokens, &key(), expect)
                .await
                .unwrap_err()
                .is_conflict()
        );
    }
    assert_eq!(stored(store).await, Some(record(1)));
    store
        .delete(Table::Tokens, &key(), Expect::Version(1))
        .await
        .unwrap();
    assert_eq!(stored(store).await, None);
}

pub async fn deleting_nothing_is_fine_unless_something_is_expected(
    store: &dyn Store,
    _: &ManualClock,
) {
    store
        .delete(Table::Tokens, &key(), Expect::Anything)
        .await
        .unwrap();
    store
        .delete(Table::Tokens, &key(), Expect::Absent)
        .await
        .unwrap();
    assert!(
        store
            .delete(Table::Tokens, &key(), Expect::Version(1))
            .await
            .unwrap_err()
            .is_conflict()
    );
}

pub async fn one_of_many_writers_of_a_version_wins(store: &dyn Store, _: &ManualClock) {
    put(store, &record(1)).await;
    race(store, Expect::Version(1)).await;
}

pub async fn one_of_many_first_writers_wins(store: &dyn Store, _: &ManualClock) {
    race(store, Expect::Absent).await;
}

async fn race(store: &dyn Store, expect: Expect) {
    let candidate =
        |writer: u64| record(2).with("writer", Value::Number(writer.try_into().unwrap()));
    let outcomes = join_all((0..WRITERS).map(|writer| async move {
        match store.put(Table::Tokens, &candidate(writer), expect).await {
            Ok(()) => Some(writer),
            Err(error) if error.is_conflict() => None,
            Err(error) => panic!("neither won nor lost: {error}"),
        }
    }));
    let winners: Vec<u64> = outcomes.await.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1, "winners: {winners:?}");
    assert_eq!(stored(store).await, Some(candidate(winners[0])));
}
