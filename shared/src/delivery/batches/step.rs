//! What a worker does with a batch.

use std::time::Duration;

use super::super::Delivery;
use super::super::id::BatchKey;
use super::batch::{Batch, Stage};
use crate::apps::AppContext;
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::store::StoreError;

/// How often a batch is read again in one go, because others changed it.
const READS: u32 = 4;
/// How many steps are done in one go: no batch has as many.
const STEPS: u32 = 32;
/// The least pause.
const SHORTEST: Duration = Duration::from_secs(1);
/// The pause of a batch whose app cannot send now.
pub(super) const APP_PAUSE: Duration = Duration::from_secs(60);

/// What a step led to.
#[derive(Debug)]
pub(super) enum Next {
    /// The batch as it is now, on which more is to be done.
    Step(Box<Batch>),
    /// Nothing more is to be done now: it comes back by its due time, if it has not ended.
    Done,
    /// It goes on after this pause.
    Wait(Duration),
}

impl Next {
    pub(super) fn step(batch: Batch) -> Self {
        Self::Step(Box::new(batch))
    }
}

impl Delivery {
    /// Brings the batch at `key` as far as it gets now. `None`: no queue needs to keep it; else how long it has to wait.
    pub(in super::super) async fn carry_on_batch(
        &self,
        key: &BatchKey,
        deadline: Deadline,
    ) -> Result<Option<Duration>> {
        for _ in 0..READS {
            let Some(batch) = self.read_batch(key, deadline).await? else {
                return Ok(None);
            };
            match self.steps(batch, deadline).await {
                Err(Error::Store(StoreError::Conflict)) => {}
                outcome => return outcome,
            }
        }
        Ok(Some(SHORTEST))
    }

    async fn steps(&self, batch: Batch, deadline: Deadline) -> Result<Option<Duration>> {
        let mut batch = batch;
        for _ in 0..STEPS {
            match Box::pin(self.step(batch, deadline)).await? {
                Next::Step(next) => batch = *next,
                Next::Done => return Ok(None),
                Next::Wait(pause) => return Ok(Some(pause)),
            }
        }
        Ok(Some(SHORTEST))
    }

    async fn step(&self, batch: Batch, deadline: Deadline) -> Result<Next> {
        let now = self.inner.clock.now();
        let facts = &batch.facts;
        if facts.cancelled_at.is_some() && facts.stage != Stage::Ended {
            return self.finish_cancelled(batch, deadline).await;
        }
        if batch.waits_for_a_time(now) {
            return Ok(Next::Done);
        }
        match facts.stage {
            Stage::Ended => Ok(Next::Done),
            Stage::Accepted => self.plan(batch, deadline).await,
            Stage::Planned if batch.is_broadcast() => self.broadcast(batch, deadline).await,
            Stage::Planned => self.make_jobs(batch, deadline).await,
            Stage::Made => self.queue_jobs(batch, deadline).await,
            Stage::Queued => self.watch(batch, deadline).await,
        }
    }

    /// The app that sends the batch. `None`: it may be enabled or registered again before the batch's time is over.
    pub(super) async fn context_of_batch(
        &self,
        batch: &Batch,
        deadline: Deadline,
    ) -> Result<Option<AppContext>> {
        let facts = &batch.facts;
        let app = self.inner.apps.enabled(&facts.app_id, deadline).await;
        match app.and_then(|app| AppContext::new(app, facts.tenant.clone())) {
            Ok(context) => Ok(Some(context)),
            Err(error @ (Error::Store(_) | Error::Seal(_))) => Err(error),
            Err(_) => Ok(None),
        }
    }
}
