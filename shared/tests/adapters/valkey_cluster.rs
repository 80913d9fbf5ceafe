//! Valkey as a cluster of three nodes.

use std::ops::RangeInclusive;
use std::sync::{Arc, Weak};

use lark_service::cache::contract::{Aged, test_cache_adapter};
use lark_service::cache::valkey::{ValkeyCache, ValkeySettings};
use redis::aio::MultiplexedConnection;
use redis::cmd;
use tokio::sync::Mutex;

use crate::server::{Server, eventually};
use crate::valkey::{settings, wait};

/// Which of the 16,384 slots each node has.
const SLOTS: [RangeInclusive<u16>; 3] = [0..=5_460, 5_461..=10_922, 10_923..=16_383];

/// The nodes, shared by the cases that run at the same time; the last of them ends the nodes.
static NODES: Mutex<Weak<Vec<Server>>> = Mutex::const_new(Weak::new());

async fn nodes() -> Arc<Vec<Server>> {
    let mut nodes = NODES.lock().await;
    if let Some(nodes) = nodes.upgrade() {
        return nodes;
    }
    let started = Arc::new(start().await);
    *nodes = Arc::downgrade(&started);
    started
}

async fn start() -> Vec<Server> {
    let mut nodes = Vec::new();
    for slots in SLOTS {
        let node =
            Server::start(&["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]).await;
        let mut connection = connection(&node).await;
        cluster(
            &mut connection,
            &[
                "ADDSLOTSRANGE",
                &slots.start().to_string(),
                &slots.end().to_string(),
            ],
        )
        .await;
        nodes.push(node);
    }
    let mut first = connection(&nodes[0]).await;
    for node in &nodes[1..] {
        cluster(&mut first, &["MEET", "127.0.0.1", &node.port().to_string()]).await;
    }
    for node in &nodes {
        let connection = connection(node).await;
        eventually("the node knows the whole cluster", async || {
            let info = cluster(&mut connection.clone(), &["INFO"]).await;
            info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
        })
        .await;
    }
    nodes
}

async fn connection(node: &Server) -> MultiplexedConnection {
    redis::Client::open(node.url())
        .unwrap()
        .get_multiplexed_async_connection()
        .await
        .unwrap()
}

async fn cluster(connection: &mut MultiplexedConnection, arguments: &[&str]) -> String {
    cmd("CLUSTER")
        .arg(arguments)
        .query_async(connection)
        .await
        .unwrap()
}

fn cache(nodes: &[Server]) -> ValkeyCache {
    ValkeyCache::connect(&ValkeySettings {
        cluster: true,
        ..settings(&nodes[0].url())
    })
    .unwrap()
}

async fn aged() -> Aged {
    let nodes = nodes().await;
    Aged::new(cache(&nodes), move |length| {
        let nodes = Arc::clone(&nodes);
        Box::pin(async move {
            wait(length).await;
            drop(nodes);
        })
    })
}

test_cache_adapter!(aged());
