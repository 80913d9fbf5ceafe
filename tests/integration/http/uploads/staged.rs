//! Uploads that are too large for a request: put at an address first, and named afterwards.

use std::time::Duration;

use lark_service_tests::world::DEMO_APP;
use serde_json::{Value, json};

use super::*;

mod judged;

const UPLOADS: &str = "/v1/uploads";
const MB: usize = 1024 * 1024;
const UNKNOWN: &str = "404 upload_not_found";

fn request(path: &str, body: &Value) -> TestRequest {
    let request = TestRequest::new("POST", path).header("content-type", "application/json");
    request.body(body)
}

async fn post(process: &Process, path: &str, body: &Value) -> TestResponse {
    let request = request(path, body).header("x-lark-app-id", APP);
    request.send(process).await
}

/// Puts `content` at the address of an answer.
async fn put(world: &World, created: &TestResponse, content: &[u8]) -> TestResponse {
    assert_eq!(created.outcome(), "201", "{}", created.body);
    let url: url::Url = created.body["url"].as_str().unwrap().parse().unwrap();
    let request = TestRequest::new("PUT", url.path());
    let request = request.bytes("application/octet-stream", content.to_vec());
    let gateway = world.process().gateway();
    let gateway = gateway.with_uploads(world.staging.clone());
    request.through(&gateway, "none").await
}

/// The id of an upload of `content`, which was put there.
async fn staged(world: &World, process: &Process, kind: &str, content: &[u8]) -> Value {
    let new = json!({"kind": kind, "size": content.len()});
    let created = post(process, UPLOADS, &new).await;
    let taken = put(world, &created, content).await;
    assert_eq!(taken.outcome(), "200", "{}", taken.body);
    created.body["upload_id"].clone()
}

#[tokio::test]
async fn an_upload_that_was_put_elsewhere_goes_through_once() {
    let world = World::begin().await;
    let process = world.process();
    let png = media::png(20, 20);
    let id = staged(&world, &process, "image", &png).await;
    let named = json!({"upload_id": id});
    let answer = post(&process, IMAGES, &named).await;
    assert_eq!(answer.outcome(), "200", "{}", answer.body);
    let key = answer.body["image_key"].as_str().unwrap();
    assert_eq!(stored(&process, &world, key).await.0, png);
    assert_eq!(post(&process, IMAGES, &named).await.outcome(), UNKNOWN);
    assert_eq!(world.staged_files(), 0);
}

#[tokio::test]
async fn a_repeated_request_has_the_same_answer_and_the_upload_is_gone() {
    let world = World::begin().await;
    let process = world.process();
    let send = async |path, body: &Value| {
        let request = request(path, body).header("x-lark-app-id", APP);
        let request = request.header("idempotency-key", "once");
        request.send(&process).await
    };
    let new = json!({"kind": "file", "size": 3});
    let created = send(UPLOADS, &new).await;
    let again = send(UPLOADS, &new).await;
    assert_eq!((again.status, &again.body), (201, &created.body));
    assert_eq!(put(&world, &created, b"abc").await.outcome(), "200");
    let named = json!({"upload_id": created.body["upload_id"]});
    let first = send(FILES, &named).await;
    assert_eq!(first.outcome(), "200", "{}", first.body);
    let again = send(FILES, &named).await;
    assert_eq!((again.status, &again.body), (200, &first.body));
    assert_eq!(again.header("idempotency-replayed"), "true");
    let other = json!({"upload_id": created.body["upload_id"], "file_type": "stream"});
    let other = send(FILES, &other).await;
    assert_eq!(other.code(), "idempotency_mismatch");
    assert_eq!(world.requests(FILE), 1);
    assert_eq!(world.staged_files(), 0);
}

#[tokio::test]
async fn an_upload_whose_call_failed_is_still_there() {
    let world = World::begin().await;
    let process = world.process();
    let id = staged(&world, &process, "image", &media::png(20, 20)).await;
    let refused = fault(FaultStage::Before, refusal(400, 234_001), 1);
    world.control().add_fault(refused).unwrap();
    let named = json!({"upload_id": id});
    let answer = post(&process, IMAGES, &named).await;
    assert_eq!(answer.outcome(), "502 lark_rejected");
    assert_eq!(post(&process, IMAGES, &named).await.outcome(), "200");
}

#[tokio::test]
async fn the_largest_file_goes_through_as_it_is() {
    let world = World::begin().await;
    let process = world.process();
    let pattern = b"\r\n--b\r\n\r\n--b1\r\n--\r\n\0\xff";
    let content: Vec<u8> = pattern.iter().copied().cycle().take(30 * MB).collect();
    let id = staged(&world, &process, "file", &content).await;
    let named = json!({"upload_id": id, "file_name": "largest.bin", "duration": 7});
    let answer = post(&process, FILES, &named).await;
    assert_eq!(answer.outcome(), "200", "{}", answer.body);
    let key = answer.body["file_key"].as_str().unwrap();
    let (arrived, name) = stored(&process, &world, key).await;
    assert!(arrived == content);
    assert!(name.contains("largest.bin"), "{name}");
}

