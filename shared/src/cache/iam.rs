//! Logging in to ElastiCache with an IAM role: the password is a request that SigV4 has signed.
//!
//! <https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/auth-iam.html>

use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
};
use aws_sigv4::sign::v4::SigningParams;
use futures_util::{Stream, stream};
use redis::auth::{BasicAuth, StreamingCredentialsProvider};
use redis::{ErrorKind, RedisError, RedisResult};
use secrecy::{ExposeSecret, SecretString};
use tracing::warn;
use url::form_urlencoded;

use crate::clock::{Clock, Timestamp};

/// How long a token may be used to log in: the most that ElastiCache accepts.
const TOKEN_LIFETIME: Duration = Duration::from_secs(900);
/// ElastiCache closes a connection 12 hours after its last login. This leaves an hour for logging in again.
const LOGIN_AGAIN_AFTER: Duration = Duration::from_secs(11 * 3_600);
/// When to retry if no token could be made for the next login.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// Who logs in to which cache.
#[derive(Clone)]
pub struct IamAuth {
    /// The ElastiCache user, whose name and id must be equal.
    pub user: String,
    /// The name of the replication group or the serverless cache.
    pub cache_name: String,
    /// Whether it is a serverless cache.
    pub serverless: bool,
    /// The region, such as `eu-central-1`.
    pub region: String,
    /// Credentials with the permission `elasticache:Connect`.
    pub credentials: SharedCredentialsProvider,
    /// Gives the time of the signature.
    pub clock: Arc<dyn Clock>,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum IamError {
    /// No credentials.
    #[error("no AWS credentials to log in to the cache with")]
    Credentials(#[from] CredentialsError),
    /// The request cannot be signed: a name that does not fit into a URL.
    #[error("the login to the cache cannot be signed")]
    Signing(#[source] Box<dyn StdError + Send + Sync>),
}

impl IamAuth {
    /// A token that is valid for 15 minutes, as the password of [`IamAuth::user`].
    ///
    /// # Errors
    /// [`IamError`] without credentials, or with an invalid cache name.
    pub async fn token(&self) -> Result<SecretString, IamError> {
        let credentials = self.credentials.provide_credentials().await?;
        self.sign(&credentials, self.clock.now())
            .map_err(IamError::Signing)
    }

    /// The presigned login request: a URL without its scheme.
    fn sign(
        &self,
        credentials: &Credentials,
        now: Timestamp,
    ) -> Result<SecretString, Box<dyn StdError + Send + Sync>> {
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(TOKEN_LIFETIME);
        let identity = credentials.clone().into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("elasticache")
            .time(UNIX_EPOCH + now.since(Timestamp::default()))
            .settings(settings)
            .build()?
            .into();
        let host = self.cache_name.to_lowercase();
        let mut request = http::Request::get(format!("http://{host}/?{}", self.query())).body(())?;
        let signable = SignableRequest::new(
            "GET",
            request.uri().to_string(),
            std::iter::empty(),
            SignableBody::Bytes(&[]),
        )?;
        sign(signable, &params)?
            .into_parts()
            .0
            .apply_to_request_http1x(&mut request);
        let address = request.uri().to_string();
        Ok(address.strip_prefix("http://").unwrap_or(&address).into())
    }

    fn query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("Action", "connect");
        if self.serverless {
            query.append_pair("ResourceType", "ServerlessCache");
        }
        query.append_pair("User", &self.user);
        // SigV4 does not encode a space as a plus sign.
        query.finish().replace('+', "%20")
    }

    async fn login(&self) -> RedisResult<BasicAuth> {
        match self.token().await {
            Ok(token) => Ok(BasicAuth::new(
                self.user.clone(),
                token.expose_secret().to_owned(),
            )),
            Err(error) => {
                let cause = error.source().map(ToString::to_string).unwrap_or_default();
                Err(RedisError::from((
                    ErrorKind::AuthenticationFailed,
                    "no token for the cache",
                    format!("{error}: {cause}"),
                )))
            }
        }
    }
}

/// Each connection asks once when it is opened, then waits for the next login, which comes before ElastiCache would close it.
impl StreamingCredentialsProvider for IamAuth {
    fn subscribe(&self) -> Pin<Box<dyn Stream<Item = RedisResult<BasicAuth>> + Send + 'static>> {
        Box::pin(stream::unfold(
            (self.clone(), Duration::ZERO),
            |(auth, wait)| async move {
                tokio::time::sleep(wait).await;
                let login = auth.login().await;
                let next = if login.is_ok() {
                    LOGIN_AGAIN_AFTER
                } else {
                    RETRY_AFTER
                };
                if let Err(error) = &login {
                    warn!(cache.user = auth.user, error = %error, "no login to the cache");
                }
                Some((login, (auth, next)))
            },
        ))
    }
}

impl fmt::Debug for IamAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IamAuth")
            .field("user", &self.user)
            .field("cache_name", &self.cache_name)
            .field("serverless", &self.serverless)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    fn token(user: &str, serverless: bool, session_token: Option<&str>) -> String {
        let credentials = Credentials::new(
            "AKIDEXAMPLE",
            "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            session_token.map(str::to_owned),
            None,
            "test",
        );
        let now = Timestamp::from_seconds(1_769_846_400);
        let auth = IamAuth {
            user: user.to_owned(),
            cache_name: "Lark-Cache".to_owned(),
            serverless,
            region: "eu-central-1".to_owned(),
            credentials: SharedCredentialsProvider::new(credentials.clone()),
            clock: Arc::new(ManualClock::at(now)),
        };
        auth.sign(&credentials, now)
            .unwrap()
            .expose_secret()
            .to_owned()
    }

    /// Compares the parameters sorted by name: their order in the URL does not matter.
    fn check(token: &str, expected: &str) {
        let parts = |token: &str| {
            let (host, query) = token.split_once("/?").unwrap();
            let mut parameters: Vec<String> = query.split('&').map(str::to_owned).collect();
            parameters.sort();
            (host.to_owned(), parameters)
        };
        assert_eq!(parts(token), parts(expected));
    }

    /// Expected: `RequestSigner.generate_presigned_url` of botocore 1.43.106.
    #[test]
    fn a_token_is_what_awss_own_library_signs() {
        check(
            &token("lark-service", false, None),
            "lark-cache/?Action=connect&User=lark-service&X-Amz-Algorithm=AWS4-HMAC-SHA256\
             &X-Amz-Credential=AKIDEXAMPLE%2F20260131%2Feu-central-1%2Felasticache%2Faws4_request\
             &X-Amz-Date=20260131T080000Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host\
             &X-Amz-Signature=9d2c1daab3a8ebb4bc80ad6019afeae8ff0718c50a4a41a4169be5108329385d",
        );
    }

    /// Expected: as above.
    #[test]
    fn a_token_for_a_serverless_cache_with_a_session_is_what_awss_own_library_signs() {
        check(
            &token("lark service+1", true, Some("IQoJb3JpZ2lu/session+token==")),
            "lark-cache/?Action=connect&User=lark%20service%2B1&ResourceType=ServerlessCache\
             &X-Amz-Algorithm=AWS4-HMAC-SHA256\
             &X-Amz-Credential=AKIDEXAMPLE%2F20260131%2Feu-central-1%2Felasticache%2Faws4_request\
             &X-Amz-Date=20260131T080000Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host\
             &X-Amz-Security-Token=IQoJb3JpZ2lu%2Fsession%2Btoken%3D%3D\
             &X-Amz-Signature=e7d8ed27e2fe0babf6a07834909bb6de0d7cf145269ad02dd0ef6ca31166f47e",
        );
    }
}
