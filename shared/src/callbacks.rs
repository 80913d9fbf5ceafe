//! Callbacks: what a caller waits for is posted to the address that its API key has registered.
//!
//! A callback has the form of [Standard Webhooks](https://www.standardwebhooks.com): an id that stays the same when it is sent again,
//! the time, and a signature by a secret that is shown once. The address is the caller's choice, so it is checked when it is
//! registered and again when a connection is made ([`address`]).
//!
//! Callbacks come at least once and in no promised order. A receiver that fails is left alone for a while, for all its callbacks
//! together: that costs nobody else anything.

use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::Cache as LocalCache;
use secrecy::{ExposeSecret, SecretString};
use tracing::warn;
use url::Url;

use crate::api_keys::callback::CallbackSetting;
use crate::api_keys::{ApiKeyChange, ApiKeyInfo, ApiKeys, Authority};
use crate::clock::{Clock, Timestamp};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::seal::{SealError, Sealer};

pub mod address;
mod sender;
mod signature;

pub use address::Loopback;
pub use sender::{Callback, NotTaken, TIMEOUT};
pub use signature::SigningSecret;

use sender::Sender;

/// How long the secrets before the current one sign too.
const BEFORE: Duration = Duration::from_secs(24 * 3_600);
/// How many secrets sign at most: a change whose answer was lost is made again.
const SECRETS: usize = 3;
/// The pause after a receiver's first failure; it doubles with each further one, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);
/// Of how many receivers a process knows that they fail.
const MAX_PAUSED: usize = 10_000;

/// Where the callbacks of an API key go.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// The address.
    url: Url,
    /// The current secret, then those before it that still count.
    secrets: Vec<SigningSecret>,
    /// When it was registered: tells this registration from others of the same key.
    since: Timestamp,
}

/// A receiver that fails.
#[derive(Clone, Copy, Debug)]
struct Failing {
    times: u32,
    until: Timestamp,
}

/// Registers receivers and sends callbacks. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct Callbacks {
    api_keys: ApiKeys,
    sealer: Sealer,
    clock: Arc<dyn Clock>,
    sender: Sender,
    /// By the id of the API key.
    failing: Arc<LocalCache<String, Failing>>,
}

impl Callbacks {
    /// Callbacks of the keys in `api_keys`.
    #[must_use]
    pub fn new(
        api_keys: ApiKeys,
        sealer: Sealer,
        clock: Arc<dyn Clock>,
        loopback: Loopback,
    ) -> Self {
        Self {
            api_keys,
            sealer,
            clock,
            sender: Sender::new(loopback),
            failing: Arc::new(LocalCache::new(MAX_PAUSED)),
        }
    }

    /// `text` as the address of a receiver.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] naming `callback_url`.
    pub fn address(&self, text: &str) -> Result<Url> {
        address::parse(text, self.sender.loopback())
            .map_err(|right| Error::invalid("callback_url", right))
    }

    /// What to write into the record of the key `key_id`, so that its callbacks go to `url` and `secret` signs them. Secrets
    /// before it sign for a day more.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Seal`].
    pub async fn setting(
        &self,
        key_id: &str,
        url: &Url,
        secret: &SigningSecret,
        deadline: Deadline,
    ) -> Result<CallbackSetting> {
        let mut secrets = vec![secret.reveal().expose_secret().to_owned()];
        if let Some(before) = self.api_keys.callback(key_id, deadline).await? {
            let opened = match self.opened(key_id, &before, deadline).await {
                // What nobody can open signs nothing any more.
                Err(Error::Seal(SealError::Broken | SealError::UnknownKey(_))) => {
                    SecretString::from("")
                }
                opened => opened?,
            };
            let opened = opened.expose_secret().split_ascii_whitespace();
            let others = opened.filter(|it| *it != secret.reveal().expose_secret());
            secrets.extend(others.map(str::to_owned));
        }
        secrets.truncate(SECRETS);
        let text = SecretString::from(secrets.join(" "));
        let context = CallbackSetting::seal_context(key_id);
        Ok(CallbackSetting {
            url: url.to_string(),
            sealed_secrets: self.sealer.seal(&context, &text, deadline).await?,
            since: self.clock.now(),
            disabled: None,
        })
    }

