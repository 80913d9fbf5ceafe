use aws_config::Region;
use aws_credential_types::provider::SharedCredentialsProvider;
use secrecy::ExposeSecret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::clock::SystemClock;

/// Answers each of `answers` to one request, then returns the requests.
async fn served(
    answers: Vec<(&'static str, String)>,
) -> (String, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    #[expect(clippy::disallowed_methods, reason = "a server of this test")]
    let server = tokio::spawn(async move {
        let mut requests = Vec::new();
        for (status, body) in answers {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 4_096];
            while !request.ends_with(b"}") {
                let read = connection.read(&mut buffer).await.unwrap();
                request.extend_from_slice(&buffer[..read]);
            }
            requests.push(String::from_utf8(request).unwrap());
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            connection.write_all(head.as_bytes()).await.unwrap();
            let _ = connection.write_all(body.as_bytes()).await;
        }
        requests
    });
    (address, server)
}

fn sdk(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new("id", "key", Some("session".to_owned()), None, "test");
    SdkConfig::builder()
        .region(Region::new("eu-central-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint)
        .build()
}

#[tokio::test]
async fn a_secret_is_asked_for_with_a_signature_and_once_more_after_a_failure() {
    let secret = r#"{"Name": "cache", "SecretString": "rediss://u:p@h:6379"}"#;
    let answers = vec![("500 Oh", String::new()), ("200 OK", secret.to_owned())];
    let (address, server) = served(answers).await;
    let text = text(&sdk(&address), "cache", &SystemClock).await.unwrap();
    assert_eq!(text.expose_secret(), "rediss://u:p@h:6379");
    let requests = server.await.unwrap();
    for part in [
        "x-amz-target: secretsmanager.GetSecretValue\r\n",
        "/eu-central-1/secretsmanager/aws4_request, ",
        "x-amz-security-token: session\r\n",
        "\r\n\r\n{\"SecretId\":\"cache\"}",
    ] {
        assert!(requests[1].contains(part), "{part} in {}", requests[1]);
    }
}

#[tokio::test]
async fn a_failure_says_why_and_never_what_was_read() {
    let refusal = r#"{"__type": "AccessDeniedException", "Message": "arn hunter2"}"#;
    for (status, body, said) in [
        (
            "400 No",
            refusal.to_owned(),
            "status 400, AccessDeniedException",
        ),
        (
            "200 OK",
            r#"{"SecretString": "hunter2"#.to_owned(),
            "not JSON",
        ),
        (
            "200 OK",
            r#"{"SecretBinary": "hunter2"}"#.to_owned(),
            "binary",
        ),
        ("200 OK", "hunter2".repeat(MAX_BYTES / 7 + 1), "too long"),
    ] {
        let answers = vec![(status, body); 3];
        let (address, server) = served(answers).await;
        let error = text(&sdk(&address), "cache", &SystemClock)
            .await
            .unwrap_err();
        server.abort();
        let error = error.to_string();
        assert!(
            error.contains(said) && !error.contains("hunter2"),
            "{error}"
        );
    }
}
