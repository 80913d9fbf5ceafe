//! How long an id counts.

use super::*;
use crate::queue::DEDUPLICATION_WINDOW;

pub async fn an_id_counts_for_five_minutes(aged: &Aged) {
    aged.send(&["a1"]).await;
    aged.pass(DEDUPLICATION_WINDOW.checked_sub(SHORT).unwrap())
        .await;
    aged.send(&["a1"]).await;
    assert_eq!(aged.depth().await.waiting, 1);
    aged.pass(SHORT).await;
    aged.send(&["a1"]).await;
    assert_eq!(bodies(&aged.receive().await), ["a1", "a1"]);
}

pub async fn a_dropped_message_does_not_make_the_window_longer(aged: &Aged) {
    for _ in 0..3 {
        aged.send(&["a1"]).await;
        aged.pass(DEDUPLICATION_WINDOW / 2).await;
    }
    assert_eq!(bodies(&aged.receive().await), ["a1", "a1"]);
}
