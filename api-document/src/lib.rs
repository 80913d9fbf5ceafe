//! What the API's document, `openapi.yaml`, says of an operation: a value that stands beside the operation's handler. Types
//! are the handlers' own, error responses come from the table of error codes, limits from the constants that are checked.
//!
//! `lark-local-host` puts the descriptions of all functions together. Nothing of this is in a function's artefact.

use lark_service::api_keys::Scope;

mod answers;
mod content;
pub mod headers;
pub mod parameters;
pub mod problems;

pub use content::{Content, Described, Example, Page};
pub use headers::Header;
pub use parameters::{Parameter, Place};
pub use problems::ProblemResponse;

/// A part of the API.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Tag {
    /// For monitors.
    Health,
    /// Tokens of the platform.
    Tokens,
    /// Users.
    Users,
    /// Departments.
    Departments,
    /// Chats.
    Chats,
    /// Messages.
    Messages,
    /// Logins of users.
    Logins,
    /// Registered apps.
    Apps,
    /// API keys.
    ApiKeys,
}

/// One operation: a method at a path.
#[derive(Clone)]
pub struct Operation {
    /// The HTTP method, in lower case.
    pub method: &'static str,
    /// The path as in `template.yaml`.
    pub path: &'static str,
    /// The operation's id in the document: generated clients name a function so.
    pub id: &'static str,
    /// Where it belongs.
    pub tag: Tag,
    /// What it does, in a few words.
    pub summary: &'static str,
    /// What to know about it, in CommonMark.
    pub description: String,
    /// What a key needs; none for an operation without a key.
    pub scope: Option<Scope>,
    /// Path, query and header parameters.
    pub parameters: Vec<Parameter>,
    /// The request's body.
    pub body: Option<Content>,
    /// The successful answers.
    pub answers: Vec<Answer>,
    /// The others.
    pub problems: Vec<ProblemResponse>,
}

/// A successful answer.
#[derive(Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// What it means.
    pub description: &'static str,
    /// Its headers.
    pub headers: Vec<Header>,
    /// Its body.
    pub content: Option<Content>,
}

impl Tag {
    /// Every tag, in the document's order.
    pub const ALL: [Self; 9] = [
        Self::Health,
        Self::Tokens,
        Self::Users,
        Self::Departments,
        Self::Chats,
        Self::Messages,
        Self::Logins,
        Self::Apps,
        Self::ApiKeys,
    ];

    /// The tag's name and what it is about.
    #[must_use]
    pub const fn text(self) -> (&'static str, &'static str) {
        match self {
            Self::Health => (
                "Health",
                "For load balancers and monitors. Never calls the platform.",
            ),
            Self::Tokens => (
                "Tokens",
                "For callers that must talk to the platform themselves.",
            ),
            Self::Users => ("Users", "The company's directory, as the app sees it."),
            Self::Departments => (
                "Departments",
                "The company's departments, as the app sees them.",
            ),
            Self::Chats => ("Chats", "The chats that the app's bot is in or may see."),
            Self::Messages => (
                "Messages",
                "Messages to people and chats, each delivered once, and what became of them.",
            ),
            Self::Logins => (
                "Logins",
                "For browsers. A user logs in to an app once; the login is then renewed by itself.",
            ),
            Self::Apps => ("Apps", "For operators. No answer may be kept by anybody."),
            Self::ApiKeys => (
                "API keys",
                "For operators. No answer may be kept by anybody.",
            ),
        }
    }
}

impl Operation {
    /// `GET path`.
    #[must_use]
    pub fn get(path: &'static str, id: &'static str, tag: Tag, summary: &'static str) -> Self {
        Self::new("get", path, id, tag, summary)
    }

    /// `POST path` with `body`.
    #[must_use]
    pub fn post(
        path: &'static str,
        id: &'static str,
        tag: Tag,
        summary: &'static str,
        body: Content,
    ) -> Self {
        Self::new("post", path, id, tag, summary).with_body(body)
    }

    /// `POST path`, without a body.
    #[must_use]
    pub fn post_without_body(
        path: &'static str,
        id: &'static str,
        tag: Tag,
        summary: &'static str,
    ) -> Self {
        Self::new("post", path, id, tag, summary)
    }

    /// `PATCH path` with `body`.
    #[must_use]
    pub fn patch(
        path: &'static str,
        id: &'static str,
        tag: Tag,
        summary: &'static str,
        body: Content,
    ) -> Self {
        Self::new("patch", path, id, tag, summary).with_body(body)
    }

    /// `DELETE path`.
    #[must_use]
    pub fn delete(path: &'static str, id: &'static str, tag: Tag, summary: &'static str) -> Self {
        Self::new("delete", path, id, tag, summary)
    }

