use std::time::{Duration, Instant};

use lark_simulator::{Fault, FaultAction, FaultStage, Settings, Simulator};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{
    TENANT_TOKEN, app_id, call, credentials, get, post, start, tenant_token, try_call,
};

const REQUEST: &[u8] = b"GET /open-apis/x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
const TOKEN_ENDPOINT: &str = "auth.tenant_access_token.internal";

async fn token_status(simulator: &Simulator) -> u16 {
    post(simulator, TENANT_TOKEN, "", &credentials())
        .await
        .status
}

async fn token_fails(simulator: &Simulator) -> bool {
    let body = credentials().to_string();
    try_call(simulator, "POST", TENANT_TOKEN, "", &body)
        .await
        .is_err()
}

#[tokio::test]
async fn an_injected_answer_comes_as_often_as_its_count() {
    let simulator = start().await;
    let fault = Fault {
        count: Some(2),
        ..Fault::new(TOKEN_ENDPOINT, FaultAction::answer(503, 5001))
    };
    simulator.control().add_fault(fault).unwrap();
    let answer = post(&simulator, TENANT_TOKEN, "", &credentials()).await;
    assert_eq!(answer.code(), (503, 5001));
    assert!(!answer.header("x-tt-logid").is_empty());
    assert_eq!(token_status(&simulator).await, 503);
    assert_eq!(token_status(&simulator).await, 200);
    let counters = &simulator.control().counters().endpoints[TOKEN_ENDPOINT];
    assert_eq!((counters.requests, counters.ok, counters.faults), (3, 1, 2));
    assert_eq!(counters.errors, [(5001, 2)].into());
}

#[tokio::test]
async fn an_injected_body_and_header_are_sent_unchanged() {
    let simulator = start().await;
    let fault = json!({ "faults": [{
        "endpoint": "/open-apis/auth/*",
        "action": { "answer": {
            "status": 502, "body": "<html>Bad Gateway</html>",
            "headers": { "content-type": "text/html" },
        } },
    }] });
    let answer = post(&simulator, "/_sim/faults", "", &fault).await;
    assert_eq!(answer.body["faults"][0]["fired"], 0);
    let answer = post(&simulator, TENANT_TOKEN, "", &credentials()).await;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.header("content-type"), "text/html");
    assert_eq!(answer.body, Value::from("<html>Bad Gateway</html>"));
    let cleared = call(&simulator, "DELETE", "/_sim/faults", "", "").await;
    assert_eq!(cleared.body, json!({ "faults": [] }));
    assert_eq!(token_status(&simulator).await, 200);
}

#[tokio::test]
async fn a_reset_before_the_call_leaves_no_trace_and_one_after_it_does() {
    let simulator = start().await;
    let reset = |stage| Fault {
        stage,
        count: Some(1),
        ..Fault::new("*", FaultAction::Reset)
    };
    simulator
        .control()
        .add_fault(reset(FaultStage::Before))
        .unwrap();
    assert!(token_fails(&simulator).await);
    assert_eq!(simulator.control().counters().tokens_issued, 0);
    simulator
        .control()
        .add_fault(reset(FaultStage::After))
        .unwrap();
    assert!(token_fails(&simulator).await);
    assert_eq!(simulator.control().counters().tokens_issued, 1);
}

#[tokio::test]
async fn a_reset_is_one_on_the_wire() {
    let simulator = start().await;
    let reset = Fault::new("unknown", FaultAction::Reset);
    simulator.control().add_fault(reset).unwrap();
    let mut stream = TcpStream::connect(simulator.addr()).await.unwrap();
    stream.write_all(REQUEST).await.unwrap();
    let error = stream.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_hanging_call_ends_when_the_client_goes_away() {
    let simulator = start().await;
    simulator
        .control()
        .add_fault(Fault::new("*", FaultAction::Hang))
        .unwrap();
    tokio::select! {
        _ = token_fails(&simulator) => panic!("it was to hang"),
        () = simulator.control().arrived(TOKEN_ENDPOINT, 1) => {}
    }
    // The client has gone away. Yielding lets the simulator notice; otherwise the test would hang.
    while simulator.control().counters().total.in_flight > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_hanging_call_ends_when_the_simulator_stops() {
    let mut simulator = start().await;
    let control = simulator.control().clone();
    control
        .add_fault(Fault::new("*", FaultAction::Hang))
        .unwrap();
    let mut stream = TcpStream::connect(simulator.addr()).await.unwrap();
    stream.write_all(REQUEST).await.unwrap();
    control.arrived("unknown", 1).await;
    let started = Instant::now();
    simulator.pause().await;
    assert!(started.elapsed() < Duration::from_millis(900));
    let mut rest = Vec::new();
    assert_eq!(stream.read_to_end(&mut rest).await.unwrap(), 0);
}

#[tokio::test]
async fn a_delay_postpones_the_answer() {
    let simulator = start().await;
    let settings = Settings {
        delay_ms: 20,
        ..Settings::default()
    };
    simulator.control().set_settings(settings).unwrap();
    let fault = Fault {
        delay_ms: 30,
        ..Fault::new("auth.*", FaultAction::Continue)
    };
    simulator.control().add_fault(fault).unwrap();
    let started = Instant::now();
    assert_eq!(token_status(&simulator).await, 200);
    assert!(started.elapsed() >= Duration::from_millis(50));
}

#[tokio::test]
async fn a_probability_hits_about_that_share_of_calls() {
    let simulator = start().await;
    let fault = Fault {
        probability: 0.5,
        ..Fault::new("*", FaultAction::answer(500, 1))
    };
    simulator.control().add_fault(fault).unwrap();
    for _ in 0..200 {
        token_status(&simulator).await;
    }
    let fired = simulator.control().faults()[0].fired;
    assert!((70..130).contains(&fired), "{fired}");
}

#[tokio::test]
async fn a_fault_for_one_app_does_not_hit_the_others() {
    let simulator = start().await;
    let token = tenant_token(&simulator).await;
    let only_for = |app_id: &str| Fault {
        app_id: Some(app_id.to_owned()),
        ..Fault::new("*", FaultAction::answer(500, 1))
    };
    simulator
        .control()
        .add_fault(only_for("cli_other"))
        .unwrap();
    let batch = "/open-apis/contact/v3/users/batch?user_ids=a";
    assert_eq!(get(&simulator, batch, &token).await.status, 200);
    simulator.control().add_fault(only_for(&app_id())).unwrap();
    assert_eq!(get(&simulator, batch, &token).await.status, 500);
    assert_eq!(token_status(&simulator).await, 500);
}

#[tokio::test]
async fn an_outage_refuses_connections_and_keeps_all_state() {
    let mut simulator = start().await;
    let token = tenant_token(&simulator).await;
    simulator.pause().await;
    let refused = TcpStream::connect(simulator.addr()).await;
    assert!(refused.is_err());
    simulator.resume().await.unwrap();
    assert_eq!(tenant_token(&simulator).await, token);
}
