//! Look-ups of chats and their members.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Serialize;

use crate::apps::AppContext;
use crate::asker::Budget;
use crate::deadline::Deadline;
use crate::directory::tiers::{
    AbsentReason, AppTenant, Found, IdKind, Item, ItemId, ItemKey, Loaded, Tiers,
};
use crate::error::{Error, LarkFailure, Result};
use crate::lark::chats::{ChatId, ChatName};
use crate::lark::{Request, chats};
use crate::page::{PageRequest, hashed};
use crate::platform::Platform;

/// Looks chats up. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct ChatService {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    platform: Platform,
    tiers: Tiers,
}

/// What to ask Lark for.
#[derive(Clone, Debug)]
enum Question {
    List(PageRequest),
    Search(ChatName, PageRequest),
    Chat(ChatId),
    Members(ChatId, PageRequest),
}

impl ChatService {
    /// The longest page of chats and of people in a chat: that of the platform.
    pub const MAX_PAGE_SIZE: u32 = crate::lark::MAX_CHAT_PAGE;

    /// A service over `tiers`, which it shares with the other services.
    #[must_use]
    pub fn new(platform: Platform, tiers: Tiers) -> Self {
        Self {
            inner: Arc::new(Inner { platform, tiers }),
        }
    }

    /// A page of the chats that the app's bot is in: a [`crate::page::Page`] of [`chats::Chat`]s as JSON.
    ///
    /// # Errors
    /// [`Error::LarkForbidden`] for an app without a bot; [`Error::InvalidArgument`] naming `page_token` when Lark does not
    /// know it; the errors of [`Platform::send`]; [`Error::LarkUnavailable`] and its like when Lark fails and no entry is
    /// cached; [`Error::DeadlineExceeded`].
    pub async fn list(
        &self,
        context: &AppContext,
        page: &PageRequest,
        deadline: Deadline,
    ) -> Result<Found> {
        let question = Question::List(page.clone());
        self.look_up(context, question, deadline).await
    }

    /// A page of the chats that the app's bot may see and that match `name`: a [`crate::page::Page`] of [`chats::Chat`]s as
    /// JSON.
    ///
    /// # Errors
    /// As [`ChatService::list`].
    pub async fn search(
        &self,
        context: &AppContext,
        name: &ChatName,
        page: &PageRequest,
        deadline: Deadline,
    ) -> Result<Found> {
        let question = Question::Search(name.clone(), page.clone());
        self.look_up(context, question, deadline).await
    }

    /// The chat `id`: a [`chats::Chat`] as JSON.
    ///
    /// # Errors
    /// [`Error::ChatNotFound`], also when it was dissolved; and as [`ChatService::list`].
    pub async fn chat(
        &self,
        context: &AppContext,
        id: &ChatId,
        deadline: Deadline,
    ) -> Result<Found> {
        let question = Question::Chat(id.clone());
        self.look_up(context, question, deadline).await
    }

    /// A page of the people in the chat, bots left out: a [`crate::page::Page`] of [`chats::ChatMember`]s as JSON.
    ///
    /// # Errors
    /// As [`ChatService::chat`]; [`Error::LarkForbidden`] when the app's bot is not in the chat.
    pub async fn members(
        &self,
        context: &AppContext,
        id: &ChatId,
        page: &PageRequest,
        deadline: Deadline,
    ) -> Result<Found> {
        let question = Question::Members(id.clone(), page.clone());
        self.look_up(context, question, deadline).await
    }

    async fn look_up(
        &self,
        context: &AppContext,
        question: Question,
        deadline: Deadline,
    ) -> Result<Found> {
        let key = ItemKey::new(AppTenant::of(context), question.item_id());
        let budget = question.budget();
        let load = {
            let (inner, context) = (Arc::clone(&self.inner), context.clone());
            move |key: ItemKey, deadline| -> BoxFuture<'static, Result<Loaded>> {
                let (inner, context) = (Arc::clone(&inner), context.clone());
                let question = question.clone();
                async move { inner.load(&context, &question, key.id, deadline).await }.boxed()
            }
        };
        let (tiers, asker) = (&self.inner.tiers, context.asker());
        let lookup = tiers.find(&key, deadline).await;
        if let Some(found) = tiers.refused(asker, budget, &lookup).await? {
            return Ok(found);
        }
        let found = tiers.complete(lookup, deadline, load).await?;
        found.ok_or(Error::ChatNotFound)
    }
}

impl Inner {
    async fn load(
        &self,
        context: &AppContext,
        question: &Question,
        id: ItemId,
        deadline: Deadline,
    ) -> Result<Loaded> {
        let request = question.request();
        let answer = self.platform.send(context, &request, deadline).await;
        if answer.is_ok() && question.budget() == Budget::Searches {
            context.charge(Budget::Searches).await;
        }
        match answer {
            Ok(body) => Ok(Loaded::Found {
                item: Item {
                    id,
                    aliases: Vec::new(),
                    body,
                },
                // A list has fewer fields of a chat than the chat itself.
                others: Vec::new(),
            }),
            Err(error) if error.is_not_found() && question.is_of_a_chat() => {
                Ok(Loaded::Absent(AbsentReason::Unknown))
            }
            Err(error) => Err(match question.page() {
                Some(page) => error.of_page(page),
                None => error.into(),
            }),
        }
    }
}

impl Question {
    /// The request to Lark, with its answer as JSON.
    fn request(&self) -> Request<String> {
        match self {
            Self::List(page) => chats::list_chats(page).map(json),
            Self::Search(name, page) => chats::search_chats(name, page).map(json),
            Self::Chat(id) => chats::get_chat(id).map(json),
            Self::Members(id, page) => chats::list_members(id, page).map(json),
        }
    }

    /// The id that the answer is cached under.
    fn item_id(&self) -> ItemId {
        match self {
            Self::List(page) => ItemId::new(IdKind::ChatList, page.key_text()),
            Self::Search(name, page) => {
                let text = format!("{}:{}", hashed(name.as_str()), page.key_text());
                ItemId::new(IdKind::ChatSearch, text)
            }
            Self::Chat(id) => ItemId::new(IdKind::ChatId, id.as_str()),
            Self::Members(id, page) => {
                let text = format!("{}:{}", id.as_str(), page.key_text());
                ItemId::new(IdKind::ChatMembers, text)
            }
        }
    }

    /// What it is charged to.
    const fn budget(&self) -> Budget {
        match self {
            Self::Search(..) => Budget::Searches,
            Self::List(_) | Self::Chat(_) | Self::Members(..) => Budget::NotFound,
        }
    }

    /// Whether it names a chat, which may not exist.
    const fn is_of_a_chat(&self) -> bool {
        match self {
            Self::Chat(_) | Self::Members(..) => true,
            Self::List(_) | Self::Search(..) => false,
        }
    }

    /// The requested page, for a list.
    const fn page(&self) -> Option<&PageRequest> {
        match self {
            Self::List(page) | Self::Search(_, page) | Self::Members(_, page) => Some(page),
            Self::Chat(_) => None,
        }
    }
}

fn json<T: Serialize>(answer: T) -> std::result::Result<String, LarkFailure> {
    Ok(serde_json::to_string(&answer).expect("an answer is plain data"))
}
