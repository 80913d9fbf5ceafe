//! Processes that are frozen between a question and its answer, and what others do meanwhile. Time by the clock passes only
//! when a test says so; a frozen process is one whose question Lark has not answered.

use std::collections::HashSet;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::*;
use crate::clock::ManualClock;
use crate::error::{Error, FailureKind, LarkFailure};
use crate::seal::Purpose;

pub(super) const TTL: Duration = Duration::from_secs(3_600);
/// By then everything is stale.
pub(super) const STALE: Duration = Duration::from_secs(3_600 * 11 / 10 + 1);
/// By then nothing is served before its renewal.
const HARD: Duration = Duration::from_secs(3_600 * 11 / 10 * 3 / 2 + 1);
/// By then nothing is served at all.
const DAY: Duration = Duration::from_secs(24 * 3_600 + 1);
/// How long processes are frozen: beyond their leases, within and beyond the time for a fetch, and beyond an absence.
const FROZEN: [Duration; 3] = [
    Duration::from_secs(4),
    Duration::from_secs(12),
    Duration::from_secs(70),
];

type Reply = oneshot::Sender<Result<Loaded>>;

/// A place that goes by `clock`.
pub(super) fn place() -> (Place, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(Timestamp::from_seconds(1_800_000_000)));
    (Place::by(Arc::clone(&clock) as Arc<dyn Clock>), clock)
}

/// A Lark that announces each question and is silent until the test answers it.
fn silent() -> (
    mpsc::UnboundedReceiver<Reply>,
    impl Fn(ItemKey, Deadline) -> BoxFuture<'static, Result<Loaded>> + Clone + Send + 'static,
) {
    let (ask, asked) = mpsc::unbounded_channel();
    let load = move |_: ItemKey, _: Deadline| {
        let (reply, answer) = oneshot::channel();
        ask.send(reply).expect("the test listens");
        async move { answer.await.expect("the test answers") }.boxed()
    };
    (asked, load)
}

pub(super) fn item(body: &str) -> Item {
    Item {
        id: key().id,
        aliases: Vec::new(),
        body: body.to_owned(),
    }
}

fn found(body: &str) -> Result<Loaded> {
    let others = Vec::new();
    let item = item(body);
    Ok(Loaded::Found { item, others })
}

fn absent() -> Result<Loaded> {
    Ok(Loaded::Absent(AbsentReason::Unknown))
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(28))
}

/// A look-up that Lark answers at once; `None` if it had not to be asked.
pub(super) async fn asking(tiers: &Tiers, answer: fn() -> Result<Loaded>) -> (Option<Found>, u64) {
    let asked = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&asked);
    let load = move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
        async move { answer() }
    };
    let found = tiers.look_up(None, &key(), soon(), load).await.unwrap();
    (found, asked.load(Ordering::SeqCst))
}

fn newer() -> Result<Loaded> {
    found("newer")
}

/// The bodies in the process, in the shared cache and in the store; empty where there is none.
pub(super) async fn bodies(place: &Place, tiers: &Tiers) -> [String; 3] {
    let body = |entry: Option<&Entry>| match entry.map(|entry| &entry.content) {
        Some(Content::Body { body, .. }) => body.clone(),
        Some(Content::Pointer(_) | Content::Absent(_)) | None => String::new(),
    };
    let local = tiers.inner.local.get(&key());
    let sealed = place.sealed();
    let cached = sealed.get(Purpose::Directory, &key().cache_key()).await;
    let cached = cached.unwrap();
    let cached = cached.as_ref().and_then(codec::from_value);
    let stored = place
        .storage
        .get(crate::store::Table::Directory, &key().store_key(), soon())
        .await;
    let stored = stored.unwrap().as_ref().and_then(codec::from_record);
    [
        body(local.as_deref()),
        body(cached.as_ref()),
        body(stored.as_ref()),
    ]
}

/// Begins `work` in the background.
fn begin<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> JoinSet<T> {
    let mut begun = JoinSet::new();
    begun.spawn(work);
    begun
}

/// What the work that was begun comes to.
async fn end<T: Send + 'static>(mut begun: JoinSet<T>) -> T {
    begun.join_next().await.unwrap().unwrap()
}

/// Begins a look-up in `tiers` that hangs at Lark.
async fn ask(tiers: &Tiers) -> (JoinSet<Result<Option<Found>>>, Reply) {
    let (mut asked, load) = silent();
    let tiers = tiers.clone();
    let asking = begin(async move { tiers.look_up(None, &key(), soon(), load).await });
    (asking, asked.recv().await.unwrap())
}

/// Lets a fetch look after its lease once.
async fn let_the_lease_be_extended() {
    tokio::time::pause();
    tokio::time::advance(Duration::from_millis(1_001)).await;
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    tokio::time::resume();
}

