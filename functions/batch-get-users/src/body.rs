//! What goes in and out.

use lark_service::directory::users::{Batch, Wanted};
use lark_service::error::{Error, FieldError, Result};
use lark_service::http::PartialFailure;
use lark_service::lark::contacts::{Contact, UserId, UserIdKind};
use serde::{Deserialize, Serialize};

/// The most entries of one request, all lists together.
const MAX_ENTRIES: usize = 1_000;
/// How many wrong entries are named in one answer.
const MAX_NAMED: usize = 20;

/// `POST /v1/users/batch`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct BatchBody {
    /// Ids of the kind `id_type`.
    ids: Vec<String>,
    /// `open_id` unless said otherwise.
    id_type: Option<String>,
    open_ids: Vec<String>,
    user_ids: Vec<String>,
    union_ids: Vec<String>,
    emails: Vec<String>,
    mobiles: Vec<String>,
}

/// An entry of the request, as the caller wrote it.
#[derive(Clone, Copy)]
pub(crate) struct Requested<'b> {
    /// What it is: `open_id`, `email` and so on.
    field: &'static str,
    text: &'b str,
}

/// Everybody who was asked for, in the order of the request; `wanted` and `requested` belong together.
pub(crate) struct Asked<'b> {
    pub(crate) wanted: Vec<Wanted>,
    requested: Vec<Requested<'b>>,
    wrong: Vec<FieldError>,
}

/// One of the body's lists.
struct List<'b> {
    name: &'static str,
    field: &'static str,
    entries: &'b [String],
    parse: Parse,
}

#[derive(Clone, Copy)]
enum Parse {
    Id(UserIdKind),
    Email,
    Mobile,
}

impl BatchBody {
    /// # Errors
    /// [`Error::InvalidArgument`] naming each entry that is wrong, twenty at most.
    pub(crate) fn read(&self) -> Result<Asked<'_>> {
        let kind = self
            .id_type
            .as_deref()
            .map_or(Ok(UserIdKind::OpenId), UserIdKind::parse)?;
        let lists = self.lists(kind);
        let entries: usize = lists.iter().map(|list| list.entries.len()).sum();
        if !(1..=MAX_ENTRIES).contains(&entries) {
            return Err(Error::invalid(
                "body",
                format!(
                    "must have 1 to 1,000 entries, not {entries}, in ids, open_ids, user_ids, union_ids, emails and mobiles together"
                ),
            ));
        }
        let mut asked = Asked {
            wanted: Vec::with_capacity(entries),
            requested: Vec::with_capacity(entries),
            wrong: Vec::new(),
        };
        for list in lists {
            asked.add(&list)?;
        }
        if asked.wrong.is_empty() {
            Ok(asked)
        } else {
            Err(Error::InvalidArgument(asked.wrong))
        }
    }

    fn lists(&self, kind: UserIdKind) -> [List<'_>; 6] {
        let ids = |name, kind: UserIdKind, entries| List {
            name,
            field: kind.as_str(),
            entries,
            parse: Parse::Id(kind),
        };
        [
            ids("ids", kind, &self.ids),
            ids("open_ids", UserIdKind::OpenId, &self.open_ids),
            ids("user_ids", UserIdKind::UserId, &self.user_ids),
            ids("union_ids", UserIdKind::UnionId, &self.union_ids),
            List {
                name: "emails",
                field: "email",
                entries: &self.emails,
                parse: Parse::Email,
            },
            List {
                name: "mobiles",
                field: "mobile",
                entries: &self.mobiles,
                parse: Parse::Mobile,
            },
        ]
    }
}

impl Parse {
    fn read(self, text: &str) -> Result<Wanted> {
        match self {
            Self::Id(kind) => UserId::parse(kind, text).map(Wanted::Id),
            Self::Email => Contact::email(text).map(Wanted::Contact),
            Self::Mobile => Contact::mobile(text).map(Wanted::Contact),
        }
    }
}

impl<'b> Asked<'b> {
    fn add(&mut self, list: &List<'b>) -> Result<()> {
        for (index, text) in list.entries.iter().enumerate() {
            match list.parse.read(text) {
                Ok(wanted) => {
                    self.wanted.push(wanted);
                    self.requested.push(Requested {
                        field: list.field,
                        text,
                    });
                }
                Err(Error::InvalidArgument(errors)) => {
                    let left = MAX_NAMED.saturating_sub(self.wrong.len());
                    let named = errors.into_iter().map(|error| FieldError {
                        field: format!("{}[{index}]", list.name),
                        message: error.message,
                    });
                    self.wrong.extend(named.take(left));
                }
                Err(other) => return Err(other),
            }
        }
        Ok(())
    }

    /// The answer, in the order of the request. Profiles are JSON already and are put in as they are.
    ///
    /// # Errors
    /// [`Error::Internal`] when something cannot be written as JSON.
    pub(crate) fn answer(&self, batch: Batch) -> Result<String> {
        let Batch {
            mut users,
            mut not_found,
            mut failed,
        } = batch;
        users.sort_by_key(|(number, _)| *number);
        not_found.sort_by_key(|(number, _)| *number);
        failed.sort_by_key(|(number, _)| *number);

        let bodies: usize = users.iter().map(|(_, found)| found.body.len()).sum();
        let mut json = String::with_capacity(bodies + 128 * self.wanted.len());
        json.push_str(r#"{"users":["#);
        for (place, (number, found)) in users.iter().enumerate() {
            self.begin(&mut json, place, *number)?;
            json.push_str(r#","user":"#);
            json.push_str(&found.body);
            json.push_str(if found.freshness.is_stale() {
                r#","stale":true}"#
            } else {
                "}"
            });
        }
        json.push_str(r#"],"not_found":["#);
        for (place, (number, reason)) in not_found.iter().enumerate() {
            self.begin(&mut json, place, *number)?;
            json.push_str(r#","reason":"#);
            json.push_str(&written(&reason.as_str())?);
            json.push('}');
        }
        json.push_str(r#"],"failed":["#);
        for (place, (number, error)) in failed.iter().enumerate() {
            self.begin(&mut json, place, *number)?;
            // `{"code":…}` goes on where `{"requested":…` stands.
            json.push(',');
            json.push_str(&written(&PartialFailure::of(error))?[1..]);
        }
        json.push_str("]}");
        Ok(json)
    }

    /// `{"requested":{"open_id":"ou_…"}`, after a comma unless it is the first.
    fn begin(&self, json: &mut String, place: usize, number: usize) -> Result<()> {
        let Requested { field, text } = self
            .requested
            .get(number)
            .ok_or_else(|| Error::internal(format!("nobody asked for the number {number}")))?;
        json.push_str(if place == 0 { "" } else { "," });
        json.push_str(r#"{"requested":{""#);
        json.push_str(field);
        json.push_str(r#"":"#);
        json.push_str(&written(text)?);
        json.push('}');
        Ok(())
    }
}

fn written(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::internal(format!("serialising: {error}")))
}
