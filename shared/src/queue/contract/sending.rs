//! What is sent is received, as it was sent.

use super::*;
use crate::queue::{MAX_BODY, NotSent};

pub async fn an_empty_lane_has_nothing(aged: &Aged) {
    assert_eq!(aged.receive().await, []);
    assert_eq!(aged.depth().await, Depth::default());
}

pub async fn what_is_sent_is_received(aged: &Aged) {
    aged.send(&["a1"]).await;
    let received = aged.receive().await;
    let [message] = &received[..] else {
        panic!("one message: {received:?}");
    };
    assert_eq!((&*message.group, &*message.body), ("a", "a1"));
    assert_eq!(message.receive_count, 1);
    assert!(!message.id.is_empty());
}

pub async fn everything_allowed_comes_back(aged: &Aged) {
    let punctuation = r##"!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~"##;
    let entry = Entry {
        group: format!("{punctuation}{}", "g".repeat(128 - punctuation.len())),
        deduplication: format!("{}{punctuation}", "9".repeat(128 - punctuation.len())),
        body: format!("\t飞书 🐦\r\n<&\"\\{}", "x".repeat(MAX_BODY - 18)),
    };
    assert_eq!(entry.body.len(), MAX_BODY);
    let sent = aged.queue.send(Lane::Normal, std::slice::from_ref(&entry));
    sent.await.into_iter().for_each(|outcome| outcome.unwrap());
    let received = aged.receive().await;
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].group, entry.group);
    assert_eq!(received[0].body, entry.body);
}

pub async fn sending_nothing_is_fine(aged: &Aged) {
    assert!(aged.queue.send(Lane::Normal, &[]).await.is_empty());
}

/// Others of the same call are sent.
pub async fn what_no_queue_takes_fails_and_holds_its_group_back(aged: &Aged) {
    let wrong = |change: fn(&mut Entry)| {
        let mut entry = entry("b1");
        change(&mut entry);
        entry
    };
    let cases = [
        wrong(|entry| entry.body = "x".repeat(MAX_BODY + 1)),
        wrong(|entry| entry.body = String::new()),
        wrong(|entry| entry.body = "\u{0}".to_owned()),
        wrong(|entry| entry.body = "\u{ffff}".to_owned()),
        wrong(|entry| entry.deduplication = String::new()),
        wrong(|entry| entry.deduplication = "x".repeat(129)),
    ];
    for (number, wrong) in cases.into_iter().enumerate() {
        let first = entry(&format!("a{number}"));
        let last = entry(&format!("c{number}"));
        let entries = [first, wrong, entry("b2"), last, entry("b3")];
        let outcomes = aged.queue.send(Lane::Normal, &entries).await;
        let reasons = outcomes.into_iter().map(|outcome| match outcome {
            Ok(()) => None,
            Err(QueueError::Unavailable { source, .. }) => {
                Some(*source.downcast_ref::<NotSent>().unwrap())
            }
            Err(error) => panic!("{error:?}"),
        });
        let reasons: Vec<_> = reasons.collect();
        assert!(
            matches!(reasons[1], Some(NotSent::Invalid(_))),
            "{reasons:?}"
        );
        assert_eq!((reasons[0], reasons[3]), (None, None));
        let behind = Some(NotSent::AfterFailure);
        assert_eq!((reasons[2], reasons[4]), (behind, behind));
        let received = aged.receive().await;
        assert_eq!(received.len(), 2);
        for message in &received {
            assert_ne!(message.group, "b");
            aged.delete(message).await.unwrap();
        }
    }
    let nameless = Entry {
        group: String::new(),
        ..entry("a1")
    };
    let outcomes = aged.queue.send(Lane::Normal, &[nameless]).await;
    outcomes[0].as_ref().unwrap_err();
}

pub async fn lanes_do_not_mix(aged: &Aged) {
    aged.send(&["a1"]).await;
    let received = aged.queue.receive(Lane::Bulk, 10, LONG, NOW).await;
    assert_eq!(received.unwrap(), []);
    let depth = aged.queue.depth(Lane::Bulk).await.unwrap();
    assert_eq!(depth, Depth::default());
    let sent = aged.queue.send(Lane::Bulk, &[entry("a2")]).await;
    sent.into_iter().for_each(|outcome| outcome.unwrap());
    let received = aged.queue.receive(Lane::Bulk, 10, LONG, NOW).await.unwrap();
    assert_eq!(bodies(&received), ["a2"]);
    // The group is in flight in the other lane alone.
    assert_eq!(bodies(&aged.receive().await), ["a1"]);
}

pub async fn no_more_come_than_asked_for(aged: &Aged) {
    aged.send(&["a1", "a2", "b1", "b2", "c1"]).await;
    assert_eq!(aged.receive_for(2, LONG).await.len(), 2);
}

pub async fn a_waiting_receiver_gets_what_is_sent(aged: &Aged) {
    let (received, ()) = futures_util::join!(aged.wait(), aged.send(&["a1"]));
    assert_eq!(bodies(&received), ["a1"]);
}

pub async fn a_wait_for_nothing_ends(aged: &Aged) {
    let received = aged.queue.receive(Lane::Normal, 10, LONG, SHORT).await;
    assert_eq!(received.unwrap(), []);
}

pub async fn messages_are_counted(aged: &Aged) {
    aged.send(&["a1", "a2", "b1"]).await;
    let depth = |waiting, in_flight| Depth { waiting, in_flight };
    assert_eq!(aged.depth().await, depth(3, 0));
    let received = aged.receive_for(1, LONG).await;
    assert_eq!(aged.depth().await, depth(2, 1));
    aged.delete(&received[0]).await.unwrap();
    assert_eq!(aged.depth().await, depth(2, 0));
}
