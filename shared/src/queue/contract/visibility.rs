//! A message that was received is hidden, and comes again when its time is over.

use super::*;

pub async fn a_message_comes_again_when_its_time_is_over(aged: &Aged) {
    aged.send(&["a1"]).await;
    let first = aged.receive_for(1, SHORT).await;
    assert_eq!(bodies(&first), ["a1"]);
    aged.pass(SHORT).await;
    let second = aged.receive().await;
    assert_eq!(bodies(&second), ["a1"]);
    assert_eq!(second[0].id, first[0].id);
    assert_ne!(second[0].receipt, first[0].receipt);
}

pub async fn a_message_is_hidden_while_its_time_runs(aged: &Aged) {
    aged.send(&["a1"]).await;
    assert_eq!(aged.receive_for(1, LONG).await.len(), 1);
    aged.pass(SHORT).await;
    assert_eq!(aged.receive().await, []);
}

pub async fn a_hidden_message_keeps_those_behind_it(aged: &Aged) {
    aged.send(&["a1", "a2"]).await;
    let first = aged.receive_for(1, LONG).await;
    aged.hide(&first[0], SHORT * 2).await.unwrap();
    assert_eq!(aged.receive().await, []);
    aged.pass(SHORT * 2).await;
    assert_eq!(bodies(&aged.receive().await), ["a1", "a2"]);
}

pub async fn a_message_that_is_given_back_comes_again_at_once(aged: &Aged) {
    aged.send(&["a1", "a2"]).await;
    let first = aged.receive_for(1, LONG).await;
    aged.hide(&first[0], NOW).await.unwrap();
    assert_eq!(bodies(&aged.receive_for(1, LONG).await), ["a1"]);
}

pub async fn messages_that_are_given_back_come_in_their_order(aged: &Aged) {
    aged.send(&["a1", "a2", "a3"]).await;
    let first = aged.receive().await;
    // While a later one is with a receiver, an earlier one that was given back waits.
    aged.hide(&first[1], NOW).await.unwrap();
    assert_eq!(aged.receive().await, []);
    aged.hide(&first[0], NOW).await.unwrap();
    assert_eq!(aged.receive().await, []);
    aged.hide(&first[2], NOW).await.unwrap();
    assert_eq!(bodies(&aged.receive().await), ["a1", "a2", "a3"]);
}

/// What a worker does that has to wait: it hides the first and gives back those behind.
pub async fn what_is_behind_a_hidden_message_waits_with_it(aged: &Aged) {
    aged.send(&["a1", "a2", "a3"]).await;
    let first = aged.receive().await;
    aged.hide(&first[0], SHORT * 2).await.unwrap();
    aged.hide(&first[1], NOW).await.unwrap();
    aged.hide(&first[2], NOW).await.unwrap();
    aged.send(&["a4"]).await;
    assert_eq!(aged.receive().await, []);
    aged.pass(SHORT * 2).await;
    assert_eq!(bodies(&aged.receive().await), ["a1", "a2", "a3", "a4"]);
}

pub async fn a_time_is_made_longer(aged: &Aged) {
    aged.send(&["a1"]).await;
    let first = aged.receive_for(1, SHORT * 2).await;
    aged.hide(&first[0], LONG).await.unwrap();
    aged.pass(SHORT * 2).await;
    assert_eq!(aged.receive().await, []);
    aged.delete(&first[0]).await.unwrap();
}

pub async fn every_reception_is_counted(aged: &Aged) {
    aged.send(&["a1", "a2"]).await;
    for expected in 1..=4 {
        let received = aged.receive_for(1, LONG).await;
        assert_eq!(received[0].receive_count, expected);
        aged.hide(&received[0], NOW).await.unwrap();
    }
    let received = aged.receive().await;
    let counts: Vec<_> = received.iter().map(|it| it.receive_count).collect();
    assert_eq!(counts, [5, 1]);
}

pub async fn an_earlier_receipt_is_gone(aged: &Aged) {
    aged.send(&["a1"]).await;
    let first = aged.receive().await;
    aged.hide(&first[0], NOW).await.unwrap();
    let second = aged.receive().await;
    assert_gone(&aged.hide(&first[0], NOW).await);
    assert_gone(&aged.delete(&first[0]).await);
    assert_eq!(aged.receive().await, []);
    aged.delete(&second[0]).await.unwrap();
    let no_receipt = Receipt("no receipt".to_owned());
    assert_gone(&aged.queue.hide(Lane::Normal, &no_receipt, NOW).await);
    assert_gone(&aged.queue.delete(Lane::Normal, &no_receipt).await);
}

pub async fn a_waiting_receiver_gets_what_is_given_back(aged: &Aged) {
    aged.send(&["a1"]).await;
    let first = aged.receive().await;
    let (received, hidden) = futures_util::join!(aged.wait(), aged.hide(&first[0], NOW));
    hidden.unwrap();
    assert_eq!(bodies(&received), ["a1"]);
}

pub async fn other_groups_go_on_while_one_is_hidden(aged: &Aged) {
    aged.send(&["a1", "b1", "a2", "b2"]).await;
    let first = aged.receive_for(1, LONG).await;
    assert_eq!(bodies(&first), ["a1"]);
    aged.hide(&first[0], LONG).await.unwrap();
    assert_eq!(bodies(&aged.receive().await), ["b1", "b2"]);
}
