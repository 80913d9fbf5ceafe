//! What a function gets besides the request itself: the invocation's context, and API Gateway's.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use lambda_http::Context;
use lambda_http::aws_lambda_events::apigw::{
    ApiGatewayRequestAuthorizer, ApiGatewayV2httpRequestContext,
};
use lambda_http::http::header::HOST;
use lambda_http::http::request::Parts;
use lambda_http::http::uri::Authority;
use lambda_http::request::RequestContext;
use lark_service::clock::{Clock, SystemClock};
use serde_json::Value;

/// The authorizer's caller fields.
pub(crate) type CallerFields = HashMap<String, Value>;

/// Creates contexts; the constant part is created once.
#[derive(Debug, Default)]
pub(crate) struct Invocations {
    blank: Context,
}

impl Invocations {
    /// The context of the invocation `request_id` with this `timeout`.
    pub(crate) fn context(&self, request_id: String, timeout: Duration) -> Context {
        let mut context = self.blank.clone();
        context.request_id = request_id;
        let ends = (SystemClock.now() + timeout).as_millis();
        context.deadline = u64::try_from(ends).unwrap_or_default();
        context
    }
}

/// API Gateway's request context, as far as functions use it.
pub(crate) fn request_context(
    parts: &Parts,
    request_id: String,
    caller: Option<&Arc<CallerFields>>,
) -> RequestContext {
    let mut context = ApiGatewayV2httpRequestContext::default();
    context.request_id = Some(request_id);
    context.domain_name = domain_name(parts);
    context.http.method = parts.method.clone();
    // The host listens on loopback, so every caller is there.
    context.http.source_ip = Some("127.0.0.1".to_owned());
    context.authorizer = caller.map(|fields| {
        let mut authorizer = ApiGatewayRequestAuthorizer::default();
        authorizer.fields = CallerFields::clone(fields);
        authorizer
    });
    RequestContext::ApiGatewayV2(context)
}

/// The host that the request was sent to, without a port.
fn domain_name(parts: &Parts) -> Option<String> {
    let host = parts.headers.get(HOST)?.to_str().ok()?;
    let authority: Authority = host.parse().ok()?;
    Some(authority.host().to_owned())
}

/// Random, in the form of Lambda's request ids (a version 4 UUID).
pub(crate) fn request_id() -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut bytes = fastrand::u128(..).to_be_bytes();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut id = String::with_capacity(36);
    for (index, byte) in bytes.into_iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            id.push('-');
        }
        id.push(char::from(DIGITS[usize::from(byte >> 4)]));
        id.push(char::from(DIGITS[usize::from(byte & 0xf)]));
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_a_random_uuid() {
        let id = request_id();
        let lengths: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
        assert_eq!(&id[14..15], "4", "{id}");
        assert!("89ab".contains(&id[19..20]), "{id}");
        assert_ne!(id, request_id());
    }
}
