//! Messages from a shell.

use super::Site;

const TO: [&str; 2] = ["--to-email", "user00001@example.com"];

fn send<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["message", "send"], TO.as_slice(), more].concat()
}

#[tokio::test]
async fn a_message_is_sent_now_later_or_not_at_all() {
    let site = Site::start().await;
    let sent = site.json(&send(&["--text", "hi"]), "").await;
    assert_eq!(sent["state"], "delivered", "{sent}");
    let job_id = sent["job_id"].as_str().unwrap();
    let shown = site.run(&["message", "status", job_id], "").await;
    assert_eq!(shown.code, 0, "{shown:?}");
    for word in [job_id, "delivered", "om_"] {
        assert!(shown.stdout.contains(word), "{word}: {shown:?}");
    }
    let queue = send(&["--text", "-", "--async", "--wait"]);
    let queued = site.json(&queue, "from a pipe\n").await;
    assert_eq!(queued["state"], "delivered", "{queued}");
    let card = r#"{"kind": "notification", "title": "Build", "text": "It is green."}"#;
    let dry = send(&["--card", "-", "--dry-run", "--json"]);
    let carded = site.run(&dry, card).await;
    assert_eq!(carded.code, 0, "{carded:?}");
    assert!(carded.stdout.contains("interactive"), "{carded:?}");
    let late = send(&["--markdown", "**hi**", "--at", "2h"]);
    let later = site.json(&late, "").await;
    assert_eq!(later["state"], "scheduled", "{later}");
    let later = later["job_id"].as_str().unwrap();
    let cancelled = site.json(&["message", "cancel", later], "").await;
    assert_eq!(cancelled["state"], "cancelled");
    let listed = ["message", "list", "--state", "delivered"];
    let listed = site.json(&listed, "").await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 2, "{listed}");
    let watched = site.run(&["message", "status", later, "--watch"], "").await;
    assert_eq!(watched.code, 1, "{watched:?}");
    assert!(watched.stderr.contains("is cancelled"), "{watched:?}");
}

#[tokio::test]
async fn a_named_message_is_sent_once() {
    let site = Site::start().await;
    let named = send(&["--text", "hi", "--idempotency-key", "build-1"]);
    let first = site.json(&named, "").await;
    let second = site.json(&named, "").await;
    assert_eq!(first["job_id"], second["job_id"]);
    let other = send(&["--text", "ho", "--idempotency-key", "build-1"]);
    assert_eq!(
        site.refused(&other, "").await,
        (1, "idempotency_mismatch".to_owned())
    );
}

#[tokio::test]
async fn a_wait_has_an_end() {
    let site = Site::start().await;
    let late = send(&["--text", "hi", "--at", "1h", "--wait", "--timeout", "1s"]);
    assert_eq!(site.refused(&late, "").await, (1, "incomplete".to_owned()));
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused() {
    let site = Site::start().await;
    let (unknown, job) = ("--to-email", "mj_01jdyzz8k3v5m7q2c4x6n8p0rs");
    for (command, input, expected) in [
        (send(&[]), "", (2, "invalid_argument")),
        (
            send(&["--text", "a", "--markdown", "b"]),
            "",
            (2, "invalid_argument"),
        ),
        (
            send(&["--text", "a", "--to-chat", "b"]),
            "",
            (2, "invalid_argument"),
        ),
        (send(&["--card", "-"]), "{", (2, "invalid_argument")),
        (send(&["--text", "-"]), "", (2, "invalid_argument")),
        (
            send(&["--card", "/no/such/file"]),
            "",
            (2, "invalid_argument"),
        ),
        (send(&["--content", "-"]), "{}", (2, "invalid_argument")),
        (
            vec![
                "message",
                "send",
                unknown,
                "nobody@example.com",
                "--text",
                "a",
            ],
            "",
            (3, "receiver_not_found"),
        ),
        (
            vec!["message", "status", job],
            "",
            (3, "message_job_not_found"),
        ),
        (
            vec!["message", "cancel", job],
            "",
            (3, "message_job_not_found"),
        ),
        (
            vec!["message", "list", "--state", "lost"],
            "",
            (2, "invalid_argument"),
        ),
    ] {
        let (code, name) = site.refused(&command, input).await;
        assert_eq!((code, name.as_str()), expected, "{command:?}");
    }
    let place = crate::Place::new().await;
    let command = ["message", "list"];
    let ran = place.run(&command, "").await;
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("needs a running service"), "{ran:?}");
}
