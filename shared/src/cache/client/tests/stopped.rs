//! A process that is stopped while it waits for the cache.

use super::*;

/// The process is stopped for `length`: all its timers run out at once, and nothing else happens.
async fn stop_the_process(length: Duration) {
    let_probes_run().await;
    tokio::time::advance(length).await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_lay_unread_while_the_process_was_stopped_is_read() {
    for (patience, is_write) in [(READ_PATIENCE, false), (WRITE_PATIENCE, true)] {
        let (client, cache) = client();
        cache.mood.send_replace(Mood::Frozen);
        let asked = async {
            if is_write {
                client.put("key", b"value", LONG).await
            } else {
                client.get("key").await.map(drop)
            }
        };
        let stopped = async {
            stop_the_process(Duration::from_secs(70)).await;
            // The answer arrives with the next look at the socket, after the timer.
            tokio::time::sleep(Duration::from_millis(10)).await;
            cache.mood.send_replace(Mood::Well);
        };
        let (outcome, ()) = tokio::join!(asked, stopped);
        assert!(outcome.is_ok(), "{patience:?}: {outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_failed_while_the_process_was_stopped_says_nothing_about_the_cache() {
    let (client, cache) = client();
    cache.mood.send_replace(Mood::Frozen);
    for _ in 0..5 {
        let (asked, ()) = tokio::join!(
            timed(client.get("key")),
            stop_the_process(Duration::from_secs(70))
        );
        assert!(matches!(asked.1, Err(CacheError::Timeout)), "{asked:?}");
        let most = Duration::from_secs(70) + READ_PATIENCE;
        assert!(asked.0 <= most, "waited {:?}", asked.0);
    }
    cache.mood.send_replace(Mood::Well);
    client.get("key").await.unwrap();
    // A process that is awake still finds out at once.
    freeze(&client, &cache).await;
    assert_skipped(&client).await;
}
