use super::*;
use crate::clock::ManualClock;
use crate::seal::{KeyRing, KeySource};
use crate::store::embedded::EmbeddedStore;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const ROUTE: &str = "POST /v1/things";
const SECOND: Duration = Duration::from_secs(1);

struct World {
    clock: Arc<ManualClock>,
    storage: Storage,
    claims: Claims,
}

impl World {
    fn begin() -> Self {
        let clock = Arc::new(ManualClock::at(NOW));
        let store = EmbeddedStore::in_memory(Arc::clone(&clock) as _).unwrap();
        let storage = Storage::new(Arc::new(store), Duration::from_secs(10));
        let sealer = Sealer::new(KeySource::Given(KeyRing::generate().unwrap()));
        let claims = Claims::new(storage.clone(), sealer, Arc::clone(&clock) as _);
        Self {
            clock,
            storage,
            claims,
        }
    }

    /// The claims of a host whose clock is ahead by `ahead`.
    fn fast(&self, ahead: Duration) -> Claims {
        Claims {
            clock: Arc::new(ManualClock::at(self.clock.now() + ahead)),
            ..self.claims.clone()
        }
    }

    async fn claim(&self, request: &str) -> Result<Claimed> {
        self.claims
            .claim("key1", ROUTE, &once(request), soon())
            .await
    }

    async fn ours(&self, request: &str) -> Claim {
        match self.claim(request).await.unwrap() {
            Claimed::Ours(claim) => *claim,
            Claimed::Answered(_) => panic!("it was answered"),
        }
    }

    async fn answered(&self, request: &str) -> String {
        match self.claim(request).await.unwrap() {
            Claimed::Answered(answer) => answer.expose_secret().to_owned(),
            Claimed::Ours(_) => panic!("it was not answered"),
        }
    }

    async fn wait(&self, request: &str) -> Duration {
        match self.claim(request).await {
            Err(Error::IdempotencyInFlight { retry_after }) => retry_after,
            other => panic!("{other:?}"),
        }
    }

    async fn answer(&self, claim: Claim, answer: &str) -> Result<()> {
        self.claims.answer(claim, &answer.into(), soon()).await
    }
}

fn once(request: &str) -> Once {
    Once {
        key: "build-4711".to_owned(),
        request: request.to_owned(),
    }
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(10))
}

#[tokio::test]
async fn the_first_answer_is_everybodys_for_a_day() {
    let world = World::begin();
    let claim = world.ours("a").await;
    assert!(!claim.is_repeated);
    world.answer(claim, "done").await.unwrap();
    world.clock.advance(KEPT - SECOND);
    assert_eq!(world.answered("a").await, "done");
    let other = world.claim("b").await.unwrap_err();
    assert!(matches!(other, Error::IdempotencyMismatch), "{other}");
    world.clock.advance(SECOND * 2);
    assert!(!world.ours("b").await.is_repeated);
}

#[tokio::test]
async fn another_key_and_another_route_know_nothing_of_it() {
    let world = World::begin();
    let claim = world.ours("a").await;
    world.answer(claim, "done").await.unwrap();
    for (key_id, route) in [("key2", ROUTE), ("key1", "POST /v1/others")] {
        let claimed = world.claims.claim(key_id, route, &once("b"), soon()).await;
        assert!(matches!(claimed.unwrap(), Claimed::Ours(_)), "{key_id}");
    }
}

#[tokio::test]
async fn whoever_comes_while_it_is_under_way_waits_and_then_takes_over_with_the_same_seed() {
    let world = World::begin();
    let first = world.ours("a").await;
    assert_eq!(world.wait("a").await, SOON);
    assert!(matches!(
        world.claim("b").await.unwrap_err(),
        Error::IdempotencyMismatch
    ));
    world.clock.advance(LEASE - SECOND);
    assert_eq!(world.wait("a").await, SECOND);
    world.clock.advance(SECOND);
    let second = world.ours("a").await;
    assert!(second.is_repeated);
    assert_eq!(second.since, NOW);
    assert_eq!(second.seed.bytes("x"), first.seed.bytes("x"));
    assert_ne!(second.seed.bytes("x"), second.seed.bytes("y"));
    // The first was only frozen. What it says now is not kept.
    assert!(world.answer(first, "of the first").await.is_err());
    assert_eq!(world.wait("a").await, SOON);
    world.answer(second, "of the second").await.unwrap();
    assert_eq!(world.answered("a").await, "of the second");
}

