//! An app as scripts see it.

use lark_service::apps::AppDescription;
use lark_service::changes::Change;
use lark_service::tokens::TokenInfo;
use serde::Serialize;

/// An app with all about it.
#[derive(Serialize)]
pub(super) struct AppDetails<'a> {
    #[serde(flatten)]
    pub(super) app: AppDescription<'a>,
    /// The first ones.
    pub(super) tokens: &'a [TokenInfo],
    /// Whether there are more.
    pub(super) has_more_tokens: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) changes: Option<Vec<Change>>,
}
