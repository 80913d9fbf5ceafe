//! The platform's limits hold although processes stand still between the place that they were given and the call.

use std::time::Duration;

use futures_util::future::join_all;
use lark_service_tests::site::Site;

/// Processes that are each given a place.
const PROCESSES: u32 = 6;

/// At one call in a second each process is given a second of its own. All stand still before they use it, and go on together.
#[tokio::test(flavor = "multi_thread")]
async fn places_that_were_given_before_a_freeze_are_not_used_together_after_it() {
    let site = Site::start().await;
    let limit = [
        ("LARK_SERVICE_LARK_LIMIT_PER_SECOND", "1"),
        ("LARK_SERVICE_LARK_LIMIT_PER_MINUTE", "1000"),
    ];
    let mut functions = Vec::new();
    for _ in 0..PROCESSES {
        let mut function = site.function_as("get-user", &limit).await;
        // The app's token is there; now only the user is asked for.
        function.invoke(&site.user(100)).await;
        functions.push(function);
    }
    site.control().reset_counters();
    let place = "cache *lark:limit:lark:*contact_user_get*";
    for (function, user) in functions.iter_mut().zip(1..) {
        function.begin(&site.user(user));
        function.network.traffic.arrived(1, place).await;
        // The first goes on at once; the others wait for seconds of their own.
        tokio::time::sleep(Duration::from_millis(100)).await;
        function.freeze().await;
    }
    // The last place is over.
    tokio::time::sleep(Duration::from_secs(u64::from(PROCESSES) + 1)).await;
    let ended = join_all(functions.iter_mut().map(async |function| {
        function.thaw();
        function.end().await.outcome()
    }))
    .await;
    let peak = site.control().peak_in_window(&site.app, "contact.user.get");
    let in_a_second = peak.get(&1_000).copied();
    // Whoever is late asks again: all are answered, and the calls went out.
    assert!(ended.iter().all(|outcome| outcome == "200"), "{ended:?}");
    assert!(
        in_a_second.is_some_and(|calls| (1..=2).contains(&calls)),
        "{peak:?}: {ended:?}"
    );
}
