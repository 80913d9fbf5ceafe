//! Somebody is to say yes or no.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::super::problems::{Path, Problems};
use super::parts;
use super::parts::{ButtonStyle, Field, Template};
use crate::ids::OpenId;

/// Somebody is to say yes or no. A click comes back with the `value` of its button. Texts are shown as they are; only
/// `markdown` is read as Markdown.
#[derive(Clone, Deserialize, PartialEq, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ApprovalCard)]
pub struct Approval {
    /// What it is about.
    #[schema(min_length = 1, max_length = 500)]
    pub title: String,
    /// Who asks.
    #[serde(default)]
    pub applicant: Option<Applicant>,
    /// A text.
    #[serde(default)]
    pub text: Option<String>,
    /// A text in the platform's Markdown.
    #[serde(default)]
    pub markdown: Option<String>,
    /// Names and values.
    #[serde(default)]
    #[schema(max_items = 20)]
    pub fields: Vec<Field>,
    /// The button that says yes.
    pub approve: Decision,
    /// The button that says no.
    pub reject: Decision,
    /// A small last line.
    #[serde(default)]
    pub footer: Option<String>,
}

/// Who asks: exactly one of the fields.
#[derive(Clone, Default, Deserialize, PartialEq, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Applicant {
    /// A user for this app, shown with name and picture. Nobody is notified.
    #[schema(value_type = Option<OpenId>)]
    pub open_id: Option<String>,
    /// A name.
    #[schema(min_length = 1)]
    pub name: Option<String>,
}

/// One of the two buttons.
#[derive(Clone, Deserialize, PartialEq, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// What is on it; by default "Approve" and "Reject", in Chinese where the client is.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 100)]
    pub text: Option<String>,
    /// What comes back when somebody clicks, in the callback's `action.value`.
    #[schema(value_type = Object)]
    pub value: Map<String, Value>,
}

impl Approval {
    pub(super) fn check(&self, path: &Path<'_>, problems: &mut Problems) {
        parts::check_title(&self.title, path, problems);
        if let Some(applicant) = &self.applicant {
            applicant.check(&path.field("applicant"), problems);
        }
        parts::check_markdown(self.markdown.as_ref(), path, problems);
        parts::check_fields(&self.fields, path, problems);
        for (name, decision) in [("approve", &self.approve), ("reject", &self.reject)] {
            if let Some(text) = &decision.text {
                parts::check_label(text, &path.field(name), problems);
            }
        }
        if self.approve.value == self.reject.value {
            problems.add(
                &path.field("reject").field("value"),
                "must differ from the value of approve: it is all that comes back with a click",
            );
        }
    }

    pub(super) fn to_json(&self) -> Map<String, Value> {
        let mut elements = self
            .applicant
            .as_ref()
            .map_or(Vec::new(), Applicant::elements);
        elements.extend(parts::texts(self.text.as_ref(), self.markdown.as_ref()));
        elements.extend(parts::fields(&self.fields));
        let approve = self.approve.button(ButtonStyle::Primary, "Approve", "同意");
        let reject = self.reject.button(ButtonStyle::Danger, "Reject", "拒绝");
        elements.extend(parts::row(vec![approve, reject]));
        elements.extend(parts::footer(self.footer.as_ref()));
        parts::card(&parts::header(&self.title, Template::Blue, &[]), elements)
    }
}

impl Applicant {
    fn check(&self, path: &Path<'_>, problems: &mut Problems) {
        match (&self.open_id, &self.name) {
            (Some(open_id), None) => {
                if OpenId::parse(open_id).is_none() {
                    problems.add(
                        &path.field("open_id"),
                        "must be an open_id: `ou_` and then letters, digits, `_` or `-`",
                    );
                }
            }
            (None, Some(name)) => {
                parts::check_text(name, 100, &path.field("name"), problems);
            }
            (None, None) => problems.add(path, "must have open_id or name"),
            (Some(_), Some(_)) => problems.add(
                &path.field("name"),
                "must not be given together with open_id: one of them says who asks",
            ),
        }
    }

    fn elements(&self) -> Vec<Value> {
        let label = parts::small(parts::labelled("Applicant", "申请人"));
        match (&self.open_id, &self.name) {
            (Some(open_id), _) => vec![label, person(open_id)],
            (None, Some(name)) => vec![label, parts::block(parts::plain(name))],
            (None, None) => Vec::new(),
        }
    }
}

fn person(open_id: &str) -> Value {
    json!({ "tag": "person", "user_id": open_id, "size": "small", "show_name": true })
}

impl Decision {
    fn button(&self, style: ButtonStyle, english: &str, chinese: &str) -> Value {
        let text = match &self.text {
            Some(text) => parts::plain(text),
            None => parts::labelled(english, chinese),
        };
        parts::clickable(text, style, &parts::calls_back(&self.value))
    }
}
