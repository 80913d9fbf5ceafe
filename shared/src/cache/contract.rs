//! What every [`Cache`] promises, as tests that run on each adapter.
#![expect(missing_docs, reason = "the name of a case is its promise")]
#![expect(clippy::unwrap_used, reason = "a case is a test")]

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, join_all};

use crate::cache::{Cache, Claim, Put, split_version, versioned};
use crate::quota::{Decision, Place, Quota, Reservation, Window};

pub mod atomics;
pub mod claims;
pub mod many;
pub mod places;
pub mod scores;
pub mod throttle;
pub mod values;

/// Turns every case into a test of one adapter. The argument is a future of an [`Aged`] cache.
#[macro_export]
macro_rules! test_cache_adapter {
    ($factory:expr) => {
        $crate::test_cache_adapter! { @modules $factory;
            values: a_key_nobody_put_has_no_value, what_is_put_is_got, a_put_replaces_value_and_expiry,
                any_bytes_come_back, a_large_value_comes_back, many_values_come_in_the_order_of_their_keys,
                getting_no_values_is_fine, a_value_expires, a_time_to_live_of_zero_is_the_shortest,
                a_deleted_value_is_gone, deleting_a_value_needs_one, the_cache_answers;
            atomics: a_newer_version_replaces_an_older, the_same_and_older_versions_are_refused,
                versions_compare_as_numbers, a_version_replaces_what_has_none, a_newer_version_renews_the_expiry,
                a_refused_version_leaves_the_expiry, a_version_expires, the_newest_of_many_versions_stays,
                only_the_equal_value_is_deleted, deleting_an_equal_value_needs_one,
                a_version_that_nobody_can_have_given_yet_gives_way;
            many: many_values_are_put, of_many_only_newer_values_are_put, each_of_many_has_its_own_time_to_live,
                of_a_repeated_key_the_newest_stays, putting_no_values_is_fine;
            claims: a_free_lease_is_taken_and_nothing_is_there, a_held_lease_is_not_taken,
                the_value_is_told_to_everybody, a_holder_takes_its_lease_anew,
                a_refused_claim_does_not_renew_the_lease, a_lease_that_was_given_back_is_free,
                a_fence_is_a_moment_in_microseconds, a_fence_is_the_time_whatever_is_there, a_lease_that_lasts_longer_than_any_is_taken,
                an_earlier_holder_replaces_nothing_of_a_later_one, one_of_many_takes_the_lease,
                a_lease_may_guard_nothing_but_itself, a_lease_is_extended_by_its_holder_alone,
                a_lease_that_has_ended_is_not_extended, the_holder_of_a_lease_puts_what_is_newer,
                who_lost_a_lease_puts_nothing, everybody_is_told_the_time, time_goes_on;
            scores: scores_add_up_and_the_highest_come_first, no_more_scores_come_than_the_limit,
                only_the_highest_scores_are_kept, no_score_of_many_callers_is_lost,
                scores_expire_after_the_last_addition, whole_scores_are_exact_up_to_2_to_the_53,
                adding_no_scores_is_fine, taken_scores_are_gone, each_addition_is_taken_once;
            throttle: a_burst_is_admitted_and_then_nothing, what_is_refused_is_admitted_after_its_wait,
                the_tightest_window_decides, what_is_refused_costs_nothing, a_cost_is_taken_as_a_whole,
                what_costs_nothing_takes_nothing, keys_do_not_share_a_quota, many_callers_get_no_more_than_the_burst,
                a_state_out_of_all_measure_counts_as_empty, a_state_a_little_out_of_measure_is_cut_off,
                it_decides_as_the_core_does, an_entry_is_gone_once_all_has_come_back;
            places: all_of_a_window_go_at_once_and_the_next_wait, who_has_no_patience_is_refused_with_the_wait,
                many_callers_get_places_that_differ, every_window_is_kept, who_is_refused_later_is_told_to_come_later,
                keys_have_places_of_their_own, a_pause_delays_or_refuses_everything, a_pause_ends,
                a_pause_is_made_longer_but_not_shorter, a_pause_leaves_places_where_they_are,
                the_last_place_is_given_back, places_are_given_back_in_the_order_of_leaving,
                a_place_is_kept_once_somebody_came_after_it, a_place_is_given_back_once,
                giving_a_place_back_leaves_a_pause, a_state_that_cannot_have_come_about_counts_for_nothing,
                it_queues_as_the_core_does, it_keeps_the_bytes_of_the_core, an_entry_of_places_is_gone_with_the_last;
        }
    };
    (@modules $factory:expr; $($module:ident: $($case:ident),+;)+) => {
        $(mod $module {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $case() {
                    $crate::cache::contract::$module::$case(&$factory.await).await;
                }
            )+
        })+
    };
}
pub use test_cache_adapter;

