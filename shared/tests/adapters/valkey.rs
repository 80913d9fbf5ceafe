//! The contract of the cache on Valkey.

use std::time::Duration;

use futures_util::future::BoxFuture;
use lark_service::cache::Put;
use lark_service::cache::contract::{Aged, test_cache_adapter};
use lark_service::cache::valkey::{ValkeyAuth, ValkeyCache, ValkeySettings};

use crate::required;

pub(crate) fn settings(url: &str) -> ValkeySettings {
    ValkeySettings {
        url: url.parse().unwrap(),
        cluster: false,
        auth: ValkeyAuth::None,
        connect_timeout: Duration::from_secs(2),
        response_timeout: Duration::from_secs(2),
        root_certificates: None,
    }
}

/// The first version of a value at `key`.
pub(crate) fn put(key: &str) -> Put {
    Put {
        key: key.to_owned(),
        version: 1,
        value: "value".into(),
        ttl: Duration::from_secs(600),
    }
}

/// A server's time cannot be moved, so this waits.
pub(crate) fn wait(length: Duration) -> BoxFuture<'static, ()> {
    Box::pin(tokio::time::sleep(length))
}

test_cache_adapter!(async {
    Aged::new(
        ValkeyCache::connect(&settings(&required("LARK_TEST_VALKEY_URL"))).unwrap(),
        wait,
    )
});
