//! A chat and its members, in the platform's words. Sources: "Obtain groups where the user or bot is", "Obtain group
//! information", "Obtain group member list". What Lark does not tell the app is absent.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::lark::departments::I18nName;

/// A chat, as far as the app may see it: what the platform does not tell the app is absent. Lists have only the fields up to
/// `chat_status`; of a chat that the app's bot is not in, there are name, picture, counts and status. Users in it are
/// `open_id`s.
#[derive(Clone, Debug, Default, Eq, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(default)]
pub struct Chat {
    /// The chat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_id: Option<String>,
    /// The URL of its picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avatar: Option<String>,
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Who owns it; absent when a bot does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_id: Option<String>,
    /// `open_id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_id_type: Option<String>,
    /// Whether people of other tenants can be in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<bool>,
    /// The tenant it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_key: Option<String>,
    /// `normal`, `dissolved` or `dissolved_save`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_status: Option<String>,
    /// Name by language.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub i18n_names: Option<I18nName>,
    /// `group`, `topic` or `p2p`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_mode: Option<String>,
    /// `private` or `public`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_type: Option<String>,
    /// What it is for: `inner`, `tenant`, `department`, `edu`, `meeting`, `customer_service`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_tag: Option<String>,
    /// `chat` or `thread`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_message_type: Option<String>,
    /// How many people are in it: a number as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_count: Option<String>,
    /// How many bots are in it: a number as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bot_count: Option<String>,
    /// Users who administer it beside its owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_manager_id_list: Option<Vec<String>>,
    /// Bots who administer it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bot_manager_id_list: Option<Vec<String>>,
    /// Who may add members: `only_owner` or `all_members`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add_member_permission: Option<String>,
    /// Whether members may share it: `allowed` or `not_allowed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share_card_permission: Option<String>,
    /// Who may mention everybody: `only_owner` or `all_members`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_all_permission: Option<String>,
    /// Who may edit it: `only_owner` or `all_members`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edit_permission: Option<String>,
    /// Who is told of those who join: `only_owner`, `all_members` or `not_anyone`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub join_message_visibility: Option<String>,
    /// Who is told of those who leave: `only_owner`, `all_members` or `not_anyone`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leave_message_visibility: Option<String>,
    /// Whether joining needs consent: `no_approval_required` or `approval_required`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub membership_approval: Option<String>,
    /// Who may write: `only_owner`, `all_members` or `moderator_list`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moderation_permission: Option<String>,
}

/// A person in a chat.
#[derive(Clone, Debug, Default, Eq, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(default)]
pub struct ChatMember {
    /// `open_id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member_id_type: Option<String>,
    /// The user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member_id: Option<String>,
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The tenant they belong to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_key: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chat_is_answered_as_the_platform_described_it() {
        let text = r#"{"chat_id":"oc_1","name":"Lunch","external":false,"chat_status":"normal","chat_mode":"group","user_count":"3","bot_count":"1"}"#;
        let chat: Chat = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&chat).unwrap(), text);
    }
}
