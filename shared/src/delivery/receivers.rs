//! Whom a message goes to: one person is one receiver, whichever of their ids or addresses was given.

use futures_util::stream::{self, StreamExt};
use serde::Deserialize;

use crate::apps::AppContext;
use crate::deadline::Deadline;
use crate::directory::chats::ChatService;
use crate::directory::tiers::Found;
use crate::directory::users::{UserService, Wanted};
use crate::error::{Error, Result};
use crate::lark::chats::ChatName;
use crate::lark::contacts::UserIdKind;
use crate::lark::messages::Address;
use crate::messages::Receiver;
use crate::page::{PageRequest, PageRules};

/// Finds receivers in the directory. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct Receivers {
    users: UserService,
    chats: ChatService,
}

/// A user of the directory, as far as it matters here.
#[derive(Deserialize)]
struct FoundUser {
    open_id: Option<String>,
}

/// A page of chats of the directory.
#[derive(Deserialize)]
struct FoundChats {
    #[serde(default)]
    items: Vec<FoundChat>,
    #[serde(default)]
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
struct FoundChat {
    chat_id: Option<String>,
    name: Option<String>,
}

impl Receivers {
    /// Receivers of this directory.
    #[must_use]
    pub const fn new(users: UserService, chats: ChatService) -> Self {
        Self { users, chats }
    }

    /// The address of `receiver`, as the app sees them.
    ///
    /// # Errors
    /// [`Error::ReceiverNotFound`]; [`Error::InvalidArgument`] for a name that several chats have; the errors of the directory.
    pub async fn resolve(
        &self,
        context: &AppContext,
        receiver: &Receiver,
        deadline: Deadline,
    ) -> Result<Address> {
        let found = match receiver {
            Receiver::User(id) if id.kind() == UserIdKind::OpenId => {
                return Ok(Address::OpenId(id.as_str().to_owned()));
            }
            Receiver::Chat(id) => return Ok(Address::ChatId(id.as_str().to_owned())),
            Receiver::ChatName(name) => return self.chat(context, name, deadline).await,
            Receiver::User(id) => self.users.user(context, id, deadline).await,
            Receiver::Contact(contact) => self.users.find(context, contact, deadline).await,
        };
        match found {
            Ok(found) => user(&found),
            Err(Error::UserNotFound) => Err(UNKNOWN),
            Err(error) => Err(error),
        }
    }

    /// The address of each of `receivers`, in their order. Users are looked up all together; one that fails fails alone.
    pub async fn resolve_all(
        &self,
        context: &AppContext,
        receivers: &[Receiver],
        deadline: Deadline,
    ) -> Vec<Result<Address>> {
        let mut outcomes: Vec<Option<Result<Address>>> = Vec::with_capacity(receivers.len());
        let (mut places, mut wanted, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for (place, receiver) in receivers.iter().enumerate() {
            let known = match receiver {
                Receiver::User(id) if id.kind() == UserIdKind::OpenId => {
                    Some(Address::OpenId(id.as_str().to_owned()))
                }
                Receiver::Chat(id) => Some(Address::ChatId(id.as_str().to_owned())),
                Receiver::User(id) => {
                    places.push(place);
                    wanted.push(Wanted::Id(id.clone()));
                    None
                }
                Receiver::Contact(contact) => {
                    places.push(place);
                    wanted.push(Wanted::Contact(contact.clone()));
                    None
                }
                Receiver::ChatName(name) => {
                    names.push((place, name.clone()));
                    None
                }
            };
            outcomes.push(known.map(Ok));
        }
        for (number, outcome) in self.users(context, &wanted, deadline).await {
            outcomes[places[number]] = Some(outcome);
        }
        let chats = names
            .into_iter()
            .map(|(place, name)| async move { (place, self.chat(context, &name, deadline).await) });
        let chats = stream::iter(chats).buffer_unordered(CONCURRENT_SEARCHES);
        for (place, outcome) in chats.collect::<Vec<_>>().await {
            outcomes[place] = Some(outcome);
        }
        let missing = || Err(Error::internal("a look-up without an outcome"));
        let outcomes = outcomes.into_iter();
        outcomes.map(|it| it.unwrap_or_else(missing)).collect()
    }

    /// The outcome for each of `wanted`, by its number.
    async fn users(
        &self,
        context: &AppContext,
        wanted: &[Wanted],
        deadline: Deadline,
    ) -> Vec<(usize, Result<Address>)> {
        if wanted.is_empty() {
            return Vec::new();
        }
        match self.users.batch(context, wanted, deadline).await {
            Ok(batch) => {
                let found = batch.users.iter().map(|(number, it)| (*number, user(it)));
                let absent = batch.not_found.into_iter();
                let absent = absent.map(|(number, _)| (number, Err(UNKNOWN)));
                let failed = batch.failed.into_iter();
                let failed = failed.map(|(number, error)| (number, Err(error)));
                found.chain(absent).chain(failed).collect()
            }
            Err(error) => {
                let numbers = 0..wanted.len();
                numbers.map(|number| (number, Err(error.clone()))).collect()
            }
        }
    }

    async fn chat(
        &self,
        context: &AppContext,
        name: &ChatName,
        deadline: Deadline,
    ) -> Result<Address> {
        let rules = PageRules::platform(ChatService::MAX_PAGE_SIZE);
        let mut page = PageRequest::parse(None, None, &rules)?;
        let mut matches = Vec::new();
        // A search finds parts of names too; the chat meant has just this one.
        for _ in 0..MAX_PAGES {
            let found = self.chats.search(context, name, &page, deadline).await?;
            let chats: FoundChats = serde_json::from_str(&found.body)
                .map_err(|_| Error::internal("a page of chats cannot be read"))?;
            let of_name = |chat: FoundChat| {
                let is_it = chat.name.as_deref() == Some(name.as_str());
                chat.chat_id.filter(|_| is_it)
            };
            matches.extend(chats.items.into_iter().filter_map(of_name));
            match chats.next_page_token {
                Some(token) if matches.len() < 2 => {
                    page = PageRequest::parse(None, Some(&token), &rules)?;
                }
                Some(_) | None => break,
            }
        }
        matches.dedup();
        match matches.as_slice() {
            [] => Err(Error::ReceiverNotFound(
                "the app's bot sees no chat of exactly this name",
            )),
            [one] => Ok(Address::ChatId(one.clone())),
            [_, _, ..] => Err(Error::invalid(
                "to.chat",
                "must be the name of one chat, and several have it: give its `chat_id`",
            )),
        }
    }
}

/// A receiver who is not there.
const UNKNOWN: Error = Error::ReceiverNotFound(
    "the platform knows no such user for this app, or does not show them to it",
);
/// How many chats are searched at a time.
const CONCURRENT_SEARCHES: usize = 5;
/// How many pages of a search are read.
const MAX_PAGES: usize = 5;

fn user(found: &Found) -> Result<Address> {
    let user: FoundUser = serde_json::from_str(&found.body)
        .map_err(|_| Error::internal("a user's profile cannot be read"))?;
    let open_id = user.open_id.ok_or(Error::ReceiverNotFound(
        "the platform shows the app no open_id of this user",
    ))?;
    Ok(Address::OpenId(open_id))
}
