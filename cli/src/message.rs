//! `lark-service message`: messages, through a running service.

mod content;
mod wait;

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use lark_service::delivery::State;
use lark_service::ids::{AppId, TenantKey};
use reqwest::Method;
use serde_json::{Value, json};

use self::content::Content;
use crate::failure::Failure;
use crate::output::{Output, pairs};
use crate::remote::{Remote, Repeat};
use crate::session::{Place, remote_page, text};
use crate::values::{self, End};

#[derive(Debug, Subcommand)]
pub(crate) enum MessageCommand {
    /// Send a message. Without --async, --at or --wait it is sent at once, and a worker goes on with it if that is not possible.
    Send(Box<NewMessage>),
    /// Show what became of a message.
    Status {
        /// The job: mj_….
        job_id: String,
        /// Wait until it ends.
        #[arg(long)]
        watch: bool,
        /// How long to wait.
        #[arg(long, value_parser = values::length, default_value = "10m")]
        timeout: Duration,
    },
    /// Take a message back before it is sent.
    Cancel {
        /// The job: mj_….
        job_id: String,
    },
    /// List the messages of the API key.
    List {
        /// Only those in this state.
        #[arg(long, value_parser = state)]
        state: Option<State>,
    },
}

/// A message.
#[derive(Args, Debug)]
pub(crate) struct NewMessage {
    #[command(flatten)]
    to: To,
    #[command(flatten)]
    content: Content,
    /// Answer as soon as the message is on record; a worker sends it in its turn.
    #[arg(long = "async")]
    is_async: bool,
    /// Not before: in 2h, or a time such as 2027-01-31T08:00:00Z; at most 30 days ahead.
    #[arg(long, value_parser = values::end)]
    at: Option<End>,
    /// Not after: in 2h, or a time. Default: a day.
    #[arg(long, value_parser = values::end)]
    expires: Option<End>,
    /// Which queue it takes, if it is not sent at once.
    #[arg(long, value_enum)]
    lane: Option<LaneArgument>,
    /// Check everything, say to whom it would go, and send nothing.
    #[arg(long, conflicts_with_all = ["wait", "is_async"])]
    dry_run: bool,
    /// Wait until it ends; exit code 1 if it was not delivered.
    #[arg(long)]
    wait: bool,
    /// How long to wait.
    #[arg(long, value_parser = values::length, default_value = "10m")]
    timeout: Duration,
    /// As this app. Default: the only app of the API key, or the service's default app.
    #[arg(long, value_name = "APP_ID", value_parser = values::app_id)]
    app: Option<AppId>,
    /// In this tenant, of a marketplace app.
    #[arg(long, value_name = "TENANT_KEY", value_parser = values::tenant_key)]
    tenant: Option<TenantKey>,
    /// A name for this message: another command with the same one sends nothing, and shows the first one's job.
    #[arg(long, value_name = "NAME", value_parser = once)]
    idempotency_key: Option<String>,
}

/// Whom it goes to.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct To {
    /// To the user with this e-mail address.
    #[arg(long, value_name = "ADDRESS")]
    to_email: Option<String>,
    /// To the user with this mobile number.
    #[arg(long, value_name = "NUMBER")]
    to_mobile: Option<String>,
    /// To this user.
    #[arg(long, value_name = "ID")]
    to_open_id: Option<String>,
    /// To this user.
    #[arg(long, value_name = "ID")]
    to_user_id: Option<String>,
    /// To this user.
    #[arg(long, value_name = "ID")]
    to_union_id: Option<String>,
    /// To the chat with exactly this name.
    #[arg(long, value_name = "NAME")]
    to_chat: Option<String>,
    /// To this chat.
    #[arg(long, value_name = "ID")]
    to_chat_id: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LaneArgument {
    Normal,
    Bulk,
}

fn state(given: &str) -> Result<State, String> {
    State::parse(given).ok_or_else(|| {
        let known = State::ALL.map(State::as_str).join(", ");
        format!("must be one of {known}")
    })
}

fn once(given: &str) -> Result<String, String> {
    let is_name = (1..=255).contains(&given.len()) && given.bytes().all(|it| it.is_ascii_graphic());
    is_name
        .then(|| given.to_owned())
        .ok_or_else(|| "must have 1 to 255 visible ASCII characters".to_owned())
}

pub(crate) async fn run(
    command: MessageCommand,
    place: &Place,
    output: &Output,
) -> Result<(), Failure> {
    match command {
        MessageCommand::Send(new) => send(*new, place, output).await,
        MessageCommand::Status {
            job_id,
            watch,
            timeout,
        } => {
            let remote = place.running("message status")?;
            let job = job(&remote, &job_id).await?;
            if !watch {
                return output.answer(&job, &described(&job));
            }
            let job = wait::ended(&remote, job, timeout, output).await?;
            told(&job, output)
        }
        MessageCommand::Cancel { job_id } => {
            let remote = place.running("message cancel")?;
            let delete = remote.call(Method::DELETE, &["message-jobs", &job_id]);
            let job = delete.send(Repeat::Safe).await?;
            output.answer(&job, &format!("cancelled: {job_id} is not sent"))
        }
        MessageCommand::List { state } => list(state, place, output).await,
    }
}

