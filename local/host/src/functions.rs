//! The table of functions: what each handler takes is handed to it here, as its `main` does on Lambda. A function that is
//! in the template and not in the table, or the other way round, stops the start.

use futures_util::future::BoxFuture;
use lambda_http::{Body, Request, Response};
use lambda_runtime::{Context, Error, LambdaEvent};
use lark_service::wiring::Services;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::HostError;
use crate::template::Template;

/// A function that answers HTTP requests.
pub(crate) type HttpHandler = for<'s> fn(&'s Services, Request) -> BoxFuture<'s, Response<Body>>;
/// A function that decides whether a caller gets in.
pub(crate) type AuthorizerHandler = for<'s> fn(
    &'s Services,
    LambdaEvent<authorize::Question>,
)
    -> BoxFuture<'s, Result<authorize::Decision, Error>>;
/// A function that a schedule starts, or that others in the account invoke; what goes in and out is JSON.
pub(crate) type InvokedHandler =
    for<'s> fn(&'s Services, Value, Context) -> BoxFuture<'s, Result<Value, Error>>;

/// How a function is called.
#[derive(Clone, Copy)]
pub(crate) enum Handler {
    Http(HttpHandler),
    Authorizer(AuthorizerHandler),
    Invoked(InvokedHandler),
}

/// Every function, by its crate's name.
const FUNCTIONS: &[(&str, Handler)] = &[
    authorizer("authorize", |s, event| {
        Box::pin(authorize::handle(&s.api_keys, event))
    }),
    http("health", |s, request| {
        answered(health::handle(&s.storage, s.cache.as_ref(), request))
    }),
    http("get-token", |s, request| {
        answered(get_token::handle(&s.admission, &s.tokens, request))
    }),
    http("get-user", |s, request| {
        answered(get_user::handle(&s.admission, &s.users, request))
    }),
    http("find-user", |s, request| {
        answered(find_user::handle(&s.admission, &s.users, request))
    }),
    http("batch-get-users", |s, request| {
        answered(batch_get_users::handle(&s.admission, &s.users, request))
    }),
    http("get-department", |s, request| {
        answered(get_department::handle(
            &s.admission,
            &s.departments,
            request,
        ))
    }),
    http("list-department-users", |s, request| {
        answered(list_department_users::handle(
            &s.admission,
            &s.departments,
            request,
        ))
    }),
    http("list-chats", |s, request| {
        answered(list_chats::handle(&s.admission, &s.chats, request))
    }),
    http("get-chat", |s, request| {
        answered(get_chat::handle(&s.admission, &s.chats, request))
    }),
    http("list-chat-members", |s, request| {
        answered(list_chat_members::handle(&s.admission, &s.chats, request))
    }),
    http("manage-apps", |s, request| {
        answered(manage_apps::handle(
            &s.admission,
            &s.apps,
            &s.tokens,
            request,
        ))
    }),
    http("manage-api-keys", |s, request| {
        answered(manage_api_keys::handle(&s.admission, &s.api_keys, request))
    }),
    http("start-login", |s, request| {
        let public_url = s.config.public_url.as_ref();
        answered(start_login::handle(
            &s.admission,
            &s.logins,
            public_url,
            request,
        ))
    }),
    http("finish-login", |s, request| {
        let public_url = s.config.public_url.as_ref();
        answered(finish_login::handle(&s.logins, public_url, request))
    }),
    http("end-login", |s, request| {
        answered(end_login::handle(&s.admission, &s.logins, request))
    }),
    invoked("store-app-ticket", |s, payload, context| {
        Box::pin(async move {
            let event = event(payload, context)?;
            json(&store_app_ticket::handle(&s.apps, &s.tokens, event).await?)
        })
    }),
    invoked("refresh-tokens", |s, payload, context| {
        Box::pin(async move {
            let event = event(payload, context)?;
            json(&refresh_tokens::handle(&s.refresher(), event).await?)
        })
    }),
    invoked("warm-cache", |s, payload, context| {
        Box::pin(async move {
            let event = event(payload, context)?;
            json(&warm_cache::handle(&s.warmer(), event).await?)
        })
    }),
];

const fn http(name: &str, handler: HttpHandler) -> (&str, Handler) {
    (name, Handler::Http(handler))
}

const fn authorizer(name: &str, handler: AuthorizerHandler) -> (&str, Handler) {
    (name, Handler::Authorizer(handler))
}

const fn invoked(name: &str, handler: InvokedHandler) -> (&str, Handler) {
    (name, Handler::Invoked(handler))
}

/// What the function takes, from JSON.
fn event<T: DeserializeOwned>(payload: Value, context: Context) -> Result<LambdaEvent<T>, Error> {
    Ok(LambdaEvent::new(serde_json::from_value(payload)?, context))
}

/// What the function answers, as JSON.
fn json(answer: &impl Serialize) -> Result<Value, Error> {
    Ok(serde_json::to_value(answer)?)
}

fn answered<'s>(
    work: impl Future<Output = Result<Response<Body>, std::convert::Infallible>> + Send + 's,
) -> BoxFuture<'s, Response<Body>> {
    Box::pin(async {
        let Ok(response) = work.await;
        response
    })
}

/// The handler of the function `name`.
pub(crate) fn handler(name: &str) -> Option<Handler> {
    let found = FUNCTIONS.iter().find(|(known, _)| *known == name);
    found.map(|(_, handler)| *handler)
}

/// Passes if template and table have the same functions.
///
/// # Errors
/// [`HostError::Functions`] naming the first that only one of them has.
pub(crate) fn check(template: &Template) -> Result<(), HostError> {
    for function in &template.functions {
        let name = &function.name;
        if handler(name).is_none() {
            return Err(HostError::Functions(format!(
                "the template's function {name} is not in the local host's table (local/host/src/functions.rs)"
            )));
        }
    }
    for (name, _) in FUNCTIONS {
        if !template.functions.iter().any(|f| f.name == *name) {
            return Err(HostError::Functions(format!(
                "the function {name} is in the local host's table and not in the template"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::template::Function;

    fn template<'n>(names: impl IntoIterator<Item = &'n str>) -> Template {
        let function = |name: &str| Function {
            name: name.to_owned(),
            timeout: Duration::from_secs(1),
            routes: Vec::new(),
            schedules: Vec::new(),
        };
        Template {
            functions: names.into_iter().map(function).collect(),
        }
    }

    fn names() -> impl Iterator<Item = &'static str> {
        FUNCTIONS.iter().map(|(name, _)| *name)
    }

    #[test]
    fn the_same_functions_pass() {
        check(&template(names())).unwrap();
    }

    #[test]
    fn a_function_that_only_the_template_has_is_named() {
        let error = check(&template(names().chain(["send-fax"]))).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("function send-fax is not in the local host's table")
        );
    }

    #[test]
    fn a_function_that_only_the_table_has_is_named() {
        let error = check(&template(names().filter(|n| *n != "health"))).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("function health is in the local host's table and not")
        );
    }
}
