use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::*;
use crate::clock::{ManualClock, Timestamp, TokioClock};
use crate::queue::DEDUPLICATION_WINDOW;
use crate::queue::contract::{Aged, test_queue_adapter};

const LONG: Duration = Duration::from_secs(600);

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::from_millis(1_700_000_000_400)))
}

async fn aged() -> Aged {
    let clock = clock();
    let queue = EmbeddedQueue::in_memory(Arc::clone(&clock) as _).unwrap();
    Aged::new(queue, move |length| {
        clock.advance(length);
        Box::pin(std::future::ready(()))
    })
}

test_queue_adapter!(aged());

fn entry(group: &str, number: u64) -> Entry {
    Entry {
        group: group.to_owned(),
        deduplication: number.to_string(),
        body: number.to_string(),
    }
}

async fn send(queue: &EmbeddedQueue, group: &str, numbers: impl IntoIterator<Item = u64>) {
    let entries: Vec<_> = numbers.into_iter().map(|it| entry(group, it)).collect();
    for outcome in queue.send(Lane::Normal, &entries).await {
        outcome.unwrap();
    }
}

async fn receive(queue: &EmbeddedQueue) -> Vec<Received> {
    let received = queue.receive(Lane::Normal, 10, LONG, Duration::ZERO);
    received.await.unwrap()
}

fn bodies(received: &[Received]) -> Vec<&str> {
    received.iter().map(|it| it.body.as_str()).collect()
}

#[tokio::test]
async fn what_was_sent_and_what_was_deleted_is_known_after_closing_and_opening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.redb");
    let clock = clock();
    let open = || EmbeddedQueue::open(&path, Arc::clone(&clock) as Arc<dyn Clock>);
    let queue = open().unwrap();
    send(&queue, "a", 1..=4).await;
    let received = receive(&queue).await;
    let [first, second, ..] = &received[..] else {
        panic!("{received:?}");
    };
    queue.delete(Lane::Normal, &first.receipt).await.unwrap();
    let is_used = open().unwrap_err();
    assert!(matches!(is_used, OpenError::InUse { .. }));
    queue.close().await;

    let queue = open().unwrap();
    // Dropped: their ids were sent less than five minutes ago.
    send(&queue, "a", [1, 4]).await;
    send(&queue, "a", [5]).await;
    let depth = queue.depth(Lane::Normal).await.unwrap();
    assert_eq!((depth.waiting, depth.in_flight), (4, 0));
    for outcome in [
        queue.delete(Lane::Normal, &second.receipt).await,
        queue.hide(Lane::Normal, &second.receipt, LONG).await,
    ] {
        assert!(matches!(outcome, Err(QueueError::Gone)), "{outcome:?}");
    }
    let again = receive(&queue).await;
    assert_eq!(bodies(&again), ["2", "3", "4", "5"]);
    assert_eq!(again[0].id, second.id);
    assert!(again.iter().all(|it| it.receive_count == 1));
    queue.close().await;

    clock.advance(DEDUPLICATION_WINDOW);
    let queue = open().unwrap();
    send(&queue, "a", [1]).await;
    assert_eq!(bodies(&receive(&queue).await), ["2", "3", "4", "5", "1"]);
}

/// An id that is given twice would let a late deletion take another message.
#[tokio::test]
async fn no_id_is_given_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.redb");
    let mut ids = BTreeSet::new();
    for number in 1..=3 {
        let queue = EmbeddedQueue::open(&path, clock()).unwrap();
        send(&queue, "a", [number]).await;
        let received = receive(&queue).await;
        assert_eq!(received.len(), 1);
        assert!(ids.insert(received[0].id.clone()));
        let receipt = &received[0].receipt;
        queue.delete(Lane::Normal, receipt).await.unwrap();
        queue.close().await;
    }
}

