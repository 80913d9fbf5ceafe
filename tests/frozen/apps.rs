//! Changes of an app are made once, however often their writes are repeated.

use lark_service_tests::function::Function;
use lark_service_tests::site::Site;
use lark_service_tests::traffic::Fate;
use serde_json::{Value, json};

const ROUTE: &str = "/v1/apps/{app_id}";

fn event(site: &Site, method: &'static str, body: Option<&Value>) -> Value {
    let request = site.request(method, &format!("/v1/apps/{}", site.app));
    let request = match body {
        Some(body) => request
            .header("content-type", "application/json")
            .body(body),
        None => request,
    };
    request.event(&format!("{method} {ROUTE}"))
}

async fn rotate(site: &Site, function: &mut Function) -> String {
    let body = json!({"secret": "the-next-secret-0001"});
    function
        .invoke(&event(site, "PATCH", Some(&body)))
        .await
        .outcome()
}

/// The service has the new secret and the platform has not: the one before still counts.
async fn check_that_the_secret_before_works(site: &Site, what: &str) {
    let mut function = site.function("get-token").await;
    let ended = function.invoke(&site.tenant_token()).await;
    assert_eq!(ended.outcome(), "200", "{what}: {ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_whose_answer_was_lost_is_made_once() {
    // A line about what was, the app, a line about what is.
    for nth in 1..=3 {
        let site = Site::start().await;
        let mut function = site.function("manage-apps").await;
        let traffic = &function.network.traffic;
        traffic.nth(nth, "store PutItem apps", Fate::LoseAnswer);
        assert_eq!(rotate(&site, &mut function).await, "200");
        check_that_the_secret_before_works(&site, &format!("write {nth}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_is_asked_for_twice_is_made_once() {
    let site = Site::start().await;
    let mut function = site.function("manage-apps").await;
    for _ in 0..2 {
        assert_eq!(rotate(&site, &mut function).await, "200");
    }
    check_that_the_secret_before_works(&site, "the same change twice").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_failed_halfway_is_repeated_until_it_is_done() {
    let site = Site::start().await;
    site.log_in(1).await.unwrap();
    let mut function = site.function("manage-apps").await;
    let delete = event(&site, "DELETE", None);
    function
        .network
        .traffic
        .every("store Query tokens", Fate::Throttle);
    assert_eq!(
        function.invoke(&delete).await.outcome(),
        "503 store_unavailable"
    );
    function.network.traffic.heal();
    assert_eq!(function.invoke(&delete).await.outcome(), "204");
    let secret = lark_service_tests::site::SECRET;
    let app = json!({"apps": [{"app_id": site.app, "secret": secret}]});
    site.seed(&app).await;
    let mut reader = site.function("get-token").await;
    let answer = reader.invoke(&site.user_token(1)).await.outcome();
    assert_eq!(
        answer, "409 reauthorization_required",
        "an app that is registered anew has no logins"
    );
}
