//! Messages of a group come one after the other, groups beside each other.

use std::collections::BTreeSet;
use std::sync::Mutex;

use futures_util::future::join_all;

use super::*;

fn numbered(group: &str, count: u32) -> Vec<String> {
    (1..=count)
        .map(|number| format!("{group}{number}"))
        .collect()
}

async fn send_all(aged: &Aged, bodies: &[String]) {
    aged.send(&bodies.iter().map(String::as_str).collect::<Vec<_>>())
        .await;
}

pub async fn messages_of_a_group_come_in_the_order_of_sending(aged: &Aged) {
    let sent = numbered("a", 25);
    send_all(aged, &sent).await;
    let mut received = Vec::new();
    while received.len() < sent.len() {
        for message in aged.wait().await {
            aged.delete(&message).await.unwrap();
            received.push(message.body);
        }
    }
    assert_eq!(received, sent);
}

pub async fn several_of_a_group_may_come_together(aged: &Aged) {
    aged.send(&["a1", "a2", "a3"]).await;
    assert_eq!(bodies(&aged.receive().await), ["a1", "a2", "a3"]);
}

pub async fn none_comes_while_an_earlier_one_is_with_a_receiver(aged: &Aged) {
    aged.send(&["a1", "a2", "a3"]).await;
    let first = aged.receive_for(2, LONG).await;
    assert_eq!(bodies(&first), ["a1", "a2"]);
    for message in &first {
        assert_eq!(aged.receive().await, []);
        aged.delete(message).await.unwrap();
    }
    assert_eq!(bodies(&aged.receive().await), ["a3"]);
}

pub async fn groups_do_not_wait_for_each_other(aged: &Aged) {
    aged.send(&["a1", "a2", "b1"]).await;
    assert_eq!(bodies(&aged.receive_for(1, LONG).await), ["a1"]);
    assert_eq!(bodies(&aged.receive().await), ["b1"]);
    aged.send(&["c1"]).await;
    assert_eq!(bodies(&aged.receive().await), ["c1"]);
}

pub async fn a_long_group_keeps_no_other_waiting(aged: &Aged) {
    send_all(aged, &numbered("a", 300)).await;
    aged.send(&["b1", "c1", "d1", "e1"]).await;
    let mut groups = BTreeSet::new();
    for _ in 0..2 {
        let received = aged.receive().await;
        groups.extend(received.into_iter().map(|message| message.group));
    }
    assert_eq!(groups.len(), 5, "{groups:?}");
}

pub async fn senders_at_the_same_time_keep_their_order(aged: &Aged) {
    let senders = ["a", "b", "c", "d"].map(|group| async move {
        for body in numbered(group, 10) {
            aged.send(&[&body]).await;
        }
    });
    join_all(senders).await;
    let mut received = Vec::new();
    while received.len() < 40 {
        for message in aged.wait().await {
            aged.delete(&message).await.unwrap();
            received.push(message.body);
        }
    }
    let expected: Vec<u32> = (1..=10).collect();
    for (group, numbers) in by_group(&received) {
        assert_eq!(numbers, expected, "{group}");
    }
}

/// 100 groups with three messages each and four receivers, each of which gives back every seventh message that it gets, with
/// those behind it.
pub async fn many_receivers_get_every_message_once_and_each_group_in_order(aged: &Aged) {
    let names = (0..100).map(|number| {
        let letter = |number: u8| char::from(b'a' + number);
        format!("{}{}", letter(number / 10), letter(number % 10))
    });
    let names: Vec<String> = names.collect();
    let sent: Vec<_> = (1..=3)
        .flat_map(|number| names.iter().map(move |name| format!("{name}{number}")))
        .collect();
    send_all(aged, &sent).await;
    let done = &Mutex::new(Vec::new());
    let seen = &Mutex::new(0);
    let count = sent.len();
    let receivers = (0..4).map(|_| async move {
        while done.lock().unwrap().len() < count {
            let mut given_back = BTreeSet::new();
            let received = aged.queue.receive(Lane::Normal, 10, LONG, SHORT);
            for message in received.await.unwrap() {
                let is_seventh = {
                    let mut seen = seen.lock().unwrap();
                    *seen += 1;
                    *seen % 7 == 0
                };
                if is_seventh || given_back.contains(&message.group) {
                    aged.hide(&message, NOW).await.unwrap();
                    given_back.insert(message.group);
                } else {
                    // What is deleted lets the next one come, which another receiver may then be the first to note.
                    done.lock().unwrap().push(message.body.clone());
                    aged.delete(&message).await.unwrap();
                }
            }
        }
    });
    join_all(receivers).await;
    let done = done.lock().unwrap();
    assert_eq!(done.len(), count);
    for (group, numbers) in by_group(&done) {
        assert_eq!(numbers, [1, 2, 3], "{group}");
    }
}
