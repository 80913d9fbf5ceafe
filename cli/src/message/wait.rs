//! Waiting for the end of a message.

use std::time::{Duration, Instant};

use lark_service::delivery::State;
use serde_json::Value;

use crate::failure::Failure;
use crate::output::Output;
use crate::remote::Remote;
use crate::session::text;

/// The first pause between two looks; it grows by half.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// `job`, once it has ended, with the progress on standard error.
///
/// # Errors
/// [`Failure::Incomplete`] after `timeout`: the job goes on without the command.
pub(super) async fn ended(
    remote: &Remote,
    mut job: Value,
    timeout: Duration,
    output: &Output,
) -> Result<Value, Failure> {
    let (begun, mut pause) = (Instant::now(), FIRST_PAUSE);
    let job_id = text(&job, "job_id");
    loop {
        let state = text(&job, "state");
        if has_ended(&state) {
            output.progressed();
            return Ok(job);
        }
        let attempts = text(&job, "attempt_count");
        output.progress(&format!("{job_id} is {state}, attempts: {attempts}"));
        if begun.elapsed() + pause > timeout {
            output.progressed();
            return Err(Failure::Incomplete(format!(
                "{job_id} is still {state}; it goes on: `lark-service message status {job_id} --watch`"
            )));
        }
        tokio::time::sleep(pause).await;
        pause = pause.mul_f64(1.5).min(LONGEST_PAUSE);
        job = super::job(remote, &job_id).await?;
    }
}

/// Whether a job in `state` stays as it is. A state of a later version is waited for like one of ours.
fn has_ended(state: &str) -> bool {
    match State::parse(state) {
        Some(
            State::Delivered
            | State::Refused
            | State::Expired
            | State::Cancelled
            | State::Uncertain,
        ) => true,
        Some(State::Scheduled | State::Queued | State::Sending | State::Held) | None => false,
    }
}
