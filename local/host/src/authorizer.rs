//! The authorizer in front of a route. Like API Gateway, it caches the decision for a value of the header `Authorization`
//! for the template's TTL, refusals too.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lambda_http::http::header::AUTHORIZATION;
use lambda_http::http::{HeaderMap, HeaderValue};
use lambda_runtime::{Context, LambdaEvent};
use lark_service::error::{Error, Result};
use lark_service::wiring::Services;
use quick_cache::sync::Cache;
use serde_json::json;
use tokio::time::Instant;
use tracing::warn;

use crate::functions::AuthorizerHandler;
use crate::invocation::{CallerFields, Invocations};

/// How many decisions are cached; the least used are evicted.
const DECISIONS: usize = 1_024;
/// Longer headers are refused unchecked: API Gateway accepts 10,240 bytes of headers in total.
const MAX_HEADER_BYTES: usize = 8_192;

/// An authorizer and its cached decisions.
pub(crate) struct Authorizer {
    handler: AuthorizerHandler,
    timeout: Duration,
    ttl: Duration,
    decisions: Cache<Box<[u8]>, Kept>,
}

/// A decision and when it expires.
#[derive(Clone)]
struct Kept {
    /// The caller fields for functions; `None` for a refused caller.
    caller: Option<Arc<CallerFields>>,
    until: Instant,
}

impl Authorizer {
    /// An authorizer that calls `handler` and caches its decision for `ttl`.
    pub(crate) fn new(handler: AuthorizerHandler, timeout: Duration, ttl: Duration) -> Self {
        Self {
            handler,
            timeout,
            ttl,
            decisions: Cache::new(DECISIONS),
        }
    }

    /// The caller fields for functions, for the caller who sent `headers` with the request `request_id`.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] without the header `Authorization`, [`Error::PermissionDenied`] for one that is refused,
    /// [`Error::Internal`] when the authorizer fails.
    pub(crate) async fn admit(
        &self,
        headers: &HeaderMap,
        request_id: &str,
        services: &Services,
        invocations: &Invocations,
    ) -> Result<Arc<CallerFields>> {
        let header = headers
            .get(AUTHORIZATION)
            .filter(|value| !value.is_empty())
            .ok_or(Error::Unauthenticated(
                "the header `Authorization: Bearer <API key>` is missing",
            ))?;
        let caller = match self.kept(header) {
            Some(caller) => caller,
            None => {
                let context = invocations.context(request_id.to_owned(), self.timeout);
                self.ask(header, headers, context, services).await?
            }
        };
        caller.ok_or_else(|| Error::PermissionDenied("the API key is not valid".to_owned()))
    }

    #[expect(clippy::option_option, reason = "nothing cached, and a cached refusal")]
    fn kept(&self, header: &HeaderValue) -> Option<Option<Arc<CallerFields>>> {
        let kept = self.decisions.get(header.as_bytes())?;
        (Instant::now() < kept.until).then_some(kept.caller)
    }

    async fn ask(
        &self,
        header: &HeaderValue,
        headers: &HeaderMap,
        context: Context,
        services: &Services,
    ) -> Result<Option<Arc<CallerFields>>> {
        let Some(text) = header
            .to_str()
            .ok()
            .filter(|text| text.len() <= MAX_HEADER_BYTES)
        else {
            return Ok(None);
        };
        let event = LambdaEvent::new(question(text, headers, &context.request_id)?, context);
        let decision = (self.handler)(services, event).await.map_err(|error| {
            warn!(%error, "the authorizer failed");
            Error::internal("the authorizer failed")
        })?;
        let caller = decision.is_authorized().then(|| {
            let fields = decision.context().iter();
            let fields = fields.map(|(name, value)| ((*name).to_owned(), value.as_str().into()));
            Arc::new(fields.collect::<CallerFields>())
        });
        let kept = Kept {
            caller: caller.clone(),
            until: Instant::now() + self.ttl,
        };
        self.decisions.insert(header.as_bytes().into(), kept);
        Ok(caller)
    }
}

