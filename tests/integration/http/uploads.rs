//! Images and files on their way to the platform: what is refused never reaches it, and what reaches it is what was sent.

use lark_service_tests::media::{self, FORM, TestForm, form};
use lark_service_tests::requests::{TestRequest, TestResponse};
use lark_service_tests::world::{APP, Process, World};
use lark_simulator::{Fault, FaultAction, FaultStage};
use secrecy::ExposeSecret;

mod accepted;
mod refused;
mod staged;

const IMAGES: &str = "/v1/images";
const FILES: &str = "/v1/files";
/// The platform's endpoints, by their names in the simulator.
const IMAGE: &str = "im.image.create";
const FILE: &str = "im.file.create";

async fn upload(process: &Process, path: &str, content_type: &str, body: Vec<u8>) -> TestResponse {
    let request = TestRequest::new("POST", path).header("x-lark-app-id", APP);
    request.bytes(content_type, body).send(process).await
}

/// What the platform has under `key`, and the name that it gives it.
async fn stored(process: &Process, world: &World, key: &str) -> (Vec<u8>, String) {
    let kind = if key.starts_with("img_") {
        "images"
    } else {
        "files"
    };
    let url = format!(
        "{}/open-apis/im/v1/{kind}/{key}",
        world.simulator.base_url()
    );
    let token = process.token().await.unwrap();
    let client = lark_service::aws::http(lark_service::aws::DEFAULT_IDLE_TIMEOUT).unwrap();
    let request = client.get(url).bearer_auth(token.value.expose_secret());
    let response = request.send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200, "{key}");
    let disposition = response.headers()["content-disposition"].to_str().unwrap();
    let disposition = disposition.to_owned();
    (response.bytes().await.unwrap().to_vec(), disposition)
}

fn fault(stage: FaultStage, action: FaultAction, times: u64) -> Fault {
    Fault {
        count: Some(times),
        stage,
        ..Fault::new(IMAGE, action)
    }
}

fn refusal(status: u16, code: i64) -> FaultAction {
    FaultAction::Answer {
        status,
        code,
        msg: "no".to_owned(),
        body: None,
        headers: std::collections::BTreeMap::new(),
    }
}

async fn image(process: &Process, content: Vec<u8>) -> TestResponse {
    upload(process, IMAGES, FORM, form("image", content).end()).await
}

#[tokio::test]
async fn a_message_shows_the_image_that_was_uploaded() {
    let world = World::begin().await;
    let process = world.process();
    let answer = image(&process, media::png(20, 20)).await;
    assert_eq!(answer.outcome(), "200", "{}", answer.body);
    let message = serde_json::json!({
        "to": {"open_id": lark_simulator::open_id(APP, 1)},
        "msg_type": "image",
        "content": {"image_key": answer.body["image_key"]},
    });
    let request = TestRequest::new("POST", "/v1/messages").header("x-lark-app-id", APP);
    let sent = request.body(&message).send(&process).await;
    assert_eq!(sent.outcome(), "200", "{}", sent.body);
    assert_eq!(sent.body["state"], "delivered");
}

#[tokio::test]
async fn a_small_upload_whose_answer_was_lost_is_repeated() {
    let world = World::begin().await;
    let process = world.process();
    let lost = fault(FaultStage::After, FaultAction::Reset, 1);
    world.control().add_fault(lost).unwrap();
    let answer = image(&process, media::png(20, 20)).await;
    assert_eq!(answer.outcome(), "200", "{}", answer.body);
    assert_eq!(world.requests(IMAGE), 2);
}

#[tokio::test]
async fn a_large_upload_has_the_whole_time_and_one_attempt() {
    let world = World::begin().await;
    let process = world.process();
    let lost = fault(FaultStage::After, FaultAction::Reset, 1);
    world.control().add_fault(lost).unwrap();
    let mut large = media::png(20, 20);
    large.resize(5 * 1024 * 1024, 0);
    let answer = image(&process, large.clone()).await;
    assert_eq!(answer.outcome(), "503 lark_unavailable", "{}", answer.body);
    assert_eq!(world.requests(IMAGE), 1);
    assert_eq!(image(&process, large).await.outcome(), "200");
}

#[tokio::test]
async fn each_refusal_of_the_platform_has_its_error() {
    let world = World::begin().await;
    let process = world.process();
    for (status, code, outcome, calls) in [
        (400, 234_001, "502 lark_rejected", 1),
        (401, 234_002, "403 lark_forbidden", 1),
        (400, 234_006, "502 lark_rejected", 1),
        (400, 234_007, "403 lark_forbidden", 1),
        (400, 234_010, "502 lark_rejected", 1),
        (400, 234_011, "502 lark_rejected", 1),
        (400, 234_039, "502 lark_rejected", 1),
        // For a while: it is asked again.
        (400, 232_096, "503 lark_unavailable", 3),
        (429, 99_991_403, "403 quota_exhausted", 1),
    ] {
        let before = world.requests(IMAGE);
        let refused = fault(FaultStage::Before, refusal(status, code), calls);
        world.control().add_fault(refused).unwrap();
        let answer = image(&process, media::png(20, 20)).await;
        assert_eq!(answer.outcome(), outcome, "{code}: {}", answer.body);
        assert_eq!(answer.body["lark"]["code"], code, "{}", answer.body);
        assert_eq!(world.requests(IMAGE) - before, calls, "{code}");
    }
    let token = process.token().await.unwrap();
    world.control().revoke_token(token.value.expose_secret());
    assert_eq!(image(&process, media::png(20, 20)).await.outcome(), "200");
    assert_eq!(world.rejected_calls(), 1);
}

#[tokio::test]
async fn a_key_without_the_scope_uploads_nothing() {
    let world = World::begin().await;
    let process = world.process();
    for (path, name) in [(IMAGES, "image"), (FILES, "file")] {
        let request = TestRequest::new("POST", path).header("x-lark-app-id", APP);
        let request = request.bytes(FORM, form(name, media::png(1, 1)).end());
        let answer = request
            .by("users:read tokens:read", "*")
            .send(&process)
            .await;
        assert_eq!(answer.outcome(), "403 permission_denied");
    }
    assert_eq!(world.token_requests(), 0);
}

/// A form has another boundary each time that it is sent: what counts is what is in it.
#[tokio::test]
async fn an_upload_with_an_idempotency_key_is_made_once() {
    let world = World::begin().await;
    let process = world.process();
    let send = async |path: &str, boundary: &str, name: &str, content: Vec<u8>| {
        let content_type = format!("multipart/form-data; boundary={boundary}");
        let mut body = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"a.png\"\r\n\r\n"
        )
        .into_bytes();
        body.extend(content);
        body.extend(format!("\r\n--{boundary}--\r\n").into_bytes());
        let request = TestRequest::new("POST", path).header("x-lark-app-id", APP);
        let request = request.header("idempotency-key", "the picture");
        let request = request.bytes(&content_type, body);
        request.send(&process).await
    };
    for (path, name, endpoint) in [(IMAGES, "image", IMAGE), (FILES, "file", FILE)] {
        let first = send(path, "one", name, media::png(20, 20)).await;
        assert_eq!(first.outcome(), "200", "{}", first.body);
        let again = send(path, "another", name, media::png(20, 20)).await;
        assert_eq!(
            (again.outcome().as_str(), &again.body),
            ("200", &first.body)
        );
        assert_eq!(again.header("idempotency-replayed"), "true");
        let other = send(path, "one", name, media::png(20, 21)).await;
        assert_eq!(other.code(), "idempotency_mismatch", "{}", other.body);
        assert_eq!(world.requests(endpoint), 1, "{path}");
    }
}