/// A cache and a way to let time pass for it.
pub struct Aged {
    cache: Box<dyn Cache>,
    let_time_pass: Box<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>,
    prefix: String,
}

impl Aged {
    /// `let_time_pass(length)` moves the clock of `cache` by `length`, or waits for a real server; at least some time must
    /// pass. Other tests may use the same cache: each case has its own keys.
    pub fn new(
        cache: impl Cache + 'static,
        let_time_pass: impl Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) -> Self {
        static CASES: AtomicU64 = AtomicU64::new(0);
        let case = CASES.fetch_add(1, Ordering::Relaxed);
        let prefix = format!(
            "contract {} {case} {:016x}",
            std::process::id(),
            fastrand::u64(..)
        );
        Self {
            cache: Box::new(cache),
            let_time_pass: Box::new(let_time_pass),
            prefix,
        }
    }

    fn key(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix)
    }

    async fn get(&self, key: &str) -> Option<Bytes> {
        self.cache.get(key).await.unwrap()
    }

    async fn put(&self, key: &str, value: &[u8]) {
        self.cache.put(key, value, LONG).await.unwrap();
    }

    async fn put_newer(&self, key: &str, version: u64, value: &str) -> bool {
        self.put_newer_for(LONG, key, version, value).await
    }

    async fn put_newer_for(&self, ttl: Duration, key: &str, version: u64, value: &str) -> bool {
        self.put_many(&[put(key, version, value, ttl)]).await == 1
    }

    /// How many of `puts` were put.
    async fn put_many(&self, puts: &[Put]) -> usize {
        self.cache.put_newer(puts).await.unwrap()
    }

    async fn delete(&self, key: &str, only_if: Option<&[u8]>) -> bool {
        self.cache.delete(key, only_if).await.unwrap()
    }

    async fn version(&self, key: &str) -> Option<(u64, Bytes)> {
        self.get(key).await.as_ref().and_then(split_version)
    }

    async fn throttle(&self, key: &str, quotas: &[Quota], cost: u32) -> Decision {
        self.cache.throttle(key, quotas, cost).await.unwrap()
    }

    async fn reserve(&self, key: &str, windows: &[Window], patience: Duration) -> Reservation {
        let reserved = self.cache.reserve(key, windows, patience);
        reserved.await.unwrap()
    }

    async fn give_back(&self, key: &str, windows: &[Window], place: Place) -> bool {
        self.cache.give_back(key, windows, place).await.unwrap()
    }

    async fn pause(&self, key: &str, length: Duration) {
        self.cache.pause(key, length).await.unwrap();
    }

    /// Waits until everything put for [`SHORT`] has expired: puts one more value and waits for that to expire.
    async fn let_short_pass(&self) {
        let last = self.key("put last");
        self.cache.put(&last, b"", SHORT).await.unwrap();
        self.let_expire(&last).await;
    }

    /// Waits until `key` is gone.
    async fn let_expire(&self, key: &str) {
        for _ in 0..LOOKS {
            if self.get(key).await.is_none() {
                return;
            }
            (self.let_time_pass)(BETWEEN_LOOKS).await;
        }
        panic!("{key} does not expire");
    }
}

impl fmt::Debug for Aged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aged")
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}

fn put(key: &str, version: u64, value: &str, ttl: Duration) -> Put {
    Put {
        key: key.to_owned(),
        version,
        value: Bytes::from(value.to_owned()),
        ttl,
    }
}

/// Longer than any case takes.
const LONG: Duration = Duration::from_secs(600);
/// Short enough to wait for on a real server, long enough for a few commands in between on a busy machine.
const SHORT: Duration = Duration::from_millis(800);
/// How often to check whether something has expired.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);
/// How many checks before giving up.
const LOOKS: u32 = 500;