#[tokio::test]
async fn a_thawed_process_puts_nothing_old_over_what_another_found_meanwhile() {
    for frozen in FROZEN {
        for extends in [false, true] {
            let (place, clock) = place();
            let (one, other) = (place.process(), place.process());
            let (asking_one, reply) = ask(&one).await;
            clock.advance(frozen);
            let (answer, _) = asking(&other, newer).await;
            assert_eq!(answer.unwrap().body, "newer");
            if extends {
                let_the_lease_be_extended().await;
            }
            let _ = reply.send(found("older"));
            let answer = end(asking_one).await.unwrap().unwrap();
            let case = format!("{frozen:?}, extends: {extends}");
            assert_eq!(answer.body, "newer", "{case}");
            assert_eq!(bodies(&place, &other).await, ["newer"; 3], "{case}");
            let [local, ..] = bodies(&place, &one).await;
            assert_ne!(local, "older", "{case}");
            let (later, asked) = asking(&one, || unreachable!("it is known")).await;
            assert_eq!(
                (later.unwrap().body.as_str(), asked),
                ("newer", 0),
                "{case}"
            );
        }
    }
}

#[tokio::test]
async fn a_thawed_process_brings_nobody_back_who_is_gone() {
    for known_for in [HARD, DAY] {
        let (place, clock) = place();
        let (one, other) = (place.process(), place.process());
        asking(&other, || found("first")).await;
        clock.advance(known_for);
        let (asking_one, reply) = ask(&one).await;
        clock.advance(Duration::from_secs(70));
        assert!(asking(&other, absent).await.0.is_none());
        // Nobody remembers any more that there is nothing.
        clock.advance(Duration::from_secs(61));
        let _ = reply.send(found("older"));
        end(asking_one).await.unwrap();
        let [local, cached, stored] = bodies(&place, &one).await;
        // What it knew before stays in the process, too old to be served.
        assert_ne!(local, "older", "{known_for:?}");
        assert_eq!([cached, stored], [""; 2], "{known_for:?}");
        for tiers in [one, other, place.process()] {
            assert!(asking(&tiers, absent).await.0.is_none(), "{known_for:?}");
        }
    }
}

