//! One piece of work for concurrent callers that ask for the same thing.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

/// The work panicked. Its waiters get this error; later callers start new work.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the shared work panicked")]
pub struct Panicked;

type Flight<V> = Shared<BoxFuture<'static, Result<V, Panicked>>>;

/// Work in flight, by key. The work is a separate task: it continues when a caller stops waiting, the first one included.
#[derive(Debug)]
pub struct Flights<K, V> {
    in_flight: Arc<Mutex<HashMap<K, Flight<V>>>>,
}

impl<K, V> Default for Flights<K, V> {
    fn default() -> Self {
        Self {
            in_flight: Arc::default(),
        }
    }
}

impl<K: Clone + Eq + Hash + Send + 'static, V: Clone + Send + Sync + 'static> Flights<K, V> {
    /// The outcome of the work in flight for `key`; `work` starts if there is none. The work must end by itself.
    ///
    /// # Errors
    /// [`Panicked`].
    pub async fn join<F>(&self, key: K, work: impl FnOnce() -> F) -> Result<V, Panicked>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let flight = {
            let mut in_flight = self
                .in_flight
                .lock()
                .expect("no panic while holding the flights");
            match in_flight.get(&key) {
                Some(flight) => flight.clone(),
                None => {
                    let flight = self.start(key.clone(), work());
                    in_flight.insert(key, flight.clone());
                    flight
                }
            }
        };
        flight.await
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "every caller waits for it; it ends when the last one's cancellation would not"
    )]
    fn start<F>(&self, key: K, work: F) -> Flight<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let landing = Landing {
            key: Some(key),
            in_flight: Arc::clone(&self.in_flight),
        };
        let task = tokio::spawn(async move {
            let _landing = landing;
            work.await
        });
        async { task.await.map_err(|_| Panicked) }.boxed().shared()
    }
}

/// Takes a flight off the list when its task ends, by a panic too.
struct Landing<K: Eq + Hash, V> {
    key: Option<K>,
    in_flight: Arc<Mutex<HashMap<K, Flight<V>>>>,
}

impl<K: Eq + Hash, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.in_flight
                .lock()
                .expect("no panic while holding the flights")
                .remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn many_callers_share_one_work_and_the_next_starts_anew() {
        let flights = Flights::<&str, u32>::default();
        let started = Arc::new(AtomicU32::new(0));
        let go = Arc::new(Notify::new());
        let work = || {
            let (started, go) = (Arc::clone(&started), Arc::clone(&go));
            async move {
                let number = started.fetch_add(1, Ordering::SeqCst);
                go.notified().await;
                number
            }
        };
        let callers = futures_util::future::join_all((0..50).map(|_| flights.join("k", work)));
        let (outcomes, ()) = tokio::join!(callers, async {
            tokio::task::yield_now().await;
            go.notify_one();
        });
        assert!(outcomes.iter().all(|outcome| *outcome == Ok(0)));
        go.notify_one();
        assert_eq!(flights.join("k", work).await, Ok(1));
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_callers_cancellation_stops_nothing() {
        let flights = Flights::<&str, u32>::default();
        let work = || async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            7
        };
        let first = tokio::time::timeout(Duration::from_secs(1), flights.join("k", work));
        let second = flights.join("k", || async { 8 });
        let (first, second) = tokio::join!(first, second);
        assert!(first.is_err());
        assert_eq!(second, Ok(7));
    }

    #[tokio::test]
    async fn a_panic_is_told_and_does_not_stay() {
        let flights = Flights::<&str, u32>::default();
        assert_eq!(
            flights.join("k", || async { panic!("on purpose") }).await,
            Err(Panicked)
        );
        assert_eq!(flights.join("k", || async { 9 }).await, Ok(9));
    }
}
