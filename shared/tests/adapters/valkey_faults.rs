//! Valkey that stops, comes back, hangs and closes connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use lark_service::cache::iam::IamAuth;
use lark_service::cache::valkey::{ValkeyAuth, ValkeyCache, ValkeySettings};
use lark_service::cache::{Cache, CacheClient, CacheError};
use lark_service::clock::SystemClock;

use crate::server::{PATIENCE, Server, answers, eventually};
use crate::valkey::{put, settings};

const RESPONSE_TIMEOUT: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(600);

fn impatient(server: &Server) -> ValkeySettings {
    ValkeySettings {
        response_timeout: RESPONSE_TIMEOUT,
        connect_timeout: RESPONSE_TIMEOUT,
        ..settings(&server.url())
    }
}

fn connect(server: &Server) -> ValkeyCache {
    ValkeyCache::connect(&impatient(server)).unwrap()
}

/// Time-outs that no test outlasts.
fn patient(server: &Server) -> ValkeyCache {
    ValkeyCache::connect(&ValkeySettings {
        response_timeout: LONG,
        connect_timeout: LONG,
        ..settings(&server.url())
    })
    .unwrap()
}

/// `cache` is a [`patient`] one: a call that waited for a time-out would not end.
async fn fails_at_once(cache: &ValkeyCache) {
    let outcome = tokio::time::timeout(PATIENCE, cache.get("key"));
    let outcome = outcome.await.expect("it does not wait");
    assert!(
        matches!(outcome, Err(CacheError::Unavailable(_))),
        "{outcome:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_server_is_down_calls_fail_at_once_and_later_it_recovers() {
    let mut server = Server::start(&[]).await;
    let cache = patient(&server);
    cache.warm().await.unwrap();
    server.kill();
    for _ in 0..20 {
        fails_at_once(&cache).await;
    }
    server.run().await;
    eventually("the cache answers again", async || answers(&cache).await).await;
    cache.put("key", b"value", LONG).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_the_first_call_succeeds() {
    let mut server = Server::start(&[]).await;
    let cache = connect(&server);
    cache.put("key", b"value", LONG).await.unwrap();
    server.kill();
    server.run().await;
    assert_eq!(cache.get("key").await.unwrap(), None);
}

/// The restarted server has lost its scripts, too.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_the_first_script_succeeds() {
    let mut server = Server::start(&[]).await;
    let cache = connect(&server);
    assert_eq!(cache.put_newer(&[put("key")]).await.unwrap(), 1);
    server.kill();
    server.run().await;
    assert_eq!(cache.put_newer(&[put("key")]).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_yet_is_found_when_it_is() {
    let mut server = Server::start(&[]).await;
    server.kill();
    let cache = patient(&server);
    assert!(cache.warm().await.is_err());
    fails_at_once(&cache).await;
    server.run().await;
    eventually("the cache connects", async || cache.warm().await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_server_costs_the_response_timeout_and_no_more() {
    let server = Server::start(&[]).await;
    let cache = connect(&server);
    cache.put("key", b"value", LONG).await.unwrap();
    server.freeze();
    // On the existing connection, then on one that cannot log in.
    for _ in 0..2 {
        let started = Instant::now();
        let outcome = cache.get("key").await;
        assert!(matches!(outcome, Err(CacheError::Timeout)), "{outcome:?}");
        assert!(
            started.elapsed() < RESPONSE_TIMEOUT * 2,
            "took {:?}",
            started.elapsed()
        );
    }
    server.thaw();
    eventually("the cache answers again", async || answers(&cache).await).await;
    assert_eq!(
        cache.get("key").await.unwrap().as_deref(),
        Some(b"value".as_slice())
    );
}

/// Callers give up long before the response time-out, so it never fires.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_connection_is_left_when_a_caller_gives_up_on_it() {
    let server = Server::start(&[]).await;
    let cache = ValkeyCache::connect(&ValkeySettings {
        response_timeout: LONG,
        ..impatient(&server)
    })
    .unwrap();
    cache.put("key", b"value", LONG).await.unwrap();
    server.freeze();
    let patience = Duration::from_millis(50);
    eventually("a caller gets a new connection, which fails", async || {
        matches!(
            tokio::time::timeout(patience + RESPONSE_TIMEOUT, cache.get("key")).await,
            Ok(Err(CacheError::Timeout))
        )
    })
    .await;
    server.thaw();
    eventually("the cache answers again", async || answers(&cache).await).await;
}

/// Frozen for longer than a connection may be silent, so that the probes need a new one.
#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_server_is_skipped_at_once_and_found_again() {
    let server = Server::start(&[]).await;
    let cache = CacheClient::new(Arc::new(connect(&server)), RESPONSE_TIMEOUT);
    cache.put("key", b"value", LONG).await.unwrap();
    server.freeze();
    let outcome = cache.get("key").await;
    assert!(matches!(outcome, Err(CacheError::Timeout)), "{outcome:?}");
    let started = Instant::now();
    eventually("the connection has been silent for long", async || {
        let outcome = cache.get("key").await;
        assert!(matches!(outcome, Err(CacheError::Skipped)), "{outcome:?}");
        started.elapsed() > Duration::from_millis(1_500)
    })
    .await;
    server.thaw();
    eventually("the cache answers again", async || {
        cache.get("key").await.is_ok_and(|value| value.is_some())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_server_hung_up_on_an_idle_connection_the_next_call_succeeds() {
    let server = Server::start(&["--timeout", "1", "--hz", "100"]).await;
    let (idle, watch) = (connect(&server), connect(&server));
    idle.put("key", b"value", LONG).await.unwrap();
    hung_up(&server, &watch).await;
    assert_eq!(
        idle.get("key").await.unwrap().as_deref(),
        Some(b"value".as_slice())
    );
    hung_up(&server, &watch).await;
    let scores = [("one".to_owned(), 1.0)];
    let added = idle.add_scores("scores", &scores, 1, LONG).await;
    added.expect("it is not repeated, but the connection is checked first");
    hung_up(&server, &watch).await;
    assert_eq!(idle.put_newer(&[put("token")]).await.unwrap(), 1);
}

/// Waits until the server has only the connections of `watch` and of this function.
async fn hung_up(server: &Server, watch: &ValkeyCache) {
    let client = redis::Client::open(server.url()).unwrap();
    eventually("the server hangs up", async || {
        watch.ping().await.unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let clients: String = redis::cmd("CLIENT")
            .arg("LIST")
            .query_async(&mut connection)
            .await
            .unwrap();
        clients.lines().count() == 2
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_given_and_a_wrong_one_refused() {
    let server = Server::start(&["--user", "lark", "on", ">correct", "~*", "&*", "+@all"]).await;
    let with = |password: &str| {
        let auth = ValkeyAuth::Password {
            user: Some("lark".to_owned()),
            password: password.into(),
        };
        ValkeyCache::connect(&ValkeySettings {
            auth,
            ..impatient(&server)
        })
        .unwrap()
    };
    with("correct").put("key", b"value", LONG).await.unwrap();
    let error = with("wrong").warm().await.unwrap_err();
    let text = format!("{error:?}");
    assert!(
        matches!(error, CacheError::Unavailable(_)) && text.contains("AuthenticationFailed"),
        "{text}"
    );
}

/// The server takes any password, so this shows when tokens are made, not that ElastiCache accepts them.
#[tokio::test(flavor = "multi_thread")]
async fn each_connection_logs_in_with_an_iam_token_of_its_own() {
    let mut server = Server::start(&["--user", "lark", "on", "nopass", "~*", "&*", "+@all"]).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let auth = ValkeyAuth::Iam(IamAuth {
        user: "lark".to_owned(),
        cache_name: "lark-cache".to_owned(),
        serverless: true,
        region: "eu-central-1".to_owned(),
        credentials: SharedCredentialsProvider::new(Counting(Arc::clone(&asked))),
        clock: Arc::new(SystemClock),
    });
    let cache = ValkeyCache::connect(&ValkeySettings {
        auth,
        ..impatient(&server)
    })
    .unwrap();
    assert_eq!(
        asked.load(Ordering::SeqCst),
        0,
        "nothing is made before it is needed"
    );
    cache.put("key", b"value", LONG).await.unwrap();
    let at_first = asked.load(Ordering::SeqCst);
    assert!(at_first > 0);
    server.kill();
    server.run().await;
    cache.put("key", b"value", LONG).await.unwrap();
    assert!(asked.load(Ordering::SeqCst) > at_first);
}

/// Credentials, and how often they were requested.
#[derive(Debug)]
struct Counting(Arc<AtomicUsize>);

impl ProvideCredentials for Counting {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        self.0.fetch_add(1, Ordering::SeqCst);
        future::ProvideCredentials::ready(Ok(Credentials::new(
            "AKIDEXAMPLE",
            "secret",
            None,
            None,
            "test",
        )))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_who_come_together_share_one_connection() {
    let server = Server::start(&[]).await;
    let cache = &connect(&server);
    let calls = (0..64).map(|call| async move {
        cache
            .put(&format!("key {call}"), b"value", LONG)
            .await
            .unwrap()
    });
    futures_util::future::join_all(calls).await;
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let info: String = redis::cmd("INFO")
        .arg("stats")
        .query_async(&mut connection)
        .await
        .unwrap();
    // The harness checked that the server is up, the cache connected, and this is the third.
    assert!(info.contains("total_connections_received:3\r\n"), "{info}");
}
