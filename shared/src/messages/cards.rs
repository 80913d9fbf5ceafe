//! Cards of the usual kinds from plain values: `{"kind": "notification", "title": …}` becomes a card in JSON 2.0, for a program
//! and for a shell script alike. Sources: "Card JSON 2.0 structure" and the pages of its components; 2.0 refuses attributes
//! that it does not know, so only documented ones are written.
//!
//! Every text stands in a `plain_text`, which the client shows as it is: a line of a log that says `<at id=all></at>` or
//! `[x](https://…)` mentions nobody and links nowhere. Markdown is read only in the fields that are called `markdown`.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::problems::{Path, Problems};
use crate::error::FieldError;

mod alert;
mod approval;
mod form;
mod notification;
mod parts;
mod schema;

pub use alert::{Alert, AlertStatus, Severity};
pub use approval::{Applicant, Approval, Decision};
pub use form::{Choice, Form, Input, InputType, Submit};
pub use notification::{Level, Notification};
pub use parts::{Button, ButtonStyle, Field, Link, Template};
pub use schema::AnyCard;

/// A card of one of the service's own kinds.
#[derive(Clone, PartialEq)]
pub enum Card {
    /// Something happened.
    Notification(Notification),
    /// Somebody is to say yes or no.
    Approval(Approval),
    /// Somebody is to fill something in.
    Form(Form),
    /// An alert fires, or is resolved.
    Alert(Alert),
}

/// The kinds, as errors list them.
const KINDS: &str = "notification, approval, form and alert";

impl Card {
    /// Checks what the types cannot say, such as lengths and addresses.
    pub fn check(&self, path: &Path<'_>, problems: &mut Problems) {
        match self {
            Self::Notification(card) => card.check(path, problems),
            Self::Approval(card) => card.check(path, problems),
            Self::Form(card) => card.check(path, problems),
            Self::Alert(card) => card.check(path, problems),
        }
    }

    /// The card in JSON 2.0, shared, so that it can be replaced later.
    #[must_use]
    pub fn to_json(&self) -> Map<String, Value> {
        match self {
            Self::Notification(card) => card.to_json(),
            Self::Approval(card) => card.to_json(),
            Self::Form(card) => card.to_json(),
            Self::Alert(card) => card.to_json(),
        }
    }

    /// The card that `fields` describe, with its `kind`; `None` after adding to `problems`.
    fn read(
        mut fields: Map<String, Value>,
        path: &Path<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let kind = fields.remove("kind");
        match kind.as_ref().and_then(Value::as_str) {
            Some("notification") => read(fields, path, problems).map(Self::Notification),
            Some("approval") => read(fields, path, problems).map(Self::Approval),
            Some("form") => read(fields, path, problems).map(Self::Form),
            Some("alert") => read(fields, path, problems).map(Self::Alert),
            Some(_) | None => {
                problems.add(&path.field("kind"), format!("must be one of {KINDS}"));
                None
            }
        }
    }
}

/// The card in JSON 2.0 that `fields` describe; `None` after adding to `problems`.
pub(super) fn build(
    fields: Map<String, Value>,
    path: &Path<'_>,
    problems: &mut Problems,
) -> Option<Map<String, Value>> {
    let before = problems.count();
    let card = Card::read(fields, path, problems)?;
    card.check(path, problems);
    (problems.count() == before).then(|| card.to_json())
}

fn read<T: DeserializeOwned>(
    fields: Map<String, Value>,
    path: &Path<'_>,
    problems: &mut Problems,
) -> Option<T> {
    match serde_path_to_error::deserialize(Value::Object(fields)) {
        Ok(card) => Some(card),
        Err(error) => {
            let FieldError { field, message } = FieldError::of_json(&error);
            let inside = path.field(&field);
            let at = if field == "body" { path } else { &inside };
            match missing(&message) {
                Some(name) => problems.add(&at.field(name), "is missing"),
                None => problems.add(at, message),
            }
            None
        }
    }
}

/// The field that is missing, if that is what `message` says.
fn missing(message: &str) -> Option<&str> {
    message.strip_prefix("missing field `")?.split('`').next()
}

#[cfg(test)]
mod tests;
