//! What the kinds become, that it is a card which the service itself accepts, and that a text stays a text.

use proptest::prelude::*;
use serde_json::json;

use super::super::content::{ContentFields, MessageContent, MsgType, Purpose};
use super::*;
use crate::error::{Error, Result};

/// What somebody would put into a log to reach everybody.
const HOSTILE: &str =
    "<at id=all></at> <at user_id=\"all\"></at> [x](https://evil.example) **b** <font color=red>";

fn sent(card: &Value) -> Result<Value> {
    let fields = ContentFields {
        card: Some(card.clone()),
        ..ContentFields::default()
    };
    let content = MessageContent::parse(fields, Purpose::Send)?;
    let sent = content.serialised();
    assert_eq!(sent.msg_type, MsgType::Interactive);
    Ok(serde_json::from_str(&sent.content).unwrap())
}

fn notification() -> Value {
    json!({
        "kind": "notification",
        "title": "Build 17 failed",
        "level": "error",
        "text": "2 of 300 tests",
        "markdown": "<at id=ou_1></at> please look",
        "fields": [
            {"name": "branch", "value": "main", "short": true},
            {"name": "commit", "value": "abc", "short": true},
            {"name": "log", "value": "line"},
        ],
        "buttons": [
            {"text": "Open", "url": "https://ci.example/17", "style": "primary"},
            {"text": "Again", "value": {"build": 17}},
        ],
        "footer": "ci",
    })
}

fn approval() -> Value {
    json!({
        "kind": "approval",
        "title": "Deploy to production",
        "applicant": {"open_id": "ou_1"},
        "fields": [{"name": "version", "value": "1.2.3"}],
        "approve": {"value": {"id": 7, "ok": true}},
        "reject": {"text": "No", "value": {"id": 7, "ok": false}},
    })
}

fn form() -> Value {
    let options = json!([{"text": "Asia", "value": "as"}, {"text": "Europe", "value": "eu"}]);
    json!({
        "kind": "form",
        "title": "Leave",
        "inputs": [
            {"type": "text", "name": "reason", "label": "Reason", "required": true, "max_length": 200, "default": "-"},
            {"type": "multiline_text", "name": "note", "label": "Note", "placeholder": "as you like"},
            {"type": "select", "name": "region", "label": "Region", "options": options, "default": "eu"},
            {"type": "multi_select", "name": "regions", "label": "Regions", "options": options, "default": "as"},
            {"type": "date", "name": "day", "label": "Day", "default": "2026-01-31"},
            {"type": "time", "name": "time", "label": "Time", "default": "08:00"},
            {"type": "datetime", "name": "moment", "label": "Moment", "default": "2026-01-31 08:00"},
            {"type": "person", "name": "deputy", "label": "Deputy"},
        ],
        "submit": {"value": {"form": "leave"}},
    })
}

fn alert() -> Value {
    json!({
        "kind": "alert",
        "title": "Disk is full",
        "status": "firing",
        "severity": "critical",
        "labels": {"host": "db-1", "region": "eu"},
        "annotations": {"summary": "95 % used", "runbook": "wiki"},
        "links": [{"text": "Graph", "url": "https://graphs.example/1"}],
        "starts_at": "2026-01-31T08:00:00Z",
        "ends_at": "2026-01-31T16:30:00+08:00",
    })
}

#[test]
fn a_notification_becomes_a_card() {
    let plain = |text: &str| json!({"tag": "plain_text", "content": text});
    let small = |text: &str| json!({"tag": "div", "text": {"tag": "plain_text", "content": text, "text_size": "notation", "text_color": "grey"}});
    let cell = |name: &str, value: &str| json!({"tag": "column", "width": "weighted", "weight": 1, "elements": [small(name), {"tag": "div", "text": plain(value)}]});
    let button = |text: &str, kind: &str, behavior: Value| {
        json!({
            "tag": "column",
            "width": "auto",
            "elements": [{"tag": "button", "text": plain(text), "type": kind, "behaviors": [behavior]}],
        })
    };
    let open = json!({"type": "open_url", "default_url": "https://ci.example/17"});
    let again = json!({"type": "callback", "value": {"build": 17}});
    let expected = json!({
        "schema": "2.0",
        "config": {"update_multi": true},
        "header": {"title": plain("Build 17 failed"), "template": "red"},
        "body": {"elements": [
            {"tag": "div", "text": plain("2 of 300 tests")},
            {"tag": "markdown", "content": "<at id=ou_1></at> please look"},
            {"tag": "column_set", "flex_mode": "none", "columns": [cell("branch", "main"), cell("commit", "abc")]},
            {"tag": "column_set", "flex_mode": "none", "columns": [cell("log", "line")]},
            {"tag": "column_set", "flex_mode": "flow", "columns": [
                button("Open", "primary_filled", open),
                button("Again", "default", again),
            ]},
            {"tag": "hr"},
            small("ci"),
        ]},
    });
    assert_eq!(sent(&notification()).unwrap(), expected);
}

#[test]
fn an_approval_has_two_buttons_that_call_back() {
    let card = sent(&approval()).unwrap();
    let elements = &card["body"]["elements"];
    assert_eq!(elements[1]["user_id"], "ou_1");
    let buttons = &elements[3]["columns"];
    let approve = &buttons[0]["elements"][0];
    assert_eq!(approve["text"]["i18n_content"]["zh_cn"], "同意");
    assert_eq!(
        approve["behaviors"][0]["value"],
        json!({"id": 7, "ok": true})
    );
    let reject = &buttons[1]["elements"][0];
    assert_eq!(
        reject["text"],
        json!({"tag": "plain_text", "content": "No"})
    );
    assert_eq!(reject["type"], "danger_filled");
}

