//! When a message is delivered, and by which queue.

use std::time::Duration;

use utoipa::openapi::schema::Object;

use super::problems::{Path, Problems};
use crate::clock::Timestamp;
use crate::queue::Lane;
use crate::schema::one_of;

/// A message may be for as late as this.
const LATEST: Duration = Duration::from_secs(30 * 24 * 3_600);

/// The fields of a body that say so, as the caller wrote them.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimingFields<'f> {
    /// `normal`, which it is unless said otherwise, or `bulk`.
    pub lane: Option<&'f str>,
    /// Not before this moment, in RFC 3339 form.
    pub deliver_at: Option<&'f str>,
    /// Not after this one.
    pub expires_at: Option<&'f str>,
}

/// When a message is delivered, and by which queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timing {
    /// The queue.
    pub lane: Lane,
    /// Not before; `None`: now.
    pub deliver_at: Option<Timestamp>,
    /// Not after; `None`: the usual time.
    pub expires_at: Option<Timestamp>,
}

impl Timing {
    /// What `fields` say at `now`; what is wrong goes to `problems`.
    pub fn check(fields: TimingFields<'_>, now: Timestamp, problems: &mut Problems) -> Self {
        let lane = lane(fields.lane, problems);
        let deliver_at = moment("deliver_at", fields.deliver_at, problems);
        if deliver_at.is_some_and(|at| at > now + LATEST) {
            problems.add(&Path::of("deliver_at"), "must be at most 30 days ahead");
        }
        let expires_at = moment("expires_at", fields.expires_at, problems);
        let earliest = deliver_at.map_or(now, |at| at.max(now));
        if expires_at.is_some_and(|at| at <= earliest || at > earliest + LATEST) {
            let message = "must be after `deliver_at` and after now, by at most 30 days";
            problems.add(&Path::of("expires_at"), message);
        }
        Self {
            lane,
            deliver_at,
            expires_at,
        }
    }
}

/// The schema of `lane`.
#[must_use]
pub fn lane_schema() -> Object {
    one_of("Which queue it takes.", Lane::ALL.map(Lane::name))
}

fn lane(text: Option<&str>, problems: &mut Problems) -> Lane {
    let Some(text) = text else {
        return Lane::Normal;
    };
    let known = Lane::ALL.into_iter().find(|lane| lane.name() == text);
    known.unwrap_or_else(|| {
        problems.add(&Path::of("lane"), "must be `normal` or `bulk`");
        Lane::Normal
    })
}

fn moment(field: &'static str, text: Option<&str>, problems: &mut Problems) -> Option<Timestamp> {
    let text = text?;
    let moment = Timestamp::parse(text);
    if moment.is_none() {
        let message = "must be a moment in RFC 3339 form, such as 2026-01-31T08:00:00Z";
        problems.add(&Path::of(field), message);
    }
    moment
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    const NOW: &str = "2026-01-31T08:00:00Z";

    fn check(fields: TimingFields<'_>, expected: &[&str]) {
        let mut problems = Problems::default();
        Timing::check(fields, Timestamp::parse(NOW).unwrap(), &mut problems);
        let wrong = match problems.into_result() {
            Ok(()) => Vec::new(),
            Err(Error::InvalidArgument(errors)) => errors,
            Err(error) => panic!("{error}"),
        };
        let fields: Vec<_> = wrong.iter().map(|it| it.field.as_str()).collect();
        assert_eq!(fields, expected);
    }

    #[test]
    fn each_wrong_field_is_named() {
        let all = |lane, deliver_at, expires_at| TimingFields {
            lane: Some(lane),
            deliver_at: Some(deliver_at),
            expires_at: Some(expires_at),
        };
        check(TimingFields::default(), &[]);
        check(
            all("bulk", "2026-03-02T08:00:00Z", "2026-03-03T08:00:00Z"),
            &[],
        );
        // A time that has passed is now.
        check(
            all("normal", "2020-01-01T00:00:00Z", "2026-01-31T08:00:01Z"),
            &[],
        );
        check(all("x", "x", "x"), &["lane", "deliver_at", "expires_at"]);
        check(
            all("", "2026-03-02T08:00:01Z", "2026-03-03T08:00:00Z"),
            &["lane", "deliver_at"],
        );
        check(all("bulk", NOW, NOW), &["expires_at"]);
        check(
            all("bulk", "2026-02-01T08:00:00Z", "2026-02-01T08:00:00Z"),
            &["expires_at"],
        );
        check(all("bulk", NOW, "2026-03-02T08:00:01Z"), &["expires_at"]);
    }
}
