//! Users: the platform's `contact/v3` family. Source: "Get single user information".

use std::collections::HashMap;

use reqwest::Method;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::apis::{CONTACT_USER_BATCH, CONTACT_USER_BATCH_GET_ID, CONTACT_USER_GET};
use super::transport::{Host, LarkCall};
use super::{Installation, LarkClient};
use crate::deadline::Deadline;
use crate::error::{FailureKind, LarkFailure};

mod contact;
mod user;
mod user_id;

pub use contact::Contact;
pub use user::{Avatar, User, UserStatus};
pub use user_id::{UserId, UserIdKind};

#[derive(Deserialize)]
struct UserAnswer {
    data: Option<UserData>,
}

#[derive(Deserialize)]
struct UserData {
    user: Option<User>,
}

#[derive(Deserialize)]
struct UsersAnswer {
    data: Option<UsersData>,
}

#[derive(Deserialize)]
struct UsersData {
    items: Option<Vec<User>>,
}

#[derive(Deserialize)]
struct FoundAnswer {
    data: Option<FoundData>,
}

#[derive(Deserialize)]
struct FoundData {
    user_list: Option<Vec<FoundUser>>,
}

/// One for each address, which it repeats. Without `user_id`, or with an empty one, nobody has the address.
#[derive(Deserialize)]
struct FoundUser {
    user_id: Option<String>,
    email: Option<String>,
    mobile: Option<String>,
}

#[derive(Serialize)]
struct Addresses<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    emails: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mobiles: Vec<&'a str>,
}

impl LarkClient {
    /// Those of `ids`, at most 50 of one kind, that the app may see; others are left out of the answer. Safe to repeat.
    ///
    /// # Errors
    /// [`FailureKind::NotFound`] should one unknown id spoil the call, [`FailureKind::TokenInvalid`], and what the transport
    /// says.
    pub async fn fetch_users(
        &self,
        installation: Installation<'_>,
        token: &SecretString,
        ids: &[UserId],
        deadline: Deadline,
    ) -> Result<Vec<User>, LarkFailure> {
        let kind = ids.first().map_or(UserIdKind::OpenId, UserId::kind);
        let mut query = vec![
            ("user_id_type", kind.as_str()),
            ("department_id_type", "open_department_id"),
        ];
        query.extend(ids.iter().map(|id| ("user_ids", id.as_str())));
        let call = LarkCall {
            api: &CONTACT_USER_BATCH,
            installation,
            host: Host::Open,
            method: Method::GET,
            path: &["open-apis", "contact", "v3", "users", "batch"],
            query: &query,
            token: Some(token),
            body: None,
            repeatable: true,
        };
        let answer: UsersAnswer = self.send(&call, deadline).await?;
        Ok(answer.data.and_then(|data| data.items).unwrap_or_default())
    }

    /// The open_id of the user with each of `contacts`, at most 50 of each sort, in their order; `None`: nobody whom the app
    /// may see. Safe to repeat. Source: "Obtain user IDs via email or mobile number".
    ///
    /// # Errors
    /// [`FailureKind::TokenInvalid`], and what the transport says.
    pub async fn find_users(
        &self,
        installation: Installation<'_>,
        token: &SecretString,
        contacts: &[Contact],
        deadline: Deadline,
    ) -> Result<Vec<Option<String>>, LarkFailure> {
        let (mut emails, mut mobiles) = (Vec::new(), Vec::new());
        for contact in contacts {
            match contact {
                Contact::Email(_) => emails.push(contact.reveal()),
                Contact::Mobile(_) => mobiles.push(contact.reveal()),
            }
        }
        let body = serde_json::to_vec(&Addresses { emails, mobiles }).map_err(|error| {
            LarkFailure::without_answer(FailureKind::Invalid, error.to_string())
        })?;
        let call = LarkCall {
            api: &CONTACT_USER_BATCH_GET_ID,
            installation,
            host: Host::Open,
            method: Method::POST,
            path: &["open-apis", "contact", "v3", "users", "batch_get_id"],
            query: &[("user_id_type", "open_id")],
            token: Some(token),
            body: Some(body),
            repeatable: true,
        };
        let answer: FoundAnswer = self.send(&call, deadline).await?;
        let found = answer
            .data
            .and_then(|data| data.user_list)
            .unwrap_or_default();
        let mut open_ids: HashMap<Contact, String> = HashMap::new();
        for user in found {
            let Some(open_id) = user.user_id.filter(|id| !id.is_empty()) else {
                continue;
            };
            let email = user.email.and_then(|text| Contact::email(&text).ok());
            let mobile = user.mobile.and_then(|text| Contact::mobile(&text).ok());
            open_ids.extend(email.or(mobile).map(|contact| (contact, open_id)));
        }
        Ok(contacts
            .iter()
            .map(|contact| open_ids.get(contact).cloned())
            .collect())
    }

    /// The user `id`, as far as `installation` may see it. Safe to repeat.
    ///
    /// # Errors
    /// [`FailureKind::NotFound`], [`FailureKind::Forbidden`] when outside the app's contact scope,
    /// [`FailureKind::TokenInvalid`], and what the transport says.
    pub async fn fetch_user(
        &self,
        installation: Installation<'_>,
        token: &SecretString,
        id: &UserId,
        deadline: Deadline,
    ) -> Result<User, LarkFailure> {
        let call = LarkCall {
            api: &CONTACT_USER_GET,
            installation,
            host: Host::Open,
            method: Method::GET,
            path: &["open-apis", "contact", "v3", "users", id.as_str()],
            query: &[
                ("user_id_type", id.kind().as_str()),
                ("department_id_type", "open_department_id"),
            ],
            token: Some(token),
            body: None,
            repeatable: true,
        };
        let answer: UserAnswer = self.send(&call, deadline).await?;
        let user = answer.data.and_then(|data| data.user);
        user.ok_or_else(|| {
            LarkFailure::without_answer(FailureKind::Rejected, "Lark's answer has no user in it")
        })
    }
}
