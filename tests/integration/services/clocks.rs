//! Clocks that are wrong: what a process with a fast clock writes harms nobody whose clock is right, and heals.

use std::time::Duration;

use lark_service::clock::Timestamp;
use lark_service_tests::world::{APP, Process, World, soon};
use lark_simulator::{Fault, FaultAction};

const HOUR: Duration = Duration::from_secs(3_600);
/// A token lives two hours at the platform.
const LIFE: Duration = Duration::from_secs(7_200);
/// Longer than a process trusts what it remembers, and than every pause in the service.
const LATER: Duration = Duration::from_secs(1_000);
/// How fast a clock was: seconds are tolerated, hours and years happen.
const FAST: [Duration; 4] = [
    Duration::from_secs(59),
    Duration::from_secs(61),
    Duration::from_secs(3 * 3_600),
    Duration::from_secs(10 * 365 * 24 * 3_600),
];

fn now(process: &Process) -> Timestamp {
    process.0.clock.now()
}

/// Whether the platform takes the token, by a call with it.
async fn works(world: &World, process: &Process) -> bool {
    let rejected = world.rejected_calls();
    let found = process.user(stranger()).await;
    found.is_ok() && world.rejected_calls() == rejected
}

/// A user whom nobody looked up before.
fn stranger() -> u32 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(20);
    NEXT.fetch_add(1, Ordering::SeqCst)
}

#[tokio::test]
async fn a_token_that_a_fast_process_fetched_is_replaced_and_never_outlives_its_life() {
    for fast in FAST {
        let world = World::begin().await;
        world.process_that_is_fast(fast).token().await.unwrap();
        let processes = [world.process(), world.process()];
        for round in 0..4 {
            for process in &processes {
                let token = process.token().await.unwrap();
                let left = token.expires_at.since(now(process));
                assert!(left <= LIFE + Duration::from_secs(60), "{fast:?}: {left:?}");
                assert!(works(&world, process).await, "{fast:?}, round {round}");
            }
            world.advance(LIFE / 2 + LATER);
        }
    }
}

#[tokio::test]
async fn a_clock_that_is_set_right_again_costs_a_renewal_and_nothing_else() {
    let world = World::begin().await;
    // The same host: what it remembers is from the future too. A new process of it finds the same in the tiers.
    for fast in FAST {
        let process = world.process_that_is_fast(fast);
        process.token().await.unwrap();
        let requests = world.token_requests();
        let healed = world.process();
        healed.token().await.unwrap();
        healed.token().await.unwrap();
        assert!(world.token_requests() <= requests + 1, "{fast:?}");
    }
}

#[tokio::test]
async fn a_failure_that_a_fast_process_saw_pauses_nobody_for_hours() {
    for fast in FAST {
        let world = World::begin().await;
        let down = Fault {
            count: Some(3),
            ..Fault::new("auth.tenant_access_token.internal", FaultAction::Reset)
        };
        world.control().add_fault(down).unwrap();
        world.process_that_is_fast(fast).token().await.unwrap_err();
        world.control().clear_faults();
        world.advance(LATER);
        world.process().token().await.unwrap();
    }
}

#[tokio::test]
async fn a_lease_that_a_fast_process_left_keeps_nobody_waiting_for_hours() {
    for fast in FAST {
        let world = World::begin().await;
        let lost = Fault {
            count: Some(1),
            ..Fault::new("auth.tenant_access_token.internal", FaultAction::Reset)
        };
        world.control().add_fault(lost).unwrap();
        let process = world.process_that_is_fast(fast);
        // It takes the lease, and dies before it writes anything else.
        world.store.stop_after(1);
        let _ = process.token().await;
        world.store.start();
        world.control().clear_faults();
        let key = format!("lark:token:{APP}:tenant#");
        lark_service::cache::Cache::delete(&*world.cache, &key, None)
            .await
            .unwrap();
        world.advance(LATER);
        world.process().token().await.unwrap();
    }
}

#[tokio::test]
async fn a_login_that_a_fast_process_refreshed_goes_on() {
    for fast in FAST {
        let world = World::begin().await;
        let process = world.process();
        let open_id = process.log_in(world.control(), 7).await.unwrap();
        world.advance(LIFE);
        let other = world.process_that_is_fast(fast);
        // Even if to that process the refresh token has expired: the platform decides.
        other.user_token(&open_id).await.unwrap();
        for _ in 0..4 {
            let token = process.user_token(&open_id).await.unwrap();
            assert!(token.expires_at.since(now(&process)) <= LIFE + Duration::from_secs(60));
            world.advance(HOUR);
        }
        assert_eq!(world.control().counters().refresh_rejected, 0);
    }
}

#[tokio::test]
async fn a_run_of_a_fast_process_ends_no_login_of_the_others() {
    let world = World::begin().await;
    let process = world.process();
    let open_id = process.log_in(world.control(), 7).await.unwrap();
    let year = 365 * 24 * HOUR;
    let other = world.process_that_is_fast(year);
    other.0.refresher().run(soon()).await.unwrap();
    other.0.refresher().run(soon()).await.unwrap();
    world.advance(Duration::from_secs(10));
    process.user_token(&open_id).await.unwrap();
    // Nobody uses it for a month: the scheduled run still knows it.
    for _ in 0..30 {
        world.advance(24 * HOUR);
        process.0.refresher().run(soon()).await.unwrap();
    }
    process.user_token(&open_id).await.unwrap();
    assert_eq!(world.control().counters().refresh_rejected, 0);
}
