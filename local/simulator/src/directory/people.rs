//! Seeded people. Everything about them is computed from their numbers.

use super::{UserPatch, departments};
use crate::invalid::Invalid;

/// The profile of a person, without ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Profile {
    pub(crate) n: u32,
    pub(crate) name: String,
    pub(crate) en_name: String,
    pub(crate) email: String,
    pub(crate) mobile: String,
    /// 0 unknown, 1 male, 2 female, 3 other.
    pub(crate) gender: u8,
    pub(crate) department: u32,
    pub(crate) job_title: String,
    pub(crate) city: &'static str,
    pub(crate) join_time_seconds: u64,
    pub(crate) is_frozen: bool,
    pub(crate) is_resigned: bool,
    pub(crate) is_activated: bool,
}

const SURNAMES: [(&str, &str); 10] = [
    ("王", "Wang"),
    ("李", "Li"),
    ("张", "Zhang"),
    ("刘", "Liu"),
    ("陈", "Chen"),
    ("杨", "Yang"),
    ("赵", "Zhao"),
    ("黄", "Huang"),
    ("周", "Zhou"),
    ("吴", "Wu"),
];
const GIVEN_NAMES: [(&str, &str); 10] = [
    ("伟", "Wei"),
    ("芳", "Fang"),
    ("敏", "Min"),
    ("静", "Jing"),
    ("磊", "Lei"),
    ("洋", "Yang"),
    ("勇", "Yong"),
    ("艳", "Yan"),
    ("杰", "Jie"),
    ("婷", "Ting"),
];
const JOB_TITLES: [&str; 7] = [
    "Software Engineer",
    "Product Manager",
    "Designer",
    "Data Analyst",
    "Account Manager",
    "Recruiter",
    "Test Engineer",
];
const CITIES: [&str; 5] = ["Beijing", "Shanghai", "Shenzhen", "Hangzhou", "Singapore"];

/// 2020-01-01 in UTC; one user joined each hour from then on, in the order of their numbers.
const FIRST_JOIN_SECONDS: u64 = 1_577_836_800;

/// The seeded e-mail address of user `n`, such as `user00042@example.com`.
pub fn email(n: u32) -> String {
    format!("user{n:05}@example.com")
}

/// The seeded mobile number of user `n`, such as `+8613800000042`.
pub fn mobile(n: u32) -> String {
    format!("+86138{n:08}")
}

pub(crate) fn number_in_email(email: &str) -> Option<u32> {
    let digits = email.strip_prefix("user")?.strip_suffix("@example.com")?;
    digits.parse().ok().filter(|n| self::email(*n) == email)
}

pub(crate) fn number_in_mobile(mobile: &str) -> Option<u32> {
    let digits = mobile.strip_prefix("+86138")?;
    digits.parse().ok().filter(|n| self::mobile(*n) == mobile)
}

pub(crate) fn normal_email(email: &str) -> String {
    email.to_lowercase()
}

/// Numbers without a country code are Chinese ones ("Obtain user IDs via email or mobile number" in the platform's
/// Contacts reference).
pub(crate) fn normal_mobile(mobile: &str) -> String {
    match mobile.starts_with('+') {
        true => mobile.to_owned(),
        false => format!("+86{mobile}"),
    }
}

impl Profile {
    pub(crate) fn seeded(n: u32) -> Self {
        let index = n as usize;
        let (surname, en_surname) = SURNAMES[index % SURNAMES.len()];
        let (given, en_given) = GIVEN_NAMES[index / SURNAMES.len() % GIVEN_NAMES.len()];
        Self {
            n,
            name: format!("{surname}{given}"),
            en_name: format!("{en_given} {en_surname}"),
            email: email(n),
            mobile: mobile(n),
            gender: (n % 2) as u8 + 1,
            department: departments::of_user(n),
            job_title: JOB_TITLES[index % JOB_TITLES.len()].to_owned(),
            city: CITIES[index % CITIES.len()],
            join_time_seconds: FIRST_JOIN_SECONDS + u64::from(n) * 3600,
            is_frozen: false,
            is_resigned: false,
            is_activated: true,
        }
    }

    pub(crate) fn employee_no(&self) -> String {
        format!("E{:06}", self.n)
    }

    /// The leader of the department. For the leader it is the leader of the department above, or nobody at the top.
    pub(crate) fn leader(&self) -> Option<u32> {
        let own = departments::leader(self.department);
        if own != Some(self.n) {
            return own;
        }
        departments::leader(departments::parent(self.department))
    }

    /// The department, unless the person has left.
    pub(crate) fn current_department(&self) -> Option<u32> {
        (!self.is_resigned).then_some(self.department)
    }

    pub(super) fn apply(&mut self, patch: UserPatch) -> Result<(), Invalid> {
        if let Some(department) = patch.department
            && !(1..=departments::COUNT).contains(&department)
        {
            let range = format!("must be from 1 to {}", departments::COUNT);
            return Err(Invalid::new("department", range));
        }
        set(&mut self.name, patch.name);
        set(&mut self.en_name, patch.en_name);
        set(&mut self.email, patch.email);
        set(&mut self.mobile, patch.mobile);
        set(&mut self.job_title, patch.job_title);
        set(&mut self.department, patch.department);
        set(&mut self.is_frozen, patch.is_frozen);
        set(&mut self.is_resigned, patch.is_resigned);
        set(&mut self.is_activated, patch.is_activated);
        Ok(())
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_their_number_in_one_spelling_only() {
        assert_eq!(number_in_email("user00042@example.com"), Some(42));
        assert_eq!(number_in_email("user42@example.com"), None);
        assert_eq!(number_in_mobile("+8613800000042"), Some(42));
        assert_eq!(number_in_mobile(&normal_mobile("13800000042")), Some(42));
    }
}
