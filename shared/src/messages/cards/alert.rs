//! An alert fires, or is resolved.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::super::problems::{Path, Problems};
use super::parts;
use super::parts::{Field, Link, MAX_FIELDS, Template};
use crate::clock::Timestamp;

/// An alert fires, or is resolved. Texts are shown as they are; only `markdown` is read as Markdown.
#[derive(Clone, Deserialize, PartialEq, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AlertCard)]
pub struct Alert {
    /// What it is about.
    #[schema(min_length = 1, max_length = 500)]
    pub title: String,
    /// Whether it fires.
    pub status: AlertStatus,
    /// How bad it is: with `status` the colour of the header.
    #[serde(default)]
    #[schema(default = Severity::default)]
    pub severity: Severity,
    /// A text.
    #[serde(default)]
    pub text: Option<String>,
    /// A text in the platform's Markdown.
    #[serde(default)]
    pub markdown: Option<String>,
    /// What tells it from others, such as `service` and `region`; 20 at most, with the annotations.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// What explains it, such as `summary` and `runbook`.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// Pages, as buttons.
    #[serde(default)]
    #[schema(max_items = 10)]
    pub links: Vec<Link>,
    /// Since when it fires (RFC 3339), shown as it is.
    #[serde(default)]
    #[schema(format = "date-time")]
    pub starts_at: Option<String>,
    /// Since when it does not (RFC 3339), shown as it is.
    #[serde(default)]
    #[schema(format = "date-time")]
    pub ends_at: Option<String>,
    /// A small last line.
    #[serde(default)]
    pub footer: Option<String>,
}

/// Whether an alert fires.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertStatus {
    /// It does.
    Firing,
    /// It did.
    Resolved,
}

/// How bad an alert is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, serde::Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = AlertSeverity)]
pub enum Severity {
    /// Somebody must act now.
    Critical,
    /// Somebody must act.
    #[default]
    Error,
    /// Somebody should look.
    Warning,
    /// Nobody needs to act.
    Info,
}

impl Severity {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }

    const fn template(self) -> Template {
        match self {
            Self::Critical => Template::Carmine,
            Self::Error => Template::Red,
            Self::Warning => Template::Orange,
            Self::Info => Template::Blue,
        }
    }
}

impl Alert {
    pub(super) fn check(&self, path: &Path<'_>, problems: &mut Problems) {
        parts::check_title(&self.title, path, problems);
        parts::check_markdown(self.markdown.as_ref(), path, problems);
        if self.labels.len() + self.annotations.len() > MAX_FIELDS {
            problems.add(
                &path.field("labels"),
                format!("must be at most {MAX_FIELDS}, with the annotations"),
            );
        }
        parts::check_links(&self.links, path, problems);
        let times = [("starts_at", &self.starts_at), ("ends_at", &self.ends_at)];
        let moments = times.map(|(name, text)| {
            let text = text.as_deref()?;
            let moment = Timestamp::parse(text);
            if moment.is_none() {
                problems.add(
                    &path.field(name),
                    "must be a moment in RFC 3339, such as 2026-01-31T08:00:00Z",
                );
            }
            moment
        });
        if let [Some(starts_at), Some(ends_at)] = moments
            && ends_at < starts_at
        {
            problems.add(&path.field("ends_at"), "must not be before starts_at");
        }
    }

    pub(super) fn to_json(&self) -> Map<String, Value> {
        let severity = (self.severity.as_str(), self.severity.template().as_str());
        let (template, status) = match self.status {
            AlertStatus::Firing => (self.severity.template(), ("firing", "red")),
            AlertStatus::Resolved => (Template::Green, ("resolved", "green")),
        };
        let header = parts::header(&self.title, template, &[status, severity]);
        let mut elements = parts::texts(self.text.as_ref(), self.markdown.as_ref());
        elements.extend(parts::fields(&self.fields()));
        elements.extend(parts::row(self.links.iter().map(parts::link).collect()));
        elements.extend(parts::footer(self.footer.as_ref()));
        parts::card(&header, elements)
    }

    /// Times and labels side by side, annotations below one another.
    fn fields(&self) -> Vec<Field> {
        let field = |name: &str, value: &str, short| Field {
            name: name.to_owned(),
            value: value.to_owned(),
            short,
        };
        let times = [("starts_at", &self.starts_at), ("ends_at", &self.ends_at)];
        let times = times
            .into_iter()
            .filter_map(|(name, text)| Some(field(name, text.as_deref()?, true)));
        let labels = self.labels.iter();
        let labels = labels.map(|(name, value)| field(name, value, true));
        let annotations = self.annotations.iter();
        let annotations = annotations.map(|(name, value)| field(name, value, false));
        times.chain(labels).chain(annotations).collect()
    }
}