#[test]
fn a_form_submits_its_inputs_by_name() {
    let card = sent(&form()).unwrap();
    let form = &card["body"]["elements"][0];
    assert_eq!(form["tag"], "form");
    let inside = form["elements"].as_array().unwrap();
    let named: Vec<_> = inside.iter().filter(|it| it["name"].is_string()).collect();
    let tags: Vec<_> = named.iter().map(|it| it["tag"].as_str().unwrap()).collect();
    assert_eq!(
        tags,
        [
            "input",
            "input",
            "select_static",
            "multi_select_static",
            "date_picker",
            "picker_time",
            "picker_datetime",
            "select_person",
            "button",
        ]
    );
    assert_eq!(named[0]["default_value"], "-");
    assert_eq!(named[2]["initial_index"], 2);
    assert_eq!(named[3]["selected_values"], json!(["as"]));
    assert_eq!(named[8]["form_action_type"], "submit");
    assert_eq!(named[8]["behaviors"][0]["value"], json!({"form": "leave"}));
}

#[test]
fn an_alert_shows_its_state_in_the_header() {
    let header = |card: &Value| sent(card).unwrap()["header"].clone();
    let firing = header(&alert());
    assert_eq!(firing["template"], "carmine");
    assert_eq!(firing["text_tag_list"][0]["text"]["content"], "firing");
    assert_eq!(firing["text_tag_list"][1]["text"]["content"], "critical");
    let mut resolved = alert();
    resolved["status"] = "resolved".into();
    assert_eq!(header(&resolved)["template"], "green");
}

#[test]
fn a_card_may_be_its_title_alone() {
    for card in [
        json!({"kind": "notification", "title": "t"}),
        json!({"kind": "alert", "title": "t", "status": "resolved"}),
    ] {
        assert!(sent(&card).is_ok(), "{card}");
    }
}

#[test]
fn the_largest_card_is_within_the_number_of_elements() {
    let mut card = notification();
    card["fields"] = vec![json!({"name": "a", "value": "b"}); 20].into();
    card["buttons"] = vec![json!({"text": "a", "value": {}}); 10].into();
    assert!(sent(&card).is_ok());
}

/// Every text in `card` that is read as Markdown.
fn markdown_in(card: &Value) -> Vec<&str> {
    let mut found = Vec::new();
    let mut open = vec![card];
    while let Some(value) = open.pop() {
        match value {
            Value::Array(entries) => open.extend(entries),
            Value::Object(fields) => {
                let tag = fields.get("tag").and_then(Value::as_str);
                if matches!(tag, Some("markdown" | "lark_md")) {
                    found.extend(fields.get("content").and_then(Value::as_str));
                }
                open.extend(fields.values());
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    found
}

/// `card` with `text` in place of every text that somebody reads, but not of Markdown, addresses, ids and names.
fn with_texts(card: &Value, text: &str) -> Value {
    const READ: [&str; 7] = [
        "title",
        "text",
        "footer",
        "label",
        "placeholder",
        "host",
        "summary",
    ];
    let mut card = card.clone();
    let mut open = vec![&mut card];
    while let Some(value) = open.pop() {
        match value {
            Value::Array(entries) => open.extend(entries),
            Value::Object(fields) => {
                let is_field = fields.contains_key("name") && fields.contains_key("value");
                for (name, value) in fields {
                    let is_read = READ.contains(&name.as_str())
                        || is_field && matches!(name.as_str(), "name" | "value");
                    if is_read && value.is_string() {
                        *value = text.into();
                    } else {
                        open.push(value);
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    card
}

#[test]
fn a_text_mentions_nobody_and_links_nowhere() {
    for card in [notification(), approval(), form(), alert()] {
        let markdown = card["markdown"].as_str().map(str::to_owned);
        let card = sent(&with_texts(&card, HOSTILE)).unwrap();
        assert!(card.to_string().contains("evil.example"));
        let found = markdown_in(&card);
        let own: Vec<_> = markdown.iter().map(String::as_str).collect();
        assert_eq!(found, own);
    }
}

#[test]
fn a_mistake_is_named_in_the_callers_own_words() {
    let refused = |card: &Value| match sent(card) {
        Err(Error::InvalidArgument(errors)) => errors,
        other => panic!("{card}: {other:?}"),
    };
    let mut card = form();
    card["inputs"][4]["default"] = "tomorrow".into();
    card["inputs"][5]["max_length"] = 5.into();
    card["title"] = "".into();
    let fields: Vec<_> = refused(&card).into_iter().map(|it| it.field).collect();
    assert_eq!(
        fields,
        [
            "card.title",
            "card.inputs[4].default",
            "card.inputs[5].max_length"
        ]
    );
    let told = refused(&json!({"kind": "poll"}));
    assert_eq!(told[0].field, "card.kind");
    assert_eq!(
        told[0].message,
        "must be one of notification, approval, form and alert"
    );
}

proptest! {
    #[test]
    fn any_text_makes_a_card_that_is_accepted_or_a_problem(text in "\\PC{0,40}", at in 0..4_usize) {
        let card = [notification(), approval(), form(), alert()][at].clone();
        match sent(&with_texts(&card, &text)) {
            Ok(sent) => {
                let found = markdown_in(&sent).into_iter().map(str::to_owned).collect::<Vec<_>>();
                let own = card["markdown"].as_str().map(str::to_owned).into_iter().collect::<Vec<_>>();
                prop_assert_eq!(found, own);
            }
            Err(Error::InvalidArgument(errors)) => prop_assert!(text.trim().is_empty(), "{:?}", errors),
            Err(error) => prop_assert!(false, "{error}"),
        }
    }
}
