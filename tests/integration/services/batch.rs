//! Many users at once: what is known comes from the tiers in one go, the rest from Lark, fifty at a time.

use lark_service::directory::tiers::AbsentReason;
use lark_service::directory::users::Wanted;
use lark_service::error::ErrorCode;
use lark_service::lark::contacts::{Contact, UserId, UserIdKind};
use lark_service_tests::world::{APP, World};
use lark_simulator::{AppPatch, Fault, FaultAction};

const BATCH: &str = "contact.user.batch";
const RESOLVE: &str = "contact.user.batch_get_id";

fn by_open_id(number: u32) -> Wanted {
    let id = lark_simulator::open_id(APP, number);
    Wanted::Id(UserId::parse(UserIdKind::OpenId, &id).unwrap())
}

fn by(kind: UserIdKind, id: &str) -> Wanted {
    Wanted::Id(UserId::parse(kind, id).unwrap())
}

fn by_email(number: u32) -> Wanted {
    Wanted::Contact(Contact::email(&lark_simulator::email(number)).unwrap())
}

fn by_mobile(number: u32) -> Wanted {
    Wanted::Contact(Contact::mobile(&lark_simulator::mobile(number)).unwrap())
}

#[tokio::test]
async fn a_thousand_cold_ids_cost_twenty_calls_and_a_thousand_warm_ones_one_round_trip() {
    let world = World::begin().await;
    let settings = lark_simulator::Settings {
        delay_ms: 20,
        ..world.control().settings()
    };
    world.control().set_settings(settings).unwrap();
    let wanted: Vec<Wanted> = (1..=1_000).map(by_open_id).collect();
    let cold = world.process().batch(&wanted).await.unwrap();
    assert_eq!(cold.users.len(), 1_000);
    assert_eq!((world.requests(BATCH), world.user_requests()), (20, 0));
    let peak = world.control().counters().endpoints[BATCH].peak_in_flight;
    assert!((2..=5).contains(&peak), "{peak} calls at a time");

    let process = world.process();
    // The token and everything else that a process fetches once for an app.
    process.app_context().await.unwrap();
    let context = process.app_context().await.unwrap();
    let before = world.cache.round_trips();
    let deadline = lark_service_tests::world::soon();
    let warm = process
        .0
        .users
        .batch(&context, &wanted, deadline)
        .await
        .unwrap();
    assert_eq!(world.cache.round_trips() - before, 1);
    assert_eq!(warm.users.len(), 1_000);
    assert_eq!(world.requests(BATCH), 20);
    // The process has them now.
    let before = world.cache.round_trips();
    process
        .0
        .users
        .batch(&context, &wanted, deadline)
        .await
        .unwrap();
    assert_eq!(world.cache.round_trips() - before, 0);
}

#[tokio::test]
async fn a_chunk_that_fails_fails_alone() {
    let world = World::begin().await;
    let refusal = Fault {
        count: Some(1),
        ..Fault::new(BATCH, FaultAction::answer(403, 40_004))
    };
    world.control().add_fault(refusal).unwrap();
    let wanted: Vec<Wanted> = (1..=1_000).map(by_open_id).collect();
    let process = world.process();
    let batch = process.batch(&wanted).await.unwrap();
    assert_eq!((batch.users.len(), batch.failed.len()), (950, 50));
    let codes = batch.failed.iter().map(|(_, error)| error.code());
    assert!(codes.clone().all(|code| code == ErrorCode::LarkForbidden));
    // None of the fifty was cached.
    let batch = process.batch(&wanted).await.unwrap();
    assert_eq!((batch.users.len(), world.requests(BATCH)), (1_000, 21));
}

#[tokio::test]
async fn ids_and_addresses_of_every_sort_are_answered_in_the_order_of_the_question() {
    let world = World::begin().await;
    let wanted = [
        by_email(1),
        by_open_id(2),
        by(UserIdKind::UserId, &lark_simulator::user_id(3)),
        by(UserIdKind::UserId, "nobody"),
        by(UserIdKind::UnionId, &lark_simulator::union_id(4)),
        by_mobile(5),
        by_mobile(99_999),
        by_email(2),
        by_open_id(2),
    ];
    let process = world.process();
    for round in 0..2 {
        let batch = process.batch(&wanted).await.unwrap();
        let names: Vec<(usize, String)> = batch
            .users
            .iter()
            .map(|(number, found)| {
                let user: serde_json::Value = serde_json::from_str(&found.body).unwrap();
                (*number, user["user_id"].as_str().unwrap().to_owned())
            })
            .collect();
        let expected = [(0, 1), (1, 2), (2, 3), (4, 4), (5, 5), (7, 2), (8, 2)];
        assert_eq!(
            names,
            expected.map(|(n, user)| (n, lark_simulator::user_id(user)))
        );
        let absent = [(3, AbsentReason::LeftOut), (6, AbsentReason::Unmatched)];
        assert_eq!(batch.not_found, absent, "round {round}");
        assert!(batch.failed.is_empty());
    }
    // One call for each kind of id, and one for all addresses. The second round cost none.
    assert_eq!((world.requests(BATCH), world.requests(RESOLVE)), (3, 1));
}

#[tokio::test]
async fn who_is_left_out_of_an_answer_is_asked_for_again_by_who_wants_to_know_why() {
    let world = World::begin().await;
    let hidden = AppPatch {
        hidden_users: Some([7].into()),
        ..AppPatch::default()
    };
    world.control().update_app(APP, hidden).unwrap();
    let process = world.process();
    let batch = process.batch(&[by_open_id(7)]).await.unwrap();
    assert_eq!(batch.not_found, [(0, AbsentReason::LeftOut)]);
    for _ in 0..2 {
        let refused = process.user(7).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::LarkForbidden);
    }
    assert_eq!(world.user_requests(), 2);
    let shown = AppPatch {
        hidden_users: Some([].into()),
        ..AppPatch::default()
    };
    world.control().update_app(APP, shown).unwrap();
    process.user(7).await.unwrap();
    assert_eq!(
        process.batch(&[by_open_id(7)]).await.unwrap().users.len(),
        1
    );
}

#[tokio::test]
async fn while_lark_fails_known_users_are_answered_and_the_others_listed_as_failed() {
    let mut world = World::begin().await;
    let known: Vec<Wanted> = (1..=60).map(by_open_id).collect();
    world.process().batch(&known).await.unwrap();
    world.advance(std::time::Duration::from_secs(3 * 3_600));
    world.simulator.pause().await;
    let wanted: Vec<Wanted> = (51..=70).map(by_open_id).collect();
    let batch = world.process().batch(&wanted).await.unwrap();
    assert_eq!((batch.users.len(), batch.failed.len()), (10, 10));
    assert!(
        batch
            .users
            .iter()
            .all(|(_, found)| found.freshness.is_stale())
    );
    let codes = batch.failed.iter().map(|(_, error)| error.code());
    assert!(codes.clone().all(|code| code == ErrorCode::LarkUnavailable));
}
