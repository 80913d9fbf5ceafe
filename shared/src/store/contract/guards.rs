//! Writes that hold only while another record stays as it is.

use futures_util::future::join;

use super::*;

/// How often two writers race.
const RACES: u64 = 16;

fn guard(version: u64) -> Guard {
    Guard {
        key: guarding(version).key,
        version,
    }
}

fn guarding(version: u64) -> Record {
    Record::new(Key::new("cli_b", "tenant#t1"), version)
}

async fn is_written(store: &dyn Store, version: u64, expect: Expect, guard: &Guard) -> bool {
    let record = record(version);
    let put = store.put_guarded(Table::Tokens, &record, expect, guard);
    match put.await {
        Ok(()) => true,
        Err(error) if error.is_conflict() => false,
        Err(error) => panic!("{error}"),
    }
}

pub async fn a_guarded_put_happens_while_its_guard_stays(store: &dyn Store, _: &ManualClock) {
    put(store, &guarding(7)).await;
    assert!(is_written(store, 1, Expect::Absent, &guard(7)).await);
    assert!(is_written(store, 2, Expect::Version(1), &guard(7)).await);
    assert!(is_written(store, 3, Expect::Anything, &guard(7)).await);
    assert_eq!(stored(store).await, Some(record(3)));
}

pub async fn a_guard_that_changed_or_is_gone_lets_nothing_happen(
    store: &dyn Store,
    clock: &ManualClock,
) {
    assert!(!is_written(store, 1, Expect::Absent, &guard(7)).await);
    let expires_at = whole_seconds_ahead(clock, 5);
    let expiring = Record {
        expires_at: Some(expires_at),
        ..guarding(7)
    };
    put(store, &expiring).await;
    for version in [0, 6, 8] {
        assert!(!is_written(store, 1, Expect::Anything, &guard(version)).await);
    }
    assert!(is_written(store, 1, Expect::Anything, &guard(7)).await);
    clock.advance(Duration::from_secs(6));
    assert!(!is_written(store, 2, Expect::Anything, &guard(7)).await);
    assert_eq!(stored(store).await, Some(record(1)));
}

pub async fn a_guarded_put_wants_what_it_expects_too(store: &dyn Store, _: &ManualClock) {
    put(store, &guarding(7)).await;
    assert!(!is_written(store, 2, Expect::Version(1), &guard(7)).await);
    put(store, &record(1)).await;
    assert!(!is_written(store, 2, Expect::Absent, &guard(7)).await);
    assert!(!is_written(store, 2, Expect::Version(2), &guard(7)).await);
    assert_eq!(stored(store).await, Some(record(1)));
}

pub async fn of_a_guarded_put_and_a_change_of_its_guard_one_comes_first(
    store: &dyn Store,
    _: &ManualClock,
) {
    for race in 0..RACES {
        put(store, &guarding(1)).await;
        put(store, &record(1)).await;
        let changed = guarding(2 + race);
        let expect = Expect::Version(1);
        let change = store.put(Table::Tokens, &changed, expect);
        let held = guard(1);
        let written = is_written(store, 2, Expect::Version(1), &held);
        let (change, written) = join(change, written).await;
        assert_eq!(written, stored(store).await == Some(record(2)));
        // DynamoDB may refuse a write that meets a transaction.
        assert!(change.is_ok() || written);
    }
}
