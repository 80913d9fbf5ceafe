use std::sync::Arc;

use super::*;
use crate::apps::Secret;
use crate::ids::AppId;
use crate::tokens::Token;

const NOW: Timestamp = Timestamp::from_seconds(1_000_000);

fn secret(text: &str) -> Fingerprint {
    Fingerprint::from_stored(text)
}

fn secrets(current: &str, previous: Option<&str>) -> Secrets {
    let secret = |text: &str| Secret {
        value: text.into(),
        fingerprint: secret(text),
    };
    Secrets {
        current: secret(current),
        previous: previous.map(|text| (secret(text), NOW + Duration::from_secs(60))),
    }
}

fn state(left: Option<u64>) -> TokenState {
    let key = TokenKey::tenant(AppId::parse("cli_a").unwrap(), None);
    let token = left.map(|left| {
        let expires_at = NOW + Duration::from_secs(left);
        Arc::new(Token {
            value: "t".into(),
            fingerprint: secret("s"),
            issued_at: expires_at - Duration::from_secs(7_200),
            expires_at,
        })
    });
    TokenState {
        token,
        ..TokenState::unknown(key, NOW)
    }
}

fn outage() -> LarkFailure {
    LarkFailure::without_answer(FailureKind::Unavailable, "down")
}

fn verdict(state: &TokenState) -> &'static str {
    match state.verdict(&secrets("s", None), NOW) {
        Verdict::Serve(_) => "serve",
        Verdict::Renew(Some(_)) => "renew with fallback",
        Verdict::Renew(None) => "renew",
        Verdict::Refuse(error) => error.code().as_str(),
    }
}

#[test]
fn a_token_is_served_until_its_margin_and_inside_the_refresh_window() {
    assert_eq!(verdict(&state(Some(7_000))), "serve");
    assert_eq!(verdict(&state(Some(1_300))), "serve");
    assert_eq!(verdict(&state(Some(200))), "renew with fallback");
    assert_eq!(verdict(&state(Some(0))), "renew");
    assert_eq!(verdict(&state(None)), "renew");
}

#[test]
fn while_lark_is_down_a_token_is_served_to_its_end() {
    let failed = |left| state(left).failed(outage(), &secret("s"), NOW);
    assert_eq!(verdict(&failed(Some(1))), "serve");
    assert_eq!(verdict(&failed(Some(0))), "lark_unavailable");
    assert_eq!(verdict(&failed(None)), "lark_unavailable");
}

#[test]
fn tokens_and_failures_of_another_secret_do_not_count() {
    let other = state(Some(7_000));
    assert!(matches!(
        other.verdict(&secrets("rotated", None), NOW),
        Verdict::Renew(None)
    ));
    let failed = state(None).failed(outage(), &secret("old"), NOW);
    assert_eq!(verdict(&failed), "renew");
}

#[test]
fn tokens_of_the_secret_before_count_until_it_does_not() {
    let state = state(Some(7_000));
    let rotated = secrets("rotated", Some("s"));
    assert!(matches!(state.verdict(&rotated, NOW), Verdict::Serve(_)));
    let later = NOW + Duration::from_secs(60);
    assert!(matches!(
        state.verdict(&rotated, later),
        Verdict::Renew(None)
    ));
}

#[test]
fn every_change_has_a_higher_version_even_after_the_record_was_lost() {
    let state = state(Some(100));
    let leased = state.leased(NOW, NOW + Duration::from_secs(15), "m");
    assert!(leased.version > state.version);
    assert!(leased.failed(outage(), &secret("s"), NOW).version > leased.version);
    assert!(
        TokenState::unknown(state.key, NOW).next_version(NOW + Duration::from_millis(1))
            > leased.version
    );
}

#[test]
fn a_version_from_far_in_the_future_comes_back_and_takes_no_token_along() {
    let now_ms = u64::try_from(NOW.as_millis()).unwrap();
    let poisoned = TokenState {
        version: u64::MAX,
        voided: u64::MAX,
        ..state(Some(100))
    };
    let leased = poisoned.leased(NOW, NOW + LEASE, "mark");
    assert_eq!((leased.version, leased.voided), (now_ms, now_ms));
    let token = state(Some(7_000)).token.unwrap();
    let renewed = leased.renewed(token, NOW, 0.0);
    assert_eq!((renewed.version, renewed.voided), (now_ms + 1, now_ms));
    for next in [
        poisoned.failed(outage(), &secret("s"), NOW),
        poisoned.without_token(NOW),
        poisoned.forgotten(NOW),
        poisoned.retired(NOW),
    ] {
        assert_eq!((next.version, next.voided), (now_ms, now_ms));
    }
    // A day is within what a clock can be wrong.
    let ahead = TokenState {
        version: now_ms + 3_600_000,
        ..state(None)
    };
    assert_eq!(ahead.retired(NOW).version, now_ms + 3_600_001);
}
