//! What cards are made of.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::super::content::{card_markdown_problem, web_problem};
use super::super::problems::{Path, Problems};

/// The most fields of a card: with two texts and a column each they stay below the platform's 200 elements.
pub(super) const MAX_FIELDS: usize = 20;
/// The most buttons of a card.
const MAX_BUTTONS: usize = 10;
/// The longest text of a button, in characters. Source: "Button".
const MAX_BUTTON_CHARACTERS: usize = 100;
/// The longest title, in characters: the client shows four lines.
const MAX_TITLE_CHARACTERS: usize = 500;

/// A name and a value, side by side with others.
#[derive(Clone, Deserialize, PartialEq, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CardField)]
pub struct Field {
    /// The name, small and grey above the value.
    #[schema(min_length = 1)]
    pub name: String,
    /// The value, shown as it is.
    pub value: String,
    /// Whether it takes half the width, so that two stand in a row.
    #[serde(default)]
    #[schema(default = false)]
    pub short: bool,
}

/// A button that opens a page or calls back: exactly one of `url` and `value`.
#[derive(Clone, Deserialize, PartialEq, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CardButton)]
pub struct Button {
    /// What is on it.
    #[schema(min_length = 1, max_length = 100)]
    pub text: String,
    /// The page that it opens.
    #[serde(default)]
    #[schema(format = "uri")]
    pub url: Option<String>,
    /// What comes back when somebody clicks, in the callback's `action.value`.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub value: Option<Map<String, Value>>,
    /// How it looks.
    #[serde(default)]
    #[schema(default = ButtonStyle::default)]
    pub style: ButtonStyle,
}

/// How a button looks.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, serde::Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ButtonStyle {
    /// Black, with a border.
    #[default]
    Default,
    /// White on blue.
    Primary,
    /// White on red.
    Danger,
}

/// A page with a text to click on.
#[derive(Clone, Deserialize, PartialEq, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CardLink)]
pub struct Link {
    /// What is shown.
    #[schema(min_length = 1, max_length = 100)]
    pub text: String,
    /// The page.
    #[schema(format = "uri")]
    pub url: String,
}

/// The colour of a card's header, in the platform's words.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CardTemplate)]
#[expect(missing_docs, reason = "a colour is its name")]
pub enum Template {
    Blue,
    Wathet,
    Turquoise,
    Green,
    Yellow,
    Orange,
    Red,
    Carmine,
    Violet,
    Purple,
    Indigo,
    Grey,
}

impl Template {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Blue => "blue",
            Self::Wathet => "wathet",
            Self::Turquoise => "turquoise",
            Self::Green => "green",
            Self::Yellow => "yellow",
            Self::Orange => "orange",
            Self::Red => "red",
            Self::Carmine => "carmine",
            Self::Violet => "violet",
            Self::Purple => "purple",
            Self::Indigo => "indigo",
            Self::Grey => "grey",
        }
    }
}

impl ButtonStyle {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Primary => "primary_filled",
            Self::Danger => "danger_filled",
        }
    }
}

/// Checks a text that must say something, in at most `max` characters.
pub(super) fn check_text(text: &str, max: usize, path: &Path<'_>, problems: &mut Problems) {
    if text.trim().is_empty() {
        problems.add(path, "must not be empty");
    } else if text.chars().count() > max {
        problems.add(path, format!("must be at most {max} characters"));
    }
}

pub(super) fn check_title(title: &str, path: &Path<'_>, problems: &mut Problems) {
    check_text(title, MAX_TITLE_CHARACTERS, &path.field("title"), problems);
}

/// Checks the field `markdown` of a card.
pub(super) fn check_markdown(text: Option<&String>, path: &Path<'_>, problems: &mut Problems) {
    if let Some(wrong) = text.and_then(|text| card_markdown_problem(text)) {
        problems.add(&path.field("markdown"), wrong);
    }
}

pub(super) fn check_fields(fields: &[Field], path: &Path<'_>, problems: &mut Problems) {
    let path = path.field("fields");
    if fields.len() > MAX_FIELDS {
        problems.add(&path, format!("must be at most {MAX_FIELDS}"));
    }
    for (at, field) in fields.iter().enumerate() {
        let path = path.index(at);
        check_text(
            &field.name,
            MAX_TITLE_CHARACTERS,
            &path.field("name"),
            problems,
        );
    }
}

pub(super) fn check_buttons(buttons: &[Button], path: &Path<'_>, problems: &mut Problems) {
    let path = path.field("buttons");
    if buttons.len() > MAX_BUTTONS {
        problems.add(&path, format!("must be at most {MAX_BUTTONS}"));
    }
    for (at, button) in buttons.iter().enumerate() {
        let path = path.index(at);
        check_label(&button.text, &path, problems);
        match (&button.url, &button.value) {
            (None, None) => problems.add(
                &path,
                "must have url, the page that it opens, or value, what comes back when somebody clicks",
            ),
            (Some(_), Some(_)) => problems.add(
                &path.field("value"),
                "must not be given together with url: a button opens a page or calls back",
            ),
            (Some(url), None) => check_url(url, &path, problems),
            (None, Some(_)) => {}
        }
    }
}

