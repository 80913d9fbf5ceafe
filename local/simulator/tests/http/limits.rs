use std::collections::BTreeMap;
use std::time::Duration;

use lark_simulator::{
    App, Fault, FaultAction, Options, PeakInWindow, RateLimitWindows, Settings, Simulator, Tier,
    open_department_id, open_id,
};
use serde_json::{Value, json};

use crate::client::{Answer, USERS, app_id, call, get, post, start, start_with, tenant_token};

async fn ask(simulator: &Simulator, token: &str) -> Answer {
    let path = format!("{USERS}/{}", open_id(&app_id(), 1));
    get(simulator, &path, token).await
}

/// How many of these calls are accepted.
async fn let_through(simulator: &Simulator, token: &str, calls: usize) -> usize {
    let mut passed = 0;
    for _ in 0..calls {
        match ask(simulator, token).await.code() {
            (200, 0) => passed += 1,
            (429, 99_991_400) => {}
            other => panic!("{other:?}"),
        }
    }
    passed
}

fn limited(settings: Settings) -> Options {
    Options {
        settings: Settings {
            rate_limits: true,
            ..settings
        },
        ..Options::default()
    }
}

fn peak(second: u64, minute: u64) -> PeakInWindow {
    [(1000, second), (60_000, minute)].into()
}

#[tokio::test]
async fn a_refusal_names_the_limit_and_when_it_ends() {
    let simulator = start_with(limited(Settings::default())).await;
    let token = tenant_token(&simulator).await;
    assert_eq!(let_through(&simulator, &token, 53).await, 50);
    let refused = ask(&simulator, &token).await;
    assert_eq!(refused.header("x-ogw-ratelimit-limit"), "50");
    assert_eq!(refused.header("x-ogw-ratelimit-reset"), "1");
    let counters = simulator.control().counters().endpoints;
    assert_eq!(counters["contact.user.get"].rate_limited, 4);
    assert_eq!(counters["contact.user.get"].peak_in_window, peak(54, 54));
    simulator.control().advance(Duration::from_secs(1));
    assert_eq!(let_through(&simulator, &token, 1).await, 1);
}

#[tokio::test]
async fn sliding_windows_reject_a_burst_across_a_window_boundary() {
    for (kind, passed) in [
        (RateLimitWindows::Fixed, 50),
        (RateLimitWindows::Sliding, 0),
    ] {
        let settings = Settings {
            rate_limit_windows: kind,
            ..Settings::default()
        };
        let simulator = start_with(limited(settings)).await;
        let token = tenant_token(&simulator).await;
        simulator.control().advance(Duration::from_millis(999));
        assert_eq!(let_through(&simulator, &token, 50).await, 50);
        simulator.control().advance(Duration::from_millis(1));
        assert_eq!(
            let_through(&simulator, &token, 50).await,
            passed,
            "{kind:?}"
        );
        let peaks = simulator
            .control()
            .peak_in_window(&app_id(), "contact.user.get");
        assert_eq!(peaks, peak(100, 100));
    }
}

#[tokio::test]
async fn a_scale_makes_a_minute_pass_in_a_second() {
    let settings = Settings {
        rate_limit_scale: 60,
        ..Settings::default()
    };
    let simulator = start_with(limited(settings)).await;
    let token = tenant_token(&simulator).await;
    simulator
        .control()
        .set_tier("contact.user.get", Some(Tier::Three))
        .unwrap();
    assert_eq!(let_through(&simulator, &token, 101).await, 100);
    simulator.control().advance(Duration::from_secs(1));
    assert_eq!(let_through(&simulator, &token, 101).await, 100);
    let peaks = simulator
        .control()
        .peak_in_window(&app_id(), "contact.user.get");
    assert_eq!(peaks, [(1000, 101)].into());
}

#[tokio::test]
async fn the_highest_count_of_any_window_is_kept_without_limits_too() {
    let simulator = start().await;
    let token = tenant_token(&simulator).await;
    let peaks = || {
        simulator
            .control()
            .peak_in_window(&app_id(), "contact.user.get")
    };
    for (wait_ms, calls, expected) in [
        (0, 3, peak(3, 3)),
        (400, 4, peak(7, 7)),
        // The first three are a second old.
        (600, 2, peak(7, 9)),
        (59_399, 1, peak(7, 9)),
        // After this, the second four and the third two are outside the minute.
        (2_000, 1, peak(7, 9)),
    ] {
        simulator.control().advance(Duration::from_millis(wait_ms));
        assert_eq!(let_through(&simulator, &token, calls).await, calls);
        assert_eq!(peaks(), expected);
    }
    let counters = get(&simulator, "/_sim/counters?apps=true", "").await.body;
    let expected = json!({ "1000": 7, "60000": 9 });
    assert_eq!(
        counters["endpoints"]["contact.user.get"]["peak_in_window"],
        expected
    );
    assert_eq!(
        counters["peaks_by_app"][app_id()]["contact.user.get"],
        expected
    );
    simulator.control().reset_counters();
    assert_eq!(peaks(), PeakInWindow::new());
}

