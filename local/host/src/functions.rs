//! The table of functions: what each handler takes is handed to it here, as its `main` does on Lambda. A function that is
//! in the template and not in the table, or the other way round, stops the start.

use futures_util::future::BoxFuture;
use lambda_http::{Body, Request, Response};
use lambda_runtime::{Context, Error, LambdaEvent};
use lark_service::wiring::Services;
use serde::de::IgnoredAny;
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
    (
        "authorize",
        Handler::Authorizer(|s, event| Box::pin(authorize::handle(&s.api_keys, event))),
    ),
    (
        "health",
        Handler::Http(|s, request| answered(health::handle(&s.storage, s.cache.as_ref(), request))),
    ),
    (
        "get-token",
        Handler::Http(|s, request| answered(get_token::handle(&s.admission, &s.tokens, request))),
    ),
    (
        "get-user",
        Handler::Http(|s, request| answered(get_user::handle(&s.admission, &s.users, request))),
    ),
    (
        "find-user",
        Handler::Http(|s, request| answered(find_user::handle(&s.admission, &s.users, request))),
    ),
    (
        "batch-get-users",
        Handler::Http(|s, request| {
            answered(batch_get_users::handle(&s.admission, &s.users, request))
        }),
    ),
    (
        "get-department",
        Handler::Http(|s, request| {
            answered(get_department::handle(
                &s.admission,
                &s.departments,
                request,
            ))
        }),
    ),
    (
        "list-department-users",
        Handler::Http(|s, request| {
            answered(list_department_users::handle(
                &s.admission,
                &s.departments,
                request,
            ))
        }),
    ),
    (
        "list-chats",
        Handler::Http(|s, request| answered(list_chats::handle(&s.admission, &s.chats, request))),
    ),
    (
        "get-chat",
        Handler::Http(|s, request| answered(get_chat::handle(&s.admission, &s.chats, request))),
    ),
    (
        "list-chat-members",
        Handler::Http(|s, request| {
            answered(list_chat_members::handle(&s.admission, &s.chats, request))
        }),
    ),
    (
        "manage-apps",
        Handler::Http(|s, request| {
            answered(manage_apps::handle(
                &s.admission,
                &s.apps,
                &s.tokens,
                request,
            ))
        }),
    ),
    (
        "manage-api-keys",
        Handler::Http(|s, request| {
            answered(manage_api_keys::handle(&s.admission, &s.api_keys, request))
        }),
    ),
    (
        "start-login",
        Handler::Http(|s, request| {
            let public_url = s.config.public_url.as_ref();
            answered(start_login::handle(
                &s.admission,
                &s.logins,
                public_url,
                request,
            ))
        }),
    ),
    (
        "finish-login",
        Handler::Http(|s, request| {
            let public_url = s.config.public_url.as_ref();
            answered(finish_login::handle(&s.logins, public_url, request))
        }),
    ),
    (
        "end-login",
        Handler::Http(|s, request| answered(end_login::handle(&s.admission, &s.logins, request))),
    ),
    (
        "store-app-ticket",
        Handler::Invoked(|s, payload, context| {
            Box::pin(async move {
                let event = LambdaEvent::new(serde_json::from_value(payload)?, context);
                let kept = store_app_ticket::handle(&s.apps, &s.tokens, event).await?;
                Ok(serde_json::to_value(kept)?)
            })
        }),
    ),
    (
        "refresh-tokens",
        Handler::Invoked(|s, _, context| {
            Box::pin(async move {
                let event = LambdaEvent::new(IgnoredAny, context);
                let report = refresh_tokens::handle(&s.refresher(), event).await?;
                Ok(serde_json::to_value(report)?)
            })
        }),
    ),
    (
        "warm-cache",
        Handler::Invoked(|s, payload, context| {
            Box::pin(async move {
                let event = LambdaEvent::new(serde_json::from_value(payload)?, context);
                let report = warm_cache::handle(&s.warmer(), event).await?;
                Ok(serde_json::to_value(report)?)
            })
        }),
    ),
];

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
