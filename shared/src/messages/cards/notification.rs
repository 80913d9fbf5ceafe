//! Something happened: a build, a deployment, a report.

use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::super::problems::{Path, Problems};
use super::parts;
use super::parts::{Button, Field, Template};

/// Something happened. Texts are shown as they are; only `markdown` is read as Markdown.
#[derive(Clone, Default, Deserialize, PartialEq, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NotificationCard)]
pub struct Notification {
    /// What happened.
    #[schema(min_length = 1, max_length = 500)]
    pub title: String,
    /// How it is to be taken: the colour of the header.
    #[serde(default)]
    #[schema(default = "info")]
    pub level: Option<Level>,
    /// The colour of the header, instead of `level`.
    #[serde(default)]
    pub template: Option<Template>,
    /// A text.
    #[serde(default)]
    pub text: Option<String>,
    /// A text in the platform's Markdown, with mentions (`<at id=ou_…></at>`) and links.
    #[serde(default)]
    pub markdown: Option<String>,
    /// Names and values.
    #[serde(default)]
    #[schema(max_items = 20)]
    pub fields: Vec<Field>,
    /// Buttons in a row.
    #[serde(default)]
    #[schema(max_items = 10)]
    pub buttons: Vec<Button>,
    /// A small last line.
    #[serde(default)]
    pub footer: Option<String>,
}

/// How a notification is to be taken.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = NotificationLevel)]
pub enum Level {
    /// Blue.
    #[default]
    Info,
    /// Green.
    Success,
    /// Orange.
    Warning,
    /// Red.
    Error,
}

impl Level {
    const fn template(self) -> Template {
        match self {
            Self::Info => Template::Blue,
            Self::Success => Template::Green,
            Self::Warning => Template::Orange,
            Self::Error => Template::Red,
        }
    }
}

impl Notification {
    pub(super) fn check(&self, path: &Path<'_>, problems: &mut Problems) {
        parts::check_title(&self.title, path, problems);
        if self.level.is_some() && self.template.is_some() {
            problems.add(
                &path.field("template"),
                "must not be given together with level: both say the colour of the header",
            );
        }
        parts::check_markdown(self.markdown.as_ref(), path, problems);
        parts::check_fields(&self.fields, path, problems);
        parts::check_buttons(&self.buttons, path, problems);
    }

    pub(super) fn to_json(&self) -> Map<String, Value> {
        let level = self.level.unwrap_or_default();
        let template = self.template.unwrap_or(level.template());
        let mut elements = parts::texts(self.text.as_ref(), self.markdown.as_ref());
        elements.extend(parts::fields(&self.fields));
        elements.extend(parts::row(self.buttons.iter().map(parts::button).collect()));
        elements.extend(parts::footer(self.footer.as_ref()));
        parts::card(&parts::header(&self.title, template, &[]), elements)
    }
}