#[tokio::test]
async fn failed_calls_count_as_arrived() {
    let simulator = start().await;
    let token = tenant_token(&simulator).await;
    let fault = Fault::new("contact.*", FaultAction::answer(503, 1));
    simulator.control().add_fault(fault).unwrap();
    ask(&simulator, &token).await;
    ask(&simulator, "t-dead").await;
    let peaks = simulator
        .control()
        .peak_in_window(&app_id(), "contact.user.get");
    assert_eq!(peaks, peak(1, 1));
}

#[tokio::test]
async fn tenants_of_an_app_have_budgets_of_their_own() {
    let app = App {
        marketplace: true,
        tenants: ["one", "two"].map(str::to_owned).into(),
        ..App::new("cli_market", "secret")
    };
    let simulator = start_with(Options {
        apps: vec![app],
        ..limited(Settings::default())
    })
    .await;
    let ticket = simulator.control().app_ticket("cli_market").unwrap();
    let body = json!({ "app_id": "cli_market", "app_secret": "secret", "app_ticket": ticket });
    let answer = post(&simulator, "/open-apis/auth/v3/app_access_token", "", &body).await;
    let app_access_token = answer.body["app_access_token"].clone();
    let mut tokens = BTreeMap::new();
    for tenant in ["one", "two"] {
        let body = json!({ "app_access_token": app_access_token, "tenant_key": tenant });
        let path = "/open-apis/auth/v3/tenant_access_token";
        let answer = post(&simulator, path, "", &body).await;
        let token = answer.body["tenant_access_token"].as_str().unwrap();
        tokens.insert(tenant, token.to_owned());
    }
    let list = format!(
        "{USERS}/find_by_department?department_id={}",
        open_department_id(1)
    );
    let mut refused = Vec::new();
    for call in 0..51 {
        for (tenant, token) in &tokens {
            if get(&simulator, &list, token).await.status == 429 {
                refused.push((*tenant, call));
            }
        }
    }
    assert_eq!(refused, [("one", 50), ("two", 50)]);
    let peaks = simulator
        .control()
        .peak_in_window("cli_market", "contact.user.find_by_department");
    assert_eq!(peaks, peak(51, 51));
}

#[tokio::test]
async fn every_endpoint_has_a_tier_that_can_be_changed() {
    let simulator = start_with(limited(Settings::default())).await;
    let token = tenant_token(&simulator).await;
    let tiers = get(&simulator, "/_sim/tiers", "").await.body["tiers"].take();
    assert_eq!(
        (&tiers["contact.user.get"], &tiers["contact.department.get"]),
        (&json!("four"), &json!("special"))
    );
    let change =
        async |body: Value| call(&simulator, "PATCH", "/_sim/tiers", "", &body.to_string()).await;
    let changed = change(json!({ "contact.user.get": "six" })).await;
    assert_eq!(changed.body["tiers"]["contact.user.get"], "six");
    assert_eq!(let_through(&simulator, &token, 7).await, 5);
    let changed = change(json!({ "contact.user.get": null })).await;
    assert_eq!(changed.body["tiers"], tiers);
    assert_eq!(let_through(&simulator, &token, 7).await, 7);
    for (body, field) in [
        (json!({ "contact.users": "six" }), "contact.users"),
        (
            json!({ "contact.user.get": "six hundred" }),
            "contact.user.get",
        ),
    ] {
        let answer = change(body).await;
        assert_eq!((answer.status, &answer.body["field"]), (400, &json!(field)));
    }
}

#[tokio::test]
async fn an_api_answers_too_many_for_as_long_as_the_rule_lasts() {
    let simulator = start().await;
    let token = tenant_token(&simulator).await;
    let rule = json!({
        "endpoint": "contact.user.get", "lasts_ms": 5000, "action": { "answer": {
            "status": 429, "code": 99_991_400, "headers": { "x-ogw-ratelimit-reset": "4" },
        } },
    });
    post(&simulator, "/_sim/faults", "", &json!({ "faults": [rule] })).await;
    for (wait_ms, status, left_ms) in [(0, 429, 5000), (4999, 429, 1), (1, 200, 0)] {
        simulator.control().advance(Duration::from_millis(wait_ms));
        let answer = ask(&simulator, &token).await;
        assert_eq!(answer.status, status);
        let reset = if status == 429 { "4" } else { "" };
        assert_eq!(answer.header("x-ogw-ratelimit-reset"), reset);
        let rules = get(&simulator, "/_sim/faults", "").await.body;
        assert_eq!(rules["faults"][0]["lasts_ms"], left_ms);
    }
    let counters = simulator.control().counters().endpoints;
    assert_eq!(counters["contact.user.get"].rate_limited, 2);
}
