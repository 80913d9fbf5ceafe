//! The messages together: order, uuids, limits, bounds.

use super::*;

fn chat(n: u32) -> Chat {
    Chat {
        tenant: "tenant".into(),
        place: Place::Group(n),
    }
}

fn direct(app_id: &str, user: u32) -> Chat {
    Chat {
        tenant: "tenant".into(),
        place: Place::Direct {
            app_id: app_id.into(),
            user,
        },
    }
}

fn draft(chat: Chat, uuid: Option<&str>, content: &str) -> Draft {
    let uuid = uuid.map(|uuid| Uuid {
        app_id: "cli_a".into(),
        tenant: "tenant".into(),
        origin: Origin::Create,
        target: None,
        uuid: uuid.into(),
    });
    Draft {
        app_id: "cli_a".into(),
        chat,
        uuid,
        origin: Origin::Create,
        message_type: MessageType::Text,
        content: content.into(),
        content_sha256: "".into(),
        mentions: Vec::new(),
        parent: None,
        thread: None,
    }
}

fn limits(per_chat: u32, per_person: u32) -> Limits {
    Limits {
        are_on: true,
        per_chat,
        per_person,
        window_ms: 1000,
    }
}

fn is_accepted(messages: &Messages, chat: Chat, limits: &Limits, now_ms: u64) -> bool {
    let delivered = messages.deliver(draft(chat, None, ""), limits, || now_ms);
    delivered.is_ok()
}

#[test]
fn no_window_of_a_second_has_more_than_the_limit() {
    let messages = Messages::new(&RandomValues::new());
    let random = RandomValues::new();
    let mut accepted: Vec<u64> = Vec::new();
    let mut now_ms = 1_000_000;
    let mut refused = 0;
    for _ in 0..5_000 {
        now_ms += random.number() % 150;
        match is_accepted(&messages, chat(1), &limits(5, 5), now_ms) {
            true => accepted.push(now_ms),
            false => {
                refused += 1;
                // Refused only because five were delivered in the second before.
                let recent = accepted.iter().rev().take_while(|at| **at + 1000 > now_ms);
                assert_eq!(recent.count(), 5);
            }
        }
    }
    assert!(refused > 100 && accepted.len() > 100);
    for six in accepted.windows(6) {
        assert!(six[5] - six[0] >= 1000, "{six:?}");
    }
    let counts = messages.counts();
    assert_eq!(counts.total.peak_in_window, 5);
    assert_eq!(counts.total.delivered, accepted.len() as u64);
    assert_eq!(counts.chats[&chat(1).id()].refused, refused);
}

#[test]
fn a_person_is_one_receiver_for_all_apps() {
    let messages = Messages::new(&RandomValues::new());
    let limits = limits(5, 6);
    for app_id in ["cli_a", "cli_b"] {
        for _ in 0..3 {
            assert!(is_accepted(&messages, direct(app_id, 7), &limits, 1000));
        }
    }
    assert!(!is_accepted(&messages, direct("cli_a", 7), &limits, 1999));
    assert!(is_accepted(&messages, direct("cli_a", 8), &limits, 1999));
    assert!(is_accepted(&messages, direct("cli_a", 7), &limits, 2000));
    let counts = messages.counts();
    assert_eq!(counts.people[&7].delivered, 7);
    assert_eq!((counts.people[&7].refused, counts.total.refused), (1, 1));
}

#[test]
fn a_uuid_holds_for_an_hour() {
    let messages = Messages::new(&RandomValues::new());
    let deliver = |now_ms| {
        let draft = draft(chat(1), Some("u"), "text");
        match messages.deliver(draft, &limits(1, 1), || now_ms) {
            Ok(Delivered::New(message)) => (true, message.number),
            Ok(Delivered::Repeated(message)) => (false, message.number),
            Err(TooMany) => panic!("a repetition takes nothing of the limit"),
        }
    };
    let (is_new, first) = deliver(1000);
    assert!(is_new);
    assert_eq!(deliver(1000), (false, first));
    assert_eq!(deliver(1000 + UUID_MS - 1), (false, first));
    assert_eq!(deliver(1000 + UUID_MS), (true, first + 1));
    assert_eq!(deliver(1000 + UUID_MS + 1), (false, first + 1));
    assert_eq!(messages.counts().total.repeated, 3);
}

#[test]
fn a_message_that_was_refused_does_not_use_its_uuid() {
    let messages = Messages::new(&RandomValues::new());
    assert!(is_accepted(&messages, chat(1), &limits(1, 1), 1000));
    let again = |now_ms| {
        let draft = draft(chat(1), Some("u"), "text");
        messages.deliver(draft, &limits(1, 1), || now_ms).is_ok()
    };
    assert!(!again(1500));
    assert!(again(2000));
}

#[test]
fn the_oldest_messages_are_forgotten_beyond_the_bound() {
    let messages = Messages::new(&RandomValues::new());
    let limits = Limits {
        are_on: false,
        ..limits(1, 1)
    };
    let big = "x".repeat(KEPT_BYTES_MAX / 4);
    let deliver = |uuid: &str| {
        let draft = draft(chat(1), Some(uuid), &big);
        match messages.deliver(draft, &limits, || 1000) {
            Ok(Delivered::New(message) | Delivered::Repeated(message)) => message.number,
            Err(TooMany) => panic!("limits are off"),
        }
    };
    let numbers: Vec<_> = (0..6).map(|n| deliver(&n.to_string())).collect();
    assert!(messages.get(numbers[0]).is_none() && messages.get(numbers[1]).is_none());
    assert!(
        numbers[2..]
            .iter()
            .all(|number| messages.get(*number).is_some())
    );
    let listed = messages.deliveries(&DeliveryFilter::default(), 10);
    assert_eq!(listed.len(), 4);
    assert_eq!(deliver("5"), numbers[5]);
    assert_eq!(deliver("0"), numbers[5] + 1);
    let state = messages.lock();
    assert_eq!((state.by_uuid.len(), state.by_chat[&chat(1)].len()), (4, 4));
}

#[test]
fn deliveries_are_shown_in_order_from_the_last_reset_on() {
    let messages = Messages::new(&RandomValues::new());
    let limits = limits(100, 100);
    for n in 0..10 {
        let to = if n % 2 == 0 {
            chat(1)
        } else {
            direct("cli_a", 3)
        };
        assert!(is_accepted(&messages, to, &limits, 1000 + n));
    }
    let show = |filter: DeliveryFilter, limit| -> Vec<u64> {
        let shown = messages.deliveries(&filter, limit);
        shown.iter().map(|delivery| delivery.at_ms).collect()
    };
    assert_eq!(show(DeliveryFilter::default(), 3), [1000, 1001, 1002]);
    let third = messages.deliveries(&DeliveryFilter::default(), 3)[2].number;
    let after = DeliveryFilter {
        after: third,
        chat_id: Some(chat(1).id()),
        ..DeliveryFilter::default()
    };
    assert_eq!(show(after, 100), [1004, 1006, 1008]);
    let to_person = DeliveryFilter {
        user: Some(3),
        ..DeliveryFilter::default()
    };
    assert_eq!(show(to_person, 2), [1001, 1003]);
    messages.reset_counts();
    assert!(show(DeliveryFilter::default(), 100).is_empty());
    assert_eq!(messages.counts(), MessageCounts::default());
    assert!(is_accepted(&messages, chat(1), &limits, 1010));
    assert_eq!(show(DeliveryFilter::default(), 100), [1010]);
}
