//! The service that a command works on, and who runs the command. One of two: a running service, over HTTP, or its store.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use lark_service::changes::Actor;
use lark_service::config::{Config, variable};
use lark_service::deadline::Deadline;
use lark_service::wiring::{Adapters, Services, StartError};
use serde::Serialize;
use serde_json::Value;

use crate::failure::Failure;
use crate::remote::Remote;

mod apps;
mod dead_letters;
mod keys;
mod tokens;

pub(crate) use dead_letters::Act;
pub(crate) use keys::KeyWish;
pub(crate) use tokens::Asked;

/// The timeout of one step of a command: a page, a record, a request to the platform.
const STEP: Duration = Duration::from_secs(60);
/// How many records are listed at a time.
pub(crate) const PAGE: usize = 100;

/// Where the service is.
#[derive(Args, Debug)]
pub(crate) struct Place {
    /// Work on the running service at this address, with the key in LARK_SERVICE_API_KEY. Default: LARK_SERVICE_URL; without it, on
    /// the store.
    #[arg(long, global = true, value_name = "URL")]
    url: Option<String>,
    /// Read the API key from this file. Default: LARK_SERVICE_API_KEY_FILE.
    #[arg(long, global = true, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    /// Work on the store, even if LARK_SERVICE_URL is set.
    #[arg(long, global = true, conflicts_with = "url")]
    store: bool,
}

/// The service, ready to be asked.
pub(crate) enum Session {
    /// A running one.
    Http(Box<Remote>),
    /// Its store.
    Store(Box<Services>),
}

/// A page of a list, with each item as the API writes it.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) items: Vec<Value>,
    pub(crate) next: Option<String>,
}

impl Place {
    /// The service: the running one if an address is given, else its store.
    pub(crate) async fn open(&self) -> Result<Session, Failure> {
        match self.address() {
            Some(url) => {
                let remote = Remote::connect(&url, self.api_key_file.as_deref())?;
                Ok(Session::Http(Box::new(remote)))
            }
            None => Ok(Session::Store(Box::new(services().await?))),
        }
    }

    /// The running service, for `what`, which is not done on the store.
    pub(crate) fn running(&self, what: &str) -> Result<Remote, Failure> {
        let url = self.address().ok_or_else(|| {
            Failure::Usage(format!(
                "`{what}` needs a running service: set LARK_SERVICE_URL, or give --url, and its key in LARK_SERVICE_API_KEY"
            ))
        })?;
        Remote::connect(&url, self.api_key_file.as_deref())
    }

    /// The store, for `what`, which the API has no route for.
    pub(crate) async fn store(&self, what: &str) -> Result<Services, Failure> {
        self.only_store(what)?;
        services().await
    }

    /// Passes if the command works on the store.
    pub(crate) fn only_store(&self, what: &str) -> Result<(), Failure> {
        match self.address() {
            None => Ok(()),
            Some(_) => Err(Failure::Usage(format!(
                "`{what}` works on the store only, and LARK_SERVICE_URL or --url names a running service: add --store, with the \
                 variables that name its store"
            ))),
        }
    }

    fn address(&self) -> Option<String> {
        if self.store {
            return None;
        }
        let given = self.url.clone();
        given
            .or_else(|| variable("LARK_SERVICE_URL"))
            .filter(|url| !url.is_empty())
    }
}

/// The services over the store that the environment names.
async fn services() -> Result<Services, Failure> {
    let config = Config::from_env().map_err(StartError::from)?;
    let adapters = Box::pin(Adapters::connect(&config)).await?;
    Ok(Services::new(config, &adapters))
}

impl Page {
    /// `page` of the service, with each item as `view` shows it.
    fn of<T>(
        page: lark_service::page::Page<T>,
        view: impl Fn(&T) -> Result<Value, Failure>,
    ) -> Result<Self, Failure> {
        let items = page.items.iter().map(view);
        Ok(Self {
            items: items.collect::<Result<_, _>>()?,
            next: page.next_page_token,
        })
    }
}

/// A value as the API writes it.
pub(crate) fn value(of: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(of).map_err(|error| Failure::Io(error.into()))
}

/// The field `name` in words: a list's texts with spaces between them; nothing for what is absent or null.
pub(crate) fn text(value: &Value, name: &str) -> String {
    in_words(&value[name])
}

fn in_words(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(in_words).collect::<Vec<_>>().join(" "),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

/// Adds a line for each of `changes` to `text`.
pub(crate) fn add_changes(text: &mut String, changes: Option<&[Value]>) {
    for change in changes.into_iter().flatten() {
        let field = |name| self::text(change, name);
        let fields = change["fields"].as_array().into_iter().flatten();
        let fields: Vec<_> = fields.filter_map(Value::as_str).collect();
        text.push_str(&format!(
            "\nchange {}  {}  {}  {}",
            field("at"),
            field("action"),
            field("by"),
            fields.join(", ")
        ));
    }
}

/// `value`, an object, with `more`.
pub(crate) fn with(mut value: Value, name: &str, more: impl Into<Value>) -> Value {
    if let Some(object) = value.as_object_mut() {
        object.insert(name.to_owned(), more.into());
    }
    value
}

/// What a list is asked for with.
fn page_query(after: Option<&str>) -> Vec<(&'static str, String)> {
    let mut query = vec![("page_size", PAGE.to_string())];
    query.extend(after.map(|after| ("page_token", after.to_owned())));
    query
}

/// A page of the running service.
pub(crate) async fn remote_page(
    remote: &Remote,
    path: &[&str],
    after: Option<&str>,
    more: &[(&'static str, String)],
) -> Result<Page, Failure> {
    let mut query = page_query(after);
    query.extend_from_slice(more);
    let mut answer = remote.get(path, &query).await?;
    let Some(Value::Array(items)) = answer.get_mut("items").map(Value::take) else {
        let detail = "a page without items".to_owned();
        return Err(Failure::Unexpected(detail));
    };
    let next = answer["next_page_token"].as_str().map(str::to_owned);
    if next.is_some() && next.as_deref() == after {
        return Err(Failure::Unexpected("a page leads to itself".to_owned()));
    }
    Ok(Page { items, next })
}

/// Who runs the command line, for the change log.
pub(crate) fn actor() -> Actor {
    let user = variable("USER").or_else(|| variable("LOGNAME"));
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let host = host.or_else(|| variable("HOSTNAME"));
    let name = |text: Option<String>| {
        let text = text.unwrap_or_default();
        let name: String = text
            .trim()
            .chars()
            .filter(|c| !c.is_control())
            .take(64)
            .collect();
        if name.is_empty() {
            "unknown".to_owned()
        } else {
            name
        }
    };
    Actor::operator(&format!("{}@{}", name(user), name(host)))
}

/// The deadline of a step that begins now.
pub(crate) fn soon() -> Deadline {
    Deadline::after(STEP)
}

/// Makes the data keys if there are none yet: deployed functions may not, and without keys no app can be registered over HTTP.
pub(crate) async fn make_data_keys(services: &Services) -> Result<(), Failure> {
    services
        .sealer
        .keyring(soon())
        .await
        .map_err(lark_service::error::Error::from)?;
    Ok(())
}
