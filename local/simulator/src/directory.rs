//! The tenant's people and departments. Seeded users are computed from their numbers; only changed ones are stored.

pub(crate) mod departments;
pub(crate) mod ids;
pub(crate) mod people;
mod roster;

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde::{Deserialize, Serialize};

use crate::invalid::Invalid;
use people::Profile;
use roster::Roster;

/// Changes to a user. Absent fields keep their value; those of a new user are computed from the number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UserPatch {
    /// Display name.
    pub name: Option<String>,
    /// English name.
    pub en_name: Option<String>,
    /// Unique in the tenant, ignoring case.
    pub email: Option<String>,
    /// Unique in the tenant, with `+` and country code.
    pub mobile: Option<String>,
    /// Title.
    pub job_title: Option<String>,
    /// Number of a department, 1 to 100.
    pub department: Option<u32>,
    /// An administrator has suspended the user.
    pub is_frozen: Option<bool>,
    /// The user has left the company: found by e-mail or mobile only with `include_resigned`.
    pub is_resigned: Option<bool>,
    /// The user has logged in at least once.
    pub is_activated: Option<bool>,
}

/// The ids and addresses of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UserIds {
    /// The user's number.
    pub n: u32,
    /// Only if an app was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_id: Option<String>,
    /// See [`union_id`](crate::union_id).
    pub union_id: String,
    /// See [`user_id`](crate::user_id).
    pub user_id: String,
    /// E-mail address.
    pub email: String,
    /// Mobile number.
    pub mobile: String,
}

pub(crate) struct Directory(RwLock<State>);

struct State {
    seeded: u32,
    last: u32,
    /// Changed and created users; `None` for deleted ones.
    changed: HashMap<u32, Option<Profile>>,
    /// Only for changed and created users.
    by_email: HashMap<String, u32>,
    by_mobile: HashMap<String, u32>,
    roster: Roster,
}

impl Directory {
    pub(crate) fn new(seeded: u32) -> Self {
        Self(RwLock::new(State {
            seeded,
            last: seeded,
            changed: HashMap::new(),
            by_email: HashMap::new(),
            by_mobile: HashMap::new(),
            roster: Roster::new(seeded),
        }))
    }

    pub(crate) fn profile(&self, n: u64) -> Option<Profile> {
        self.read().profile(u32::try_from(n).ok()?)
    }

    pub(crate) fn by_email(&self, email: &str) -> Option<Profile> {
        self.read().by_email(email)
    }

    pub(crate) fn by_mobile(&self, mobile: &str) -> Option<Profile> {
        self.read().by_mobile(mobile)
    }

    pub(crate) fn create(&self, patch: UserPatch) -> Result<u32, Invalid> {
        let mut state = self.write();
        let n = state.last.checked_add(1).ok_or_else(|| {
            Invalid::new(
                "n",
                "the directory is full: no user number is left".to_owned(),
            )
        })?;
        state.put(Profile::seeded(n), None, patch)?;
        state.last = n;
        Ok(n)
    }

    pub(crate) fn update(&self, n: u32, patch: UserPatch) -> Result<(), Invalid> {
        let mut state = self.write();
        let profile = state.profile(n).ok_or_else(|| no_such_user(n))?;
        let before = profile.current_department();
        state.put(profile, before, patch)
    }

    pub(crate) fn delete(&self, n: u32) -> Result<(), Invalid> {
        let mut state = self.write();
        let before = state.profile(n).ok_or_else(|| no_such_user(n))?;
        state.forget(n);
        state.roster.move_user(n, before.current_department(), None);
        state.changed.insert(n, None);
        Ok(())
    }

    /// The number of people in a department and those below it; in the root, everybody.
    pub(crate) fn headcount(&self, department: u32) -> u32 {
        self.read().roster.headcount(department)
    }

    /// Drops those who are not employed (any more).
    pub(crate) fn retain_employed(&self, numbers: &mut Vec<u32>) {
        let state = self.read();
        numbers.retain(|n| match state.changed.get(n) {
            Some(changed) => changed.as_ref().is_some_and(|profile| !profile.is_resigned),
            None => (1..=state.seeded).contains(n),
        });
    }

