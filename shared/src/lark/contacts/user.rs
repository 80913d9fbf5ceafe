//! A user's profile, in the platform's words. Source: "Get single user information" of the contact API. A field that the app
//! may not see, or that is not filled in, is absent.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::Personal;

/// A user, as far as the app may see it. A field that the app may not see, or that is not filled in, is absent.
#[derive(Clone, Debug, Default, Eq, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(default)]
pub struct User {
    /// The user for this app.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_id: Option<String>,
    /// The user for all apps of the developer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub union_id: Option<String>,
    /// The user in the tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// Full name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Name in English.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub en_name: Option<String>,
    /// Nickname.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nickname: Option<String>,
    /// E-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub email: Option<Personal>,
    /// Address in the company's mail service.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub enterprise_email: Option<Personal>,
    /// Mobile number with country code.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub mobile: Option<Personal>,
    /// 0 unknown, 1 male, 2 female, 3 other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gender: Option<i64>,
    /// Pictures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avatar: Option<Avatar>,
    /// Whether the account is in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<UserStatus>,
    /// The `open_department_id` of each department.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub department_ids: Option<Vec<String>>,
    /// The leader, by the kind of id that was asked with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leader_user_id: Option<String>,
    /// City.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    /// Country or region, as a code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// Desk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub work_station: Option<String>,
    /// When the user joined, in seconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub join_time: Option<i64>,
    /// Employee number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub employee_no: Option<String>,
    /// 1 regular, 2 intern, 3 outsourced, 4 contractor, 5 consultant, or a number of the company's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub employee_type: Option<i64>,
    /// Job title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_title: Option<String>,
}

/// URLs of a user's picture, by edge length in pixels.
#[derive(Clone, Debug, Default, Eq, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(default)]
pub struct Avatar {
    /// 72 × 72.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avatar_72: Option<String>,
    /// 240 × 240.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avatar_240: Option<String>,
    /// 640 × 640.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avatar_640: Option<String>,
    /// As uploaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avatar_origin: Option<String>,
}

/// Whether an account is in use.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(default)]
pub struct UserStatus {
    /// Suspended.
    #[schema(required)]
    pub is_frozen: bool,
    /// Has left the company.
    #[schema(required)]
    pub is_resigned: bool,
    /// Has signed in before.
    #[schema(required)]
    pub is_activated: bool,
    /// Has left the tenant by their own wish.
    #[schema(required)]
    pub is_exited: bool,
    /// Has not joined yet.
    #[schema(required)]
    pub is_unjoin: bool,
}
