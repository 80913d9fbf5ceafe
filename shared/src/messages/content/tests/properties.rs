//! Whatever is posted, the answer is content or problems: never a panic.

use proptest::prelude::*;
use serde_json::Map;

use super::*;

/// Names that the checks ask for, and a few that nobody knows.
const NAMES: [&str; 30] = [
    "text",
    "tag",
    "content",
    "zh_cn",
    "title",
    "href",
    "user_id",
    "image_key",
    "file_key",
    "style",
    "elements",
    "body",
    "schema",
    "header",
    "config",
    "update_multi",
    "type",
    "data",
    "card_id",
    "template_id",
    "columns",
    "actions",
    "behaviors",
    "options",
    "name",
    "element_id",
    "kind",
    "fields",
    "i18n_elements",
    "weiß",
];
/// Texts that the checks look for.
const TEXTS: [&str; 22] = [
    "",
    "text",
    "a",
    "at",
    "md",
    "img",
    "div",
    "markdown",
    "plain_text",
    "form",
    "button",
    "column_set",
    "note",
    "2.0",
    "template",
    "card",
    "notification",
    "<at ",
    "<at user_id=\"",
    "</at>",
    "é<at>",
    "https://x",
];

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        proptest::sample::select(&TEXTS[..]).prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ]
}

fn json_value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(6, 60, 5, |inside| {
        let name = proptest::sample::select(&NAMES[..]).prop_map(str::to_owned);
        prop_oneof![
            prop::collection::vec(inside.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((name, inside), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn purpose() -> impl Strategy<Value = Purpose> {
    proptest::sample::select(&[Purpose::Send, Purpose::Edit, Purpose::Patch][..])
}

fn body() -> impl Strategy<Value = Value> {
    let types = MsgType::ALL.map(MsgType::as_str);
    let msg_type = proptest::option::of(proptest::sample::select(types.to_vec()));
    let text = proptest::option::of(".{0,40}");
    let markdown = proptest::option::weighted(0.1, ".{0,40}");
    let content = proptest::option::of(json_value());
    let card = proptest::option::weighted(0.3, json_value());
    (msg_type, text, markdown, content, card).prop_map(
        |(msg_type, text, markdown, content, card)| {
            json!({
                "msg_type": msg_type,
                "text": text,
                "markdown": markdown,
                "content": content,
                "card": card,
            })
        },
    )
}

/// `value` with `new` in place of the value number `at`, counted from the outside in.
fn with_change(mut value: Value, at: usize, new: &Value) -> Value {
    let mut open = std::collections::VecDeque::from([&mut value]);
    let mut seen = 0;
    while let Some(value) = open.pop_front() {
        if seen == at {
            *value = new.clone();
            break;
        }
        seen += 1;
        match value {
            Value::Array(entries) => open.extend(entries),
            Value::Object(fields) => open.extend(fields.values_mut()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    value
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn a_body_with_one_change_is_accepted_or_refused_by_a_place_in_it(case in any::<prop::sample::Index>(), at in 0..60_usize, new in json_value()) {
        let cases: Vec<Accepted> = lines(ACCEPTED);
        let case = case.get(&cases);
        let content = with_change(case.sent.clone(), at, &new);
        let refused = parse(&json!({"msg_type": case.msg_type, "content": content}));
        for problem in problems(&refused) {
            prop_assert!(problem.field.starts_with("content"), "{:?}", problem);
        }
        prop_assert!(matches!(refused, Ok(_) | Err(Error::InvalidArgument(_) | Error::FieldTooLarge(_))));
    }
}

proptest! {
    #[test]
    fn any_body_is_content_or_has_problems(body in body(), purpose in purpose()) {
        let fields: ContentFields = serde_json::from_value(body).unwrap();
        let mut problems = Problems::default();
        let content = MessageContent::check(fields, purpose, &mut problems);
        prop_assert_eq!(content.is_some(), problems.is_empty());
        prop_assert!(problems.count() <= Problems::MAX);
    }

    #[test]
    fn any_content_of_any_type_is_content_or_has_problems(content in json_value(), at in 0..MsgType::ALL.len()) {
        let fields = ContentFields {
            msg_type: Some(MsgType::ALL[at].as_str().to_owned()),
            content: Some(content),
            ..ContentFields::default()
        };
        let mut problems = Problems::default();
        let checked = MessageContent::check(fields, Purpose::Send, &mut problems);
        prop_assert_eq!(checked.is_some(), problems.is_empty());
    }

    #[test]
    fn what_was_accepted_is_accepted_again_as_it_was_sent(content in json_value(), at in 0..MsgType::ALL.len()) {
        let msg_type = MsgType::ALL[at].as_str();
        let body = json!({"msg_type": msg_type, "content": content});
        if let Ok(checked) = parse(&body) {
            let sent = checked.serialised();
            let again = parse(&json!({"msg_type": msg_type, "content": sent.content})).unwrap();
            prop_assert_eq!(again.serialised(), sent);
        }
    }

    #[test]
    fn any_text_is_judged(text in "(<at| |user_id=|\"|'|ou_1|all|>|</at>|/|é|<){0,12}") {
        let _ = mentions::problem(&text);
        let _ = mentions::problem_in_card(&text);
    }

    #[test]
    fn a_text_without_the_beginning_of_a_mention_is_accepted(text in "[^<]{0,60}[^<\\s]") {
        let content = parse(&json!({ "text": text }));
        prop_assert!(content.is_ok());
    }

    #[test]
    fn any_text_as_content_is_judged_as_its_json_is(text in "[\\[\\]{}\":,a0 \\\\]{0,40}") {
        let given = parse(&json!({"msg_type": "text", "content": text}));
        let is_json = serde_json::from_str::<Map<String, Value>>(&text).is_ok();
        prop_assert!(is_json || given.is_err());
    }

    #[test]
    fn a_deep_value_is_refused_and_costs_no_stack(depth in 65..120_usize) {
        let mut value = json!({"tag": "x"});
        for _ in 0..depth {
            value = json!([value]);
        }
        let refused = parse(&json!({"msg_type": "interactive", "content": {"elements": value}}));
        check_refused(&refused, "content", "deeper than 64");
    }
}
