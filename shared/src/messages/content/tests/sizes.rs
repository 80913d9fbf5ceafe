//! What is too large, and what is just not.

use super::*;

fn text(bytes: usize) -> Result<MessageContent> {
    parse(&json!({ "text": "x".repeat(bytes - r#"{"text":""}"#.len()) }))
}

#[test]
fn a_text_is_accepted_up_to_its_limit_and_not_beyond() {
    assert!(text(MAX_TEXT_BYTES).is_ok());
    let refused = text(MAX_TEXT_BYTES + 1);
    assert!(matches!(&refused, Err(Error::FieldTooLarge(_))));
    check_refused(&refused, "text", "at most 153600 bytes");
}

#[test]
fn a_post_and_a_card_are_accepted_up_to_theirs() {
    let long = "字".repeat(11_000);
    check_refused(
        &parse(&json!({ "markdown": long })),
        "markdown",
        "at most 30720 bytes",
    );
    let card = json!({"elements": [{"tag": "markdown", "content": long}]});
    check_refused(
        &parse(&json!({ "card": card })),
        "card",
        "at most 30720 bytes",
    );
    let own = json!({"kind": "notification", "title": "t", "text": long});
    check_refused(
        &parse(&json!({ "card": own })),
        "card",
        "at most 30720 bytes",
    );
    let fits = "字".repeat(10_000);
    assert!(parse(&json!({ "markdown": fits })).is_ok());
}

#[test]
fn a_text_that_holds_the_content_is_judged_before_it_is_parsed() {
    let content = format!("{{{}\"text\":\"hi\"}}", " ".repeat(1_000_000));
    let refused = parse(&json!({"msg_type": "text", "content": content}));
    assert!(matches!(&refused, Err(Error::FieldTooLarge(_))));
    check_refused(&refused, "content", "at most 614400 bytes");
    let deep = format!("{{\"text\":{}", "[".repeat(500_000));
    let refused = parse(&json!({"msg_type": "text", "content": deep}));
    check_refused(&refused, "content", "deeper than 64");
}

#[test]
fn a_card_has_at_most_so_many_elements() {
    let card = |elements: usize| {
        let elements = vec![json!({"tag": "hr"}); elements];
        parse(&json!({ "card": {"schema": "2.0", "body": {"elements": elements}} }))
    };
    assert!(card(MAX_CARD_ELEMENTS).is_ok());
    check_refused(&card(MAX_CARD_ELEMENTS + 1), "card", "it has 201");
    // A text is an element too; what is data is none.
    let div = json!({"tag": "div", "text": {"tag": "plain_text", "content": "x"}});
    check_refused(
        &parse(&json!({ "card": {"elements": vec![div; 101]} })),
        "card",
        "it has 202",
    );
    let data = vec![json!({"tag": "x"}); 300];
    let chart = json!({"tag": "chart", "chart_spec": {"data": data}});
    assert!(parse(&json!({ "card": {"elements": [chart]} })).is_ok());
}

#[test]
fn each_language_is_a_card_of_its_own() {
    let elements = vec![json!({"tag": "hr"}); 150];
    let card = json!({"i18n_elements": {"zh_cn": elements, "en_us": elements}});
    assert!(parse(&json!({ "card": card })).is_ok());
}

#[test]
fn an_address_has_a_limit() {
    let href = format!("https://example.com/{}", "x".repeat(5_000));
    let post = json!({"zh_cn": {"content": [[{"tag": "a", "text": "x", "href": href}]]}});
    check_refused(
        &parse(&json!({"msg_type": "post", "content": post})),
        "content.zh_cn.content[0][0].href",
        "at most 4096 bytes",
    );
}