    fn new(
        method: &'static str,
        path: &'static str,
        id: &'static str,
        tag: Tag,
        summary: &'static str,
    ) -> Self {
        Self {
            method,
            path,
            id,
            tag,
            summary,
            description: String::new(),
            scope: None,
            parameters: Vec::new(),
            body: None,
            answers: Vec::new(),
            problems: vec![problems::INVALID_ARGUMENT, problems::INTERNAL],
        }
    }

    fn with_body(mut self, body: Content) -> Self {
        self.body = Some(body);
        self.problem(problems::PAYLOAD_TOO_LARGE)
    }

    /// What to know about it. Of the scope that it needs [`Operation::scope`] tells.
    #[must_use]
    pub fn description(mut self, text: &str) -> Self {
        text.clone_into(&mut self.description);
        self
    }

    /// A key with `scope` is needed.
    #[must_use]
    pub fn scope(mut self, scope: Scope) -> Self {
        self.description += &format!(" Needs the scope `{scope}`.");
        self.scope = Some(scope);
        self.problem(problems::UNAUTHENTICATED)
            .problem(problems::PERMISSION_DENIED)
            .problem(problems::RATE_LIMITED)
            .problem(problems::STORE_UNAVAILABLE)
            .problem(problems::DEADLINE_EXCEEDED)
    }

    /// The platform may be asked.
    #[must_use]
    pub fn asks_the_platform(self) -> Self {
        self.problem(problems::REFUSED_BY_LARK)
            .problem(problems::UNAVAILABLE)
    }

    /// It takes `parameter`.
    #[must_use]
    pub fn parameter(mut self, parameter: Parameter) -> Self {
        self.parameters.push(parameter);
        self
    }

    /// It makes something, once for each `Idempotency-Key`. Call it after the answers.
    #[must_use]
    pub fn once(self) -> Self {
        self.named_once().problem(problems::IDEMPOTENCY_IN_FLIGHT)
    }

    /// The same request may come any number of times with its `Idempotency-Key`, and another one never.
    #[must_use]
    pub fn named_once(mut self) -> Self {
        for answer in &mut self.answers {
            answer.headers.push(headers::replayed());
        }
        self.parameter(parameters::idempotency_key())
            .problem(problems::IDEMPOTENCY_MISMATCH)
    }

    /// It takes `parameters`.
    #[must_use]
    pub fn parameters(mut self, parameters: impl IntoIterator<Item = Parameter>) -> Self {
        self.parameters.extend(parameters);
        self
    }

    /// It acts for an app: the caller may say for which.
    #[must_use]
    pub fn for_an_app(self) -> Self {
        self.parameter(parameters::app_id())
            .problem(problems::APP_NOT_FOUND)
    }

    /// It acts for an app in a tenant: the caller may say for which.
    #[must_use]
    pub fn for_a_tenant(self) -> Self {
        self.for_an_app().parameter(parameters::tenant_key())
    }

    /// It may answer with `answer`.
    #[must_use]
    pub fn answer(mut self, answer: Answer) -> Self {
        self.answers.push(answer);
        self
    }

    /// It may answer with `problem`, in place of another one of the same status.
    #[must_use]
    pub fn problem(mut self, problem: ProblemResponse) -> Self {
        self.problems
            .retain(|known| known.status() != problem.status());
        self.problems.push(problem);
        self
    }
}

impl Answer {
    /// An answer with a JSON body.
    #[must_use]
    pub fn json(status: u16, description: &'static str, content: Content) -> Self {
        Self {
            content: Some(content),
            ..Self::empty(status, description)
        }
    }

    /// An answer without a body.
    #[must_use]
    pub fn empty(status: u16, description: &'static str) -> Self {
        Self {
            status,
            description,
            headers: vec![headers::request_id()],
            content: None,
        }
    }

    /// A page for a person.
    #[must_use]
    pub fn page(status: u16, description: &'static str) -> Self {
        let content = Content {
            media_type: "text/html",
            ..Content::answer::<Page>()
        };
        Self::json(status, description, content)
            .header(headers::no_store())
            .header(headers::no_referrer())
    }

    /// It sends a browser on.
    #[must_use]
    pub fn redirect(description: &'static str, location: &'static str) -> Self {
        Self::empty(302, description)
            .header(headers::no_store())
            .header(headers::no_referrer())
            .header(headers::redirect(location))
    }

    /// It carries `header`.
    #[must_use]
    pub fn header(mut self, header: Header) -> Self {
        self.headers.push(header);
        self
    }

    /// Nobody may keep it.
    #[must_use]
    pub fn not_kept(self) -> Self {
        self.header(headers::no_store())
    }

    /// It says how it came about.
    #[must_use]
    pub fn from_cache(self) -> Self {
        let answer = self.header(headers::age());
        let answer = answer.header(headers::cache_status());
        answer.header(headers::private())
    }
}
