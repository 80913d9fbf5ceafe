//! The tier in the process: only a newer version replaces a state.

use super::*;
use crate::clock::ManualClock;
use crate::ids::AppId;
use crate::seal::{Fingerprint, KeyRing, KeySource};
use crate::store::moody::Moody;

const NOW: Timestamp = Timestamp::from_seconds(1_769_846_400);
/// The version of a state that was written now.
const PRESENT: u64 = 1_769_846_400_000;
const DAY_MS: u64 = 24 * 3_600 * 1_000;

fn tiers() -> TokenTiers {
    let (store, _) = Moody::store();
    let sealer = Sealer::new(KeySource::Given(KeyRing::generate().unwrap()));
    let storage = Storage::new(store, Duration::from_secs(1));
    TokenTiers::new(storage, None, sealer, Arc::new(ManualClock::at(NOW)))
}

fn key() -> TokenKey {
    TokenKey::tenant(AppId::parse("cli_a").unwrap(), None)
}

fn state(version: u64, value: &str) -> TokenState {
    let token = Token {
        value: value.into(),
        fingerprint: Fingerprint::from_stored("s"),
        issued_at: NOW,
        expires_at: NOW + Duration::from_secs(7_200),
    };
    TokenState {
        version,
        token: Some(Arc::new(token)),
        ..TokenState::unknown(key(), NOW)
    }
}

/// What the process hands out.
fn remembered(tiers: &TokenTiers) -> String {
    let remembered = tiers.remembered(&key()).expect("a state");
    let token = remembered.state.token.as_ref().expect("a token");
    token.value.expose_secret().to_owned()
}

#[test]
fn in_the_process_an_older_state_replaces_no_newer_one() {
    let tiers = tiers();
    for (version, value, kept) in [
        (PRESENT + 5, "a", "a"),
        (PRESENT + 4, "b", "a"),
        (PRESENT + 5, "c", "c"),
        (PRESENT + 6, "d", "d"),
        (0, "e", "d"),
    ] {
        tiers.remember(state(version, value));
        assert_eq!(remembered(&tiers), kept, "after {value}");
    }
}

#[test]
fn in_the_process_a_version_from_far_ahead_protects_nothing() {
    let tiers = tiers();
    for (version, value, kept) in [
        (PRESENT + 2 * DAY_MS, "a", "a"),
        (PRESENT, "b", "b"),
        (PRESENT + DAY_MS / 2, "c", "c"),
        (PRESENT + 1, "d", "c"),
    ] {
        tiers.remember(state(version, value));
        assert_eq!(remembered(&tiers), kept, "after {value}");
    }
}

#[test]
fn what_was_confirmed_is_trusted_for_five_seconds_and_never_before_it_was() {
    let tiers = tiers();
    tiers.remember(state(PRESENT, "a"));
    let remembered = tiers.remembered(&key()).unwrap();
    let trusted = |at| remembered.is_trusted(at);
    let milli = Duration::from_millis(1);
    assert!(trusted(NOW) && trusted(NOW + TRUSTED - milli));
    assert!(!trusted(NOW + TRUSTED) && !trusted(NOW - milli));
}
