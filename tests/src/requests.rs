//! Requests as API Gateway hands them over, and the functions that answer them.

use std::convert::Infallible;

use lambda_http::http::HeaderMap;
use lambda_http::{Body, Response};
use lark_service::wiring::Services;
use serde_json::{Value, json};

use crate::world::Process;

/// A request in the making: by default from a key that may do everything for every app.
#[derive(Clone, Debug)]
pub struct Ask {
    method: &'static str,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Option<String>,
    caller: Option<Value>,
}

/// An answer.
#[derive(Debug)]
pub struct Answered {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; null when there is none, text when it is no JSON.
    pub body: Value,
}

impl Answered {
    /// The error code, if it is an error.
    #[must_use]
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// The header `name`; empty when there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

impl Ask {
    /// `method` and `target`, a path with its query.
    #[must_use]
    pub fn new(method: &'static str, target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let scopes = lark_service::api_keys::Scope::ALL.map(lark_service::api_keys::Scope::as_str);
        Self {
            method,
            path: path.to_owned(),
            query: query.to_owned(),
            headers: Vec::new(),
            body: None,
            caller: Some(
                json!({"key_id": "test0key0001", "scopes": scopes.join(" "), "apps": "*"}),
            ),
        }
    }

    /// From a key with these scopes for these apps.
    #[must_use]
    pub fn by(mut self, scopes: &str, apps: &str) -> Self {
        self.caller = Some(json!({"key_id": "test0key0001", "scopes": scopes, "apps": apps}));
        self
    }

    /// From a key with this rate limit.
    #[must_use]
    pub fn limited(mut self, limit: &str) -> Self {
        if let Some(caller) = &mut self.caller {
            caller["rate_limit"] = json!(limit);
        }
        self
    }

    /// Without a key.
    #[must_use]
    pub fn by_nobody(mut self) -> Self {
        self.caller = None;
        self
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a JSON body.
    #[must_use]
    pub fn body(mut self, body: &Value) -> Self {
        self.body = Some(body.to_string());
        self
    }

    /// The answer of the function behind the route, in `process`.
    pub async fn of(self, process: &Process) -> Answered {
        let segments: Vec<_> = self.path.trim_start_matches('/').split('/').collect();
        let services = &process.0;
        let request = |parameters: Value| self.request(&parameters);
        let admission = &services.admission;
        let Ok(response) = match segments[..] {
            ["v1", "tokens", kind] => {
                let request = request(json!({"kind": kind}));
                get_token::handle(admission, &services.tokens, request).await
            }
            ["v1", "users", ..] | ["v1", "departments" | "chats", ..] => {
                self.of_the_directory(&segments, services).await
            }
            ["v1", "apps", ref rest @ ..] => {
                let request = request(json!({"app_id": rest.first()}));
                manage_apps::handle(admission, &services.apps, &services.tokens, request).await
            }
            ["v1", "api-keys", ref rest @ ..] => {
                let request = request(json!({"key_id": rest.first()}));
                manage_api_keys::handle(admission, &services.api_keys, request).await
            }
            ["v1", "oauth", "authorize"] => {
                let request = request(json!({}));
                start_login::handle(admission, &services.logins, None, request).await
            }
            ["v1", "oauth", "callback"] => {
                finish_login::handle(&services.logins, None, request(json!({}))).await
            }
            ["v1", "oauth", "users", open_id] => {
                let request = request(json!({"open_id": open_id}));
                end_login::handle(admission, &services.logins, request).await
            }
            _ => panic!("no route for {}", self.path),
        };
        answered(response)
    }

    async fn of_the_directory(
        &self,
        segments: &[&str],
        services: &Services,
    ) -> Result<Response<Body>, Infallible> {
        let request = |parameters: Value| self.request(&parameters);
        let admission = &services.admission;
        let (users, departments, chats) = (&services.users, &services.departments, &services.chats);
        match *segments {
            ["v1", "users"] => find_user::handle(admission, users, request(json!({}))).await,
            ["v1", "users", "batch"] if self.method == "POST" => {
                batch_get_users::handle(admission, users, request(json!({}))).await
            }
            ["v1", "users", id] => {
                get_user::handle(admission, users, request(json!({"id": id}))).await
            }
            ["v1", "departments", id] => {
                get_department::handle(admission, departments, request(json!({"id": id}))).await
            }
            ["v1", "departments", id, "users"] => {
                let request = request(json!({"id": id}));
                list_department_users::handle(admission, departments, request).await
            }
            ["v1", "chats"] => list_chats::handle(admission, chats, request(json!({}))).await,
            ["v1", "chats", id] => {
                get_chat::handle(admission, chats, request(json!({"id": id}))).await
            }
            ["v1", "chats", id, "members"] => {
                list_chat_members::handle(admission, chats, request(json!({"id": id}))).await
            }
            _ => panic!("no route for {}", self.path),
        }
    }

    /// The request, with these parameters of the route's path.
    #[must_use]
    pub fn request(&self, parameters: &Value) -> lambda_http::Request {
        let mut headers = json!({"host": "api.example"});
        for (name, value) in &self.headers {
            headers[name.as_str()] = json!(value);
        }
        let parameters: serde_json::Map<_, _> = parameters
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let event = json!({
            "version": "2.0",
            "routeKey": format!("{} {}", self.method, self.path),
            "rawPath": self.path,
            "rawQueryString": self.query,
            "headers": headers,
            "pathParameters": parameters,
            "requestContext": {
                "accountId": "123456789012",
                "apiId": "api",
                "authorizer": self.caller.as_ref().map(|caller| json!({"lambda": caller})),
                "domainName": "api.example",
                "domainPrefix": "api",
                "http": {
                    "method": self.method, "path": self.path, "protocol": "HTTP/1.1",
                    "sourceIp": "192.0.2.1", "userAgent": "test",
                },
                "requestId": "id=", "routeKey": "$default", "stage": "$default",
                "time": "22/Nov/2026:08:00:00 +0000", "timeEpoch": 1_795_334_400_000_u64,
            },
            "body": self.body,
            "isBase64Encoded": false,
        });
        lambda_http::request::from_str(&event.to_string()).expect("an event of API Gateway")
    }
}

fn answered(response: Response<Body>) -> Answered {
    let (parts, body) = response.into_parts();
    let body = match body {
        Body::Text(text) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        Body::Empty | Body::Binary(_) | _ => Value::Null,
    };
    Answered {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body,
    }
}
