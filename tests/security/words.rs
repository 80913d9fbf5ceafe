//! A platform, or somebody between, whose refusals are huge or full of other people's data.

use lark_service_tests::requests::TestRequest;
use lark_service_tests::world::{APP, World};
use lark_simulator::{Fault, FaultAction};

/// The longest answer to a refusal, in bytes.
const MAX_ANSWER: usize = 2_048;

#[tokio::test]
async fn a_refusal_is_quoted_short_and_without_what_identifies_anybody() {
    let address = "ann.lee@example.com";
    let mobile = "+8613800000002";
    let token = "t-g1044qeGEDXTB6NDJOGV4JQCYDGHRBARFTGT1234";
    for msg in [
        "x".repeat(1_000_000),
        format!(
            "no access for {address} {mobile} {token} {}",
            "y ".repeat(500_000)
        ),
        "\u{202e}\r\n".repeat(300_000),
    ] {
        let world = World::begin().await;
        let process = world.process();
        let said = FaultAction::Answer {
            status: 400,
            code: 99_991_672,
            msg,
            body: None,
            headers: [("x-tt-logid".to_owned(), "l".repeat(4_000))].into(),
        };
        world
            .control()
            .add_fault(Fault::new("contact.user.get", said))
            .unwrap();
        let target = format!("/v1/users/{}", lark_simulator::open_id(APP, 7));
        let request = TestRequest::new("GET", &target).header("x-lark-app-id", APP);
        let response = request.send(&process).await;
        assert_eq!(response.outcome(), "403 lark_forbidden");
        let body = response.body.to_string();
        assert!(body.len() <= MAX_ANSWER, "{} bytes", body.len());
        for hidden in [address, mobile, token] {
            assert!(!body.contains(hidden), "{body}");
        }
    }
}