/// API Gateway's request to the authorizer: payload format 2.0.
fn question(
    authorization: &str,
    headers: &HeaderMap,
    request_id: &str,
) -> Result<authorize::Question> {
    let texts = headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let event = json!({
        "version": "2.0",
        "type": "REQUEST",
        "identitySource": [authorization],
        "headers": texts.collect::<BTreeMap<_, _>>(),
        "requestContext": {"requestId": request_id},
    });
    serde_json::from_value(event)
        .map_err(|error| Error::internal(format!("the authorizer's event: {error}")))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use lark_service::api_keys::{ApiKey, Authority};
    use lark_service::aws;
    use lark_service::changes::Actor;
    use lark_service::clock::SystemClock;
    use lark_service::config::Config;
    use lark_service::deadline::Deadline;
    use lark_service::error::ErrorCode;
    use lark_service::seal::{KeySource, Sealer};
    use lark_service::seed::Seed;
    use lark_service::store::embedded::EmbeddedStore;
    use lark_service::wiring::Adapters;
    use secrecy::ExposeSecret;
    use serde_json::Value;

    use super::*;

    const TTL: Duration = Duration::from_secs(300);

    /// Services with one API key, and the header that presents it.
    async fn services() -> (Services, HeaderValue) {
        let variable = |name| (name == "LARK_SERVICE_STORE").then(|| "embedded".to_owned());
        let clock = Arc::new(SystemClock);
        let adapters = Adapters {
            store: Arc::new(EmbeddedStore::in_memory(clock.clone()).unwrap()),
            cache: None,
            queue: None,
            staging: None,
            keys: Arc::new(Sealer::new(KeySource::Absent)),
            clock,
            http: aws::http(aws::DEFAULT_IDLE_TIMEOUT).unwrap(),
        };
        let services = Services::new(Config::from_lookup(variable).unwrap(), &adapters);
        let key = ApiKey::generate().unwrap().reveal();
        let key = key.expose_secret();
        let seed = format!(
            r#"{{"api_keys":[{{"token":"{key}","scopes":["users:read"],"apps":["cli_a"]}}]}}"#
        );
        let seed = Seed::parse(&seed).unwrap();
        let (apps, keys, tokens) = (&services.apps, &services.api_keys, &services.tokens);
        let applied = seed.apply(apps, keys, tokens, Deadline::after(TTL)).await;
        applied.unwrap();
        let header = HeaderValue::try_from(format!("Bearer {key}")).unwrap();
        (services, header)
    }

    /// Calls once more with `header` and returns the caller's apps or the error's code.
    async fn ask(
        authorizer: &Authorizer,
        services: &Services,
        header: Option<&HeaderValue>,
    ) -> std::result::Result<Value, ErrorCode> {
        let headers = header.map(|value| (AUTHORIZATION, value.clone()));
        let headers = HeaderMap::from_iter(headers);
        let invocations = Invocations::default();
        let admitted = authorizer.admit(&headers, "r", services, &invocations);
        admitted
            .await
            .map(|fields| fields["apps"].clone())
            .map_err(|error| error.code())
    }

    #[tokio::test]
    async fn a_decision_is_kept_for_its_time_and_no_longer() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let asked = || ASKED.load(Ordering::Relaxed);
        let (services, header) = services().await;
        let counting: AuthorizerHandler = |services, event| {
            ASKED.fetch_add(1, Ordering::Relaxed);
            Box::pin(authorize::handle(&services.api_keys, event))
        };
        let authorizer = Authorizer::new(counting, TTL, TTL);
        tokio::time::pause();
        for _ in 0..3 {
            let caller = ask(&authorizer, &services, Some(&header)).await;
            assert_eq!(caller, Ok("cli_a".into()));
        }
        assert_eq!(asked(), 1);
        let bad = HeaderValue::from_static("Bearer lsk_bad");
        for _ in 0..2 {
            let refused = ask(&authorizer, &services, Some(&bad)).await;
            assert_eq!(refused, Err(ErrorCode::PermissionDenied));
        }
        assert_eq!(asked(), 2);
        tokio::time::advance(TTL).await;
        ask(&authorizer, &services, Some(&header)).await.unwrap();
        assert_eq!(asked(), 3);
    }

    #[tokio::test]
    async fn a_revoked_key_lets_nobody_in_once_the_kept_decision_is_over() {
        let (services, header) = services().await;
        let real: AuthorizerHandler =
            |services, event| Box::pin(authorize::handle(&services.api_keys, event));
        let authorizer = Authorizer::new(real, TTL, TTL);
        assert!(ask(&authorizer, &services, Some(&header)).await.is_ok());
        let key = ApiKey::parse(&header.to_str().unwrap()["Bearer ".len()..]).unwrap();
        let operator = Authority::Operator(Actor::seed());
        let revoked = services
            .api_keys
            .revoke(key.id(), &operator, Deadline::after(TTL));
        revoked.await.unwrap();
        tokio::time::pause();
        // Some real time has passed.
        tokio::time::advance(TTL / 2).await;
        assert!(ask(&authorizer, &services, Some(&header)).await.is_ok());
        tokio::time::advance(TTL / 2).await;
        let refused = ask(&authorizer, &services, Some(&header)).await;
        assert_eq!(refused, Err(ErrorCode::PermissionDenied));
    }

    #[tokio::test]
    async fn without_a_usable_header_nobody_is_asked() {
        let (services, _) = services().await;
        let authorizer = Authorizer::new(|_, _| panic!("must not be asked"), TTL, TTL);
        let empty = HeaderValue::from_static("");
        for header in [None, Some(&empty)] {
            let refused = ask(&authorizer, &services, header).await;
            assert_eq!(refused, Err(ErrorCode::Unauthenticated));
        }
        let binary = HeaderValue::from_bytes(b"Bearer \xff").unwrap();
        let long = HeaderValue::try_from("x".repeat(MAX_HEADER_BYTES + 1)).unwrap();
        for header in [&binary, &long] {
            let refused = ask(&authorizer, &services, Some(header)).await;
            assert_eq!(refused, Err(ErrorCode::PermissionDenied));
        }
    }

    #[tokio::test]
    async fn an_authorizer_that_fails_lets_nobody_in() {
        let (services, header) = services().await;
        let failing: AuthorizerHandler = |_, _| Box::pin(async { Err("no store".into()) });
        let authorizer = Authorizer::new(failing, TTL, TTL);
        let refused = ask(&authorizer, &services, Some(&header)).await;
        assert_eq!(refused, Err(ErrorCode::Internal));
    }
}