    /// People in the department itself with numbers above `after`, in order, that the caller may see; `limit` at most.
    pub(crate) fn members(
        &self,
        department: u32,
        after: u32,
        limit: usize,
        is_visible: impl Fn(&Profile) -> bool,
    ) -> Vec<Profile> {
        let state = self.read();
        let profile = |n| state.profile(n).filter(&is_visible);
        let seeded = departments::seeded_after(department, after, state.seeded)
            .filter(|n| !state.changed.contains_key(n));
        let changed = state.roster.changed_after(department, after);
        let mut members: Vec<_> = seeded
            .filter_map(profile)
            .take(limit)
            .chain(changed.filter_map(profile).take(limit))
            .collect();
        members.sort_by_key(|member| member.n);
        members.truncate(limit);
        members
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn profile(&self, n: u32) -> Option<Profile> {
        match self.changed.get(&n) {
            Some(changed) => changed.clone(),
            None => (1..=self.seeded).contains(&n).then(|| Profile::seeded(n)),
        }
    }

    fn by_email(&self, email: &str) -> Option<Profile> {
        let email = people::normal_email(email);
        let n = match self.by_email.get(&email) {
            Some(n) => *n,
            None => self.unchanged(people::number_in_email(&email)?)?,
        };
        self.profile(n)
    }

    fn by_mobile(&self, mobile: &str) -> Option<Profile> {
        let mobile = people::normal_mobile(mobile);
        let n = match self.by_mobile.get(&mobile) {
            Some(n) => *n,
            None => self.unchanged(people::number_in_mobile(&mobile)?)?,
        };
        self.profile(n)
    }

    fn unchanged(&self, n: u32) -> Option<u32> {
        (!self.changed.contains_key(&n)).then_some(n)
    }

    /// `before` is the person's department until now.
    fn put(
        &mut self,
        mut profile: Profile,
        before: Option<u32>,
        patch: UserPatch,
    ) -> Result<(), Invalid> {
        let n = profile.n;
        profile.apply(patch)?;
        let taken = |other: Option<Profile>| other.is_some_and(|other| other.n != n);
        if taken(self.by_email(&profile.email)) {
            return Err(Invalid::new("email", "another user has it".to_owned()));
        }
        if taken(self.by_mobile(&profile.mobile)) {
            return Err(Invalid::new("mobile", "another user has it".to_owned()));
        }
        self.forget(n);
        self.by_email
            .insert(people::normal_email(&profile.email), n);
        self.by_mobile
            .insert(people::normal_mobile(&profile.mobile), n);
        self.roster
            .move_user(n, before, profile.current_department());
        self.changed.insert(n, Some(profile));
        Ok(())
    }

    fn forget(&mut self, n: u32) {
        self.by_email.retain(|_, owner| *owner != n);
        self.by_mobile.retain(|_, owner| *owner != n);
    }
}

fn no_such_user(n: u32) -> Invalid {
    Invalid::new("n", format!("there is no user {n}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_email(email: &str) -> UserPatch {
        UserPatch {
            email: Some(email.to_owned()),
            ..UserPatch::default()
        }
    }

    #[test]
    fn the_old_address_of_a_changed_user_finds_no_one() {
        let directory = Directory::new(5);
        directory
            .update(3, with_email("New@example.com"))
            .expect("user 3 exists");
        assert_eq!(directory.by_email(&people::email(3)), None);
        assert_eq!(
            directory
                .by_email("new@EXAMPLE.com")
                .map(|profile| profile.n),
            Some(3)
        );
    }

    #[test]
    fn numbers_of_deleted_users_are_not_reused() {
        let directory = Directory::new(5);
        let n = directory.create(UserPatch::default()).expect("room left");
        directory.delete(n).expect("just created");
        assert_eq!(directory.create(UserPatch::default()), Ok(n + 1));
        assert_eq!(directory.profile(n.into()), None);
    }

    #[test]
    fn two_users_cannot_share_an_address() {
        let directory = Directory::new(5);
        let refused = directory.create(with_email(&people::email(2)));
        assert_eq!(
            refused.map_err(|invalid| invalid.field),
            Err("email".to_owned())
        );
    }
}
