//! What Lambda does after every answer: the process stands still until its next event.

use std::time::Duration;

use futures_util::future::join_all;
use lark_service_tests::function::{Ended, Function};
use lark_service_tests::site::Site;
use serde_json::{Value, json};

/// How long every process stands still: longer than a lease of the directory, and than the attempt of a call of the store.
const FROZEN: Duration = Duration::from_secs(5);
/// Less than one attempt of a call of the store may take, and more than a busy machine adds.
const PROMPT: Duration = Duration::from_secs(3);
/// The user of every request.
const USER: u32 = 7;

/// A function, and an event for it that can be answered each time it is made.
async fn event(site: &Site, name: &str) -> Value {
    match name {
        "get-token" => site.tenant_token(),
        "get-user" => site.user(USER),
        "finish-login" => site.callback(USER).await.expect("a begun login"),
        "authorize" => site.question(),
        "refresh-tokens" => json!({}),
        _ => panic!("there is no event for {name}"),
    }
}

#[track_caller]
fn check(name: &str, ended: &Ended) {
    match (name, &ended.answer) {
        ("authorize", Ok(answer)) => assert_eq!(answer["isAuthorized"], true, "{answer}"),
        ("refresh-tokens", Ok(answer)) => assert_eq!(answer["failed"], 0, "{answer}"),
        (_, _) => assert_eq!(ended.outcome(), "200", "{name}: {ended:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_function_answers_after_a_freeze_as_before_and_does_nothing_meanwhile() {
    let names = [
        "get-token",
        "get-user",
        "finish-login",
        "authorize",
        "refresh-tokens",
    ];
    join_all(names.map(async |name| {
        let site = Site::start().await;
        let mut function = site.function(name).await;
        let first = function.invoke(&event(&site, name).await).await;
        check(name, &first);
        let before = function.network.traffic.seen().len();
        tokio::time::sleep(FROZEN).await;
        let meanwhile = function.network.traffic.names_from(before);
        assert_eq!(
            meanwhile,
            Vec::<String>::new(),
            "{name} does something while frozen"
        );
        let second = function.invoke(&event(&site, name).await).await;
        check(name, &second);
        assert!(second.took < PROMPT, "{name}: {second:?}");
    }))
    .await;
}

/// A login whose access token ends is renewed by the process that thaws, once.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_outlives_the_freeze_of_its_process() {
    let site = Site::start().await;
    let lifetime = FROZEN.as_secs();
    site.set(|settings| lark_simulator::Settings {
        user_token_lifetime_seconds: lifetime,
        ..settings
    });
    site.log_in(USER).await.unwrap();
    let mut function: Function = site.function("get-token").await;
    let event = site.user_token(USER);
    let first = function.invoke(&event).await.response();
    assert_eq!(first.status, 200, "{first:?}");
    tokio::time::sleep(FROZEN).await;
    let second = function.invoke(&event).await.response();
    assert_eq!(second.status, 200, "{second:?}");
    assert_ne!(first.body["token"], second.body["token"]);
    assert_eq!(site.control().counters().refresh_grants, 1);
}
