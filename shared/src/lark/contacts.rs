//! Users: the platform's `contact/v3` family. Source: "Get single user information".

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::Request;
use super::apis::{CONTACT_USER_BATCH, CONTACT_USER_BATCH_GET_ID, CONTACT_USER_GET};
use crate::error::LarkFailure;

mod contact;
mod user;
mod user_id;

pub use contact::Contact;
pub use user::{Avatar, User, UserStatus};
pub use user_id::{UserId, UserIdKind};

/// Departments are named by the platform's own ids.
const OPEN_DEPARTMENT_ID: (&str, &str) = ("department_id_type", "open_department_id");

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

/// One for each address, which it repeats. Without `user_id`, or with an empty one, no user has the address.
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

/// The user `id`, as far as the app may see it.
///
/// Refused with `NotFound`, and with `Forbidden` when outside the app's contact scope.
#[must_use]
pub fn get_user(id: &UserId) -> Request<User> {
    let path = ["open-apis", "contact", "v3", "users", id.as_str()];
    Request::get(CONTACT_USER_GET, &path)
        .query("user_id_type", id.kind().as_str())
        .query(OPEN_DEPARTMENT_ID.0, OPEN_DEPARTMENT_ID.1)
        .reading_data()
        .map(|data: UserData| data.user.ok_or_else(|| LarkFailure::lacking("user")))
}

/// The users with `ids`, at most 50 of one kind. The answer leaves out those that the app may not see.
///
/// Refused with `NotFound` if one unknown id fails the whole call.
#[must_use]
pub fn batch_get_users(ids: &[UserId]) -> Request<Vec<User>> {
    let kind = ids.first().map_or(UserIdKind::OpenId, UserId::kind);
    let path = ["open-apis", "contact", "v3", "users", "batch"];
    let request = Request::get(CONTACT_USER_BATCH, &path)
        .query("user_id_type", kind.as_str())
        .query(OPEN_DEPARTMENT_ID.0, OPEN_DEPARTMENT_ID.1);
    ids.iter()
        .fold(request, |request, id| {
            request.query("user_ids", id.as_str())
        })
        .reading_json()
        .map(|answer: UsersAnswer| Ok(answer.data.and_then(|data| data.items).unwrap_or_default()))
}

/// The open_id of the user with each of `contacts`, at most 50 of each sort, in their order; `None`: no user that the app may
/// see. Source: "Obtain user IDs via email or mobile number".
#[must_use]
pub fn find_users(contacts: &[Contact]) -> Request<Vec<Option<String>>> {
    let (mut emails, mut mobiles) = (Vec::new(), Vec::new());
    for contact in contacts {
        match contact {
            Contact::Email(_) => emails.push(contact.reveal()),
            Contact::Mobile(_) => mobiles.push(contact.reveal()),
        }
    }
    let wanted = contacts.to_vec();
    let path = ["open-apis", "contact", "v3", "users", "batch_get_id"];
    Request::post(CONTACT_USER_BATCH_GET_ID, &path)
        .repeatable()
        .query("user_id_type", "open_id")
        .json(&Addresses { emails, mobiles })
        .reading_json()
        .map(move |answer: FoundAnswer| Ok(open_ids_of(&wanted, answer)))
}

fn open_ids_of(contacts: &[Contact], answer: FoundAnswer) -> Vec<Option<String>> {
    let found = answer.data.and_then(|data| data.user_list);
    let mut open_ids: HashMap<Contact, String> = HashMap::new();
    for user in found.unwrap_or_default() {
        let Some(open_id) = user.user_id.filter(|id| !id.is_empty()) else {
            continue;
        };
        let email = user.email.and_then(|text| Contact::email(&text).ok());
        let mobile = user.mobile.and_then(|text| Contact::mobile(&text).ok());
        open_ids.extend(email.or(mobile).map(|contact| (contact, open_id)));
    }
    let contacts = contacts.iter();
    contacts
        .map(|contact| open_ids.get(contact).cloned())
        .collect()
}
