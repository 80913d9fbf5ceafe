//! The table of functions: it passes each handler its arguments, as its `main` does on Lambda. A function that is only in
//! the template or only in the table stops the start.

use api_document::Operation;
use futures_util::future::BoxFuture;
use lambda_http::{Body, Request, Response};
use lambda_runtime::{Context, Error, LambdaEvent};
use lark_service::uploads;
use lark_service::wiring::Services;
use serde_json::Value;

use crate::error::HostError;
use crate::template::Template;

/// A function that answers HTTP requests.
pub(crate) type HttpHandler = for<'s> fn(&'s Services, Request) -> BoxFuture<'s, Response<Body>>;
/// A function that authorizes callers.
pub(crate) type AuthorizerHandler = for<'s> fn(
    &'s Services,
    LambdaEvent<authorize::Question>,
)
    -> BoxFuture<'s, Result<authorize::Decision, Error>>;
/// A function that a schedule starts, or that others in the account invoke; input and output are JSON.
pub(crate) type InvokedHandler =
    for<'s> fn(&'s Services, Value, Context) -> BoxFuture<'s, Result<Value, Error>>;

/// API Gateway's limit for a request body.
pub(crate) const MAX_BODY_BYTES: usize = 10 * 1024 * 1024;

/// How a function is called.
#[derive(Clone, Copy)]
pub(crate) enum Handler {
    Http(HttpHandler),
    Authorizer(AuthorizerHandler),
    Invoked(InvokedHandler),
}

/// A function, as the local host runs it and the API's document describes it.
pub(crate) struct Function {
    /// `get_user` of the function `get-user`.
    crate_name: &'static str,
    pub(crate) handler: Handler,
    /// The largest body of a request, in bytes.
    pub(crate) max_body_bytes: usize,
    /// What the document says of its operations; nothing of a function without routes.
    pub(crate) operations: fn() -> Vec<Operation>,
}

/// `http!(get_user::handle(s): &s.admission, &s.users)`: the crate, and what its handler takes of the services `s` before the request.
macro_rules! http {
    ($function:ident::handle($services:ident): $($argument:expr),+) => {
        Function {
            crate_name: stringify!($function),
            handler: Handler::Http(|$services, request| {
                answered($function::handle($($argument,)+ request))
            }),
            max_body_bytes: MAX_BODY_BYTES,
            operations: $function::operations,
        }
    };
}

/// As [`http`], of the authorizer.
macro_rules! authorizer {
    ($function:ident::handle($services:ident): $($argument:expr),+) => {
        Function {
            crate_name: stringify!($function),
            handler: Handler::Authorizer(|$services, event| {
                Box::pin($function::handle($($argument,)+ event))
            }),
            max_body_bytes: MAX_BODY_BYTES,
            operations: Vec::new,
        }
    };
}

/// As [`http`], of a function that is invoked with an event.
macro_rules! invoked {
    ($function:ident::handle($services:ident): $($argument:expr),+) => {
        Function {
            crate_name: stringify!($function),
            handler: Handler::Invoked(|$services, payload, context| {
                Box::pin(async move {
                    let event = LambdaEvent::new(serde_json::from_value(payload)?, context);
                    let report = $function::handle($($argument,)+ event).await?;
                    Ok(serde_json::to_value(report)?)
                })
            }),
            max_body_bytes: MAX_BODY_BYTES,
            operations: Vec::new,
        }
    };
}

