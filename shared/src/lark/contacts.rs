//! Users: the platform's `contact/v3` family. Source: "Get single user information".

use reqwest::Method;
use secrecy::SecretString;
use serde::Deserialize;

use super::apis::CONTACT_USER_GET;
use super::transport::{Host, LarkCall};
use super::{FailureKind, Installation, LarkClient, LarkFailure};
use crate::deadline::Deadline;
use crate::users::{User, UserId};

#[derive(Deserialize)]
struct UserAnswer {
    data: Option<UserData>,
}

#[derive(Deserialize)]
struct UserData {
    user: Option<User>,
}

impl LarkClient {
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