/// A rejected token costs a second call, for which it is read anew.
#[tokio::test]
async fn a_large_file_is_sent_again_with_another_token() {
    let world = World::begin().await;
    let process = world.process();
    let token = process.token().await.unwrap();
    world.control().revoke_token(token.value.expose_secret());
    let content = vec![0xff; 5 * MB];
    let id = staged(&world, &process, "file", &content).await;
    let answer = post(&process, FILES, &json!({"upload_id": id})).await;
    assert_eq!(answer.outcome(), "200", "{}", answer.body);
    assert_eq!(world.rejected_calls(), 1);
    let key = answer.body["file_key"].as_str().unwrap();
    assert!(stored(&process, &world, key).await.0 == content);
}

#[tokio::test]
async fn an_address_is_for_what_was_announced_and_ends() {
    let world = World::begin().await;
    let process = world.process();
    // SHA-256 of `abc`, from FIPS 180-2.
    let sum = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
    let new = json!({"kind": "file", "size": 3, "sha256": sum});
    let created = post(&process, UPLOADS, &new).await;
    assert_eq!(created.body["method"], "PUT");
    let headers = json!({"content-length": "3", "x-amz-checksum-sha256": sum});
    assert_eq!(created.body["headers"], headers);
    for other in [&b"abcd"[..], b"abd", b"ab", b""] {
        let answer = put(&world, &created, other).await;
        assert_eq!(answer.outcome(), "400 invalid_argument", "{other:?}");
    }
    assert_eq!(put(&world, &created, b"abc").await.outcome(), "200");
    world.advance(Duration::from_secs(15 * 60 + 1));
    assert_eq!(put(&world, &created, b"abc").await.outcome(), UNKNOWN);
}

#[tokio::test]
async fn an_upload_is_there_for_its_key_its_app_and_an_hour() {
    let world = World::begin().await;
    world.seed_demo().await;
    let process = world.process();
    let id = staged(&world, &process, "image", &media::png(20, 20)).await;
    let named = json!({"upload_id": id});
    let to_other_app = request(IMAGES, &named).header("x-lark-app-id", DEMO_APP);
    let other = to_other_app.send(&process).await;
    assert_eq!(other.outcome(), UNKNOWN, "{}", other.body);
    let of_other_key = request(IMAGES, &named).header("x-lark-app-id", APP);
    let other_key = format!("lsk_otherkey0000_{:0>43}", "test");
    let other = of_other_key.key(&other_key).send(&process).await;
    assert_eq!(other.outcome(), UNKNOWN, "{}", other.body);
    let id = id.as_str().unwrap();
    let longer = format!("{}00000001{}", &id[..15], &id[23..]);
    let nobodys = format!("up_{}", "0".repeat(52));
    for made_up in [longer, nobodys] {
        let answer = post(&process, IMAGES, &json!({"upload_id": made_up})).await;
        assert_eq!(answer.outcome(), UNKNOWN, "{made_up}");
    }
    let new = json!({"kind": "image", "size": 3});
    let created = post(&process, UPLOADS, &new).await;
    let early = json!({"upload_id": created.body["upload_id"]});
    assert_eq!(post(&process, IMAGES, &early).await.outcome(), UNKNOWN);
    world.advance(Duration::from_millis(3_600_001));
    assert_eq!(post(&process, IMAGES, &named).await.outcome(), UNKNOWN);
    assert_eq!(world.requests(IMAGE), 0);
}

/// A bucket is not trusted: what is there must be what was announced, whatever took it.
#[tokio::test]
async fn what_was_not_announced_is_not_sent() {
    let world = World::begin().await;
    let process = world.process();
    for (bytes, other, summed) in [(3, 4, false), (3, 3, true), (5 * MB, 5 * MB, true)] {
        let content = vec![1; bytes];
        let sum = ring::digest::digest(&ring::digest::SHA256, &content);
        let sum = summed.then(|| base64_of(sum.as_ref()));
        let new = json!({"kind": "file", "size": bytes, "sha256": sum});
        let created = post(&process, UPLOADS, &new).await;
        assert_eq!(put(&world, &created, &content).await.outcome(), "200");
        world.overwrite_staged(&vec![2; other]);
        let named = json!({"upload_id": created.body["upload_id"]});
        let answer = post(&process, FILES, &named).await;
        assert_eq!(answer.outcome(), "400 invalid_argument", "{bytes} {other}");
        assert_eq!(answer.body["errors"][0]["field"], "upload_id");
        world.overwrite_staged(&content);
        let answer = post(&process, FILES, &named).await;
        assert_eq!(answer.outcome(), "200", "{}", answer.body);
    }
    assert_eq!(world.requests(FILE), 3);
}

fn base64_of(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
