//! A hundred departments: 1 to 10 under the root, 11 to 100 in tens under 1 to 9.

/// The number of departments, without the root (0).
pub(crate) const COUNT: u32 = 100;

/// The company itself.
pub(crate) const ROOT: u32 = 0;

/// The department above, 0 for the root.
pub(crate) fn parent(department: u32) -> u32 {
    department.saturating_sub(1) / 10
}

/// The departments above, nearest first, without the root.
pub(crate) fn ancestors(department: u32) -> impl Iterator<Item = u32> {
    std::iter::successors(Some(parent(department)), |above| Some(parent(*above)))
        .take_while(|above| *above != ROOT)
}

/// Whether a department is the other one or below it.
pub(crate) fn is_within(department: u32, above: u32) -> bool {
    above == ROOT || department == above || ancestors(department).any(|it| it == above)
}

/// The departments directly below, by number.
pub(crate) fn children(department: u32) -> impl Iterator<Item = u32> {
    (1..=COUNT).filter(move |below| parent(*below) == department)
}

/// The departments below at any depth, by number.
pub(crate) fn descendants(department: u32) -> impl Iterator<Item = u32> {
    (1..=COUNT).filter(move |below| *below != department && is_within(*below, department))
}

/// The department of a seeded user. Users take turns, so that each department has a hundredth of them.
pub(crate) fn of_user(n: u32) -> u32 {
    n.saturating_sub(1) % COUNT + 1
}

/// The seeded users of a department with numbers above `after`, in order.
pub(crate) fn seeded_after(department: u32, after: u32, seeded: u32) -> impl Iterator<Item = u32> {
    let rounds = match after < department {
        true => 0,
        false => (after - department) / COUNT + 1,
    };
    let first = department.saturating_add(rounds.saturating_mul(COUNT));
    (first..=seeded)
        .step_by(COUNT as usize)
        .filter(move |_| department != ROOT)
}

/// The number of seeded users in a department.
pub(crate) fn seeded_in(department: u32, seeded: u32) -> u32 {
    match department {
        ROOT => 0,
        _ if seeded < department => 0,
        _ => (seeded - department) / COUNT + 1,
    }
}

/// The leader of a department: its first user. The root has none.
pub(crate) fn leader(department: u32) -> Option<u32> {
    (department != ROOT).then_some(department)
}

pub(crate) fn name(department: u32) -> String {
    match department {
        ROOT => "Example Company".to_owned(),
        _ => format!("Department {department}"),
    }
}

pub(crate) fn chinese_name(department: u32) -> String {
    match department {
        ROOT => "示例公司".to_owned(),
        _ => format!("部门 {department}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_department_is_below_the_root() {
        for department in 1..=COUNT {
            let above = parent(department);
            assert!(above < department && parent(above) == ROOT);
            assert_eq!(leader(department).map(of_user), Some(department));
            assert!(is_within(department, ROOT) && is_within(department, above));
            assert!(children(above).any(|below| below == department));
        }
        assert_eq!(descendants(ROOT).count(), 100);
        assert_eq!(ancestors(11).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn seeded_users_are_counted_and_listed_alike() {
        for seeded in [0, 1, 99, 100, 101, 250] {
            for department in 0..=COUNT {
                let listed: Vec<_> = seeded_after(department, 0, seeded).collect();
                let expected: Vec<_> = (1..=seeded).filter(|n| of_user(*n) == department).collect();
                assert_eq!(listed, expected, "{department} of {seeded}");
                assert_eq!(seeded_in(department, seeded) as usize, listed.len());
            }
        }
        assert_eq!(seeded_after(7, 107, 400).collect::<Vec<_>>(), [207, 307]);
        assert_eq!(seeded_after(7, 106, 400).next(), Some(107));
    }
}