async fn job(remote: &Remote, job_id: &str) -> Result<Value, Failure> {
    remote.get(&["message-jobs", job_id], &[]).await
}

async fn send(new: NewMessage, place: &Place, output: &Output) -> Result<(), Failure> {
    let remote = place.running("message send")?;
    let now = lark_service::clock::Clock::now(&lark_service::clock::SystemClock);
    let moment = |end: Option<End>| end.map(|end| end.moment(now).to_string());
    let lane = new.lane.map(|lane| match lane {
        LaneArgument::Normal => "normal",
        LaneArgument::Bulk => "bulk",
    });
    let mut body = new.content.fields()?;
    body["to"] = new.to.field();
    for (name, value) in [
        ("lane", lane.map(str::to_owned)),
        ("deliver_at", moment(new.at)),
        ("expires_at", moment(new.expires)),
    ] {
        if let Some(value) = value {
            body[name] = Value::String(value);
        }
    }
    if new.dry_run {
        body["dry_run"] = Value::Bool(true);
    }
    let mut post = remote.call(Method::POST, &["messages"]).body(body);
    if new.is_async {
        post = post.header("prefer", "respond-async");
    }
    if let Some(app_id) = &new.app {
        post = post.app(app_id);
    }
    if let Some(tenant) = &new.tenant {
        post = post.header("x-lark-tenant-key", tenant.as_str());
    }
    if let Some(name) = &new.idempotency_key {
        post = post.header("idempotency-key", name);
    }
    // A repetition has the same `Idempotency-Key`, so it sends nothing twice.
    let answer = post.send(Repeat::Safe).await?;
    if new.dry_run {
        let field = |name| text(&answer, name);
        let told = format!(
            "nothing was sent; it would go to {} {} as {}",
            field("receiver_kind"),
            field("receiver_id"),
            field("msg_type")
        );
        return output.answer(&answer, &told);
    }
    if !new.wait {
        return output.answer(&answer, &described(&answer));
    }
    let ended = wait::ended(&remote, answer, new.timeout, output).await?;
    told(&ended, output)
}

impl To {
    /// The one that is given, as the API has it.
    fn field(self) -> Value {
        let names = [
            ("email", self.to_email),
            ("mobile", self.to_mobile),
            ("open_id", self.to_open_id),
            ("user_id", self.to_user_id),
            ("union_id", self.to_union_id),
            ("chat", self.to_chat),
            ("chat_id", self.to_chat_id),
        ];
        let mut names = names.into_iter();
        let named = names.find_map(|(name, value)| Some((name, value?)));
        named.map_or(Value::Null, |(name, value)| json!({ name: value }))
    }
}

async fn list(state: Option<State>, place: &Place, output: &Output) -> Result<(), Failure> {
    let remote = place.running("message list")?;
    let state = state.map(|state| ("state", state.as_str().to_owned()));
    let state: Vec<_> = state.into_iter().collect();
    let columns = &["job id", "state", "to", "type", "attempts", "accepted"];
    let mut list = output.list(columns)?;
    let mut after = None::<String>;
    loop {
        let page = remote_page(&remote, &["message-jobs"], after.as_deref(), &state).await?;
        let rows = page.items.into_iter().map(|job| {
            let field = |name| text(&job, name);
            let cells = vec![
                field("job_id"),
                field("state"),
                text(&job["to"], "id"),
                field("msg_type"),
                field("attempt_count"),
                field("created_at"),
            ];
            (job, cells)
        });
        list.rows(&rows.collect::<Vec<_>>())?;
        after = page.next;
        if after.is_none() {
            return list.end("no such message");
        }
    }
}

/// Prints a job that has ended; one that was not delivered is a failure.
fn told(job: &Value, output: &Output) -> Result<(), Failure> {
    output.answer(job, &described(job))?;
    let state = text(job, "state");
    if state == State::Delivered.as_str() {
        return Ok(());
    }
    let job_id = text(job, "job_id");
    Err(Failure::NotDelivered(format!("{job_id} is {state}")))
}

/// A job, for people.
fn described(job: &Value) -> String {
    let field = |name| text(job, name);
    let of = |part: &str, name| text(&job[part], name);
    let to = format!("{} {}", of("to", "kind"), of("to", "id"));
    let last = job["attempts"].as_array().and_then(|all| all.last());
    let last = last.map(|last| {
        let words = [text(last, "code"), text(last, "msg")].join(" ");
        words.trim().to_owned()
    });
    let refused = [of("refused", "code"), of("refused", "msg")].join(" ");
    pairs(&[
        ("job id", field("job_id")),
        ("state", field("state")),
        ("app", field("app_id")),
        ("to", to),
        ("type", field("msg_type")),
        ("lane", field("lane")),
        ("accepted", field("created_at")),
        ("not before", field("deliver_at")),
        ("not after", field("expires_at")),
        ("attempts", field("attempt_count")),
        ("last failure", last.unwrap_or_default()),
        ("message id", of("delivered", "message_id")),
        ("chat id", of("delivered", "chat_id")),
        ("refused", refused.trim().to_owned()),
        ("uncertain since", of("uncertain", "since")),
        ("because", of("uncertain", "reason")),
        ("dead letter", of("dead_letter", "reason")),
        ("ended", field("ended_at")),
    ])
}
