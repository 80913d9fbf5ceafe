//! Requests with an `Idempotency-Key`: done once, and answered the same each time.

use ring::digest::{Context, SHA256};
use tracing::warn;

use super::{Admission, Call, Reply};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::idempotency::{Claim, Claimed, MAX_KEY_BYTES, Once, Seed};

/// Says of an answer that it is that of an earlier request.
const REPLAYED: &str = "idempotency-replayed";

/// A try to do what a request asks for.
#[derive(Clone, Debug)]
pub struct Turn {
    /// What ids and secrets of what is made follow from: each try of a request with an `Idempotency-Key` has the same.
    pub seed: Seed,
    /// When the request was first tried, if it was before: it may have been done, all but the answer.
    pub tried_since: Option<Timestamp>,
}

impl Admission {
    /// Does what `call`, of the API key `key_id`, asks for, once: a repetition with the same `Idempotency-Key` is answered with
    /// what `act` answered. Without that header `act` runs in any case. `route` is the scope of the key, such as
    /// `POST /v1/apps`.
    ///
    /// Call it when nothing is left to be checked: a wrong request claims nothing. An error of `act` is not kept. It runs again
    /// when the request is repeated after an error, or after the death of a process: what it makes must follow from
    /// [`Turn::seed`], or be written conditionally.
    ///
    /// # Errors
    /// Those of `act`; [`Error::InvalidArgument`] for a malformed key, [`Error::IdempotencyMismatch`],
    /// [`Error::IdempotencyInFlight`], [`Error::Store`].
    pub async fn once(
        &self,
        call: &Call<'_>,
        key_id: &str,
        route: &'static str,
        act: impl AsyncFnOnce(Turn) -> Result<Reply>,
    ) -> Result<Reply> {
        self.once_for(call, call.once()?, key_id, route, act).await
    }

    /// As [`Admission::once`], of a request whose parts are `once`: see [`Call::once_of`].
    ///
    /// # Errors
    /// As [`Admission::once`].
    pub async fn once_for(
        &self,
        call: &Call<'_>,
        once: Option<Once>,
        key_id: &str,
        route: &'static str,
        act: impl AsyncFnOnce(Turn) -> Result<Reply>,
    ) -> Result<Reply> {
        let Some(once) = once else {
            let seed = Seed::generate()?;
            return act(Turn {
                seed,
                tried_since: None,
            })
            .await;
        };
        let claimed = self.claims.claim(key_id, route, &once, call.deadline());
        let claim = match claimed.await? {
            Claimed::Ours(claim) => *claim,
            Claimed::Answered(kept) => {
                call.replayed();
                return Reply::of_kept(&kept);
            }
        };
        let outcome = act(Turn {
            seed: claim.seed.clone(),
            tried_since: claim.is_repeated.then_some(claim.since),
        })
        .await;
        if let Err(error) = self.settle(call, claim, &outcome).await {
            // Whoever repeats the request tries it again, and what was made is not made again.
            warn!(error.code = error.code().as_str(), %error, "the outcome of a request with an Idempotency-Key is not kept");
        }
        outcome
    }

    async fn settle(&self, call: &Call<'_>, claim: Claim, outcome: &Result<Reply>) -> Result<()> {
        let kept = match outcome {
            Ok(reply) => reply.kept()?,
            Err(_) => None,
        };
        match kept {
            Some(kept) => self.claims.answer(claim, &kept, call.deadline()).await,
            None => self.claims.release(claim, call.deadline()).await,
        }
    }

    /// For a request that changes nothing and is done each time: refuses another one with the same `Idempotency-Key`. Otherwise
    /// as [`Admission::once`].
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a malformed key, [`Error::IdempotencyMismatch`], [`Error::Store`].
    pub async fn same(&self, call: &Call<'_>, key_id: &str, route: &'static str) -> Result<()> {
        if let Some(once) = call.once()? {
            self.claims
                .note(key_id, route, &once, call.deadline())
                .await?;
        }
        Ok(())
    }
}

impl Call<'_> {
    /// The header `Idempotency-Key`, with a hash of the request that it came with.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] naming the header.
    pub fn once(&self) -> Result<Option<Once>> {
        let body: &[u8] = self.request().body();
        self.once_of(&[body])
    }

    /// As [`Call::once`], of a request that asks for what is in `parts`: of a form, whose body differs each time that it is sent.
    ///
    /// # Errors
    /// As [`Call::once`].
    pub fn once_of(&self, parts: &[&[u8]]) -> Result<Option<Once>> {
        let Some(key) = self.header("idempotency-key")? else {
            return Ok(None);
        };
        if key.is_empty() || key.len() > MAX_KEY_BYTES {
            let message = "must have 1 to 255 visible ASCII characters";
            return Err(Error::invalid("header Idempotency-Key", message));
        }
        Ok(Some(Once {
            key: key.to_owned(),
            request: self.fingerprint(parts)?,
        }))
    }

    /// Says in the answer that it is that of an earlier request.
    pub fn replayed(&self) {
        self.answer_with(REPLAYED, "true".to_owned());
    }

    /// A hash of what the request asks for: its method, path, query, app, tenant and `parts`, byte for byte. Two requests with the
    /// same one ask for the same.
    fn fingerprint(&self, parts: &[&[u8]]) -> Result<String> {
        let request = self.request();
        let uri = request.uri();
        let head = [
            request.method().as_str(),
            uri.path(),
            uri.query().unwrap_or_default(),
            self.header("x-lark-app-id")?.unwrap_or_default(),
            self.header("x-lark-tenant-key")?.unwrap_or_default(),
        ];
        let mut hash = Context::new(&SHA256);
        for part in head {
            hash.update(part.as_bytes());
            hash.update(b"\n");
        }
        for part in parts {
            if parts.len() > 1 {
                // Where one ends and the next begins is a part of what they say.
                hash.update(&part.len().to_be_bytes());
            }
            hash.update(part);
        }
        let digest = hash.finish();
        let hex = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
        Ok(hex.collect())
    }
}
