//! Departments and chats, as a process of the service answers for them.

use std::time::Duration;

use lark_service::deadline::Deadline;
use lark_service::directory::chats::ChatService;
use lark_service::directory::tiers::Found;
use lark_service::error;
use lark_service::lark::chats::{ChatId, ChatName};
use lark_service::lark::departments::{DepartmentId, DepartmentIdKind};
use lark_service::page::PageRequest;
use serde_json::Value;

use crate::world::{Process, soon};

impl Process {
    /// The department with this number in the simulator's directory; 0 is the root.
    ///
    /// # Errors
    /// As the department service.
    pub async fn department(&self, number: u32) -> error::Result<Found> {
        let id = lark_simulator::open_department_id(number);
        self.department_by(DepartmentIdKind::OpenDepartmentId, &id)
            .await
    }

    /// The department with this id.
    ///
    /// # Errors
    /// As the department service.
    pub async fn department_by(&self, kind: DepartmentIdKind, id: &str) -> error::Result<Found> {
        let (context, id) = (self.app_context().await?, DepartmentId::parse(kind, id)?);
        self.0.departments.department(&context, &id, soon()).await
    }

    /// A page of the users of the department with this number.
    ///
    /// # Errors
    /// As the department service.
    pub async fn department_users(&self, number: u32, page: &PageRequest) -> error::Result<Found> {
        let id = lark_simulator::open_department_id(number);
        self.department_users_by(DepartmentIdKind::OpenDepartmentId, &id, page)
            .await
    }

    /// A page of the users of the department with this id.
    ///
    /// # Errors
    /// As the department service.
    pub async fn department_users_by(
        &self,
        kind: DepartmentIdKind,
        id: &str,
        page: &PageRequest,
    ) -> error::Result<Found> {
        let (context, id) = (self.app_context().await?, DepartmentId::parse(kind, id)?);
        self.0.departments.users(&context, &id, page, soon()).await
    }

    /// A page of the chats that the app's bot is in.
    ///
    /// # Errors
    /// As the chat service.
    pub async fn chats(&self, page: &PageRequest) -> error::Result<Found> {
        let context = self.app_context().await?;
        self.0.chats.list(&context, page, soon()).await
    }

    /// A page of the chats with such a name.
    ///
    /// # Errors
    /// As the chat service.
    pub async fn chats_named(&self, name: &str, page: &PageRequest) -> error::Result<Found> {
        let (context, name) = (self.app_context().await?, ChatName::parse(name)?);
        self.0.chats.search(&context, &name, page, soon()).await
    }

    /// The chat with this number in the simulator.
    ///
    /// # Errors
    /// As the chat service.
    pub async fn chat(&self, number: u32) -> error::Result<Found> {
        let (context, id) = (self.app_context().await?, chat_id(number)?);
        self.0.chats.chat(&context, &id, soon()).await
    }

    /// A page of the people in the chat with this number.
    ///
    /// # Errors
    /// As the chat service.
    pub async fn chat_members(&self, number: u32, page: &PageRequest) -> error::Result<Found> {
        let (context, id) = (self.app_context().await?, chat_id(number)?);
        self.0.chats.members(&context, &id, page, soon()).await
    }
}

fn chat_id(number: u32) -> error::Result<ChatId> {
    ChatId::parse(&lark_simulator::chat_id(number))
}

/// The first page of chats or of people in one, as long as it may be.
#[must_use]
pub const fn longest_page_of_chats() -> PageRequest {
    PageRequest::first(ChatService::MAX_PAGE_SIZE)
}

/// What is found, as JSON.
#[must_use]
pub fn json(found: &Found) -> Value {
    serde_json::from_str(&found.body).expect("answers are JSON")
}

/// `field` of every item of all pages, the first of which has `page_size` items; `fetch` asks for one.
///
/// # Errors
/// What `fetch` says.
pub async fn to_the_end<F: Future<Output = error::Result<Found>>>(
    page_size: u32,
    field: &str,
    fetch: impl Fn(PageRequest) -> F,
) -> error::Result<Vec<String>> {
    let mut page = PageRequest::first(page_size);
    let mut all = Vec::new();
    loop {
        let found = json(&fetch(page.clone()).await?);
        let items = found["items"].as_array().expect("a page has items");
        let fields = items.iter().map(|item| item[field].as_str().expect("text"));
        all.extend(fields.map(str::to_owned));
        match found["next_page_token"].as_str() {
            Some(token) => page.page_token = Some(token.to_owned()),
            None => return Ok(all),
        }
    }
}

/// A deadline for a warm-up of the whole directory, which takes a while on a busy machine.
#[must_use]
pub fn late() -> Deadline {
    Deadline::after(Duration::from_secs(180))
}
