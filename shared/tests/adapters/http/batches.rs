//! Batches that come back in part, which no emulator does.

use lark_service::store::Attributes;

use super::*;

const UNREAD: &str = r#"{"Responses":{},"UnprocessedKeys":{"test-apps":{"Keys":[{"pk":{"S":"cli_a"},"sk":{"S":"app"}}]}}}"#;
const READ: &str =
    r#"{"Responses":{"test-apps":[{"pk":{"S":"cli_a"},"sk":{"S":"app"},"version":{"N":"7"}}]}}"#;
const UNWRITTEN: &str = r#"{"UnprocessedItems":{"test-apps":[{"PutRequest":{"Item":{"pk":{"S":"cli_a"},"sk":{"S":"app"},"version":{"N":"7"}}}}]}}"#;

fn assert_given_up(error: StoreError) {
    let StoreError::Unavailable { source, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(
        source.to_string(),
        "DynamoDB throttles (left 1 keys of a batch unprocessed)"
    );
}

#[tokio::test]
async fn a_batch_that_keeps_coming_back_unread_is_given_up() {
    let server = Misbehaving::start(|_, mut stream| {
        Box::pin(async move {
            while read_request(&mut stream).await {
                respond(&mut stream, "200 OK", UNREAD).await
            }
        })
    });
    let server = server.await;
    let store = server.store().await;
    let got = store.get_many(Table::Apps, &[key()], Attributes::All).await;
    assert_given_up(got.unwrap_err());
}

#[tokio::test]
async fn a_batch_that_keeps_coming_back_unwritten_is_given_up() {
    let server = Misbehaving::start(|_, mut stream| {
        Box::pin(async move {
            while read_request(&mut stream).await {
                respond(&mut stream, "200 OK", UNWRITTEN).await
            }
        })
    });
    let server = server.await;
    let store = server.store().await;
    let put = store.put_many(Table::Apps, &[Record::new(key(), 7)]).await;
    assert_given_up(put.unwrap_err());
}

#[tokio::test]
async fn what_came_back_unread_is_asked_for_again() {
    let server = Misbehaving::start(|_, mut stream| {
        Box::pin(async move {
            for body in [UNREAD, UNREAD, READ] {
                read_request(&mut stream).await;
                respond(&mut stream, "200 OK", body).await;
            }
        })
    });
    let server = server.await;
    let store = server.store().await;
    let keys = [key()];
    let got = store.get_many(Table::Apps, &keys, Attributes::Only(&[]));
    assert_eq!(got.await.unwrap(), [Record::new(key(), 7)]);
}

#[tokio::test]
async fn what_came_back_unwritten_is_sent_again() {
    static REQUESTS: AtomicUsize = AtomicUsize::new(0);
    let server = Misbehaving::start(|_, mut stream| {
        Box::pin(async move {
            for body in [UNWRITTEN, UNWRITTEN, "{}"] {
                read_request(&mut stream).await;
                REQUESTS.fetch_add(1, Ordering::SeqCst);
                respond(&mut stream, "200 OK", body).await;
            }
        })
    });
    let server = server.await;
    let store = server.store().await;
    let records = [
        Record::new(key(), 7),
        Record::new(Key::new("cli_b", "app"), 7),
    ];
    store.put_many(Table::Apps, &records).await.unwrap();
    assert_eq!(REQUESTS.load(Ordering::SeqCst), 3);
}
