//! What every [`Queue`] promises, as tests that run on each adapter.
//!
//! One line per adapter: `test_queue_adapter!(aged())`. An emulator of SQS says `emulated`: its clock cannot be moved by five
//! minutes, and a receipt whose time is over works until the message is received again.
#![expect(missing_docs, reason = "the name of a case is its promise")]
#![expect(clippy::unwrap_used, reason = "a case is a test")]

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::queue::{Depth, Entry, Lane, Queue, QueueError, Receipt, Received};

pub mod deduplication;
pub mod deletion;
pub mod expiry;
pub mod order;
pub mod sending;
pub mod visibility;
pub mod window;

/// Turns every case into a test of one adapter. The argument is a future of an [`Aged`] queue, whose lanes are empty and which no
/// other test uses.
#[macro_export]
macro_rules! test_queue_adapter {
    ($factory:expr) => {
        $crate::test_queue_adapter!($factory, emulated);
        $crate::test_queue_adapter! { @modules $factory;
            expiry: a_receipt_whose_time_is_over_is_gone, what_was_given_back_is_no_longer_ones_own;
            window: an_id_counts_for_five_minutes, a_dropped_message_does_not_make_the_window_longer;
        }
    };
    ($factory:expr, emulated) => {
        $crate::test_queue_adapter! { @modules $factory;
            sending: an_empty_lane_has_nothing, what_is_sent_is_received, everything_allowed_comes_back,
                sending_nothing_is_fine, what_no_queue_takes_fails_and_holds_its_group_back, lanes_do_not_mix,
                no_more_come_than_asked_for, a_waiting_receiver_gets_what_is_sent, a_wait_for_nothing_ends,
                messages_are_counted;
            order: messages_of_a_group_come_in_the_order_of_sending, several_of_a_group_may_come_together,
                none_comes_while_an_earlier_one_is_with_a_receiver, groups_do_not_wait_for_each_other,
                a_long_group_keeps_no_other_waiting, senders_at_the_same_time_keep_their_order,
                many_receivers_get_every_message_once_and_each_group_in_order;
            visibility: a_message_comes_again_when_its_time_is_over, a_message_is_hidden_while_its_time_runs,
                a_hidden_message_keeps_those_behind_it, a_message_that_is_given_back_comes_again_at_once,
                messages_that_are_given_back_come_in_their_order, what_is_behind_a_hidden_message_waits_with_it,
                a_time_is_made_longer, every_reception_is_counted, an_earlier_receipt_is_gone,
                a_waiting_receiver_gets_what_is_given_back, other_groups_go_on_while_one_is_hidden;
            deletion: a_deleted_message_never_comes_again, deleting_twice_is_fine,
                a_deletion_lets_the_next_of_the_group_come, a_message_in_the_middle_is_deleted_alone,
                a_waiting_receiver_gets_what_follows_a_deletion;
            deduplication: a_repeated_id_is_dropped_and_counts_as_sent, an_id_counts_after_its_message_was_deleted,
                an_id_counts_in_its_group_alone, an_id_counts_in_its_lane_alone, an_id_counts_within_one_send;
        }
    };
    (@modules $factory:expr; $($module:ident: $($case:ident),+;)+) => {
        $(mod $module {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $case() {
                    $crate::queue::contract::$module::$case(&$factory.await).await;
                }
            )+
        })+
    };
}
pub use test_queue_adapter;

/// Long enough that nothing comes back by itself.
const LONG: Duration = Duration::from_secs(600);
/// The shortest time that SQS knows.
const SHORT: Duration = Duration::from_secs(1);
/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(20);
/// No wait.
const NOW: Duration = Duration::ZERO;

/// A queue and a way to let time pass for it.
pub struct Aged {
    queue: Box<dyn Queue>,
    let_time_pass: Box<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>,
}

impl Aged {
    /// `let_time_pass(length)` moves the clock of `queue` by `length`, or waits a little longer for a real server.
    pub fn new(
        queue: impl Queue + 'static,
        let_time_pass: impl Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) -> Self {
        Self {
            queue: Box::new(queue),
            let_time_pass: Box::new(let_time_pass),
        }
    }

    async fn pass(&self, length: Duration) {
        (self.let_time_pass)(length).await;
    }

    /// Sends each body to the group that its letters name: `a1` to `a`. The body is the id, too.
    async fn send(&self, bodies: &[&str]) {
        let entries: Vec<_> = bodies.iter().map(|body| entry(body)).collect();
        for outcome in self.queue.send(Lane::Normal, &entries).await {
            outcome.unwrap();
        }
    }

    /// What there is, at most ten, hidden for long.
    async fn receive(&self) -> Vec<Received> {
        self.receive_for(10, LONG).await
    }

    async fn receive_for(&self, limit: usize, hidden_for: Duration) -> Vec<Received> {
        let received = self.queue.receive(Lane::Normal, limit, hidden_for, NOW);
        received.await.unwrap()
    }

    async fn wait(&self) -> Vec<Received> {
        let received = self.queue.receive(Lane::Normal, 10, LONG, PATIENCE);
        received.await.unwrap()
    }

    async fn hide(&self, received: &Received, length: Duration) -> Result<(), QueueError> {
        let receipt = &received.receipt;
        self.queue.hide(Lane::Normal, receipt, length).await
    }

    async fn delete(&self, received: &Received) -> Result<(), QueueError> {
        self.queue.delete(Lane::Normal, &received.receipt).await
    }

    async fn depth(&self) -> Depth {
        self.queue.depth(Lane::Normal).await.unwrap()
    }
}

fn entry(body: &str) -> Entry {
    let group = body.trim_end_matches(|c: char| c.is_ascii_digit());
    Entry {
        group: group.to_owned(),
        deduplication: body.to_owned(),
        body: body.to_owned(),
    }
}

fn bodies(received: &[Received]) -> Vec<&str> {
    received.iter().map(|it| it.body.as_str()).collect()
}

/// The numbers of the bodies by their groups, in the order of `bodies`.
fn by_group(bodies: &[String]) -> BTreeMap<&str, Vec<u32>> {
    let mut groups = BTreeMap::<_, Vec<_>>::new();
    for body in bodies {
        let (group, number) = body.split_at(body.find(|c: char| c.is_ascii_digit()).unwrap());
        groups
            .entry(group)
            .or_default()
            .push(number.parse().unwrap());
    }
    groups
}

#[track_caller]
fn assert_gone(outcome: &Result<(), QueueError>) {
    assert!(matches!(outcome, Err(QueueError::Gone)), "{outcome:?}");
}
