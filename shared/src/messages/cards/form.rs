//! Somebody is to fill something in.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::super::problems::{Path, Problems};
use super::parts;
use super::parts::{ButtonStyle, Template};

/// The most inputs of a form.
const MAX_INPUTS: usize = 20;
/// The most choices of an input; with a text each they count as elements.
const MAX_CHOICES: usize = 50;
/// The longest name of an input, in characters.
const MAX_NAME_CHARACTERS: usize = 64;
/// The longest placeholder, in characters. Source: "Input".
const MAX_PLACEHOLDER_CHARACTERS: usize = 100;
/// The longest text that an input can take. Source: "Input".
const MAX_LENGTH: u16 = 1_000;
/// The name under which a click on the button comes back.
const SUBMIT: &str = "submit";

/// Somebody is to fill something in. What they submit comes back in the callback's `action.form_value`, under the names of the
/// inputs. Texts are shown as they are; only `markdown` is read as Markdown.
#[derive(Clone, Deserialize, PartialEq, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FormCard)]
pub struct Form {
    /// What it is about.
    #[schema(min_length = 1, max_length = 500)]
    pub title: String,
    /// A text.
    #[serde(default)]
    pub text: Option<String>,
    /// A text in the platform's Markdown.
    #[serde(default)]
    pub markdown: Option<String>,
    /// What is to be filled in.
    #[schema(min_items = 1, max_items = 20)]
    pub inputs: Vec<Input>,
    /// The button that submits it.
    #[serde(default)]
    pub submit: Option<Submit>,
    /// A small last line.
    #[serde(default)]
    pub footer: Option<String>,
}

/// What is to be filled in.
#[derive(Clone, Deserialize, PartialEq, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FormInput)]
pub struct Input {
    /// What it is.
    #[serde(rename = "type")]
    pub input_type: InputType,
    /// Under which name it comes back; each once, and none of them `submit`.
    #[schema(min_length = 1, max_length = 64)]
    pub name: String,
    /// What stands above it.
    #[schema(min_length = 1, max_length = 100)]
    pub label: String,
    /// What stands in it while it is empty.
    #[serde(default)]
    #[schema(max_length = 100)]
    pub placeholder: Option<String>,
    /// Whether it must be filled in.
    #[serde(default)]
    #[schema(default = false)]
    pub required: bool,
    /// What is in it at first: a text, the value of a choice, a date `2026-01-31`, a time `08:00`, or both with a space between.
    #[serde(default)]
    pub default: Option<String>,
    /// The longest text, in characters; for `text` and `multiline_text`.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1_000)]
    pub max_length: Option<u16>,
    /// What can be chosen; for `select` and `multi_select`.
    #[serde(default)]
    #[schema(max_items = 50)]
    pub options: Vec<Choice>,
}

/// What an input is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = FormInputType)]
pub enum InputType {
    /// A line of text.
    Text,
    /// A text of several lines.
    MultilineText,
    /// One of `options`.
    Select,
    /// Some of `options`.
    MultiSelect,
    /// A date.
    Date,
    /// A time of day.
    Time,
    /// A date and a time of day.
    Datetime,
    /// A user.
    Person,
}

/// What can be chosen.
#[derive(Clone, Deserialize, PartialEq, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FormOption)]
pub struct Choice {
    /// What is shown.
    #[schema(min_length = 1, max_length = 100)]
    pub text: String,
    /// What comes back; each once.
    #[schema(min_length = 1)]
    pub value: String,
}

/// The button that submits a form.
#[derive(Clone, Default, Deserialize, PartialEq, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = FormSubmit)]
pub struct Submit {
    /// What is on it; by default "Submit", in Chinese where the client is.
    #[schema(min_length = 1, max_length = 100)]
    pub text: Option<String>,
    /// What comes back beside the inputs, in the callback's `action.value`.
    #[schema(value_type = Object)]
    pub value: Map<String, Value>,
}

impl InputType {
    const fn tag(self) -> &'static str {
        match self {
            Self::Text | Self::MultilineText => "input",
            Self::Select => "select_static",
            Self::MultiSelect => "multi_select_static",
            Self::Date => "date_picker",
            Self::Time => "picker_time",
            Self::Datetime => "picker_datetime",
            Self::Person => "select_person",
        }
    }

    const fn has_options(self) -> bool {
        matches!(self, Self::Select | Self::MultiSelect)
    }

    const fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::MultilineText)
    }
}

impl Form {
    pub(super) fn check(&self, path: &Path<'_>, problems: &mut Problems) {
        parts::check_title(&self.title, path, problems);
        parts::check_markdown(self.markdown.as_ref(), path, problems);
        if let Some(text) = self.submit.as_ref().and_then(|it| it.text.as_ref()) {
            parts::check_label(text, &path.field("submit"), problems);
        }
        let path = path.field("inputs");
        if !(1..=MAX_INPUTS).contains(&self.inputs.len()) {
            problems.add(&path, format!("must be 1 to {MAX_INPUTS}"));
        }
        let mut names = HashSet::from([SUBMIT]);
        for (at, input) in self.inputs.iter().enumerate() {
            let path = path.index(at);
            input.check(&path, problems);
            if !names.insert(&input.name) {
                problems.add(
                    &path.field("name"),
                    "must be unique in the form, and not submit: what is filled in comes back under it",
                );
            }
        }
    }

