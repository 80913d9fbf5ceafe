//! The functions of which a freeze asks no more than that everybody gets the same answer as ever.

use lark_service_tests::requests::TestRequest;
use lark_service_tests::site::Site;
use lark_service_tests::world::Process;
use lark_simulator::{chat_id, email, mobile, open_department_id};
use serde_json::{Value, json};

use crate::scenario::USER;

/// A function that is asked over HTTP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Plain {
    FindUser,
    BatchGetUsers,
    Department,
    DepartmentUsers,
    Chats,
    Chat,
    ChatMembers,
    StartLogin,
    RotateSecret,
    CreateApiKey,
    Ready,
}

impl Plain {
    /// The function, and the route of the request.
    const fn route(self) -> (&'static str, &'static str) {
        match self {
            Self::FindUser => ("find-user", "GET /v1/users"),
            Self::BatchGetUsers => ("batch-get-users", "POST /v1/users/batch"),
            Self::Department => ("get-department", "GET /v1/departments/{id}"),
            Self::DepartmentUsers => ("list-department-users", "GET /v1/departments/{id}/users"),
            Self::Chats => ("list-chats", "GET /v1/chats"),
            Self::Chat => ("get-chat", "GET /v1/chats/{id}"),
            Self::ChatMembers => ("list-chat-members", "GET /v1/chats/{id}/members"),
            Self::StartLogin => ("start-login", "GET /v1/oauth/authorize"),
            Self::RotateSecret => ("manage-apps", "PATCH /v1/apps/{app_id}"),
            Self::CreateApiKey => ("manage-api-keys", "POST /v1/api-keys"),
            Self::Ready => ("health", "GET /health/ready"),
        }
    }

    pub(super) const fn function(self) -> &'static str {
        self.route().0
    }

    /// The status of the answer that nobody disturbed.
    pub(super) const fn status(self) -> u16 {
        match self {
            Self::StartLogin => 302,
            Self::CreateApiKey => 201,
            _ => 200,
        }
    }

    pub(super) fn event(self, site: &Site) -> Value {
        self.request(site).event(self.route().1)
    }

    /// What another process answers: `200`, if it is as ever.
    pub(super) async fn other(self, site: &Site, process: &Process) -> String {
        let response = self.request(site).send(process).await;
        if response.status == self.status() {
            "200".to_owned()
        } else {
            response.outcome()
        }
    }

    fn request(self, site: &Site) -> TestRequest {
        let (method, target) = match self {
            Self::FindUser => ("GET", format!("/v1/users?email={}", email(USER))),
            Self::BatchGetUsers => ("POST", "/v1/users/batch".to_owned()),
            Self::Department => ("GET", format!("/v1/departments/{}", open_department_id(1))),
            Self::DepartmentUsers => (
                "GET",
                format!("/v1/departments/{}/users", open_department_id(1)),
            ),
            Self::Chats => ("GET", "/v1/chats".to_owned()),
            Self::Chat => ("GET", format!("/v1/chats/{}", chat_id(1))),
            Self::ChatMembers => ("GET", format!("/v1/chats/{}/members", chat_id(1))),
            Self::StartLogin => (
                "GET",
                format!(
                    "/v1/oauth/authorize?app_id={}&scope=offline_access",
                    site.app
                ),
            ),
            Self::RotateSecret => ("PATCH", format!("/v1/apps/{}", site.app)),
            Self::CreateApiKey => ("POST", "/v1/api-keys".to_owned()),
            Self::Ready => ("GET", "/health/ready".to_owned()),
        };
        let request = match self {
            Self::StartLogin | Self::Ready => TestRequest::new(method, &target).without_key(),
            _ => site.request(method, &target),
        };
        match self.body(site) {
            Some(body) => request
                .header("content-type", "application/json")
                .body(&body),
            None => request,
        }
    }

    fn body(self, site: &Site) -> Option<Value> {
        match self {
            Self::BatchGetUsers => Some(json!({
                "open_ids": [site.open_id(USER), site.open_id(USER + 1)],
                "emails": [email(USER + 2)],
                "mobiles": [mobile(USER + 3)],
            })),
            Self::RotateSecret => Some(json!({"secret": "the-next-secret-0001"})),
            Self::CreateApiKey => Some(json!({
                "name": "table", "scopes": ["users:read"], "apps": [site.app],
            })),
            _ => None,
        }
    }
}