#[tokio::test]
async fn what_failed_is_tried_again_at_once() {
    let world = World::begin();
    let first = world.ours("a").await;
    let seed = first.seed.bytes("x");
    world.claims.release(first, soon()).await.unwrap();
    let again = world.ours("a").await;
    assert!(again.is_repeated);
    assert_eq!(again.seed.bytes("x"), seed);
    assert_eq!(world.wait("a").await, SOON);
}

#[tokio::test]
async fn of_two_who_take_over_one_does() {
    let world = World::begin();
    world.ours("a").await;
    world.clock.advance(LEASE);
    let (one, other) = tokio::join!(world.claim("a"), world.claim("a"));
    let ours = |claimed: &Result<Claimed>| matches!(claimed, Ok(Claimed::Ours(_)));
    assert_ne!(ours(&one), ours(&other), "{one:?} {other:?}");
}

#[tokio::test]
async fn a_claim_of_a_clock_that_is_hours_fast_keeps_nobody_waiting() {
    let world = World::begin();
    let fast = world.fast(Duration::from_secs(3 * 3_600));
    let claimed = fast.claim("key1", ROUTE, &once("a"), soon()).await;
    assert!(matches!(claimed.unwrap(), Claimed::Ours(_)));
    assert!(world.ours("a").await.is_repeated);
}

#[tokio::test]
async fn a_long_answer_is_not_kept_and_the_request_tried_again() {
    let world = World::begin();
    for (bytes, is_kept) in [(MAX_ANSWER_BYTES, true), (MAX_ANSWER_BYTES + 1, false)] {
        let request = format!("{bytes}");
        let once = Once {
            key: request.clone(),
            request,
        };
        let claim = || world.claims.claim("key1", ROUTE, &once, soon());
        let Claimed::Ours(first) = claim().await.unwrap() else {
            panic!("it is new")
        };
        let seed = first.seed.bytes("x");
        let answer = "x".repeat(bytes);
        world.answer(*first, &answer).await.unwrap();
        match claim().await.unwrap() {
            Claimed::Answered(_) => assert!(is_kept, "{bytes}"),
            Claimed::Ours(again) => {
                assert!(!is_kept && again.is_repeated, "{bytes}");
                assert_eq!(again.seed.bytes("x"), seed);
            }
        }
    }
}

#[tokio::test]
async fn neither_seed_nor_answer_can_be_read_in_the_store() {
    let world = World::begin();
    let claim = world.ours("a").await;
    assert!(!format!("{claim:?}").contains(claim.seed.0.expose_secret()));
    let secrets = [claim.seed.0.clone(), "lsk_secret".into()];
    let key = once("a").store_key("key1", ROUTE);
    for step in 0..2 {
        let record = world.storage.get(Table::MessageJobs, &key, soon()).await;
        let record = record.unwrap().unwrap();
        for value in record.attributes.values() {
            let bytes = match value {
                Value::Bytes(bytes) => bytes.clone(),
                Value::Text(text) => text.clone().into_bytes(),
                Value::Number(_) => Vec::new(),
            };
            for secret in &secrets {
                let secret = secret.expose_secret().as_bytes();
                let is_in = bytes.windows(secret.len()).any(|part| part == secret);
                assert!(!is_in, "step {step}");
            }
        }
        if step == 0 {
            let again = Claim {
                seed: claim.seed.clone(),
                is_repeated: false,
                since: claim.since,
                record,
            };
            world.answer(again, "lsk_secret").await.unwrap();
        }
    }
}

#[tokio::test]
async fn what_only_reads_is_noted_and_another_request_refused() {
    let world = World::begin();
    let note = |request| {
        let (claims, once) = (world.claims.clone(), once(request));
        async move { claims.note("key1", ROUTE, &once, soon()).await }
    };
    assert!(!note("a").await.unwrap());
    assert!(note("a").await.unwrap());
    assert!(matches!(
        note("b").await.unwrap_err(),
        Error::IdempotencyMismatch
    ));
}
