//! What every [`Store`] promises, as tests that run on each adapter.
//!
//! One line per adapter: `test_store_adapter!(|clock| async { EmbeddedStore::in_memory(clock).unwrap() })`. An emulator that has
//! no transactions says `without guards`.
#![expect(missing_docs, reason = "the name of a case is its promise")]
#![expect(clippy::unwrap_used, reason = "a case is a test")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, ManualClock, Timestamp};
use crate::store::{Attributes, Due, Expect, Guard, Key, ListPage, Record, Store, Table, Value};

pub mod conditions;
pub mod due;
pub mod expiry;
pub mod guards;
pub mod list;
pub mod records;

/// Turns every case into a test of one adapter. The argument is called with the clock (`Arc<dyn Clock>`) that the store must
/// use, and returns a future of an empty store that no other test uses.
#[macro_export]
macro_rules! test_store_adapter {
    ($factory:expr) => {
        $crate::test_store_adapter!($factory, without guards);
        $crate::test_store_adapter! { @modules $factory;
            guards: a_guarded_put_happens_while_its_guard_stays, a_guard_that_changed_or_is_gone_lets_nothing_happen,
                a_guarded_put_wants_what_it_expects_too, of_a_guarded_put_and_a_change_of_its_guard_one_comes_first;
        }
    };
    ($factory:expr, without guards) => {
        $crate::test_store_adapter! { @modules $factory;
            records: a_key_nobody_wrote_has_no_record, what_is_put_is_got, every_kind_of_value_comes_back,
                a_record_of_keys_and_version_only_comes_back, keys_are_told_apart_to_the_last_character,
                tables_do_not_share_records, a_put_replaces_the_whole_record, a_large_record_comes_back,
                many_records_are_got_at_once, getting_no_records_is_fine,
                many_records_come_with_the_attributes_asked_for, many_records_are_put_at_once,
                what_is_put_with_many_replaces_whole_records, of_a_record_put_twice_at_once_the_last_is_written,
                putting_no_records_is_fine, a_deleted_record_is_gone, the_store_answers;
            conditions: anything_goes_over_nothing_and_something, absent_holds_only_where_nothing_is,
                a_version_holds_only_for_itself, older_holds_over_nothing_and_over_what_is_older,
                of_many_those_that_are_newer_are_written, versions_cover_the_whole_range, a_refused_put_writes_nothing,
                a_refused_delete_deletes_nothing, deleting_nothing_is_fine_unless_something_is_expected,
                one_of_many_writers_of_a_version_wins, one_of_many_first_writers_wins;
            expiry: a_record_is_there_until_it_expires, an_expiry_is_rounded_up_to_the_second,
                an_expired_record_is_not_among_many, an_expired_record_is_not_due,
                an_expired_record_is_absent_to_conditions, a_record_without_expiry_stays,
                a_later_put_may_end_the_expiry;
            due: what_is_due_comes_longest_due_first, what_is_due_now_is_due, what_is_not_due_yet_is_left_out,
                no_more_than_the_limit_come, shards_do_not_mix, a_record_moves_with_its_due_time,
                a_record_without_due_time_leaves_the_index, a_deleted_record_leaves_the_index,
                due_records_come_whole, each_table_has_an_index_of_its_own, other_tables_have_no_index, every_due_record_is_on_one_page,
                what_is_due_is_read_on_past_records_that_moved, nothing_is_due_after_a_later_position;
            list: records_come_in_the_order_of_their_sort_keys, a_prefix_is_matched_to_the_last_byte,
                every_record_is_on_one_page, large_records_are_all_listed, listed_records_come_whole,
                a_list_goes_on_after_a_deleted_key, a_list_goes_on_after_a_key_without_the_prefix,
                other_partitions_and_tables_are_not_listed, expired_records_are_passed_over,
                a_partition_without_records_has_an_empty_list, a_limit_of_zero_lists_nothing,
                changes_are_listed_at_once;
        }
    };
    (@modules $factory:expr; $($module:ident: $($case:ident),+;)+) => {
        $(mod $module {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $case() {
                    let clock = $crate::store::contract::clock();
                    let store = ($factory)(std::sync::Arc::clone(&clock) as std::sync::Arc<dyn $crate::clock::Clock>);
                    $crate::store::contract::$module::$case(&store.await, &clock).await;
                }
            )+
        })+
    };
}
pub use test_store_adapter;

/// A clock in the middle of a second.
#[must_use]
pub fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::from_millis(1_700_000_000_400)))
}

/// The next whole second from now, plus `seconds`: an expiry that no adapter rounds.
fn whole_seconds_ahead(clock: &ManualClock, seconds: i64) -> Timestamp {
    Timestamp::from_seconds(clock.now().as_seconds_rounded_up() + seconds)
}

fn key() -> Key {
    Key::new("cli_a", "tenant#t1")
}

fn record(version: u64) -> Record {
    Record::new(key(), version).with("value", Value::Text(format!("v{version}")))
}

async fn put(store: &dyn Store, record: &Record) {
    store
        .put(Table::Tokens, record, Expect::Anything)
        .await
        .unwrap();
}

async fn stored(store: &dyn Store) -> Option<Record> {
    store.get(Table::Tokens, &key()).await.unwrap()
}
