//! The authorizer of the HTTP API: payload format 2.0, simple responses. API Gateway keeps the answer for a while. So it says
//! when and by which version of the key's record it was given, and functions confirm it. While the store fails, what it
//! confirmed within the last minute counts.

use std::collections::HashMap;

use lambda_runtime::{Error, LambdaEvent};
use lark_service::api_keys::{ApiKeys, Caller};
use lark_service::http::{MAX_REQUEST_ID_BYTES, REQUEST_ID, bearer};
use lark_service::ids::is_identifier;
use lark_service::invocation;
use serde::{Deserialize, Serialize};

/// What API Gateway asks, as far as it matters here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Question {
    /// The values of the identity sources: the header `Authorization`.
    #[serde(default)]
    identity_source: Vec<String>,
    /// The request's headers, their names in lower case.
    #[serde(default)]
    headers: HashMap<String, String>,
    #[serde(default)]
    request_context: RequestContext,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext {
    request_id: Option<String>,
}

/// What API Gateway is told.
#[derive(Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    is_authorized: bool,
    context: HashMap<&'static str, String>,
}

/// Answers one question.
///
/// # Errors
/// When it cannot be told whether the key is valid; API Gateway then answers 500, and nobody gets in.
pub async fn handle(api_keys: &ApiKeys, event: LambdaEvent<Question>) -> Result<Decision, Error> {
    let LambdaEvent { payload, context } = event;
    let caller = invocation::run(
        "authorize",
        &context,
        payload.request_id(),
        async |deadline| {
            let key = payload.api_key().unwrap_or_default();
            api_keys.authenticate(key, deadline).await
        },
    );
    Ok(Decision::of(caller.await?))
}

impl Question {
    /// The id under which the function will log the same request.
    fn request_id(&self) -> Option<&str> {
        let given = self.headers.get(REQUEST_ID).map(String::as_str);
        given
            .filter(|id| is_identifier(id, MAX_REQUEST_ID_BYTES))
            .or(self.request_context.request_id.as_deref())
    }

    /// The API key that is presented.
    fn api_key(&self) -> Option<&str> {
        let header = self
            .identity_source
            .first()
            .or_else(|| self.headers.get("authorization"))?;
        bearer(header)
    }
}

impl Decision {
    fn of(caller: Option<Caller>) -> Self {
        Self {
            is_authorized: caller.is_some(),
            context: caller.map(|it| it.to_context()).unwrap_or_default(),
        }
    }

    /// Whether the caller gets in.
    #[must_use]
    pub const fn is_authorized(&self) -> bool {
        self.is_authorized
    }

    /// What the functions are told of the caller: the entries named in [`Caller::CONTEXT_KEYS`].
    #[must_use]
    pub const fn context(&self) -> &HashMap<&'static str, String> {
        &self.context
    }
}

impl Question {
    /// The question about a request with this `Authorization` header.
    #[must_use]
    pub fn about(authorization: &str) -> Self {
        let identity_source = vec![authorization.to_owned()];
        Self {
            identity_source,
            headers: HashMap::new(),
            request_context: RequestContext::default(),
        }
    }
}