    pub(super) fn to_json(&self) -> Map<String, Value> {
        let mut elements = parts::texts(self.text.as_ref(), self.markdown.as_ref());
        let mut inside: Vec<Value> = self.inputs.iter().flat_map(Input::elements).collect();
        inside.push(self.button());
        elements.push(json!({ "tag": "form", "name": "form", "elements": inside }));
        elements.extend(parts::footer(self.footer.as_ref()));
        parts::card(&parts::header(&self.title, Template::Blue, &[]), elements)
    }

    fn button(&self) -> Value {
        let submit = self.submit.clone().unwrap_or_default();
        let text = match &submit.text {
            Some(text) => parts::plain(text),
            None => parts::labelled("Submit", "提交"),
        };
        let behavior = parts::calls_back(&submit.value);
        let mut button = parts::clickable(text, ButtonStyle::Primary, &behavior);
        button["name"] = SUBMIT.into();
        button["form_action_type"] = "submit".into();
        button
    }
}

impl Input {
    fn check(&self, path: &Path<'_>, problems: &mut Problems) {
        parts::check_text(
            &self.name,
            MAX_NAME_CHARACTERS,
            &path.field("name"),
            problems,
        );
        parts::check_text(&self.label, 100, &path.field("label"), problems);
        let placeholder = self.placeholder.as_ref();
        if placeholder.is_some_and(|it| it.chars().count() > MAX_PLACEHOLDER_CHARACTERS) {
            problems.add(
                &path.field("placeholder"),
                format!("must be at most {MAX_PLACEHOLDER_CHARACTERS} characters"),
            );
        }
        self.check_length(path, problems);
        self.check_options(path, problems);
        if self.default.is_some() && !self.is_default_possible() {
            problems.add(
                &path.field("default"),
                "must be of the input's type: the value of a choice, a date `2026-01-31`, a time `08:00`, or both with a space between",
            );
        }
    }

    fn check_length(&self, path: &Path<'_>, problems: &mut Problems) {
        let field = path.field("max_length");
        match self.max_length {
            Some(_) if !self.input_type.is_text() => {
                problems.add(&field, "must be left out: only a text has a length");
            }
            Some(length) if !(1..=MAX_LENGTH).contains(&length) => {
                problems.add(&field, format!("must be 1 to {MAX_LENGTH}"));
            }
            Some(_) | None => {}
        }
    }

    fn check_options(&self, path: &Path<'_>, problems: &mut Problems) {
        let path = path.field("options");
        if !self.input_type.has_options() {
            if !self.options.is_empty() {
                problems.add(
                    &path,
                    "must be left out: they are for select and multi_select",
                );
            }
            return;
        }
        if !(1..=MAX_CHOICES).contains(&self.options.len()) {
            problems.add(&path, format!("must be 1 to {MAX_CHOICES}"));
        }
        let mut values = HashSet::new();
        for (at, choice) in self.options.iter().enumerate() {
            let path = path.index(at);
            parts::check_label(&choice.text, &path, problems);
            parts::check_text(&choice.value, 1_000, &path.field("value"), problems);
            if !values.insert(&choice.value) {
                problems.add(
                    &path.field("value"),
                    "must be unique among the options: it is all that comes back",
                );
            }
        }
    }

    fn is_default_possible(&self) -> bool {
        let text = self.default.as_deref().unwrap_or_default();
        match self.input_type {
            InputType::Text | InputType::MultilineText => true,
            InputType::Select | InputType::MultiSelect => {
                self.options.iter().any(|choice| choice.value == text)
            }
            InputType::Date => is_of_form(text, "0000-00-00"),
            InputType::Time => is_of_form(text, "00:00"),
            InputType::Datetime => is_of_form(text, "0000-00-00 00:00"),
            InputType::Person => crate::ids::OpenId::parse(text).is_some(),
        }
    }

    /// The label and the input.
    fn elements(&self) -> [Value; 2] {
        let mut input = json!({
            "tag": self.input_type.tag(),
            "name": self.name,
            "required": self.required,
            "width": "fill",
        });
        if let Some(placeholder) = &self.placeholder {
            input["placeholder"] = parts::plain(placeholder);
        }
        if self.input_type == InputType::MultilineText {
            input["input_type"] = "multiline_text".into();
        }
        if let Some(length) = self.max_length {
            input["max_length"] = length.into();
        }
        if self.input_type.has_options() {
            let options = self.options.iter();
            let options =
                options.map(|it| json!({ "text": parts::plain(&it.text), "value": it.value }));
            input["options"] = options.collect();
        }
        if let Some((name, value)) = self.initial() {
            input[name] = value;
        }
        [parts::block(parts::plain(&self.label)), input]
    }

    /// What is in it at first, under the name that the input has for it.
    fn initial(&self) -> Option<(&'static str, Value)> {
        let text = self.default.as_deref()?;
        Some(match self.input_type {
            InputType::Text | InputType::MultilineText => ("default_value", text.into()),
            InputType::Select => {
                // Counted from 1; 0 shows none.
                let index = self.options.iter().position(|it| it.value == text)?;
                ("initial_index", (index + 1).into())
            }
            InputType::MultiSelect => ("selected_values", json!([text])),
            InputType::Date => ("initial_date", text.into()),
            InputType::Time => ("initial_time", text.into()),
            InputType::Datetime => ("initial_datetime", text.into()),
            InputType::Person => ("initial_option", text.into()),
        })
    }
}

/// Whether `text` has digits where `form` has `0`, and the same elsewhere.
fn is_of_form(text: &str, form: &str) -> bool {
    let same = |(byte, form): (u8, u8)| match form {
        b'0' => byte.is_ascii_digit(),
        _ => byte == form,
    };
    text.len() == form.len() && text.bytes().zip(form.bytes()).all(same)
}
