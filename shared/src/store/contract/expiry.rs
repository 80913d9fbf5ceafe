//! An expired record is absent, whether or not it has been removed.

use super::*;

/// How long the records of these cases live, in seconds.
const LIFE: i64 = 60;

fn lifetime() -> Duration {
    Duration::from_secs(LIFE.unsigned_abs())
}

fn mortal(clock: &ManualClock, version: u64) -> Record {
    let mut record = record(version);
    record.expires_at = Some(whole_seconds_ahead(clock, LIFE));
    record
}

pub async fn a_record_is_there_until_it_expires(store: &dyn Store, clock: &ManualClock) {
    let record = mortal(clock, 1);
    put(store, &record).await;
    let life = record.expires_at.unwrap().since(clock.now());
    clock.advance(life - Duration::from_millis(1));
    assert_eq!(stored(store).await, Some(record));
    clock.advance(Duration::from_millis(1));
    assert_eq!(stored(store).await, None);
}

pub async fn an_expiry_is_rounded_up_to_the_second(store: &dyn Store, clock: &ManualClock) {
    let mut record = record(1);
    let whole = whole_seconds_ahead(clock, LIFE);
    record.expires_at = Some(whole - Duration::from_millis(999));
    put(store, &record).await;
    assert_eq!(stored(store).await.unwrap().expires_at, Some(whole));
    clock.advance(whole.since(clock.now()) - Duration::from_millis(1));
    assert!(stored(store).await.is_some());
}

pub async fn an_expired_record_is_not_among_many(store: &dyn Store, clock: &ManualClock) {
    put(store, &mortal(clock, 1)).await;
    let lasting = Record::new(Key::new("cli_a", "tenant#t2"), 2);
    put(store, &lasting).await;
    clock.advance(lifetime() * 2);
    let got = store
        .get_many(
            Table::Tokens,
            &[key(), lasting.key.clone()],
            Attributes::All,
        )
        .await
        .unwrap();
    assert_eq!(got, [lasting]);
}

pub async fn an_expired_record_is_not_due(store: &dyn Store, clock: &ManualClock) {
    let mut record = mortal(clock, 1);
    record.due = Some(Due {
        shard: 0,
        at: clock.now(),
    });
    put(store, &record).await;
    assert_eq!(
        store
            .due(Table::Tokens, 0, clock.now(), None, 10)
            .await
            .unwrap(),
        [record]
    );
    clock.advance(lifetime() * 2);
    assert_eq!(
        store
            .due(Table::Tokens, 0, clock.now(), None, 10)
            .await
            .unwrap(),
        []
    );
}

pub async fn an_expired_record_is_absent_to_conditions(store: &dyn Store, clock: &ManualClock) {
    put(store, &mortal(clock, 1)).await;
    clock.advance(lifetime() * 2);
    assert!(
        store
            .put(Table::Tokens, &record(2), Expect::Version(1))
            .await
            .unwrap_err()
            .is_conflict()
    );
    assert!(
        store
            .delete(Table::Tokens, &key(), Expect::Version(1))
            .await
            .unwrap_err()
            .is_conflict()
    );
    store
        .put(Table::Tokens, &mortal(clock, 3), Expect::Absent)
        .await
        .unwrap();
    assert_eq!(stored(store).await.map(|record| record.version), Some(3));
    clock.advance(lifetime() * 2);
    store
        .delete(Table::Tokens, &key(), Expect::Absent)
        .await
        .unwrap();
}

pub async fn a_record_without_expiry_stays(store: &dyn Store, clock: &ManualClock) {
    put(store, &record(1)).await;
    clock.advance(Duration::from_secs(100 * 365 * 86_400));
    assert_eq!(stored(store).await, Some(record(1)));
}

pub async fn a_later_put_may_end_the_expiry(store: &dyn Store, clock: &ManualClock) {
    put(store, &mortal(clock, 1)).await;
    put(store, &record(2)).await;
    clock.advance(lifetime() * 2);
    // Gives an adapter that removes expired records an opportunity to remove the wrong one.
    put(store, &Record::new(Key::new("cli_b", "tenant#t1"), 1)).await;
    assert_eq!(stored(store).await, Some(record(2)));
}