    async fn opened(
        &self,
        key_id: &str,
        setting: &CallbackSetting,
        deadline: Deadline,
    ) -> Result<SecretString> {
        let context = CallbackSetting::seal_context(key_id);
        let opened = self
            .sealer
            .open(&context, &setting.sealed_secrets, deadline);
        Ok(opened.await?)
    }

    /// Registers `url` as the address of callbacks of the key `key_id`, with `secret`, and answers what the key is now.
    ///
    /// # Errors
    /// As [`Callbacks::setting`] and [`ApiKeys::change`].
    pub async fn register(
        &self,
        key_id: &str,
        url: &Url,
        secret: &SigningSecret,
        authority: &Authority,
        deadline: Deadline,
    ) -> Result<ApiKeyInfo> {
        let setting = self.setting(key_id, url, secret, deadline).await?;
        let change = ApiKeyChange {
            callback: Some(Some(setting)),
            ..ApiKeyChange::default()
        };
        let changed = self.api_keys.change(key_id, &change, authority, deadline);
        changed.await
    }

    /// The receiver of the key `key_id`; `None` if none is registered, if it said that it is gone, or if the key was stopped.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Seal`].
    pub async fn receiver(&self, key_id: &str, deadline: Deadline) -> Result<Option<Receiver>> {
        let setting = self.api_keys.callback(key_id, deadline).await?;
        let Some(setting) = setting.filter(|it| it.disabled.is_none()) else {
            return Ok(None);
        };
        // What can no longer be registered is not called either.
        let Ok(url) = address::parse(&setting.url, self.sender.loopback()) else {
            return Ok(None);
        };
        let secrets = self.opened(key_id, &setting, deadline).await?;
        let counts = if self.clock.now() < setting.since + BEFORE {
            SECRETS
        } else {
            1
        };
        let secrets = secrets.expose_secret().split(' ').take(counts);
        Ok(Some(Receiver {
            url,
            secrets: secrets.filter_map(SigningSecret::parse).collect(),
            since: setting.since,
        }))
    }

    /// How long the receiver of `key_id` is still left alone after it failed.
    #[must_use]
    pub fn pause(&self, key_id: &str) -> Option<Duration> {
        let failing = self.failing.get(key_id)?;
        let now = self.clock.now();
        // A pause from the future is a clock's mistake.
        let is_on = failing.until > now && failing.until.since(now) <= LONGEST_PAUSE;
        is_on.then(|| failing.until.since(now))
    }

    /// Sends `callback` to the `receiver` of the key `key_id`, and returns the status, one of success.
    ///
    /// # Errors
    /// [`NotTaken`]. A receiver that is gone is asked no more until it is registered again.
    pub async fn send(
        &self,
        key_id: &str,
        receiver: &Receiver,
        callback: Callback<'_>,
        deadline: Deadline,
    ) -> std::result::Result<u16, NotTaken> {
        let Receiver { url, secrets, .. } = receiver;
        let sent = self.sender.post(url, secrets, callback, deadline).await;
        match &sent {
            Ok(_) => {
                self.failing.remove(key_id);
            }
            Err(NotTaken::Gone) => {
                self.failing.remove(key_id);
                self.note_gone(key_id, receiver, deadline).await;
            }
            Err(NotTaken::Refused(_) | NotTaken::Unanswered(_)) => self.note_failure(key_id),
        }
        sent
    }

    fn note_failure(&self, key_id: &str) {
        let times = self.failing.get(key_id).map_or(0, |it| it.times) + 1;
        let doubled = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow((times - 1).min(16)));
        let until = self.clock.now() + doubled.min(LONGEST_PAUSE);
        self.failing
            .insert(key_id.to_owned(), Failing { times, until });
    }

    /// If it fails, the next callback is told once more.
    async fn note_gone(&self, key_id: &str, receiver: &Receiver, deadline: Deadline) {
        warn!(key_id, "a receiver wants no callbacks any more");
        let (keys, since) = (&self.api_keys, receiver.since);
        let disabled = keys.disable_callback(key_id, since, "the receiver answered 410", deadline);
        if let Err(error) = disabled.await {
            warn!(key_id, %error, "that is not on record");
        }
    }
}
