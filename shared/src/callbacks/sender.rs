//! Sends callbacks: one signed POST, to an address that was checked.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::Url;

use super::address::{self, Loopback};
use super::signature::{SigningSecret, seconds};
use crate::aws::{HttpClientError, install_crypto_provider, tls_config};
use crate::clock::Timestamp;
use crate::deadline::Deadline;

/// How long a receiver has for its answer, the look-up of its name and the connection included.
pub const TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A callback to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Callback<'c> {
    /// The same however often it is sent: receivers tell repetitions by it.
    pub id: &'c str,
    /// When it is sent.
    pub at: Timestamp,
    /// JSON.
    pub body: &'c str,
}

/// What became of a callback that was not taken.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotTaken {
    /// The receiver wants no callbacks any more (410).
    #[error("the receiver wants no callbacks any more")]
    Gone,
    /// The receiver answered something else than success.
    #[error("the receiver answered {0}")]
    Refused(u16),
    /// There was no answer: the address is not allowed, nobody listens there, or the time ran out.
    #[error("the receiver did not answer: {0}")]
    Unanswered(&'static str),
}

impl NotTaken {
    /// The status that the receiver answered, if it did.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Gone => Some(410),
            Self::Refused(status) => Some(*status),
            Self::Unanswered(_) => None,
        }
    }
}

/// Sends callbacks. Cheap to clone; clones share everything.
#[derive(Clone)]
pub(super) struct Sender {
    /// Made with the first callback: most functions send none.
    http: Arc<OnceLock<Option<reqwest::Client>>>,
    names: Arc<dyn Resolve>,
    loopback: Loopback,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("loopback", &self.loopback)
            .finish_non_exhaustive()
    }
}

impl Sender {
    /// A sender that reaches this machine as `loopback` says, and nothing else that is not public.
    pub(super) fn new(loopback: Loopback) -> Self {
        Self::with_names(Arc::new(SystemNames), loopback)
    }

    /// The same, with names that stand for what `names` says.
    fn with_names(names: Arc<dyn Resolve>, loopback: Loopback) -> Self {
        Self {
            http: Arc::default(),
            names,
            loopback,
        }
    }

    pub(super) const fn loopback(&self) -> Loopback {
        self.loopback
    }

    /// Sends `callback` to `url`, signed with each of `secrets`: while a secret is replaced, a receiver knows one of two. Returns the
    /// status, one of success. Of the answer only the head is read; its body, whatever its size, is not.
    ///
    /// # Errors
    /// [`NotTaken`]: every answer but 2xx, a redirect too.
    pub(super) async fn post(
        &self,
        url: &Url,
        secrets: &[SigningSecret],
        callback: Callback<'_>,
        deadline: Deadline,
    ) -> Result<u16, NotTaken> {
        // An address in digits is not resolved: this is where it is checked.
        let url = address::parse(url.as_str(), self.loopback)
            .map_err(|_| NotTaken::Unanswered("its address is not allowed"))?;
        let http = self.http.get_or_init(|| self.client().ok());
        let http = http.as_ref();
        let http = http.ok_or(NotTaken::Unanswered("there is no HTTP client"))?;
        let signatures = secrets.iter().map(|secret| {
            let Callback { id, at, body } = callback;
            secret.sign(id, at, body)
        });
        let signatures: Vec<_> = signatures.collect();
        let request = http
            .post(url)
            .header("content-type", "application/json")
            .header("webhook-id", callback.id)
            .header("webhook-timestamp", seconds(callback.at))
            .header("webhook-signature", signatures.join(" "))
            .body(callback.body.to_owned());
        let answered = deadline.at_most(TIMEOUT).run(request.send()).await;
        match answered {
            Ok(Ok(response)) => match response.status() {
                status if status.is_success() => Ok(status.as_u16()),
                StatusCode::GONE => Err(NotTaken::Gone),
                status => Err(NotTaken::Refused(status.as_u16())),
            },
            Ok(Err(error)) if error.is_connect() => {
                Err(NotTaken::Unanswered("no connection to a public address"))
            }
            Ok(Err(_)) => Err(NotTaken::Unanswered("the connection broke")),
            Err(_) => Err(NotTaken::Unanswered("its time ran out")),
        }
    }

    fn client(&self) -> Result<reqwest::Client, HttpClientError> {
        install_crypto_provider();
        let names = Checked {
            names: Arc::clone(&self.names),
            loopback: self.loopback,
        };
        Ok(reqwest::Client::builder()
            .tls_backend_preconfigured(tls_config()?)
            .dns_resolver(Arc::new(names))
            // A process that was frozen finds its connections dead, so none is kept.
            .pool_max_idle_per_host(0)
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            // A proxy would resolve the name once more.
            .no_proxy()
            .referer(false)
            .user_agent("lark-service")
            .build()?)
    }
}

/// Names as the machine resolves them.
struct SystemNames;

impl Resolve for SystemNames {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let found: Vec<SocketAddr> = found.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Resolves names to addresses to which a connection may be made: it is made to one of these, so that a name which stands for
/// something else a moment later (DNS rebinding) changes nothing.
struct Checked {
    names: Arc<dyn Resolve>,
    loopback: Loopback,
}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let (loopback, found) = (self.loopback, self.names.resolve(name));
        Box::pin(async move {
            let found: Vec<SocketAddr> = found.await?.collect();
            let is_allowed = |address: &SocketAddr| address::may_connect(address.ip(), loopback);
            // One that is not allowed is no mistake of the others' owner.
            if found.is_empty() || !found.iter().all(is_allowed) {
                return Err("the name stands for an address that is not public".into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests;
