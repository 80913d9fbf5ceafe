//! The moment at which a call goes out: its turn is checked when the first bytes are handed to the connection.
//!
//! HTTP's client polls the body of a request in the same step in which it writes the head, once the connection is open: what the body
//! refuses then has not left the process, not even the head. A call without a body is checked before it is handed to the client. Where
//! a connection was opened for a call, its place has probably passed, and it gets another one before it goes out.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{Stream, StreamExt as _};
use tokio::sync::Mutex;

use super::apis::Api;
use super::body::{Content, ReadError, in_portions};
use super::outbound_limiter::OutboundLimiter;
use super::request::{MayGo, Request};
use crate::connections::Opened;
use crate::deadline::Deadline;
use crate::error::LarkFailure;
use crate::limiter::Turn;

/// How long a call waits for a place after a connection was opened for it, within the time for opening one.
const AFTER_OPENING: Duration = Duration::from_secs(2);

const WAITING: u8 = 0;
const GONE: u8 = 1;
const MISSED: u8 = 2;
const OVER: u8 = 3;

/// A call on its way out.
pub(super) struct Departure {
    api: Api,
    turn: Mutex<Turn>,
    may_go: Option<Arc<MayGo>>,
    has_body: bool,
    state: AtomicU8,
}

/// Why a call did not go out.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum HeldBack {
    /// The time of its place had passed.
    #[error("its place passed before it was sent")]
    Missed,
    /// It must not be sent any more.
    #[error("its time was over before it was sent")]
    Over,
}

impl Departure {
    /// That of `request` when it is its `turn`.
    pub(super) fn new<T>(request: &Request<T>, turn: Turn) -> Self {
        Self {
            api: request.api.clone(),
            turn: Mutex::new(turn),
            may_go: request.may_go.clone(),
            has_body: !request.body.is_empty(),
            state: AtomicU8::new(WAITING),
        }
    }

    /// Waits for the turn of the call. Without a body, it goes out right then.
    ///
    /// # Errors
    /// As [`OutboundLimiter::come`].
    pub(super) async fn come(&self, deadline: Deadline) -> Result<(), LarkFailure> {
        let mut turn = self.turn.lock().await;
        OutboundLimiter::come(&self.api, &mut turn, deadline).await?;
        self.state.store(WAITING, Ordering::SeqCst);
        Ok(())
    }

    /// Why the call did not go out.
    pub(super) fn held_back(&self) -> Option<HeldBack> {
        match self.state.load(Ordering::SeqCst) {
            MISSED => Some(HeldBack::Missed),
            OVER => Some(HeldBack::Over),
            _ => None,
        }
    }

    /// The call goes out now.
    ///
    /// # Errors
    /// It must not.
    pub(super) fn leave(&self) -> Result<(), HeldBack> {
        let outcome = self.checked();
        let state = match outcome {
            Ok(()) => GONE,
            Err(HeldBack::Missed) => MISSED,
            Err(HeldBack::Over) => OVER,
        };
        self.state.store(state, Ordering::SeqCst);
        outcome
    }

    fn checked(&self) -> Result<(), HeldBack> {
        if self.may_go.as_ref().is_some_and(|may_go| !may_go()) {
            return Err(HeldBack::Over);
        }
        // Somebody else has it while it asks for another place.
        let mut turn = self.turn.try_lock().map_err(|_| HeldBack::Missed)?;
        if !turn.is_now() {
            return Err(HeldBack::Missed);
        }
        turn.use_up();
        Ok(())
    }

    /// `pieces` one after the other, if the call may go out when the first is asked for, in portions that the connection takes without
    /// buffering a whole file.
    pub(super) fn body(
        self: &Arc<Self>,
        pieces: &[Content],
    ) -> impl Stream<Item = Result<Bytes, ReadError>> + Send + use<> {
        let departure = Arc::clone(self);
        let mut is_first = true;
        in_portions(pieces).map(move |portion| {
            if std::mem::take(&mut is_first) {
                departure.leave()?;
            }
            portion
        })
    }
}

impl Opened for Departure {
    fn opened(self: Arc<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let has_gone = self.state.load(Ordering::SeqCst) == GONE;
            if has_gone && self.has_body {
                return;
            }
            let mut turn = self.turn.lock().await;
            let deadline = Deadline::after(AFTER_OPENING);
            // Refused, the call does not go out, and asks again.
            let _refused = OutboundLimiter::come(&self.api, &mut turn, deadline).await;
        })
    }
}

impl fmt::Debug for Departure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Departure").finish_non_exhaustive()
    }
}