pub(super) fn check_links(links: &[Link], path: &Path<'_>, problems: &mut Problems) {
    let path = path.field("links");
    if links.len() > MAX_BUTTONS {
        problems.add(&path, format!("must be at most {MAX_BUTTONS}"));
    }
    for (at, link) in links.iter().enumerate() {
        let path = path.index(at);
        check_label(&link.text, &path, problems);
        check_url(&link.url, &path, problems);
    }
}

/// Checks the text of what is at `path`, a button or a link.
pub(super) fn check_label(text: &str, path: &Path<'_>, problems: &mut Problems) {
    check_text(text, MAX_BUTTON_CHARACTERS, &path.field("text"), problems);
}

fn check_url(url: &str, path: &Path<'_>, problems: &mut Problems) {
    if let Some(wrong) = web_problem(url) {
        problems.add(&path.field("url"), wrong);
    }
}

/// A whole card.
pub(super) fn card(header: &Value, elements: Vec<Value>) -> Map<String, Value> {
    let elements = if elements.is_empty() {
        // A card with nothing but its title.
        vec![note("")]
    } else {
        elements
    };
    let mut card = Map::new();
    card.insert("schema".to_owned(), "2.0".into());
    card.insert("config".to_owned(), json!({ "update_multi": true }));
    card.insert("header".to_owned(), header.clone());
    card.insert("body".to_owned(), json!({ "elements": elements }));
    card
}

/// The head of a card, with tags behind the title: text and colour.
pub(super) fn header(title: &str, template: Template, tags: &[(&str, &str)]) -> Value {
    let mut header = json!({ "title": plain(title), "template": template.as_str() });
    if !tags.is_empty() {
        let tags = tags.iter();
        let tags = tags
            .map(|(text, color)| json!({ "tag": "text_tag", "text": plain(text), "color": color }));
        header["text_tag_list"] = tags.collect();
    }
    header
}

/// A text that is shown as it is.
pub(super) fn plain(text: &str) -> Value {
    json!({ "tag": "plain_text", "content": text })
}

/// A text of our own, in English and Chinese.
pub(super) fn labelled(english: &str, chinese: &str) -> Value {
    json!({
        "tag": "plain_text",
        "content": english,
        "i18n_content": { "en_us": english, "zh_cn": chinese },
    })
}

pub(super) fn block(text: Value) -> Value {
    json!({ "tag": "div", "text": text })
}

/// A small grey text.
pub(super) fn note(text: &str) -> Value {
    small(plain(text))
}

pub(super) fn small(mut text: Value) -> Value {
    text["text_size"] = "notation".into();
    text["text_color"] = "grey".into();
    block(text)
}

pub(super) fn markdown(text: &str) -> Value {
    json!({ "tag": "markdown", "content": text })
}

pub(super) fn rule() -> Value {
    json!({ "tag": "hr" })
}

/// The text and the Markdown of a card, in this order.
pub(super) fn texts(text: Option<&String>, md: Option<&String>) -> Vec<Value> {
    let full = |text: &&String| !text.trim().is_empty();
    let text = text.filter(full).map(|text| block(plain(text)));
    let md = md.filter(full).map(|text| markdown(text));
    text.into_iter().chain(md).collect()
}

/// Fields, two short ones to a row.
pub(super) fn fields(fields: &[Field]) -> Vec<Value> {
    let mut rows = Vec::new();
    let mut rest = fields;
    while let Some(first) = rest.first() {
        let in_row = match rest.get(1) {
            Some(second) if first.short && second.short => 2,
            Some(_) | None => 1,
        };
        let (row, others) = rest.split_at(in_row);
        let cells = row.iter().map(cell);
        rows.push(json!({ "tag": "column_set", "flex_mode": "none", "columns": cells.collect::<Vec<_>>() }));
        rest = others;
    }
    rows
}

fn cell(field: &Field) -> Value {
    json!({
        "tag": "column",
        "width": "weighted",
        "weight": 1,
        "elements": [note(&field.name), block(plain(&field.value))],
    })
}

/// Buttons in a row that breaks where it must.
pub(super) fn row(buttons: Vec<Value>) -> Option<Value> {
    if buttons.is_empty() {
        return None;
    }
    let columns = buttons
        .into_iter()
        .map(|button| json!({ "tag": "column", "width": "auto", "elements": [button] }));
    Some(
        json!({ "tag": "column_set", "flex_mode": "flow", "columns": columns.collect::<Vec<_>>() }),
    )
}

pub(super) fn button(button: &Button) -> Value {
    let behavior = match (&button.url, &button.value) {
        (Some(url), _) => opens(url),
        (None, Some(value)) => calls_back(value),
        (None, None) => calls_back(&Map::new()),
    };
    clickable(plain(&button.text), button.style, &behavior)
}

pub(super) fn link(link: &Link) -> Value {
    clickable(plain(&link.text), ButtonStyle::Default, &opens(&link.url))
}

pub(super) fn clickable(text: Value, style: ButtonStyle, behavior: &Value) -> Value {
    json!({ "tag": "button", "text": text, "type": style.as_str(), "behaviors": [behavior] })
}

fn opens(url: &str) -> Value {
    json!({ "type": "open_url", "default_url": url })
}

pub(super) fn calls_back(value: &Map<String, Value>) -> Value {
    json!({ "type": "callback", "value": value })
}

/// The last line of a card.
pub(super) fn footer(text: Option<&String>) -> Vec<Value> {
    match text.filter(|text| !text.trim().is_empty()) {
        Some(text) => vec![rule(), note(text)],
        None => Vec::new(),
    }
}
