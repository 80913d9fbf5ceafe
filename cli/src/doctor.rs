//! `lark-service doctor`: what is wrong, and how to fix it.

use std::sync::Arc;

use clap::Args;
use lark_service::clock::SystemClock;
use lark_service::config::variable;
use lark_service::ids::AppId;
use lark_service_doctor::{Check, Options, Report, Status, examine};
use serde_json::json;

use crate::failure::Failure;
use crate::output::Output;
use crate::session::Place;
use crate::values;

/// What to look at.
#[derive(Args, Debug)]
pub(crate) struct DoctorArguments {
    /// Make no platform calls.
    #[arg(long)]
    offline: bool,
    /// Check only this app; may be repeated.
    #[arg(long = "app", value_name = "APP_ID", value_parser = values::app_id)]
    apps: Vec<AppId>,
}

pub(crate) async fn run(
    arguments: DoctorArguments,
    place: &Place,
    output: &Output,
) -> Result<(), Failure> {
    place.only_store("doctor")?;
    let options = Options {
        is_offline: arguments.offline,
        apps: arguments.apps,
    };
    let mut told = Ok(());
    let mut tell = |check: &Check| {
        if told.is_ok() {
            told = output.line(&line(check));
        }
    };
    let clock = Arc::new(SystemClock);
    let report = Box::pin(examine(variable, &options, clock, &mut tell)).await;
    told?;
    output.answer(
        &json!({ "healthy": !report.has_failed(), "checks": report.checks }),
        &summary(&report),
    )?;
    if report.has_failed() {
        Err(Failure::Unhealthy)
    } else {
        Ok(())
    }
}

fn line(check: &Check) -> String {
    let status = match check.status {
        Status::Ok => "ok",
        Status::Warning => "WARNING",
        Status::Failed => "FAILED",
        Status::Skipped => "skipped",
    };
    let mut line = format!("{status:<8} {:<18} {}", check.name, check.detail);
    if let Some(remedy) = &check.remedy {
        line.push_str(&format!("\n         -> {remedy}"));
    }
    line
}

fn summary(report: &Report) -> String {
    match (report.count(Status::Failed), report.count(Status::Warning)) {
        (0, 0) => "all is well".to_owned(),
        (failed, warnings) => format!("{failed} failed, {warnings} warnings"),
    }
}
