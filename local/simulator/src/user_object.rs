//! The user object of the contact API, with the id types that the caller chose.

use serde::Serialize;
use serde_json::{Value, json};

use crate::answer::ApiError;
use crate::directory::people::Profile;
use crate::directory::{departments, ids};

#[derive(Clone, Copy)]
pub(crate) enum UserIdType {
    Open,
    Union,
    User,
}

#[derive(Clone, Copy)]
pub(crate) enum DepartmentIdType {
    Open,
    Own,
}

impl UserIdType {
    /// Parses the value of the query parameter with this name.
    pub(crate) fn parse(parameter: &str, given: Option<&str>) -> Result<Self, ApiError> {
        match given {
            None | Some("" | "open_id") => Ok(Self::Open),
            Some("union_id") => Ok(Self::Union),
            Some("user_id") => Ok(Self::User),
            Some(other) => {
                let options = "the optional value are: open_id,union_id,user_id";
                Err(ApiError::field(parameter, other, options))
            }
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Open => "open_id",
            Self::Union => "union_id",
            Self::User => "user_id",
        }
    }

    pub(crate) fn user_id(self, n: u32, app_id: &str) -> String {
        match self {
            Self::Open => ids::open_id(app_id, n),
            Self::Union => ids::union_id(n),
            Self::User => ids::user_id(n),
        }
    }
}

impl DepartmentIdType {
    pub(crate) fn parse(given: Option<&str>) -> Result<Self, ApiError> {
        match given {
            None | Some("" | "open_department_id") => Ok(Self::Open),
            Some("department_id") => Ok(Self::Own),
            Some(other) => {
                let options = "the optional value are: department_id,open_department_id";
                Err(ApiError::field("department_id_type", other, options))
            }
        }
    }
}

/// The id types of an answer.
pub(crate) struct IdTypes {
    pub(crate) user_id_type: UserIdType,
    pub(crate) department_id_type: DepartmentIdType,
}

#[derive(Serialize)]
pub(crate) struct Status {
    is_frozen: bool,
    is_resigned: bool,
    is_activated: bool,
    is_exited: bool,
    is_unjoin: bool,
}

impl Status {
    pub(crate) fn of(profile: &Profile) -> Self {
        Self {
            is_frozen: profile.is_frozen,
            is_resigned: profile.is_resigned,
            is_activated: profile.is_activated,
            is_exited: false,
            is_unjoin: false,
        }
    }
}

impl IdTypes {
    pub(crate) fn user_id(&self, n: u32, app_id: &str) -> String {
        self.user_id_type.user_id(n, app_id)
    }

    pub(crate) fn department_id(&self, department: u32) -> String {
        match self.department_id_type {
            DepartmentIdType::Open => ids::open_department_id(department),
            DepartmentIdType::Own => ids::department_id(department),
        }
    }

    /// The user object of lists: two fields more.
    pub(crate) fn listed_user(&self, profile: &Profile, app_id: &str) -> Value {
        let mut user = self.user(profile, app_id);
        user["avatar_key"] = json!(avatar_key(profile.n));
        user["is_frozen"] = json!(profile.is_frozen);
        user
    }

    /// The user object of `GET /users/:user_id`. A field without value is absent, never null.
    pub(crate) fn user(&self, profile: &Profile, app_id: &str) -> Value {
        let n = profile.n;
        let department_id = self.department_id(profile.department);
        let mut user = json!({
            "union_id": ids::union_id(n),
            "user_id": ids::user_id(n),
            "open_id": ids::open_id(app_id, n),
            "name": profile.name,
            "en_name": profile.en_name,
            "nickname": "",
            "email": profile.email,
            "mobile": profile.mobile,
            "mobile_visible": true,
            "gender": profile.gender,
            "avatar": avatar(n),
            "status": Status::of(profile),
            "department_ids": [department_id],
            "city": profile.city,
            "country": "CN",
            "work_station": format!("F{}-{:04}", n % 20 + 1, n),
            "join_time": profile.join_time_seconds,
            "is_tenant_manager": n == 1,
            "employee_no": profile.employee_no(),
            "employee_type": 1,
            "orders": [{
                "department_id": department_id,
                "user_order": 0,
                "department_order": 0,
                "is_primary_dept": true,
            }],
            "enterprise_email": "",
            "job_title": profile.job_title,
            "geo": "cn",
            "job_level_id": "",
            "job_family_id": "",
        });
        if let Some(leader) = profile.leader() {
            user["leader_user_id"] = json!(self.user_id(leader, app_id));
        }
        user
    }
}

/// Whether the user object has this field.
pub(crate) fn is_field(name: &str) -> bool {
    let id_types = IdTypes {
        user_id_type: UserIdType::Open,
        department_id_type: DepartmentIdType::Open,
    };
    // A user with a leader, so that no field is missing.
    let somebody = Profile::seeded(departments::COUNT + 1);
    let user = id_types.listed_user(&somebody, "cli_any");
    user.get(name).is_some()
}

/// A picture of a size such as `72x72`.
pub(crate) fn avatar_url(n: u32, size: &str) -> String {
    format!("https://avatar.example.com/{}~{size}.webp", avatar_key(n))
}

fn avatar(n: u32) -> Value {
    let url = |size| avatar_url(n, size);
    json!({
        "avatar_72": url("72x72"),
        "avatar_240": url("240x240"),
        "avatar_640": url("640x640"),
        "avatar_origin": url("origin"),
    })
}

fn avatar_key(n: u32) -> String {
    format!("static-resource/v1/{}", ids::user_id(n))
}
