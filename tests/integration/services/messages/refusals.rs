//! Refusals of the platform: which end a message, and who must act.

use lark_service::delivery::{Job, JobView, NewMessage};
use lark_service_tests::requests::TestRequest;
use lark_service_tests::world::{APP, Process, World};
use lark_simulator::Fault;
use serde_json::json;

use super::{CREATE, deliveries, person, refusal, send, text};

/// Each refusal of the platform says what to do and who must do it; those that pass end nothing.
#[tokio::test]
async fn a_refusal_says_who_must_act() {
    let world = World::begin().await;
    let process = world.process();
    let rows = [
        (230_001, "caller"),
        (230_002, "group_owner"),
        (230_006, "operator"),
        (230_013, "platform_administrator"),
        (230_015, "caller"),
        (230_017, "caller"),
        (230_018, "group_owner"),
        (230_019, "caller"),
        (230_022, "caller"),
        (230_025, "caller"),
        (230_027, "operator"),
        (230_028, "platform_administrator"),
        (230_029, "caller"),
        (230_034, "caller"),
        (230_035, "group_owner"),
        (230_036, "platform_administrator"),
        (230_038, "caller"),
        (230_050, "group_owner"),
        (230_053, "receiver"),
        (230_054, "caller"),
        (230_055, "caller"),
        (230_071, "caller"),
        (230_074, "group_owner"),
        (230_099, "caller"),
        (230_110, "caller"),
        (232_009, "caller"),
        (99_991_672, "operator"),
        (99_992_351, "caller"),
        (99_992_361, "caller"),
    ];
    for (number, (code, who)) in (1..).zip(rows) {
        let job = refused_with(&world, &process, number, code).await;
        let view = serde_json::to_value(JobView::of(&job, world.now())).unwrap();
        assert_eq!(view["state"], "refused", "{code}: {view}");
        for place in [&view["refused"], &view["attempts"][0]] {
            assert_eq!(place["code"], json!(code), "{view}");
            assert_eq!(place["who"], who, "{view}");
            assert!(
                place["action"].as_str().is_some_and(|it| it.ends_with('.')),
                "{view}"
            );
        }
    }
    for (number, code) in (100..).zip([230_020, 230_049, 11_232, 11_233]) {
        let job = refused_with(&world, &process, number, code).await;
        assert!(job.end.is_none(), "{code}: {job:?}");
        let view = serde_json::to_value(JobView::of(&job, world.now())).unwrap();
        assert_eq!(view["attempts"][0]["who"], "nobody", "{view}");
    }
    // A code that is in no table says nothing of it.
    let job = refused_with(&world, &process, 200, 239_999).await;
    let view = serde_json::to_value(JobView::of(&job, world.now())).unwrap();
    assert_eq!(
        (&view["state"], &view["refused"]["who"]),
        (&json!("refused"), &json!(null))
    );
    assert_eq!(deliveries(&world).len(), 0);
}

/// The job of a message to the person `number` that the platform refuses with `code`.
async fn refused_with(world: &World, process: &Process, number: u32, code: i64) -> Job {
    let fault = Fault {
        count: Some(1),
        ..Fault::new(CREATE, refusal(400, code))
    };
    world.control().add_fault(fault).unwrap();
    let new = NewMessage {
        to: person(number).into(),
        ..text("hi")
    };
    send(process, new).await.job
}

/// A receiver whom the platform does not know is the caller's mistake, and no failure of a server.
#[tokio::test]
async fn a_refusal_has_the_status_of_whose_fault_it_is() {
    let world = World::begin().await;
    let process = world.process();
    for (number, (code, outcome)) in (1..).zip([
        (230_034, "404 receiver_not_found"),
        (99_992_351, "404 receiver_not_found"),
        (230_002, "403 lark_forbidden"),
        (230_013, "403 lark_forbidden"),
        (230_025, "502 lark_rejected"),
    ]) {
        let fault = Fault {
            count: Some(1),
            ..Fault::new(CREATE, refusal(400, code))
        };
        world.control().add_fault(fault).unwrap();
        let to = lark_simulator::open_id(APP, number);
        let request = TestRequest::new("POST", "/v1/messages").header("x-lark-app-id", APP);
        let request = request.body(&json!({"to": {"open_id": to}, "text": "hi"}));
        let refused = request.send(&process).await;
        assert_eq!(refused.outcome(), outcome, "{}", refused.body);
        assert_eq!(refused.body["lark"]["code"], json!(code));
        assert!(refused.body["lark"]["who"].is_string(), "{}", refused.body);
    }
}
