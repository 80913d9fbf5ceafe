//! Finding a cache by its name, in an emulator of ElastiCache.

use aws_sdk_elasticache::Client;
use lark_service::aws::sdk_config;
use lark_service::cache::discovery::{DiscoveryError, find_group, find_serverless};

use crate::{emulator, http_client, required, unique};

async fn client() -> Client {
    let settings = emulator(&required("LARK_TEST_DYNAMODB_URL_1"));
    Client::new(&sdk_config(&http_client(), &settings).await)
}

#[tokio::test]
async fn a_replication_group_is_found_by_its_name() {
    let client = client().await;
    let name = unique();
    client
        .create_replication_group()
        .replication_group_id(&name)
        .replication_group_description("test")
        .engine("valkey")
        .cache_node_type("cache.t4g.micro")
        .send()
        .await
        .unwrap();
    let endpoint = find_group(&client, &name).await.unwrap();
    assert!(!endpoint.host.is_empty() && endpoint.port > 0);
    assert!(!endpoint.cluster && !endpoint.serverless);
    assert!(
        endpoint
            .to_string()
            .ends_with(&format!("://{}:{}", endpoint.host, endpoint.port))
    );
}

#[tokio::test]
async fn a_name_that_nothing_has_is_named_in_the_error() {
    let client = client().await;
    let as_group = find_group(&client, "no-such-cache").await.unwrap_err();
    let as_serverless = find_serverless(&client, "no-such-cache").await.unwrap_err();
    for error in [as_group, as_serverless] {
        assert!(
            matches!(&error, DiscoveryError::Unknown { name } if name == "no-such-cache"),
            "{error:?}"
        );
    }
}
