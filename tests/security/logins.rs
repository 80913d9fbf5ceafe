//! Anybody can begin a login and come back with a made-up code: that costs refreshes nothing.

use lark_service_tests::world::{APP, World};

/// The calls that the platform allows in a minute.
const LIMIT: u64 = 10;

#[tokio::test]
async fn made_up_codes_leave_half_of_the_limit_to_refreshes() {
    let world = World::begin().await;
    let limit = LIMIT.to_string();
    let process = world.process_with(&[("LARK_SERVICE_LARK_LIMIT_PER_MINUTE", &limit)]);
    let open_id = process.log_in(world.control(), 7).await.unwrap();
    world.advance(std::time::Duration::from_secs(7_200));
    let before = world.requests("authen.oauth_token");
    for _ in 0..2 * LIMIT {
        let begun = process.begin_login(APP, world.control(), 8).await.unwrap();
        let ended = process.come_back(&begun, "made-up").await;
        assert!(ended.is_err());
    }
    let made_up = world.requests("authen.oauth_token") - before;
    assert!(made_up <= LIMIT / 2, "{made_up}");
    process.user_token(&open_id).await.expect("a refresh");
}
