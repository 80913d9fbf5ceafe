//! A store that stops answering, in paused time.

use tokio::time::Instant;

use super::*;
use crate::clock::Timestamp;
use crate::store::moody::{Mood, Moody};

const TIMEOUT: Duration = Duration::from_secs(10);
const NO_TIME: Duration = Duration::ZERO;
const SECOND: Duration = Duration::from_secs(1);

fn storage() -> (Storage, Arc<Moody>) {
    let (store, moods) = Moody::store();
    (Storage::new(store, TIMEOUT), moods)
}

fn key() -> Key {
    Key::new("cli_a", "app")
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

/// How long `work` takes, and what it ends with.
async fn timed<T>(work: impl Future<Output = T>) -> (Duration, T) {
    let began = Instant::now();
    let outcome = work.await;
    (began.elapsed(), outcome)
}

async fn get(storage: &Storage, deadline: Deadline) -> (Duration, Result<(), StoreError>) {
    let (took, outcome) = timed(storage.get(Table::Apps, &key(), deadline)).await;
    (took, outcome.map(drop))
}

async fn put(storage: &Storage, deadline: Deadline) -> (Duration, Result<(), StoreError>) {
    let record = Record::new(key(), 1);
    timed(storage.put(Table::Apps, &record, Expect::Anything, deadline)).await
}

#[track_caller]
fn assert_timeout((took, outcome): (Duration, Result<(), StoreError>), expected: Duration) {
    let is_timeout = matches!(outcome, Err(StoreError::Timeout { .. }));
    assert!(is_timeout, "{outcome:?}");
    assert_eq!(took, expected);
}

#[track_caller]
fn assert_skipped((took, outcome): (Duration, Result<(), StoreError>)) {
    let is_skipped = matches!(outcome, Err(StoreError::Skipped { .. }));
    assert!(is_skipped, "{outcome:?}");
    assert_eq!(took, NO_TIME);
}

/// Opens the breaker over a store that falls silent.
async fn silence(storage: &Storage, moods: &Moody) {
    moods.reads(Mood::Silent);
    for _ in 0..2 {
        assert_timeout(get(storage, soon()).await, 2 * SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_read_gives_up_after_two_seconds() {
    let keys: Vec<_> = (0..401)
        .map(|n| Key::new(format!("cli_{n}"), "app"))
        .collect();
    for kind in ["get", "get_many", "more than 400", "list", "due", "ping"] {
        let (storage, moods) = storage();
        moods.reads(Mood::Silent);
        let many = |count: usize| {
            let keys = &keys[..count];
            storage.get_many(Table::Apps, keys, Attributes::All, soon())
        };
        let (took, outcome) = timed(async {
            match kind {
                "get" => storage.get(Table::Apps, &key(), soon()).await.map(drop),
                "get_many" => many(400).await.map(drop),
                "more than 400" => many(401).await.map(drop),
                "list" => {
                    let list = storage.list(Table::Apps, "listed", "", None, 10, soon());
                    list.await.map(drop)
                }
                "due" => {
                    let due = storage.due(
                        Table::Tokens,
                        0,
                        Timestamp::from_seconds(0),
                        None,
                        10,
                        soon(),
                    );
                    due.await.map(drop)
                }
                _ => storage.ping(soon()).await,
            }
        })
        .await;
        let expected = if kind == "more than 400" { 4 } else { 2 };
        assert_timeout((took, outcome), expected * SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_waits_for_its_own_time_and_is_never_skipped() {
    let (storage, moods) = storage();
    silence(&storage, &moods).await;
    assert_skipped(get(&storage, soon()).await);
    moods.writes(Mood::Silent);
    assert_timeout(put(&storage, soon()).await, TIMEOUT);
    let short = Deadline::after(3 * SECOND);
    assert_timeout(put(&storage, short).await, 3 * SECOND);
    moods.writes(Mood::Takes(9 * SECOND));
    put(&storage, soon()).await.1.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_costs_two_reads_and_then_one_caller_per_pause_a_second() {
    let (storage, moods) = storage();
    silence(&storage, &moods).await;
    let mut waits = Vec::new();
    let until = Instant::now() + 60 * SECOND;
    while Instant::now() < until {
        let (took, outcome) = get(&storage, soon()).await;
        outcome.unwrap_err();
        if took > NO_TIME {
            waits.push(took);
        }
        tokio::time::advance(Duration::from_millis(10)).await;
    }
    // After 1.5 s, then 3 and then every 6 s.
    assert_eq!(waits, [SECOND; 11]);
    assert_eq!(moods.reads_asked(), 2 + 11);
}

#[tokio::test(start_paused = true)]
async fn one_caller_finds_the_store_well_again_while_the_others_go_on() {
    let (storage, moods) = storage();
    silence(&storage, &moods).await;
    tokio::time::advance(2 * SECOND).await;
    moods.reads(Mood::Takes(SECOND / 2));
    let asks = || get(&storage, soon());
    let (probe, second, third) = tokio::join!(asks(), asks(), asks());
    probe.1.unwrap();
    assert_skipped(second);
    assert_skipped(third);
    moods.reads(Mood::WELL);
    get(&storage, soon()).await.1.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_write_that_arrives_ends_the_silence() {
    let (storage, moods) = storage();
    silence(&storage, &moods).await;
    moods.reads(Mood::WELL);
    assert_skipped(get(&storage, soon()).await);
    put(&storage, soon()).await.1.unwrap();
    get(&storage, soon()).await.1.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_no_silence_opens_nothing() {
    let short = || Deadline::after(SECOND - Duration::from_millis(1));
    for what in ["a refusal", "a slow answer", "a short deadline", "a freeze"] {
        let (storage, moods) = storage();
        for _ in 0..6 {
            match what {
                "a refusal" => moods.reads(Mood::Fails),
                "a slow answer" => moods.reads(Mood::Takes(2 * SECOND - Duration::from_millis(1))),
                _ => moods.reads(Mood::Silent),
            }
            let deadline = if what == "a short deadline" {
                short()
            } else {
                soon()
            };
            let read = get(&storage, deadline);
            let freeze = async {
                if what == "a freeze" {
                    tokio::task::yield_now().await;
                    tokio::time::advance(70 * SECOND).await;
                }
            };
            let ((_, outcome), ()) = tokio::join!(read, freeze);
            let is_skipped = matches!(outcome, Err(StoreError::Skipped { .. }));
            assert!(!is_skipped, "{what}");
        }
        moods.reads(Mood::WELL);
        get(&storage, soon()).await.1.expect(what);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_between_two_time_outs_keeps_it_closed() {
    let (storage, moods) = storage();
    for _ in 0..4 {
        moods.reads(Mood::Silent);
        assert_timeout(get(&storage, soon()).await, 2 * SECOND);
        moods.reads(Mood::WELL);
        get(&storage, soon()).await.1.unwrap();
    }
}
