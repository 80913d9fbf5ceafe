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
    assert_eq!(store.due(1, clock.now(), None, 10).await.unwrap(), [first]);
    assert_eq!(store.due(2, clock.now(), None, 10).await.unwrap(), []);
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
