//! Times as text, without a time-zone database: for the platform's log ids and the `Date` header.

const MS_PER_DAY: u64 = 86_400_000;
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// `20260131235959`, in UTC.
pub(crate) fn compact(at_ms: u64) -> String {
    let (year, month, day) = civil(at_ms / MS_PER_DAY);
    let (hour, minute, second) = time_of_day(at_ms);
    format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}")
}

/// `Sat, 31 Jan 2026 23:59:59 GMT`, the format of RFC 9110.
pub(crate) fn http_date(at_ms: u64) -> String {
    let days = at_ms / MS_PER_DAY;
    let (year, month, day) = civil(days);
    let (hour, minute, second) = time_of_day(at_ms);
    let weekday = WEEKDAYS[(days % 7) as usize];
    let month = MONTHS[month as usize - 1];
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

/// Year and month, in UTC.
pub(crate) fn month(at_ms: u64) -> (u64, u64) {
    let (year, month, _) = civil(at_ms / MS_PER_DAY);
    (year, month)
}

fn time_of_day(at_ms: u64) -> (u64, u64, u64) {
    let seconds = at_ms % MS_PER_DAY / 1000;
    (seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Year, month and day of a number of days since 1970-01-01, in the Gregorian calendar.
///
/// The algorithm is `civil_from_days` of <https://howardhinnant.github.io/date_algorithms.html>: years begin in March,
/// so that the leap day comes last.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(at_ms: u64, expected: &str) {
        assert_eq!(http_date(at_ms), expected);
    }

    #[test]
    fn dates_are_right_around_leap_days_and_years() {
        check(0, "Thu, 01 Jan 1970 00:00:00 GMT");
        check(951_782_400_000, "Tue, 29 Feb 2000 00:00:00 GMT");
        check(1_767_225_599_999, "Wed, 31 Dec 2025 23:59:59 GMT");
        check(1_767_225_600_000, "Thu, 01 Jan 2026 00:00:00 GMT");
    }

    #[test]
    fn compact_form_has_fourteen_digits() {
        assert_eq!(compact(951_782_400_000), "20000229000000");
    }
}
