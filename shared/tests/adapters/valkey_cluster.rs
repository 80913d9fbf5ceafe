//! The contract of the cache on a Valkey cluster of several nodes.

use std::time::{Duration, Instant};

use lark_service::cache::Cache;
use lark_service::cache::contract::{Aged, test_cache_adapter};
use lark_service::cache::valkey::{ValkeyCache, ValkeySettings};

use crate::required;
use crate::server::{Server, eventually};
use crate::valkey::{put, settings, wait};

const LONG: Duration = Duration::from_secs(600);

fn cache() -> ValkeyCache {
    let settings = settings(&required("LARK_TEST_VALKEY_CLUSTER_URL"));
    ValkeyCache::connect(&ValkeySettings {
        cluster: true,
        ..settings
    })
    .unwrap()
}

test_cache_adapter!(async { Aged::new(cache(), wait) });

/// A cluster of one node that can be restarted: it keeps its slots in a file.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_was_gone_is_used_again() {
    let mut server = Server::start(&["--cluster-enabled", "yes"]).await;
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let slots = redis::cmd("CLUSTER")
        .arg(&["ADDSLOTSRANGE", "0", "16383"])
        .exec_async(&mut connection)
        .await;
    slots.unwrap();
    let cache = ValkeyCache::connect(&ValkeySettings {
        cluster: true,
        ..settings(&server.url())
    })
    .unwrap();
    let is_written = async || cache.put("key", b"value", LONG).await.is_ok();
    eventually("the node takes its slots", is_written).await;
    server.kill();
    for _ in 0..5 {
        let started = Instant::now();
        assert!(!is_written().await);
        assert!(
            started.elapsed() < Duration::from_secs(2),
            "took {:?}",
            started.elapsed()
        );
    }
    server.run().await;
    eventually("the cluster is used again", is_written).await;
    assert_eq!(cache.put_newer(&[put("token")]).await.unwrap(), 1);
}
