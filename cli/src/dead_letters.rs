//! `lark-service dead-letters`: what the service could not bring any further.

use clap::{Args, Subcommand};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{Output, pairs};
use crate::secret_input;
use crate::session::{Act, Place, Session, text};

/// How many are redriven or dropped at a time.
const CONCURRENCY: usize = 8;

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetterCommand {
    /// List the dead letters.
    List,
    /// Show one.
    Show {
        /// Its id: the message job's, or qm_….
        id: String,
    },
    /// Have one tried again, or all. None is sent twice, whatever time has passed.
    Redrive(Which),
    /// Drop one, or all: their messages end as refused, or as uncertain if they may have been sent.
    Drop {
        #[command(flatten)]
        which: Which,
        /// Do not ask for confirmation.
        #[arg(long)]
        yes: bool,
    },
}

/// Which dead letters.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct Which {
    /// Its id: the message job's, or qm_….
    id: Option<String>,
    /// All that there are.
    #[arg(long)]
    all: bool,
}

pub(crate) async fn run(
    command: DeadLetterCommand,
    place: &Place,
    output: &Output,
) -> Result<(), Failure> {
    match command {
        DeadLetterCommand::List => list(place, output).await,
        DeadLetterCommand::Show { id } => show(&id, place, output).await,
        DeadLetterCommand::Redrive(which) => act(which, Act::Redrive, place, output).await,
        DeadLetterCommand::Drop { which, yes } => {
            confirm(&which, yes, output)?;
            act(which, Act::Drop, place, output).await
        }
    }
}

fn confirm(which: &Which, is_sure: bool, output: &Output) -> Result<(), Failure> {
    if is_sure {
        return Ok(());
    }
    if output.is_json() {
        let detail = "with --json nobody is asked: confirm with --yes".to_owned();
        return Err(Failure::Usage(detail));
    }
    let expected = which.id.as_deref().unwrap_or("all");
    let question = match &which.id {
        Some(id) => format!("This drops {id}: its message is not sent."),
        None => "This drops all dead letters: their messages are not sent.".to_owned(),
    };
    secret_input::confirmed(&question, expected)
}

async fn list(place: &Place, output: &Output) -> Result<(), Failure> {
    let session = place.open().await?;
    let columns = &["id", "app", "lane", "reason", "failures", "since", "detail"];
    let mut list = output.list(columns)?;
    let mut after = None::<String>;
    loop {
        let page = session.dead_letters(after.as_deref()).await?;
        let fields = [
            "id", "app_id", "lane", "reason", "failures", "since", "detail",
        ];
        let rows = page.items.into_iter().map(|letter| {
            let cells = fields.iter().map(|name| text(&letter, name)).collect();
            (letter, cells)
        });
        list.rows(&rows.collect::<Vec<_>>())?;
        after = page.next;
        if after.is_none() {
            return list.end("there is no dead letter");
        }
    }
}

async fn show(id: &str, place: &Place, output: &Output) -> Result<(), Failure> {
    let letter = place.open().await?.dead_letter(id).await?;
    let field = |name| text(&letter, name);
    let told = pairs(&[
        ("id", field("id")),
        ("job", field("job_id")),
        ("API key", field("key_id")),
        ("app", field("app_id")),
        ("lane", field("lane")),
        ("reason", field("reason")),
        ("detail", field("detail")),
        ("failures", field("failures")),
        ("first failure", field("first_failure_at")),
        ("since", field("since")),
        ("kept until", field("kept_until")),
    ]);
    output.answer(&letter, &told)
}

async fn act(which: Which, act: Act, place: &Place, output: &Output) -> Result<(), Failure> {
    let session = place.open().await?;
    let done = match act {
        Act::Redrive => "redriven",
        Act::Drop => "dropped",
    };
    let Some(id) = which.id else {
        return act_on_all(&session, act, done, output).await;
    };
    let outcome = session.act(&id, act).await?;
    let told = match outcome["state"].as_str() {
        Some(state) => format!("{done}: {id}; its message is {state}"),
        None => format!("{done}: {id}"),
    };
    output.answer(&outcome, &told)
}

/// Page by page, so that it takes up what is new meanwhile only once. What somebody else has acted on is passed over.
async fn act_on_all(
    session: &Session,
    act: Act,
    done: &str,
    output: &Output,
) -> Result<(), Failure> {
    let (mut count, mut after) = (0_u64, None::<String>);
    loop {
        let page = session.dead_letters(after.as_deref()).await?;
        let ids = page.items.iter().map(|letter: &Value| text(letter, "id"));
        let mut acting = stream::iter(ids.collect::<Vec<_>>())
            .map(|id| async move { session.act(&id, act).await })
            .buffer_unordered(CONCURRENCY);
        while let Some(outcome) = acting.next().await {
            match outcome {
                Ok(_) => count += 1,
                Err(failure) if failure.is_not_found() => {}
                Err(failure) => {
                    output.progressed();
                    output.line(&format!(
                        "{count} {done} before this; run it again to go on"
                    ))?;
                    return Err(failure);
                }
            }
            output.progress(&format!("{count} {done}"));
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    output.progressed();
    output.answer(&json!({ done: count }), &format!("{count} {done}"))
}
