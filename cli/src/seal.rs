//! `lark-service seal`: data keys.

use clap::Subcommand;
use lark_service::resealing::{RETIRED_AFTER, Resealer, Tally};
use lark_service::wiring::Services;
use serde_json::json;

use crate::failure::Failure;
use crate::output::Output;
use crate::session::{Place, actor, soon};

#[derive(Debug, Subcommand)]
pub(crate) enum SealCommand {
    /// Add a new data key and re-seal every record with it. Older keys stay, for work in progress.
    RotateKey {
        /// Add no key: continue an interrupted rotation.
        #[arg(long = "continue")]
        is_continued: bool,
    },
    /// Remove older data keys that no record needs. Old backups that were sealed with them no longer open.
    RetireKeys {
        /// Do not wait for a day after the last rotation. Running processes keep the keys that they loaded for up to an
        /// hour; values that wait in the shared cache under an older key are lost.
        #[arg(long)]
        force: bool,
    },
}

pub(crate) async fn run(
    command: SealCommand,
    place: &Place,
    output: &Output,
) -> Result<(), Failure> {
    let services = place.store("seal").await?;
    match command {
        SealCommand::RotateKey { is_continued } => rotate(&services, is_continued, output).await,
        SealCommand::RetireKeys { force } => retire(&services, force, output).await,
    }
}

async fn rotate(services: &Services, is_continued: bool, output: &Output) -> Result<(), Failure> {
    let now = services.clock.now();
    let key_id = if is_continued {
        let ring = services.sealer.keyring(soon()).await;
        ring.map_err(service)?.current_key_id().to_owned()
    } else {
        services
            .sealer
            .add_key(now, soon())
            .await
            .map_err(service)?
    };
    output.progress(&format!("the data key {key_id} seals from now on"));
    let told = |tally: &Tally| output.progress(&progress(tally));
    let tally = resealer(services).run(&actor(), told).await;
    output.progressed();
    let next_step = "continue with: lark-service seal rotate-key --continue".to_owned();
    let tally = tally.map_err(|error| Failure::Explained(error, next_step))?;
    let text = format!(
        "re-sealed {} of {} records of {} apps with the data key {key_id}; in a day, `lark-service seal retire-keys` \
         removes the older ones",
        tally.resealed, tally.records, tally.apps
    );
    output.answer(&json!({ "key_id": key_id, "done": tally }), &text)?;
    if tally.unopened == 0 {
        return Ok(());
    }
    Err(Failure::Incomplete(format!(
        "{} records have something that does not open; they stay as they are: {}",
        tally.unopened,
        tally.unopened_records.join(", ")
    )))
}

async fn retire(services: &Services, is_forced: bool, output: &Output) -> Result<(), Failure> {
    let ring = services.sealer.keyring(soon()).await.map_err(service)?;
    if let Some(added_at) = ring.current_key_added_at()
        && !is_forced
        && added_at + RETIRED_AFTER > services.clock.now()
    {
        return Err(Failure::Incomplete(format!(
            "the last rotation was at {added_at}; work in progress may need the older keys until {}. --force does not wait",
            added_at + RETIRED_AFTER
        )));
    }
    let told = |tally: &Tally| output.progress(&progress(tally));
    let retired = resealer(services).retire(told).await;
    output.progressed();
    let retired = retired?;
    let text = if retired.removed.is_empty() {
        "no key was removed".to_owned()
    } else {
        format!(
            "removed {}; running processes have them for up to an hour",
            retired.removed.join(", ")
        )
    };
    output.answer(&retired, &text)?;
    if retired.in_use.is_empty() {
        return Ok(());
    }
    let in_use = retired.in_use.iter();
    let in_use = in_use.map(|(id, records)| format!("{id} by {records} records"));
    Err(Failure::Incomplete(format!(
        "still needed: {}; run `lark-service seal rotate-key --continue` first",
        in_use.collect::<Vec<_>>().join(", ")
    )))
}

fn resealer(services: &Services) -> Resealer {
    Resealer::new(
        services.apps.clone(),
        services.storage.clone(),
        services.sealer.clone(),
        std::sync::Arc::clone(&services.clock),
    )
}

fn progress(tally: &Tally) -> String {
    format!(
        "{} apps, {} records read, {} re-sealed",
        tally.apps, tally.records, tally.resealed
    )
}

fn service(error: lark_service::seal::SealError) -> Failure {
    Failure::Service(error.into())
}
