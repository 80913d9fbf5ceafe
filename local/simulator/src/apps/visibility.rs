//! What an app may see of the people: its contact scope.

use super::App;
use crate::directory::departments::{self, ROOT};
use crate::directory::people::Profile;

impl App {
    /// Whether the whole company is in the app's contact scope. Single hidden users do not count.
    pub(crate) fn sees_everything(&self) -> bool {
        self.sees_department(ROOT)
    }

    /// Whether the department, or one above it, was granted.
    pub(crate) fn sees_department(&self, department: u32) -> bool {
        self.contact_departments.as_ref().is_none_or(|granted| {
            granted
                .iter()
                .any(|above| departments::is_within(department, *above))
        })
    }

    /// Whether the user was granted, or the department they work in.
    pub(crate) fn sees_user(&self, profile: &Profile) -> bool {
        let is_granted =
            self.contact_users.contains(&profile.n) || self.sees_department(profile.department);
        is_granted && !self.hidden_users.contains(&profile.n)
    }
}
