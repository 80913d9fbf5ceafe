//! Whether the service's own dependencies answer. Lark is not one of them: a probe each minute would eat the monthly quota
//! of calls.

use std::time::{Duration, Instant};

use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::Object;

use crate::cache::CacheClient;
use crate::deadline::Deadline;
use crate::schema::one_of;
use crate::store::Storage;
use crate::telemetry;

/// A probe that takes longer counts as a failure.
const PATIENCE: Duration = Duration::from_secs(3);

/// How the service as a whole stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReadinessStatus {
    /// Everything answers.
    Ready,
    /// A dependency is down without which the service works more slowly.
    Degraded,
    /// Requests fail.
    Unavailable,
}

/// One dependency.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Dependency {
    /// `store` or `cache`.
    #[schema(schema_with = names)]
    pub name: &'static str,
    /// Whether it answered.
    pub ok: bool,
    /// How long that took, in milliseconds.
    #[schema(minimum = 0)]
    pub latency_ms: f64,
}

/// Every dependency, probed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// The service as a whole. `degraded`: something is missing that the service works without, more slowly.
    #[schema(inline)]
    pub status: ReadinessStatus,
    /// Each dependency.
    pub dependencies: Vec<Dependency>,
}

fn names() -> Object {
    one_of("Which one.", ["store", "cache"])
}

impl Readiness {
    /// Probes the dependencies concurrently.
    pub async fn probe(storage: &Storage, cache: Option<&CacheClient>, deadline: Deadline) -> Self {
        let deadline = deadline.at_most(PATIENCE);
        let store = timed("store", async { storage.ping(deadline).await.is_ok() });
        let cache = async {
            match cache {
                Some(cache) => Some(
                    timed("cache", async {
                        matches!(deadline.run(cache.ping()).await, Ok(Ok(())))
                    })
                    .await,
                ),
                None => None,
            }
        };
        let (store, cache) = tokio::join!(store, cache);
        let status = match (store.ok, cache.as_ref().is_none_or(|cache| cache.ok)) {
            (true, true) => ReadinessStatus::Ready,
            (true, false) => ReadinessStatus::Degraded,
            (false, _) => ReadinessStatus::Unavailable,
        };
        Self {
            status,
            dependencies: std::iter::once(store).chain(cache).collect(),
        }
    }
}

async fn timed(name: &'static str, probe: impl Future<Output = bool>) -> Dependency {
    let started = Instant::now();
    let ok = probe.await;
    Dependency {
        name,
        ok,
        latency_ms: telemetry::millis(started.elapsed()),
    }
}