/// Every function. The API's document has their operations in this order.
pub(crate) const FUNCTIONS: &[Function] = &[
    authorizer!(authorize::handle(s): &s.api_keys),
    http!(health::handle(s): &s.storage, s.cache.as_ref()),
    http!(get_token::handle(s): &s.admission, &s.tokens),
    http!(get_user::handle(s): &s.admission, &s.users),
    http!(find_user::handle(s): &s.admission, &s.users),
    http!(batch_get_users::handle(s): &s.admission, &s.users),
    http!(get_department::handle(s): &s.admission, &s.departments),
    http!(list_department_users::handle(s): &s.admission, &s.departments),
    http!(list_chats::handle(s): &s.admission, &s.chats),
    http!(get_chat::handle(s): &s.admission, &s.chats),
    http!(list_chat_members::handle(s): &s.admission, &s.chats),
    http!(manage_apps::handle(s): &s.admission, &s.apps, &s.tokens),
    http!(manage_api_keys::handle(s): &s.admission, &s.api_keys, &s.callbacks),
    http!(send_message::handle(s): &s.admission, &s.receivers, &s.delivery),
    http!(reply_message::handle(s): &s.admission, &s.delivery),
    http!(get_message::handle(s): &s.admission, &s.delivery),
    http!(update_message::handle(s): &s.admission, &s.delivery),
    http!(recall_message::handle(s): &s.admission, &s.delivery),
    http!(batch_send_messages::handle(s): &s.admission, &s.delivery),
    http!(get_message_job::handle(s): &s.admission, &s.delivery),
    http!(cancel_message_job::handle(s): &s.admission, &s.delivery),
    http!(create_upload::handle(s): &s.admission, &s.uploads),
    http!(upload_image::handle(s): &s.admission, &s.uploads, &s.platform)
        .with_body_of(uploads::MAX_BODY_BYTES),
    http!(upload_file::handle(s): &s.admission, &s.uploads, &s.platform)
        .with_body_of(uploads::MAX_BODY_BYTES),
    http!(manage_dead_letters::handle(s): &s.admission, &s.delivery),
    http!(start_login::handle(s): &s.admission, &s.logins, &s.config),
    http!(finish_login::handle(s): &s.logins, s.config.public_url.as_ref()),
    http!(end_login::handle(s): &s.admission, &s.logins),
    invoked!(store_app_ticket::handle(s): &s.apps, &s.tokens),
    invoked!(refresh_tokens::handle(s): &s.refresher()),
    invoked!(warm_cache::handle(s): &s.warmer()),
    invoked!(deliver_messages::handle(s): &s.delivery),
    invoked!(enqueue_due::handle(s): &s.delivery),
];

impl Function {
    /// The same function, which takes larger bodies than API Gateway lets through.
    const fn with_body_of(mut self, max_bytes: usize) -> Self {
        self.max_body_bytes = max_bytes;
        self
    }

    /// Its name in the template.
    fn name(&self) -> String {
        self.crate_name.replace('_', "-")
    }
}

fn answered<'s>(
    work: impl Future<Output = Result<Response<Body>, std::convert::Infallible>> + Send + 's,
) -> BoxFuture<'s, Response<Body>> {
    Box::pin(async {
        let Ok(response) = work.await;
        response
    })
}

/// The function `name`.
pub(crate) fn function(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name() == name)
}

/// The handler of the function `name`.
pub(crate) fn handler(name: &str) -> Option<Handler> {
    function(name).map(|function| function.handler)
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
    for name in FUNCTIONS.iter().map(Function::name) {
        if !template.functions.iter().any(|f| f.name == name) {
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
    use crate::template;

    fn template(names: impl IntoIterator<Item = String>) -> Template {
        let function = |name| template::Function {
            name,
            timeout: Duration::from_secs(1),
            routes: Vec::new(),
            schedules: Vec::new(),
            queues: Vec::new(),
        };
        Template {
            functions: names.into_iter().map(function).collect(),
        }
    }

    fn names() -> impl Iterator<Item = String> {
        FUNCTIONS.iter().map(Function::name)
    }

    #[test]
    fn the_same_functions_pass() {
        check(&template(names())).unwrap();
    }

    #[test]
    fn a_function_that_only_the_template_has_is_named() {
        let error = check(&template(names().chain(["send-fax".to_owned()]))).unwrap_err();
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
