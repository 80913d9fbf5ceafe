//! What goes in and out.

use lark_service::directory::tiers::AbsentReason;
use lark_service::directory::users::{Batch, Wanted};
use lark_service::error::{Error, FieldError, Result};
use lark_service::http::PartialFailure;
use lark_service::lark::contacts::{Contact, User, UserId, UserIdKind};
use lark_service::schema::{Email, Mobile};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

/// The most entries of one request, all lists together.
const MAX_ENTRIES: usize = 1_000;
/// How many wrong entries are named in one answer.
const MAX_NAMED: usize = 20;

/// From 1 to 1,000 entries, all lists together.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = UserBatchRequest)]
pub(crate) struct BatchBody {
    /// Ids of the kind `id_type`.
    #[schema(value_type = Vec<UserId>, max_items = 1_000)]
    ids: Vec<String>,
    #[schema(value_type = UserIdKind, default = "open_id")]
    id_type: Option<String>,
    #[schema(value_type = Vec<UserId>, max_items = 1_000)]
    open_ids: Vec<String>,
    #[schema(value_type = Vec<UserId>, max_items = 1_000)]
    user_ids: Vec<String>,
    #[schema(value_type = Vec<UserId>, max_items = 1_000)]
    union_ids: Vec<String>,
    #[schema(value_type = Vec<Email>, max_items = 1_000)]
    emails: Vec<String>,
    /// Each with its country code; without `+` it is a Chinese one.
    #[schema(value_type = Vec<Mobile>, max_items = 1_000)]
    mobiles: Vec<String>,
}

/// The entry as the request has it.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Requested<'b> {
    OpenId(&'b str),
    UserId(&'b str),
    UnionId(&'b str),
    Email(&'b str),
    Mobile(&'b str),
}

/// What became of each entry: it is in one of the lists.
#[derive(ToSchema)]
#[expect(dead_code, reason = "`Asked::answer` writes it piece by piece")]
pub(crate) struct UserBatch<'b> {
    users: Vec<FoundUser<'b>>,
    not_found: Vec<UserNotFound<'b>>,
    failed: Vec<FailedUser<'b>>,
}

/// A user who was found.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "`Asked::answer` writes it: the profile is JSON already"
)]
struct FoundUser<'b> {
    requested: Requested<'b>,
    user: User,
    /// Only there when the profile is older than it should be, because it is being renewed or the platform fails.
    #[schema(schema_with = stale, required = false)]
    stale: bool,
}

/// A user who was not found.
#[derive(Serialize, ToSchema)]
struct UserNotFound<'b> {
    requested: Requested<'b>,
    reason: AbsentReason,
}

/// An entry of which nobody knows, with the words of a problem.
#[derive(Serialize, ToSchema)]
struct FailedUser<'b> {
    requested: Requested<'b>,
    #[serde(flatten)]
    failure: PartialFailure,
}

fn stale() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Boolean)
        .description(Some(
            "Only there when the profile is older than it should be, because it is being renewed or the platform fails.",
        ))
        .enum_values(Some([true]))
        .build()
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
    entries: &'b [String],
    form: Form,
}

/// What the entries of a list are.
#[derive(Clone, Copy)]
enum Form {
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
        let ids = |name, kind, entries| List {
            name,
            entries,
            form: Form::Id(kind),
        };
        [
            ids("ids", kind, &self.ids),
            ids("open_ids", UserIdKind::OpenId, &self.open_ids),
            ids("user_ids", UserIdKind::UserId, &self.user_ids),
            ids("union_ids", UserIdKind::UnionId, &self.union_ids),
            List {
                name: "emails",
                entries: &self.emails,
                form: Form::Email,
            },
            List {
                name: "mobiles",
                entries: &self.mobiles,
                form: Form::Mobile,
            },
        ]
    }
}

impl Form {
    fn read(self, text: &str) -> Result<Wanted> {
        match self {
            Self::Id(kind) => UserId::parse(kind, text).map(Wanted::Id),
            Self::Email => Contact::email(text).map(Wanted::Contact),
            Self::Mobile => Contact::mobile(text).map(Wanted::Contact),
        }
    }

    const fn requested(self, text: &str) -> Requested<'_> {
        match self {
            Self::Id(UserIdKind::OpenId) => Requested::OpenId(text),
            Self::Id(UserIdKind::UserId) => Requested::UserId(text),
            Self::Id(UserIdKind::UnionId) => Requested::UnionId(text),
            Self::Email => Requested::Email(text),
            Self::Mobile => Requested::Mobile(text),
        }
    }
}

impl<'b> Asked<'b> {
    fn add(&mut self, list: &List<'b>) -> Result<()> {
        for (index, text) in list.entries.iter().enumerate() {
            match list.form.read(text) {
                Ok(wanted) => {
                    self.wanted.push(wanted);
                    self.requested.push(list.form.requested(text));
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
            json.push_str(if place == 0 { "" } else { "," });
            json.push_str(r#"{"requested":"#);
            json.push_str(&written(&self.requested(*number)?)?);
            json.push_str(r#","user":"#);
            json.push_str(&found.body);
            json.push_str(if found.freshness.is_stale() {
                r#","stale":true}"#
            } else {
                "}"
            });
        }
        json.push_str(r#"],"not_found":"#);
        let not_found = not_found.iter().map(|(number, reason)| {
            let requested = self.requested(*number)?;
            let reason = *reason;
            Ok(UserNotFound { requested, reason })
        });
        json.push_str(&written(&not_found.collect::<Result<Vec<_>>>()?)?);
        json.push_str(r#","failed":"#);
        let failed = failed.iter().map(|(number, error)| {
            let requested = self.requested(*number)?;
            let failure = PartialFailure::of(error);
            Ok(FailedUser { requested, failure })
        });
        json.push_str(&written(&failed.collect::<Result<Vec<_>>>()?)?);
        json.push('}');
        Ok(json)
    }

    fn requested(&self, number: usize) -> Result<Requested<'b>> {
        let requested = self.requested.get(number).copied();
        requested.ok_or_else(|| Error::internal(format!("nobody asked for the number {number}")))
    }
}

fn written(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::internal(format!("serialising: {error}")))
}
