//! Versions of records: moments, so that they grow even when a record was lost.

use std::time::Duration;

use crate::clock::Timestamp;

/// How far ahead the version of a record can lie, as far as versions are moments: a host's clock is or was fast. A later one is the
/// mark of an attack or a mistake; it would otherwise stay for ever, because each version is higher than the one before.
const AHEAD: Duration = Duration::from_secs(24 * 3_600);

/// Whether `version`, in milliseconds since the Unix epoch, lies so far ahead of `now` that it protects nothing.
#[must_use]
pub fn is_beyond(version: u64, now: Timestamp) -> bool {
    version > version_of(now + AHEAD)
}

/// The version after `version` at `now`: higher than it and than any that was assigned before, even in a deleted record. One that
/// is [`is_beyond`] is brought back to the present, by a write that expects exactly it.
#[must_use]
pub fn next_version(version: u64, now: Timestamp) -> u64 {
    if is_beyond(version, now) {
        version_of(now)
    } else {
        version_of(now).max(version.saturating_add(1))
    }
}

fn version_of(moment: Timestamp) -> u64 {
    u64::try_from(moment.as_millis()).unwrap_or(0)
}
