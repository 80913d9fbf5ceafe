//! Months as counted here: calendar months in UTC.

use std::fmt;
use std::time::Duration;

use crate::clock::Timestamp;

/// Year and month: `2026-11`.
const BYTES: usize = 7;
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// A calendar month in UTC.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Month(String);

impl Month {
    /// The month of `moment`.
    #[must_use]
    pub fn of(moment: Timestamp) -> Self {
        Self(moment.to_string().chars().take(BYTES).collect())
    }

    /// Parses a month: `2026-11`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let month = Self(text.to_owned());
        (text.len() == BYTES && Self::of(month.begin()?) == month).then_some(month)
    }

    /// The previous month.
    #[must_use]
    pub fn before(&self) -> Self {
        self.begin()
            .map_or_else(|| self.clone(), |begin| Self::of(begin - DAY))
    }

    fn begin(&self) -> Option<Timestamp> {
        Timestamp::parse(&format!("{self}-01T00:00:00Z"))
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_of_the_calendar_in_utc() {
        let check = |moment: &str, month: &str, before: &str| {
            let of = Month::of(Timestamp::parse(moment).unwrap());
            assert_eq!(
                (of.to_string(), of.before().to_string()),
                (month.into(), before.into())
            );
            assert_eq!(Month::parse(month), Some(of));
        };
        check("2026-11-30T23:59:59Z", "2026-11", "2026-10");
        check("2027-01-01T00:00:00Z", "2027-01", "2026-12");
        check("2028-03-01T07:59:59+08:00", "2028-02", "2028-01");
    }

    #[test]
    fn other_texts_are_no_months() {
        for text in [
            "",
            "2026",
            "2026-13",
            "2026-1",
            "2026-11-01",
            "26-11-1",
            "2026/11",
        ] {
            assert_eq!(Month::parse(text), None, "{text}");
        }
    }
}
