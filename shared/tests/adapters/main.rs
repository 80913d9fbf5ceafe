//! The adapters against real servers: two implementations of DynamoDB's interface, one of SQS's, and Valkey in all its states.
//!
//! `scripts/with-services cargo test` starts the servers and puts their addresses into the environment.
#![expect(clippy::unwrap_used, reason = "these are tests")]

mod discovery;
mod doctor;
mod dynamodb;
mod dynamodb_inspection;
mod http;
mod lossy;
mod lost_answers;
mod s3;
mod server;
mod sqs;
mod valkey;
mod valkey_cluster;
mod valkey_faults;
mod valkey_tls;
mod valkey_types;
mod valkey_users;

use std::sync::OnceLock;

use lark_service::aws::{AwsCredentials, AwsSettings, DEFAULT_IDLE_TIMEOUT};

/// The variable `name`, which these tests require.
#[expect(
    clippy::disallowed_methods,
    reason = "tests have no configuration of their own"
)]
fn required(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run `scripts/with-services cargo test`"))
}

/// A word that no other test in this or another run uses.
fn unique() -> String {
    static RUN: OnceLock<u64> = OnceLock::new();
    let run = RUN.get_or_init(|| fastrand::u64(..));
    format!("t{run:016x}{:08x}", fastrand::u32(..))
}

/// Settings for an emulator of AWS at `url`.
fn emulator(url: &str) -> AwsSettings {
    AwsSettings {
        region: Some("us-east-1".to_owned()),
        endpoint_url: Some(url.to_owned()),
        credentials: Some(AwsCredentials {
            access_key_id: "000000000000".to_owned(),
            secret_access_key: "test".into(),
            session_token: None,
        }),
    }
}

/// A separate client for each test: connections belong to the runtime that opened them.
fn http_client() -> reqwest::Client {
    lark_service::aws::http(DEFAULT_IDLE_TIMEOUT).unwrap()
}
