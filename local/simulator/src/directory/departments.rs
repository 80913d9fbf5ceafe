//! A hundred departments: 1 to 10 under the root, 11 to 100 ten each under 1 to 9.

/// How many departments there are, the root (0) not counted.
pub(crate) const COUNT: u32 = 100;

/// The department above, 0 for the root.
pub(crate) fn parent(department: u32) -> u32 {
    department.saturating_sub(1) / 10
}

/// The seeded department of a user: everybody in turn, so that each has a hundredth of the people.
pub(crate) fn of_user(n: u32) -> u32 {
    n.saturating_sub(1) % COUNT + 1
}

/// Who leads a department: its first user.
pub(crate) fn leader(department: u32) -> u32 {
    department
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_department_hangs_from_the_root() {
        for department in 1..=COUNT {
            let above = parent(department);
            assert!(above < department && parent(above) == 0);
            assert_eq!(of_user(leader(department)), department);
        }
    }
}
