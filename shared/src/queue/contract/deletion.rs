//! What was deleted never comes again.

use super::*;

pub async fn a_deleted_message_never_comes_again(aged: &Aged) {
    aged.send(&["a1"]).await;
    let received = aged.receive_for(1, SHORT * 2).await;
    aged.delete(&received[0]).await.unwrap();
    aged.pass(SHORT * 2).await;
    assert_eq!(aged.receive().await, []);
    assert_eq!(aged.depth().await, Depth::default());
}

pub async fn deleting_twice_is_fine(aged: &Aged) {
    aged.send(&["a1"]).await;
    let received = aged.receive().await;
    aged.delete(&received[0]).await.unwrap();
    let again = aged.delete(&received[0]).await;
    assert!(matches!(again, Ok(()) | Err(QueueError::Gone)), "{again:?}");
}

pub async fn a_deletion_lets_the_next_of_the_group_come(aged: &Aged) {
    aged.send(&["a1", "a2"]).await;
    let received = aged.receive_for(1, LONG).await;
    aged.delete(&received[0]).await.unwrap();
    assert_eq!(bodies(&aged.receive().await), ["a2"]);
}

pub async fn a_message_in_the_middle_is_deleted_alone(aged: &Aged) {
    aged.send(&["a1", "a2", "a3"]).await;
    let received = aged.receive().await;
    aged.delete(&received[1]).await.unwrap();
    assert_eq!(aged.receive().await, []);
    aged.hide(&received[0], NOW).await.unwrap();
    aged.hide(&received[2], NOW).await.unwrap();
    assert_eq!(bodies(&aged.receive().await), ["a1", "a3"]);
}

pub async fn a_waiting_receiver_gets_what_follows_a_deletion(aged: &Aged) {
    aged.send(&["a1", "a2"]).await;
    let first = aged.receive_for(1, LONG).await;
    let (received, deleted) = futures_util::join!(aged.wait(), aged.delete(&first[0]));
    deleted.unwrap();
    assert_eq!(bodies(&received), ["a2"]);
}
