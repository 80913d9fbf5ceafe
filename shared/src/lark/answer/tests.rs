use super::*;

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
