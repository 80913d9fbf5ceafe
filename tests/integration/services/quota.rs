//! The month's quota of calls is used up.

use std::time::Duration;

use lark_service::error::{Error, FailureKind};
use lark_service::page::PageRequest;
use lark_service_tests::directory::longest_page_of_chats;
use lark_service_tests::world::World;
use lark_simulator::{Fault, FaultAction};

const GET: &str = "im.chat.get";
const LIST: &str = "im.chat.list";
/// Longer than a list page is served as fresh.
const LIST_IS_OVER: Duration = Duration::from_secs(600);

fn used_up(endpoint: &str) -> Fault {
    Fault::new(
        endpoint,
        FaultAction::Answer {
            status: 429,
            code: 99_991_403,
            msg: "This month's API call quota has been exceeded.".to_owned(),
            body: None,
            headers: [("x-ogw-ratelimit-reset".to_owned(), "99999".to_owned())].into(),
        },
    )
}

#[tokio::test]
async fn a_used_up_quota_is_told_with_the_turn_of_the_month_and_stops_nothing_else() {
    let world = World::begin().await;
    let process = world.process();
    let page: PageRequest = longest_page_of_chats();
    let seen = process.chats(&page).await.unwrap();
    world.control().add_fault(used_up(GET)).unwrap();
    world.control().add_fault(used_up(LIST)).unwrap();
    for number in [1, 2] {
        let Error::QuotaExhausted {
            failure,
            retry_after,
        } = process.chat(number).await.unwrap_err()
        else {
            panic!("another error");
        };
        assert_eq!(failure.kind, FailureKind::QuotaExhausted);
        assert_eq!(failure.code, Some(99_991_403));
        // At least some of the month is left, or almost none: never a mere 99,999 seconds by the header.
        assert!(retry_after <= Duration::from_secs(31 * 24 * 3_600));
        assert_ne!(retry_after, Duration::from_secs(99_999));
    }
    // Each was asked once, and no call was held back.
    assert_eq!(world.requests(GET), 2);
    process.user(1).await.unwrap();
    process.token().await.unwrap();
    world.advance(LIST_IS_OVER);
    let stale = process.chats(&page).await.unwrap();
    assert_eq!(
        (stale.freshness.is_stale(), &stale.body),
        (true, &seen.body)
    );
    process.user(2).await.unwrap();
    // The plan was changed.
    world.control().clear_faults();
    process.chat(1).await.unwrap();
}
