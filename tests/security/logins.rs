//! Anybody can begin a login and come back with a made-up code: that costs refreshes nothing.

use std::time::Duration;

use lark_service_tests::requests::TestRequest;
use lark_service_tests::world::{APP, DEMO_APP, Process, World};
use serde_json::json;

/// The calls that the platform allows in a minute.
const LIMIT: u64 = 10;

#[tokio::test]
async fn made_up_codes_leave_half_of_the_limit_to_refreshes() {
    let world = World::begin().await;
    let limit = LIMIT.to_string();
    let process = world.process_with(&[("LARK_SERVICE_LARK_LIMIT_PER_MINUTE", &limit)]);
    let open_id = process.log_in(world.control(), 7).await.unwrap();
    world.advance(Duration::from_secs(7_200));
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

/// What the browser gets from the link to a login.
async fn begin(process: &Process, query: &str) -> String {
    let target = format!("/v1/oauth/authorize?{query}");
    let request = TestRequest::new("GET", &target).without_key();
    request.send(process).await.outcome()
}

#[tokio::test]
async fn whoever_begins_logins_has_a_budget_and_so_has_everybody_together() {
    let world = World::begin().await;
    let link = format!("app_id={APP}");
    for (all, expected) in [("5", 5), ("1000", 60)] {
        let process = world.process_with(&[("LARK_SERVICE_LOGINS_PER_MINUTE", all)]);
        world.advance(Duration::from_secs(60));
        let mut begun = 0;
        for _ in 0..70 {
            match begin(&process, &link).await.as_str() {
                "302" => begun += 1,
                outcome => assert_eq!(outcome, "429 rate_limited"),
            }
        }
        assert_eq!(begun, expected, "{all} for all");
    }
}

#[tokio::test]
async fn a_link_asks_for_what_the_app_allows_and_tells_nothing_of_other_apps() {
    let world = World::begin().await;
    world.seed_demo().await;
    let process = world.process();
    let allowed = format!("app_id={DEMO_APP}&scope=contact:user.base:readonly");
    assert_eq!(begin(&process, &allowed).await, "302");
    for scope in ["im:message", "contact:user.base:readonly%20im:message"] {
        let more = format!("app_id={DEMO_APP}&scope={scope}");
        assert_eq!(
            begin(&process, &more).await,
            "400 invalid_argument",
            "{scope}"
        );
    }
    let app = format!("/v1/apps/{DEMO_APP}");
    let disabled = TestRequest::new("PATCH", &app).body(&json!({"status": "disabled"}));
    assert_eq!(disabled.send(&process).await.status, 200);
    for app in [DEMO_APP, "cli_nowhere"] {
        let link = format!("app_id={app}");
        assert_eq!(begin(&process, &link).await, "404 app_not_found", "{app}");
    }
}
