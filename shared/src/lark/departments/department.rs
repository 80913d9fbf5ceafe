//! A department, in the platform's words. Source: "Get single department information" of the contact API. A field that the app
//! may not see, or that is not filled in, is absent.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A department, as far as the app may see it. A field that the app may not see, or that is not filled in, is absent. Users in
/// it are `open_id`s.
#[derive(Clone, Debug, Default, Eq, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(default)]
pub struct Department {
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Name by language.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub i18n_name: Option<I18nName>,
    /// The `open_department_id` of the department above; `0` for the root.
    // Of the kind that was asked with in what Lark answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_department_id: Option<String>,
    /// The company's id of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub department_id: Option<String>,
    /// The platform's id of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_department_id: Option<String>,
    /// Who leads it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leader_user_id: Option<String>,
    /// Its group chat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_id: Option<String>,
    /// Its place among the departments beside it: a number as text, lower first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// Its units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit_ids: Option<Vec<String>>,
    /// How many people are in it and below it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member_count: Option<i64>,
    /// Whether it is still there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<DepartmentStatus>,
    /// Who leads it, deputies included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leaders: Option<Vec<Leader>>,
    /// Which types of employees its group chat has, as `employee_type` of a user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_chat_employee_types: Option<Vec<i64>>,
    /// Its HR business partners.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub department_hrbps: Option<Vec<String>>,
    /// How many people have it as their first department, those below it included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary_member_count: Option<i64>,
}

/// A name by language.
#[derive(Clone, Debug, Default, Eq, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(default)]
pub struct I18nName {
    /// In Chinese.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zh_cn: Option<String>,
    /// In Japanese.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ja_jp: Option<String>,
    /// In English.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub en_us: Option<String>,
}

/// Whether a department is still there.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(default)]
pub struct DepartmentStatus {
    /// Whether it was deleted.
    #[schema(required)]
    pub is_deleted: bool,
}

/// Who leads a department. In the platform's spelling.
#[derive(Clone, Debug, Default, Eq, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(default)]
pub struct Leader {
    /// 1 leader, 2 deputy.
    #[serde(rename = "leaderType", skip_serializing_if = "Option::is_none")]
    pub leader_type: Option<i64>,
    /// The user.
    #[serde(rename = "leaderID", skip_serializing_if = "Option::is_none")]
    pub leader_id: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_department_is_answered_as_the_platform_described_it() {
        let text = r#"{"name":"Sales","i18n_name":{"en_us":"Sales"},"parent_department_id":"0","department_id":"D096","open_department_id":"od-1","order":"100","unit_ids":["u"],"member_count":7,"status":{"is_deleted":false},"leaders":[{"leaderType":1,"leaderID":"ou_1"}],"group_chat_employee_types":[1,2]}"#;
        let department: Department = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&department).unwrap(), text);
    }

    #[test]
    fn what_is_null_or_not_known_here_is_left_out() {
        let text = r#"{"name":null,"department_id":"D1","create_group_chat":false}"#;
        let department: Department = serde_json::from_str(text).unwrap();
        let answered = serde_json::to_string(&department).unwrap();
        assert_eq!(answered, r#"{"department_id":"D1"}"#);
    }
}
