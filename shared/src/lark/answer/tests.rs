use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::aws;

#[derive(Debug, Deserialize)]
struct TokenBody {
    tenant_access_token: String,
}

fn read(status: u16, body: &str) -> Result<TokenBody, LarkFailure> {
    let body = Bytes::copy_from_slice(body.as_bytes());
    Answer::new(status, HeaderMap::new(), body).json()
}

#[test]
fn an_error_is_an_error_with_status_200_and_400_alike() {
    for status in [200, 400] {
        let failure =
            read(status, r#"{"code":99991663,"msg":"Invalid access token"}"#).unwrap_err();
        assert_eq!(
            (failure.kind, failure.code),
            (FailureKind::TokenInvalid, Some(99_991_663))
        );
    }
}

#[test]
fn the_log_in_endpoints_speak_oauth() {
    let refused = r#"{"code":20064,"error":"invalid_grant","error_description":"revoked"}"#;
    let failure = read(400, refused).unwrap_err();
    assert_eq!(
        (failure.kind, failure.msg.as_str()),
        (FailureKind::GrantVoid, "revoked")
    );
    let failure = read(400, r#"{"error":"invalid_request"}"#).unwrap_err();
    assert_eq!(
        (failure.kind, failure.msg.as_str()),
        (FailureKind::Rejected, "invalid_request")
    );
    assert!(read(200, r#"{"tenant_access_token":"t-1"}"#).is_ok());
}

#[test]
fn code_zero_is_success_and_an_html_page_is_an_outage() {
    assert_eq!(
        read(200, r#"{"code":0,"tenant_access_token":"t-1"}"#)
            .unwrap()
            .tenant_access_token,
        "t-1"
    );
    assert_eq!(
        read(502, "<html>bad gateway</html>").unwrap_err().kind,
        FailureKind::Unavailable
    );
    assert_eq!(
        read(200, r#"{"code":0}"#).unwrap_err().kind,
        FailureKind::Rejected
    );
}

#[test]
fn the_log_id_comes_from_the_header_then_the_body() {
    let body = Bytes::from_static(br#"{"code":40001,"msg":"m","error":{"log_id":"in-body"}}"#);
    let log_id = |headers: &HeaderMap| {
        let answer = Answer::new(400, headers.clone(), body.clone());
        answer.refusal().and_then(|refusal| refusal.log_id.clone())
    };
    let mut headers = HeaderMap::new();
    assert_eq!(log_id(&headers).as_deref(), Some("in-body"));
    headers.insert("x-tt-logid", "in-header".parse().unwrap());
    assert_eq!(log_id(&headers).as_deref(), Some("in-header"));
}

#[test]
fn an_answer_that_cannot_be_read_is_not_quoted() {
    #[derive(Debug, Deserialize)]
    struct Numbers {
        #[expect(dead_code, reason = "it is not reached")]
        expire: u64,
    }
    for body in [
        r#"{"code":0,"expire":"u-secret"}"#,
        r#"{"code":0,"expire":7,"expire":8,"u-secret":1}"#,
        r#"{"code":0,"expire":7}u-secret"#,
        r#"{"code":0,"u-secret"}"#,
    ] {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let failure = Answer::new(200, HeaderMap::new(), body).json::<Numbers>();
        let failure = failure.unwrap_err();
        assert!(!failure.msg.contains("secret"), "{}", failure.msg);
    }
}

/// What [`exchange`] makes of an answer whose body has so many bytes.
async fn exchanged(bytes: usize) -> Result<Answer, LarkFailure> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        let body = r#"{"code":0}"#;
        let body = format!("{}{body}", " ".repeat(bytes - body.len()));
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        // The client may stop reading.
        let _refused = stream.write_all(body.as_bytes()).await;
    };
    let client = aws::http(aws::DEFAULT_IDLE_TIMEOUT).unwrap();
    let (_, answer) = tokio::join!(serve, exchange(client.get(url)));
    answer
}

#[tokio::test]
async fn an_answer_is_read_up_to_8_mib() {
    let whole = exchanged(8 * 1_024 * 1_024).await.unwrap();
    assert_eq!(whole.body.len(), 8 * 1_024 * 1_024);
    assert!(whole.refusal().is_none());
    let failure = exchanged(8 * 1_024 * 1_024 + 1).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Rejected, "{failure}");
}