#[tokio::test]
async fn ids_that_no_longer_count_are_removed_by_later_messages() {
    let clock = clock();
    let queue = EmbeddedQueue::in_memory(Arc::clone(&clock) as _).unwrap();
    let sizes = || {
        let read = queue.database.begin_read().unwrap();
        tables::sizes(&read)
    };
    send(&queue, "a", 0..100).await;
    assert_eq!(sizes(), [100, 100, 100]);
    clock.advance(DEDUPLICATION_WINDOW);
    for number in 100..107 {
        send(&queue, "a", [number]).await;
    }
    assert_eq!(sizes(), [107, 7, 7]);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_receiver_gets_what_comes_back_while_it_waits() {
    let queue = EmbeddedQueue::in_memory(Arc::new(TokioClock::start())).unwrap();
    send(&queue, "a", [1]).await;
    let (lane, wait) = (Lane::Normal, Duration::from_secs(20));
    let began = Instant::now();
    let other = async {
        // Received while the other one waits already.
        tokio::task::yield_now().await;
        let first = queue.receive(lane, 10, Duration::from_secs(7), wait).await;
        assert_eq!(first.unwrap().len(), 0, "the other one was first");
    };
    let waiting = async {
        let hidden_for = Duration::from_secs(3);
        let first = queue.receive(lane, 10, hidden_for, wait).await.unwrap();
        let second = queue.receive(lane, 10, LONG, wait).await.unwrap();
        (first, second)
    };
    let ((first, second), ()) = futures_util::join!(waiting, other);
    assert_eq!((bodies(&first), bodies(&second)), (vec!["1"], vec!["1"]));
    assert_eq!(second[0].receive_count, 2);
    assert_eq!(began.elapsed().as_secs(), 20);
}

/// A queue with one message that is in flight for long, and its receipt. Paused time would run on while the writer works.
async fn with_one_in_flight() -> (EmbeddedQueue, Receipt) {
    let queue = EmbeddedQueue::in_memory(Arc::new(TokioClock::start())).unwrap();
    send(&queue, "a", [1]).await;
    let receipt = receive(&queue).await.remove(0).receipt;
    (queue, receipt)
}

/// Two wait for what is far away; what one of them takes for three seconds must wake the other one.
#[tokio::test(start_paused = true)]
async fn who_waits_for_long_hears_of_an_earlier_end() {
    let (queue, receipt) = with_one_in_flight().await;
    let (lane, wait) = (Lane::Normal, Duration::from_secs(20));
    let began = Instant::now();
    let first = queue.receive(lane, 10, Duration::from_secs(3), wait);
    let second = queue.receive(lane, 10, LONG, wait);
    let given_back = queue.hide(lane, &receipt, Duration::ZERO);
    let (first, second, given_back) = futures_util::join!(first, second, given_back);
    given_back.unwrap();
    assert_eq!(bodies(&first.unwrap()), ["1"]);
    assert_eq!(bodies(&second.unwrap()), ["1"]);
    assert_eq!(began.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_gives_up_waiting_passes_the_news_on() {
    let (queue, receipt) = with_one_in_flight().await;
    let (lane, wait) = (Lane::Normal, Duration::from_secs(20));
    let began = Instant::now();
    let gives_up =
        tokio::time::timeout(Duration::from_secs(1), queue.receive(lane, 10, LONG, wait));
    let stays = queue.receive(lane, 10, LONG, wait);
    let later = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let given_back = queue.hide(lane, &receipt, Duration::ZERO).await;
        given_back.unwrap();
    };
    let (gives_up, stays, ()) = futures_util::join!(gives_up, stays, later);
    gives_up.unwrap_err();
    assert_eq!(bodies(&stays.unwrap()), ["1"]);
    assert_eq!(began.elapsed().as_secs(), 1);
}

/// Set by the parent for the child that it starts from this same program.
const CRASH_FILE: &str = "LARK_TEST_CRASH_QUEUE";
/// The path of the child's test within the program.
const CHILD: &str = "queue::embedded::tests::sends_and_deletes_until_it_is_killed";
const GROUPS: u64 = 8;

/// The child: without the parent's variable there is nothing to do.
#[expect(
    clippy::disallowed_methods,
    reason = "how the parent passes the file to its child"
)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sends_and_deletes_until_it_is_killed() {
    let Ok(path) = std::env::var(CRASH_FILE) else {
        return;
    };
    let queue = EmbeddedQueue::open(Path::new(&path), clock()).unwrap();
    let queue = &queue;
    // Once the parent has read these lines, it relies on them.
    let senders = (0..GROUPS).map(|group| async move {
        for number in 1.. {
            send(queue, &group.to_string(), [number]).await;
            println!("\nSENT {group} {number}");
        }
    });
    let receivers = (0..2).map(|_| async move {
        loop {
            let wait = Duration::from_secs(20);
            let received = queue.receive(Lane::Normal, 10, LONG, wait).await;
            for message in received.unwrap() {
                queue.delete(Lane::Normal, &message.receipt).await.unwrap();
                println!("\nDELETED {} {}", message.group, message.body);
            }
        }
    });
    futures_util::join!(
        futures_util::future::join_all(senders),
        futures_util::future::join_all::<_>(receivers)
    );
}

#[tokio::test]
async fn what_was_answered_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    for (round, lines) in [40, 400, 1_500].into_iter().enumerate() {
        let path = folder.path().join(format!("queue{round}.redb"));
        let [sent, deleted] = kill_after(&path, lines);
        let queue = EmbeddedQueue::open(&path, clock()).unwrap();
        let mut left = BTreeMap::<u64, Vec<u64>>::new();
        loop {
            let received = receive(&queue).await;
            if received.is_empty() {
                break;
            }
            for message in received {
                let numbers = left.entry(message.group.parse().unwrap()).or_default();
                numbers.push(message.body.parse().unwrap());
                let receipt = &message.receipt;
                queue.delete(Lane::Normal, receipt).await.unwrap();
            }
        }
        for group in 0..GROUPS {
            let left = left.remove(&group).unwrap_or_default();
            let last_sent = sent.get(&group).copied().unwrap_or_default();
            let last_deleted = deleted.get(&group).copied().unwrap_or_default();
            // Deleted in their order: those that are left are all after the last one that was deleted, without a gap.
            if let Some(first) = left.first() {
                assert!(*first > last_deleted, "{group}: {first} was deleted");
                assert!(
                    *first <= last_deleted + 2,
                    "{group}: {first} is not the next"
                );
                let last = *first + left.len() as u64;
                assert_eq!(left, (*first..last).collect::<Vec<_>>());
                assert!(last > last_sent, "{group}: {last_sent} is lost");
            } else {
                assert!(
                    last_sent <= last_deleted + 1,
                    "{group}: {last_sent} is lost"
                );
            }
        }
    }
}

/// The last number of each group that the child sent, and that it deleted, until it was killed after so many `lines`.
fn kill_after(path: &Path, lines: usize) -> [BTreeMap<u64, u64>; 2] {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", CHILD, "--nocapture", "--test-threads", "1"])
        .env(CRASH_FILE, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut answered = [BTreeMap::new(), BTreeMap::new()];
    let mut seen = 0;
    let output = BufReader::new(child.stdout.take().unwrap()).lines();
    for line in output.map_while(Result::ok) {
        let mut words = line.split(' ');
        let kind = match words.next() {
            Some("SENT") => 0,
            Some("DELETED") => 1,
            _ => continue,
        };
        // The kill may cut the last line short.
        let mut number = || words.next().and_then(|word| word.parse::<u64>().ok());
        let (Some(group), Some(number)) = (number(), number()) else {
            continue;
        };
        answered[kind].insert(group, number);
        seen += 1;
        if seen == lines {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(
        seen >= lines,
        "the child ended after {seen} lines by itself"
    );
    answered
}
