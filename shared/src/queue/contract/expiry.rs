//! What a receipt is good for when its time is over.

use super::*;

pub async fn a_receipt_whose_time_is_over_is_gone(aged: &Aged) {
    aged.send(&["a1"]).await;
    let first = aged.receive_for(1, SHORT).await;
    aged.pass(SHORT).await;
    assert_gone(&aged.hide(&first[0], LONG).await);
    assert_gone(&aged.delete(&first[0]).await);
    assert_eq!(bodies(&aged.receive().await), ["a1"]);
}

pub async fn what_was_given_back_is_no_longer_ones_own(aged: &Aged) {
    aged.send(&["a1"]).await;
    let first = aged.receive().await;
    aged.hide(&first[0], NOW).await.unwrap();
    assert_gone(&aged.hide(&first[0], LONG).await);
    assert_gone(&aged.delete(&first[0]).await);
    assert_eq!(bodies(&aged.receive().await), ["a1"]);
}
