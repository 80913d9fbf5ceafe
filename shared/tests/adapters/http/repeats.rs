//! What the SDK repeats: a put whose answer is lost, an attempt that stays without one.

use serde_json::{Value as Json, json};

use super::*;

/// What a store made of the item in a request.
type Stored = fn(Json) -> Json;

/// The first request gets no answer. The second one's condition fails, because of the item that `stored` makes of the first.
async fn outcome_over(stored: Stored, expect: Expect) -> (Result<(), StoreError>, Vec<Json>) {
    outcome_shown(stored, expect, true).await
}

/// The same; whether the refusal shows the item, or it has to be read.
async fn outcome_shown(
    stored: Stored,
    expect: Expect,
    is_shown: bool,
) -> (Result<(), StoreError>, Vec<Json>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serve = async {
        let mut requests = Vec::new();
        while requests.len() < if is_shown { 2 } else { 3 } {
            let (mut stream, _) = listener.accept().await.unwrap();
            let body = request_body(&mut stream).await.unwrap();
            requests.push(serde_json::from_str::<Json>(&body).unwrap());
            let item = stored(requests[0]["Item"].clone());
            if requests.len() == 3 {
                let read = json!({ "Item": item }).to_string();
                respond(&mut stream, "200 OK", &read).await;
            }
            if requests.len() == 2 {
                let mut failed = json!({
                    "__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
                    "message": "The conditional request failed",
                });
                if is_shown {
                    failed["Item"] = item;
                }
                respond(&mut stream, "400 Bad Request", &failed.to_string()).await;
            }
        }
        requests
    };
    let settings = emulator(&url);
    let http = http_client();
    let config = Box::pin(sdk_config(&http, &settings)).await;
    let client = Client::new(&config);
    let store = DynamoDbStore::new(client, TableNames::prefixed("test-"), Arc::new(SystemClock));
    let record = Record::new(key(), 7);
    let put = store.put(Table::Apps, &record, expect);
    tokio::join!(put, serve)
}

fn is_conflict(outcome: &Result<(), StoreError>) -> bool {
    outcome.as_ref().is_err_and(StoreError::is_conflict)
}

#[tokio::test]
async fn a_conflict_with_ones_own_write_is_a_success() {
    for expect in [Expect::Absent, Expect::Version(6)] {
        let (outcome, requests) = outcome_over(|own| own, expect).await;
        outcome.unwrap();
        assert_eq!(requests[0]["Item"], requests[1]["Item"], "one id per call");
        assert_eq!(
            requests[0]["ReturnValuesOnConditionCheckFailure"],
            "ALL_OLD"
        );
    }
}

#[tokio::test]
async fn an_item_that_is_not_shown_is_read() {
    let (outcome, requests) = outcome_shown(|own| own, Expect::Absent, false).await;
    outcome.unwrap();
    assert_eq!(requests[2]["ConsistentRead"], true);
}

#[tokio::test]
async fn a_conflict_with_anybody_elses_write_stays_one() {
    let others: [(&str, Stored); 3] = [
        ("another call", |mut item| {
            item["write_id"]["B"] = json!("AAAAAAAAAAAAAAAAAAAAAA==");
            item
        }),
        ("an unconditional put", |mut item| {
            item.as_object_mut().unwrap().remove("write_id");
            item
        }),
        ("an id of another kind", |mut item| {
            item["write_id"] = json!({"S": "AAAAAAAAAAAAAAAAAAAAAA=="});
            item
        }),
    ];
    for (whose, stored) in others {
        for is_shown in [true, false] {
            let (outcome, _) = outcome_shown(stored, Expect::Version(6), is_shown).await;
            assert!(is_conflict(&outcome), "{whose}: {outcome:?}");
        }
    }
}

#[tokio::test]
async fn two_calls_with_the_same_record_are_told_apart() {
    let (_, first) = outcome_over(|own| own, Expect::Absent).await;
    let (_, second) = outcome_over(|own| own, Expect::Absent).await;
    assert_ne!(first[0]["Item"]["write_id"], second[0]["Item"]["write_id"]);
}

#[tokio::test]
async fn a_silent_attempt_is_repeated_on_another_connection() {
    // The second request gets no answer, and no other on its connection.
    let silent_once = || {
        Misbehaving::start(|number, mut stream| {
            Box::pin(async move {
                for request in 0.. {
                    if !read_request(&mut stream).await || number == 0 && request == 1 {
                        break;
                    }
                    respond(&mut stream, "200 OK", "{}").await;
                }
                std::future::pending::<()>().await;
            })
        })
    };
    let (reads, writes) = tokio::join!(silent_once(), silent_once());
    let (reader, writer) = tokio::join!(reads.store(), writes.store());
    let (key, record) = (key(), Record::new(key(), 1));
    for store in [&reader, &writer] {
        store.get(Table::Apps, &key).await.unwrap();
    }
    let started = Instant::now();
    let read = async {
        reader.get(Table::Apps, &key).await.unwrap();
        started.elapsed()
    };
    let written = async {
        let put = writer.put(Table::Apps, &record, Expect::Absent);
        put.await.unwrap();
        started.elapsed()
    };
    let (read, written) = tokio::join!(read, written);
    assert!(read < Duration::from_secs(2), "the read took {read:?}");
    assert!(
        written < Duration::from_secs(4),
        "the write took {written:?}"
    );
    assert_eq!((reads.connections(), writes.connections()), (2, 2));
}
