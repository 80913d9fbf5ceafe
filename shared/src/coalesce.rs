//! One piece of work for concurrent callers that ask for the same thing.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

use crate::clock::{Clock, Stopwatch};

/// The work panicked. Its waiters get this error; later callers start new work.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the shared work panicked")]
pub struct Panicked;

type Outcome<V> = Shared<BoxFuture<'static, Result<V, Panicked>>>;

/// Work in flight, by key. The work is a separate task: it continues when a caller stops waiting, the first one included.
#[derive(Debug)]
pub struct Flights<K, V> {
    in_flight: Arc<Mutex<InFlight<K, V>>>,
}

#[derive(Debug)]
struct InFlight<K, V> {
    by_key: HashMap<K, Flight<V>>,
    /// How many flights have started: the number of the last one.
    started: u64,
}

#[derive(Debug)]
struct Flight<V> {
    number: u64,
    /// Since when it is in flight.
    watch: Stopwatch,
    outcome: Outcome<V>,
}

impl<K, V> Default for InFlight<K, V> {
    fn default() -> Self {
        Self {
            by_key: HashMap::new(),
            started: 0,
        }
    }
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
    /// Work that is in flight for more than `longest` by `clock` is not joined: the process was frozen with it, and its outcome is an
    /// old one. `work` then starts beside it, and later callers join that.
    ///
    /// # Errors
    /// [`Panicked`].
    pub async fn join<F>(
        &self,
        key: K,
        longest: Duration,
        clock: &dyn Clock,
        work: impl FnOnce() -> F,
    ) -> Result<V, Panicked>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let outcome = self.joined(key, longest, clock, work);
        outcome.await
    }

    /// The outcome of the flight for `key` that may be joined, or of a new one.
    fn joined<F>(
        &self,
        key: K,
        longest: Duration,
        clock: &dyn Clock,
        work: impl FnOnce() -> F,
    ) -> Outcome<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut in_flight = self
            .in_flight
            .lock()
            .expect("no panic while holding the flights");
        if let Some(flight) = in_flight.by_key.get(&key)
            && flight.watch.elapsed(clock) <= longest
        {
            return flight.outcome.clone();
        }
        in_flight.started += 1;
        let number = in_flight.started;
        let outcome = self.start(key.clone(), number, work());
        let flight = Flight {
            number,
            watch: Stopwatch::start(clock),
            outcome: outcome.clone(),
        };
        in_flight.by_key.insert(key, flight);
        outcome
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "every caller waits for it; it ends when the last one's cancellation would not"
    )]
    fn start<F>(&self, key: K, number: u64, work: F) -> Outcome<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let landing = Landing {
            key,
            number,
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
    key: K,
    number: u64,
    in_flight: Arc<Mutex<InFlight<K, V>>>,
}

impl<K: Eq + Hash, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        let mut in_flight = self
            .in_flight
            .lock()
            .expect("no panic while holding the flights");
        let listed = in_flight.by_key.get(&self.key);
        if listed.is_some_and(|flight| flight.number == self.number) {
            in_flight.by_key.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use tokio::sync::{Notify, oneshot};

    use super::*;
    use crate::clock::{ManualClock, SystemClock, Timestamp};

    const LONGEST: Duration = Duration::from_secs(28);

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
        let callers = futures_util::future::join_all(
            (0..50).map(|_| flights.join("k", LONGEST, &SystemClock, work)),
        );
        let (outcomes, ()) = tokio::join!(callers, async {
            tokio::task::yield_now().await;
            go.notify_one();
        });
        assert!(outcomes.iter().all(|outcome| *outcome == Ok(0)));
        go.notify_one();
        assert_eq!(flights.join("k", LONGEST, &SystemClock, work).await, Ok(1));
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_callers_cancellation_stops_nothing() {
        let flights = Flights::<&str, u32>::default();
        let work = || async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            7
        };
        let first = tokio::time::timeout(
            Duration::from_secs(1),
            flights.join("k", LONGEST, &SystemClock, work),
        );
        let second = flights.join("k", LONGEST, &SystemClock, || async { 8 });
        let (first, second) = tokio::join!(first, second);
        assert!(first.is_err());
        assert_eq!(second, Ok(7));
    }

    /// Work that ends when told to, with what it is told.
    fn told() -> (oneshot::Sender<u32>, impl Future<Output = u32>) {
        let (tell, hear) = oneshot::channel();
        (tell, async { hear.await.unwrap() })
    }

    #[tokio::test]
    async fn work_that_was_frozen_beyond_its_time_is_not_joined() {
        let clock = &ManualClock::at(Timestamp::from_seconds(1_700_000_000));
        let flights = &Flights::<&str, u32>::default();
        let ((tell_old, old), (tell_new, new)) = (told(), told());
        let mut first = std::pin::pin!(flights.join("k", LONGEST, clock, || old));
        assert!(futures_util::poll!(first.as_mut()).is_pending());
        // Young enough: its outcome is shared.
        clock.advance(LONGEST);
        let (_, unused) = told();
        let mut joined = std::pin::pin!(flights.join("k", LONGEST, clock, || unused));
        assert!(futures_util::poll!(joined.as_mut()).is_pending());
        clock.advance(Duration::from_millis(1));
        let mut fresh = std::pin::pin!(flights.join("k", LONGEST, clock, || new));
        assert!(futures_util::poll!(fresh.as_mut()).is_pending());
        // The old one lands first and does not take the new one off the list.
        tell_old.send(1).unwrap();
        assert_eq!(joined.await, Ok(1));
        assert_eq!(first.await, Ok(1));
        let (_, unused) = told();
        let mut later = std::pin::pin!(flights.join("k", LONGEST, clock, || unused));
        assert!(futures_util::poll!(later.as_mut()).is_pending());
        tell_new.send(2).unwrap();
        assert_eq!((fresh.await, later.await), (Ok(2), Ok(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn tokio_s_time_alone_makes_a_flight_too_old() {
        let clock = ManualClock::at(Timestamp::from_seconds(1_700_000_000));
        let flights = Flights::<&str, u32>::default();
        let slow = async {
            tokio::time::sleep(LONGEST * 2).await;
            1
        };
        let first = flights.join("k", LONGEST, &clock, || slow);
        let second = async {
            tokio::time::sleep(LONGEST + Duration::from_millis(1)).await;
            flights.join("k", LONGEST, &clock, || async { 2 }).await
        };
        assert_eq!(tokio::join!(first, second), (Ok(1), Ok(2)));
    }

    #[tokio::test]
    async fn a_panic_is_told_and_does_not_stay() {
        let flights = Flights::<&str, u32>::default();
        assert_eq!(
            flights
                .join("k", LONGEST, &SystemClock, || async {
                    panic!("on purpose")
                })
                .await,
            Err(Panicked)
        );
        assert_eq!(
            flights
                .join("k", LONGEST, &SystemClock, || async { 9 })
                .await,
            Ok(9)
        );
    }
}
