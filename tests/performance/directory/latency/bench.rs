//! The function in this process, and the floors that it is compared with.

use std::fs::{File, OpenOptions};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lambda_http::Request;
use lark_service::cache::CacheClient;
use lark_service::http::{self, Reply};
use lark_service::telemetry::{emf::EmfRecorder, init_logs};
use lark_service_tests::cluster::TestCluster;
use lark_service_tests::servers::variable;
use lark_service_tests::world::{APP, Process};
use serde_json::{Value, json};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use super::{LocalCache, RAW_BYTES, RAW_KEY, timed};
use crate::report::Samples;

/// Longer than any run.
const RAW_TTL: Duration = Duration::from_secs(3_600);

/// Two processes of the service that share a thread, and their logs and metrics.
pub(crate) struct Bench {
    with_local_cache: Process,
    without_local_cache: Process,
    metrics: EmfRecorder,
    nowhere: File,
}

impl Bench {
    /// Starts logs and metrics as a function on Lambda does, except that they go to `/dev/null`.
    pub(crate) async fn over(cluster: &TestCluster) -> Self {
        let nowhere = OpenOptions::new().write(true).open("/dev/null").unwrap();
        let log = BoxMakeWriter::new(Arc::new(nowhere.try_clone().unwrap()));
        init_logs(LevelFilter::INFO, log).unwrap();
        let metrics = EmfRecorder::default();
        metrics::set_global_recorder(metrics.clone()).unwrap();
        // Past the proxy that faults come through.
        let store = variable("LARK_TEST_DYNAMODB_URL_2");
        let store = ("AWS_ENDPOINT_URL", store.as_str());
        let nothing = ("LARK_SERVICE_LOCAL_CACHE_BYTES", "1");
        Self {
            with_local_cache: cluster.process_as(&[store]).await,
            without_local_cache: cluster.process_as(&[store, nothing]).await,
            metrics,
            nowhere,
        }
    }

    pub(crate) const fn process(&self, local_cache: LocalCache) -> &Process {
        match local_cache {
            LocalCache::On => &self.with_local_cache,
            LocalCache::Off => &self.without_local_cache,
        }
    }

    pub(crate) fn cache(&self) -> &CacheClient {
        self.without_local_cache.0.cache.as_ref().unwrap()
    }

    pub(crate) async fn put_raw(&self) {
        let value = [b'x'; RAW_BYTES];
        self.cache().put(RAW_KEY, &value, RAW_TTL).await.unwrap();
    }

    /// Round trips to Valkey.
    pub(crate) async fn raw(&mut self, calls: u32) -> Samples {
        let mut samples = Samples::default();
        for _ in 0..calls {
            let (took, value) = timed(self.cache().get(RAW_KEY)).await;
            assert_eq!(value.unwrap().unwrap().len(), RAW_BYTES);
            samples.add(took);
        }
        self.flush();
        samples
    }

    /// Round trips for two values at once.
    pub(crate) async fn raw_twice(&mut self, calls: u32) -> Samples {
        let mut samples = Samples::default();
        for _ in 0..calls {
            let cache = self.cache();
            let both = async { tokio::join!(cache.get(RAW_KEY), cache.get(RAW_KEY)) };
            let (took, (one, other)) = timed(both).await;
            assert_eq!(one.unwrap(), other.unwrap());
            samples.add(took);
        }
        self.flush();
        samples
    }

    /// A handler that answers a constant.
    pub(crate) async fn empty(&mut self, calls: u32) -> Samples {
        let mut samples = Samples::default();
        let request = user_request(1);
        for _ in 0..calls {
            let began = Instant::now();
            let answer = async |_: &http::Call<'_>| Ok(Reply::raw_json("{}".to_owned()));
            let response = http::serve("empty", &request, answer).await;
            self.flush();
            samples.add(began.elapsed());
            assert_eq!(response.status(), 200);
        }
        samples
    }

    /// Looks up users one after the other: the times of those whose `Cache-Status` contains `status`, with and without the
    /// time to write metrics.
    pub(crate) async fn users(
        &mut self,
        local_cache: LocalCache,
        numbers: &[u32],
        status: Option<&str>,
    ) -> (Samples, Samples) {
        let requests: Vec<Request> = numbers.iter().map(|number| user_request(*number)).collect();
        let (mut whole, mut silent) = (Samples::default(), Samples::default());
        for request in requests {
            let services = &self.process(local_cache).0;
            let (admission, users) = (&services.admission, &services.users);
            let began = Instant::now();
            let Ok(response) = get_user::handle(admission, users, request).await;
            let before_metrics = began.elapsed();
            self.flush();
            let took = began.elapsed();
            assert_eq!(response.status(), 200);
            let said = response.headers()["cache-status"].to_str().unwrap();
            if status.is_none_or(|status| said.contains(status)) {
                whole.add(took);
                silent.add(before_metrics);
            }
        }
        let elsewhere = numbers.len() - whole.len();
        assert!(
            elsewhere * 10 <= numbers.len(),
            "{elsewhere} not {status:?}"
        );
        (whole, silent)
    }

    /// Looks up so many users at once, from `first` on.
    pub(crate) async fn batch(
        &mut self,
        local_cache: LocalCache,
        first: u32,
        count: u32,
    ) -> Duration {
        let request = batch_request(first, count);
        let services = &self.process(local_cache).0;
        let (admission, users) = (&services.admission, &services.users);
        let began = Instant::now();
        let Ok(response) = batch_get_users::handle(admission, users, request).await;
        self.flush();
        let took = began.elapsed();
        assert_eq!(response.status(), 200);
        let lambda_http::Body::Text(text) = response.into_body() else {
            panic!("no text")
        };
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(answer["users"].as_array().unwrap().len(), count as usize);
        took
    }

    /// Writes the metrics, as the end of an invocation does.
    pub(crate) fn flush(&mut self) {
        self.metrics.flush(&mut self.nowhere);
    }
}

/// `GET /v1/users/{id}`, as API Gateway hands it over.
pub(crate) fn user_request(number: u32) -> Request {
    let id = lark_simulator::open_id(APP, number);
    let mut event = sample(include_str!("../../../../events/get-user.json"));
    event["rawPath"] = json!(format!("/v1/users/{id}"));
    event["pathParameters"]["id"] = json!(id);
    request(&event)
}

/// `POST /v1/users/batch` for so many users from `first` on.
fn batch_request(first: u32, count: u32) -> Request {
    let ids = (first..first + count).map(|number| lark_simulator::open_id(APP, number));
    let body = json!({"open_ids": ids.collect::<Vec<String>>()});
    let mut event = sample(include_str!("../../../../events/batch-get-users.json"));
    event["body"] = json!(body.to_string());
    request(&event)
}

/// A sample event, for the app of the simulator's first users.
fn sample(text: &str) -> Value {
    let mut event: Value = serde_json::from_str(text).unwrap();
    event["headers"]["x-lark-app-id"] = json!(APP);
    event
}

fn request(event: &Value) -> Request {
    lambda_http::request::from_str(&event.to_string()).unwrap()
}
