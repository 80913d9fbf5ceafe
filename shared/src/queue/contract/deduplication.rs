//! A second message with an id is dropped.

use super::*;

pub async fn a_repeated_id_is_dropped_and_counts_as_sent(aged: &Aged) {
    aged.send(&["a1"]).await;
    let again = Entry {
        body: "another body".to_owned(),
        ..entry("a1")
    };
    let sent = aged.queue.send(Lane::Normal, &[again, entry("a2")]).await;
    sent.into_iter().for_each(|outcome| outcome.unwrap());
    assert_eq!(bodies(&aged.receive().await), ["a1", "a2"]);
}

pub async fn an_id_counts_after_its_message_was_deleted(aged: &Aged) {
    aged.send(&["a1"]).await;
    let received = aged.receive().await;
    aged.delete(&received[0]).await.unwrap();
    aged.send(&["a1"]).await;
    assert_eq!(aged.receive().await, []);
}

pub async fn an_id_counts_in_its_group_alone(aged: &Aged) {
    let of_another = Entry {
        group: "b".to_owned(),
        ..entry("a1")
    };
    let entries = [entry("a1"), of_another];
    let sent = aged.queue.send(Lane::Normal, &entries).await;
    sent.into_iter().for_each(|outcome| outcome.unwrap());
    let received = aged.receive().await;
    let groups: Vec<_> = received.iter().map(|it| it.group.as_str()).collect();
    assert_eq!(groups, ["a", "b"]);
}

pub async fn an_id_counts_in_its_lane_alone(aged: &Aged) {
    aged.send(&["a1"]).await;
    let sent = aged.queue.send(Lane::Bulk, &[entry("a1")]).await;
    sent.into_iter().for_each(|outcome| outcome.unwrap());
    let received = aged.queue.receive(Lane::Bulk, 10, LONG, NOW).await;
    assert_eq!(bodies(&received.unwrap()), ["a1"]);
}

pub async fn an_id_counts_within_one_send(aged: &Aged) {
    aged.send(&["a1", "a2", "a1", "a3"]).await;
    assert_eq!(bodies(&aged.receive().await), ["a1", "a2", "a3"]);
}
