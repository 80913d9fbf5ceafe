//! The promises of the cache, kept by Valkey as a cluster of several nodes.

use lark_service::cache::contract::{Aged, test_cache_adapter};
use lark_service::cache::valkey::{ValkeyCache, ValkeySettings};

use crate::required;
use crate::valkey::{settings, wait};

fn cache() -> ValkeyCache {
    let settings = settings(&required("LARK_TEST_VALKEY_CLUSTER_URL"));
    ValkeyCache::connect(&ValkeySettings {
        cluster: true,
        ..settings
    })
    .unwrap()
}

test_cache_adapter!(async { Aged::new(cache(), wait) });
