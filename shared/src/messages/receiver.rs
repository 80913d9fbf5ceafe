//! Who is to get a message: one person or one chat, named in one way. The form only: nobody is looked up here.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::problems::{Path, Problems};
use crate::error::Result;
use crate::lark::chats::{ChatId, ChatName};
use crate::lark::contacts::{Contact, UserId, UserIdKind};
use crate::schema::{Email, Mobile};

/// Who is to get a message: exactly one of the fields.
#[derive(Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = Receiver)]
pub struct ReceiverFields {
    /// A user for this app: `ou_…`.
    #[schema(value_type = Option<UserId>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_id: Option<String>,
    /// A user in the tenant.
    #[schema(value_type = Option<UserId>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// A user for all apps of the developer: `on_…`.
    #[schema(value_type = Option<UserId>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub union_id: Option<String>,
    /// A user by e-mail address.
    #[schema(value_type = Option<Email>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// A user by mobile number, with the country code; without `+` it is a Chinese one.
    #[schema(value_type = Option<Mobile>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mobile: Option<String>,
    /// A chat: `oc_…`.
    #[schema(value_type = Option<ChatId>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_id: Option<String>,
    /// A chat by its name.
    #[schema(value_type = Option<ChatName>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat: Option<String>,
}

/// Who is to get a message.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Receiver {
    /// A user by id.
    User(UserId),
    /// A user by address.
    Contact(Contact),
    /// A chat by id.
    Chat(ChatId),
    /// A chat by name.
    ChatName(ChatName),
}

/// The names of the fields, as errors list them.
const FIELDS: &str = "open_id, user_id, union_id, email, mobile, chat_id and chat";

impl Receiver {
    /// The receiver in `fields`, which are at `to` in the body.
    ///
    /// # Errors
    /// [`crate::error::Error::InvalidArgument`] naming the field, such as `to.open_id`.
    pub fn parse(fields: &ReceiverFields) -> Result<Self> {
        let mut problems = Problems::default();
        let receiver = Self::check(fields, &Path::of("to"), &mut problems);
        problems.into_result()?;
        receiver.ok_or_else(|| crate::error::Error::internal("a receiver without a problem"))
    }

    /// The receiver in `fields`, which are at `path`; `None` after adding to `problems`.
    pub fn check(
        fields: &ReceiverFields,
        path: &Path<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let given: Vec<_> = fields.all().into_iter().flatten().collect();
        match given[..] {
            [] => {
                problems.add(path, format!("must have one of {FIELDS}"));
                None
            }
            [(name, text)] => Self::read(name, text, path, problems),
            [(first, _), (second, _), ..] => {
                problems.add(
                    &path.field(second),
                    format!(
                        "must not be given together with {first}: exactly one of {FIELDS} says who is to get the message"
                    ),
                );
                None
            }
        }
    }

    fn read(
        name: &'static str,
        text: &str,
        path: &Path<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let read = match name {
            "open_id" => UserId::parse(UserIdKind::OpenId, text).map(Self::User),
            "user_id" => UserId::parse(UserIdKind::UserId, text).map(Self::User),
            "union_id" => UserId::parse(UserIdKind::UnionId, text).map(Self::User),
            "email" => Contact::email(text).map(Self::Contact),
            "mobile" => Contact::mobile(text).map(Self::Contact),
            "chat_id" => ChatId::parse(text).map(Self::Chat),
            _ => ChatName::parse(text).map(Self::ChatName),
        };
        match read {
            Ok(Self::User(id)) if misplaced(&id) => {
                let (kind, right) = (id.kind().as_str(), named_by(text));
                problems.add(
                    &path.field(name),
                    format!("must be a {kind}; this has the form of the field {right}"),
                );
                None
            }
            Ok(receiver) => Some(receiver),
            Err(error) => {
                problems.add_error(&path.field(name), &error);
                None
            }
        }
    }
}

impl ReceiverFields {
    fn all(&self) -> [Option<(&'static str, &str)>; 7] {
        let given = |name, text| Some((name, Option::as_deref(text)?));
        [
            given("open_id", &self.open_id),
            given("user_id", &self.user_id),
            given("union_id", &self.union_id),
            given("email", &self.email),
            given("mobile", &self.mobile),
            given("chat_id", &self.chat_id),
            given("chat", &self.chat),
        ]
    }
}

/// Whether a user_id has the form of another id: it has none of its own, and the platform would only say that there is no
/// such user.
fn misplaced(id: &UserId) -> bool {
    id.kind() == UserIdKind::UserId && named_by(id.as_str()) != "user_id"
}

/// The field that an id of this form belongs to.
fn named_by(text: &str) -> &'static str {
    match text.split_at_checked(3) {
        Some(("ou_", _)) => "open_id",
        Some(("on_", _)) => "union_id",
        Some(("oc_", _)) => "chat_id",
        _ => "user_id",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    fn parse(json: &str) -> Result<Receiver> {
        Receiver::parse(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn a_receiver_is_named_in_one_way() {
        let accepted = |json: &str| assert!(parse(json).is_ok(), "{json}");
        accepted(r#"{"open_id":"ou_7d8a6e6df7621556ce0d21922b676706"}"#);
        accepted(r#"{"user_id":"7d8a6e6d"}"#);
        accepted(r#"{"union_id":"on_1"}"#);
        accepted(r#"{"email":"jane@example.com"}"#);
        accepted(r#"{"mobile":"+8613800000042"}"#);
        accepted(r#"{"chat_id":"oc_a0553eda9014c201e6969b478895c230"}"#);
        accepted(r#"{"chat":"午餐 群"}"#);
    }

    #[test]
    fn a_wrong_receiver_is_refused_by_field() {
        let refused = |json: &str, field: &str| {
            let Err(Error::InvalidArgument(errors)) = parse(json) else {
                panic!("{json} is accepted");
            };
            assert_eq!(errors[0].field, field, "{json}: {}", errors[0].message);
        };
        refused("{}", "to");
        refused(r#"{"open_id":null}"#, "to");
        refused(r#"{"open_id":"ou_1","chat_id":"oc_1"}"#, "to.chat_id");
        refused(r#"{"chat":"a","email":"a@b"}"#, "to.chat");
        refused(r#"{"open_id":"on_1"}"#, "to.open_id");
        refused(r#"{"open_id":""}"#, "to.open_id");
        refused(r#"{"open_id":"ou_1/../x"}"#, "to.open_id");
        refused(r#"{"union_id":"ou_1"}"#, "to.union_id");
        refused(r#"{"user_id":"ou_1"}"#, "to.user_id");
        refused(r#"{"user_id":"on_1"}"#, "to.user_id");
        refused(r#"{"user_id":"oc_1"}"#, "to.user_id");
        refused(r#"{"user_id":"a b"}"#, "to.user_id");
        refused(r#"{"email":"jane"}"#, "to.email");
        refused(r#"{"mobile":"12"}"#, "to.mobile");
        refused(r#"{"chat_id":"ou_1"}"#, "to.chat_id");
        refused(r#"{"chat_id":"om_1"}"#, "to.chat_id");
        refused(r#"{"chat":"  "}"#, "to.chat");
        refused(r#"{"chat":"a\nb"}"#, "to.chat");
    }
}
