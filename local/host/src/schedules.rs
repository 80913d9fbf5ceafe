//! Scheduled functions.

use std::sync::Arc;
use std::time::Duration;

use lambda_runtime::Error;
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};

use crate::error::HostError;
use crate::functions::{self, Handler, InvokedHandler};
use crate::gateway::Gateway;
use crate::invocation::{Invocations, request_id};
use crate::server::Stop;
use crate::template::Template;

/// A function that a schedule starts.
#[derive(Clone)]
pub(crate) struct Scheduled {
    pub(crate) name: String,
    /// How often.
    pub(crate) every: Duration,
    timeout: Duration,
    handler: InvokedHandler,
}

/// Every schedule of `template`.
///
/// # Errors
/// [`HostError::Functions`] when one of them names a function that no schedule can start.
pub(crate) fn all(template: &Template) -> Result<Vec<Scheduled>, HostError> {
    let mut all = Vec::new();
    for function in &template.functions {
        for every in &function.schedules {
            let Some(Handler::Invoked(handler)) = functions::handler(&function.name) else {
                return Err(HostError::Functions(format!(
                    "the template has a schedule for {}, which takes no schedule's events",
                    function.name
                )));
            };
            all.push(Scheduled {
                name: function.name.clone(),
                every: *every,
                timeout: function.timeout,
                handler,
            });
        }
    }
    Ok(all)
}

impl Scheduled {
    /// One run, now. The input in the template's schedule is not sent: an empty object means an ordinary run.
    ///
    /// # Errors
    /// The function's own; it is already logged.
    pub(crate) async fn run(&self, gateway: &Gateway) -> Result<Value, Error> {
        let context = Invocations::default().context(request_id(), self.timeout);
        let work = (self.handler)(gateway.services(), json!({}), context);
        tokio::time::timeout(self.timeout, work).await?
    }

    /// Runs repeatedly, the first time after one interval. A run that takes longer delays the next one.
    pub(crate) async fn keep_running(self, gateway: Arc<Gateway>, mut stop: Stop) {
        let mut ticks = interval(self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            tokio::select! {
                () = stop.stopped() => return,
                _ = ticks.tick() => {}
            }
            tokio::select! {
                () = stop.stopped() => return,
                // A failure is in the log; the next run tries again.
                _logged = self.run(&gateway) => {}
            }
        }
    }
}