#[tokio::test]
async fn what_was_asked_before_a_freeze_is_as_old_as_that_and_is_kept_by_nobody() {
    for frozen in FROZEN {
        let (place, clock) = place();
        let one = place.process();
        let (asking_one, reply) = ask(&one).await;
        clock.advance(frozen);
        let _ = reply.send(found("old"));
        let answer = end(asking_one).await.unwrap().unwrap();
        assert_eq!(
            (answer.body.as_str(), answer.freshness.age),
            ("old", frozen)
        );
        assert_eq!(bodies(&place, &one).await, [""; 3], "{frozen:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_is_as_old_as_its_question() {
    let place = Place::new();
    let one = place.process();
    place.look_up(&one, "slow", Duration::from_secs(12)).await;
    // The store is on a thread of its own, which paused time does not wait for.
    let [local, cached, _] = bodies(&place, &one).await;
    assert_eq!([local, cached], ["slow"; 2]);
    let entry = one.inner.local.get(&key()).unwrap();
    let age = place.clock.now().since(entry.fetched_at);
    assert!((12_000..13_500).contains(&age.as_millis()), "{age:?}");
    let life = entry.fresh_until.since(entry.fetched_at);
    assert!(life <= TTL.mul_f64(1.1), "{life:?}");
    assert!((12_000..12_500).contains(&entry.load_ms));
}

#[tokio::test]
async fn a_fetch_that_was_frozen_beyond_its_time_is_not_joined() {
    let (place, clock) = place();
    let one = place.process();
    let (asking_first, first) = ask(&one).await;
    clock.advance(Duration::from_secs(29));
    let (asking_second, second) = ask(&one).await;
    let _ = second.send(found("fresh"));
    let fresh = end(asking_second).await.unwrap().unwrap();
    assert_eq!(
        (fresh.body.as_str(), fresh.freshness.age),
        ("fresh", Duration::ZERO)
    );
    let _ = first.send(found("old"));
    let answer = end(asking_first).await.unwrap().unwrap();
    assert_eq!(answer.body, "fresh", "something newer is there");
    assert_eq!(bodies(&place, &one).await, ["fresh"; 3]);
}

fn outage() -> Error {
    let failure = LarkFailure::without_answer(FailureKind::Timeout, "no answer");
    crate::platform::SendError::from(failure).into()
}

#[tokio::test]
async fn a_failure_of_a_frozen_process_says_nothing_about_lark() {
    let (place, clock) = place();
    let one = place.process();
    let (mut asked, load) = silent();
    let asking = begin({
        let one = one.clone();
        async move { one.look_up(None, &key(), soon(), load).await }
    });
    let reply = asked.recv().await.unwrap();
    clock.advance(Duration::from_secs(12));
    let _ = reply.send(Err(outage()));
    // It asks again, under a new lease.
    let again = asked.recv().await.unwrap();
    assert!(!one.inner.is_out(&key(), clock.now()));
    let _ = again.send(found("well"));
    let answer = end(asking).await.unwrap().unwrap();
    assert_eq!(
        (answer.body.as_str(), answer.freshness.age),
        ("well", Duration::ZERO)
    );
    assert_eq!(bodies(&place, &one).await, ["well"; 3]);
}

#[tokio::test]
async fn a_failure_of_a_process_that_is_awake_is_an_outage_for_a_while() {
    let (place, clock) = place();
    let one = place.process();
    let (asking, reply) = ask(&one).await;
    let _ = reply.send(Err(outage()));
    assert!(end(asking).await.is_err());
    assert!(one.inner.is_out(&key(), clock.now()));
    assert!(
        !one.inner
            .is_out(&key(), clock.now() + Duration::from_secs(6))
    );
    // A clock that was set back makes no outage of hours.
    let set_back = clock.now() - Duration::from_secs(3 * 3_600);
    assert!(!one.inner.is_out(&key(), set_back));
}

/// Keeps an item that came with others, by a request that was begun before.
pub(super) async fn keep_one_of_many(tiers: &Tiers, body: &str, inquiry: Inquiry) -> Found {
    let (app_tenant, nobody) = (key().app_tenant, HashSet::new());
    let arrival = BatchAnswer {
        inquiry,
        locally: true,
        asked: &nobody,
    };
    let kept = tiers.keep_many(&app_tenant, vec![item(body)], Vec::new(), arrival, soon());
    kept.await.remove(0)
}

#[tokio::test]
async fn what_was_asked_for_many_replaces_nothing_that_was_asked_for_later() {
    let (place, clock) = place();
    let (one, other) = (place.process(), place.process());
    let early = one.inquire().await;
    clock.advance(Duration::from_secs(2));
    asking(&other, newer).await;
    asking(&one, || unreachable!("it is in the cache")).await;
    clock.advance(Duration::from_secs(3));
    let kept = keep_one_of_many(&one, "older", early).await;
    assert_eq!(kept.freshness.age, Duration::from_secs(5));
    assert_eq!(bodies(&place, &one).await, ["newer"; 3]);
    let later = one.inquire().await;
    keep_one_of_many(&one, "newest", later).await;
    assert_eq!(bodies(&place, &one).await, ["newest"; 3]);
}

#[tokio::test]
async fn what_was_asked_for_many_before_a_freeze_is_kept_by_nobody() {
    let (place, clock) = place();
    let one = place.process();
    let early = one.inquire().await;
    clock.advance(Duration::from_secs(70));
    let kept = keep_one_of_many(&one, "older", early).await;
    assert_eq!(kept.body, "older");
    let leads = [(ItemId::new(IdKind::UserId, "u1"), key().id)];
    one.keep_leads(&key().app_tenant, &leads, Vec::new(), early, soon())
        .await;
    assert_eq!(bodies(&place, &one).await, [""; 3]);
    let led = key().beside(leads[0].0.clone());
    assert!(one.inner.local.get(&led).is_none());
    assert_eq!(place.cache.get(&led.cache_key()).await.unwrap(), None);
}

#[tokio::test]
async fn what_a_frozen_look_up_read_is_written_to_no_other_tier() {
    for (frozen, expected) in [
        (Duration::from_secs(1), "read"),
        (Duration::from_secs(3), ""),
    ] {
        let (place, clock) = place();
        let one = place.process();
        let mut walk = walk::Walk::new(key(), walk::LookupMode::One, one.inner.clock.stopwatch());
        let inquiry = one.inquire().await;
        let entries = one.inner.entries(
            &key(),
            found("read").unwrap(),
            inquiry.stamp(&one.inner.clock),
        );
        walk.offer(Arc::clone(&entries[0].1), Tier::Store, clock.now());
        clock.advance(frozen);
        one.inner.remember_walks(&[walk], clock.now()).await;
        let [local, cached, _] = bodies(&place, &one).await;
        assert_eq!([local.as_str(), &cached], [expected; 2], "{frozen:?}");
    }
}

#[tokio::test]
async fn the_lease_of_another_process_is_waited_for_and_its_answer_taken() {
    let (place, _) = place();
    let (one, other) = (place.process(), place.process());
    let (asking_one, reply) = ask(&one).await;
    let waiting = begin(async move { asking(&other, || unreachable!("another one asks")).await });
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    let _ = reply.send(found("one"));
    assert_eq!(end(waiting).await.0.unwrap().body, "one");
    assert_eq!(end(asking_one).await.unwrap().unwrap().body, "one");
}
