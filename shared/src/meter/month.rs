//! Months as counted here: calendar months in UTC; and when the platform's month turns.

use std::fmt;
use std::time::Duration;

use crate::clock::Timestamp;

/// Year and month: `2026-11`.
const BYTES: usize = 7;
const DAY: Duration = Duration::from_secs(24 * 3_600);
/// The platform's time zone is ahead of UTC by this: Beijing time. By which clock it counts a month is not documented, neither for
/// Feishu nor for Lark: unverified.
const PLATFORM_AHEAD: Duration = Duration::from_secs(8 * 3_600);

/// How long it takes from `now` until the platform's month turns and its quota of calls is full again.
pub(super) fn until_platform_month_turns(now: Timestamp) -> Duration {
    let there = now + PLATFORM_AHEAD;
    let turns_at = Month::of(there).after().and_then(|month| month.begin());
    // A moment for which there is no next month is none that a clock shows.
    turns_at.map_or(DAY, |turns_at| turns_at.since(there))
}

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

    /// The next month.
    fn after(&self) -> Option<Self> {
        // The first of a month and 31 days later lie in two months that follow each other.
        Some(Self::of(self.begin()? + DAY * 31))
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
    fn the_platform_s_month_turns_at_midnight_in_beijing() {
        let check = |now: &str, turns_at: &str| {
            let [now, turns_at] = [now, turns_at].map(|text| Timestamp::parse(text).unwrap());
            assert_eq!(until_platform_month_turns(now), turns_at.since(now));
        };
        check("2026-11-30T15:59:59+00:00", "2026-12-01T00:00:00+08:00");
        check("2026-12-01T00:00:00+08:00", "2027-01-01T00:00:00+08:00");
        check("2026-12-31T16:00:00+00:00", "2027-02-01T00:00:00+08:00");
        check("2027-02-10T00:00:00+08:00", "2027-03-01T00:00:00+08:00");
        check("2027-03-31T12:00:00+08:00", "2027-04-01T00:00:00+08:00");
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
