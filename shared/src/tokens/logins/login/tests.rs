use std::sync::Arc;

use super::*;
use crate::error::FailureKind;
use crate::ids::AppId;
use crate::tokens::Token;

const NOW: Timestamp = Timestamp::from_seconds(1_000_000);
const HOUR: Duration = Duration::from_secs(3_600);

fn secret() -> Fingerprint {
    Fingerprint::from_stored("s")
}

fn pair(left: Duration) -> Pair {
    let expires_at = NOW + left;
    Pair {
        token: Arc::new(Token {
            value: "u".into(),
            fingerprint: secret(),
            issued_at: expires_at - 2 * HOUR,
            expires_at,
        }),
        refresh: Some(RefreshToken {
            value: Some("r".into()),
            issued_at: NOW,
            expires_at: NOW + 24 * 7 * HOUR,
        }),
        scopes: OFFLINE_ACCESS.to_owned(),
    }
}

fn login(left: Duration) -> TokenState {
    let open_id = OpenId::parse("ou_1").unwrap();
    let key = TokenKey::user(AppId::parse("cli_a").unwrap(), &open_id);
    TokenState::unknown(key, NOW).logged_in(pair(left), NOW, 0.5)
}

fn verdict(state: &TokenState, now: Timestamp) -> String {
    match state.user_verdict(now) {
        Verdict::Serve(_) => "serve".to_owned(),
        Verdict::Renew(Some(_)) => "renew with fallback".to_owned(),
        Verdict::Renew(None) => "renew".to_owned(),
        Verdict::Refuse(error) => {
            if let Error::ReauthorizationRequired { end, .. } = *error {
                end.as_str().to_owned()
            } else {
                error.code().as_str().to_owned()
            }
        }
    }
}

fn failure(kind: FailureKind, code: Option<i64>) -> LarkFailure {
    LarkFailure {
        code,
        ..LarkFailure::without_answer(kind, "")
    }
}

#[test]
fn a_token_is_served_renewed_near_its_end_and_renewed_after_it() {
    assert_eq!(verdict(&login(HOUR), NOW), "serve");
    let near = login(Duration::from_secs(100));
    assert_eq!(verdict(&near, NOW), "renew with fallback");
    assert_eq!(verdict(&near, NOW + HOUR), "renew");
    // Whether the refresh token is too old is for the platform to say.
    assert_eq!(verdict(&near, NOW + 24 * 8 * HOUR), "renew");
}

#[test]
fn without_offline_access_the_login_lasts_as_long_as_its_token() {
    let mut state = login(HOUR);
    state.login.as_mut().unwrap().refresh = None;
    assert_eq!(verdict(&state, NOW), "serve");
    assert_eq!(
        verdict(&state, NOW + HOUR - Duration::from_secs(1)),
        "serve"
    );
    assert_eq!(verdict(&state, NOW + HOUR), "no_offline_access");
}

#[test]
fn a_lost_answer_costs_nothing_while_the_old_token_lives_and_one_more_try_after() {
    let near = login(Duration::from_secs(100));
    let lost = near.not_refreshed(None, failure(FailureKind::Timeout, None), &secret(), NOW);
    assert_eq!(verdict(&lost, NOW), "serve");
    assert_eq!(verdict(&lost, NOW + Duration::from_secs(99)), "serve");
    assert_eq!(verdict(&lost, NOW + Duration::from_secs(100)), "renew");
    let since = lost.login.as_ref().unwrap().uncertain_since;
    let spent = failure(FailureKind::GrantVoid, Some(20_073));
    let over = lost.not_refreshed(since, spent.clone(), &secret(), NOW + HOUR);
    assert_eq!(verdict(&over, NOW + HOUR), "outcome_lost");
    // The scheduled run tells the shared cache.
    assert!(over.due_at.is_some() && over.token.is_none() && over.voided == over.version);
    let elsewhere = near.not_refreshed(None, spent, &secret(), NOW);
    assert_eq!(verdict(&elsewhere, NOW), "used_elsewhere");
}

#[test]
fn a_crash_after_the_intent_was_written_is_like_a_lost_answer() {
    let near = login(Duration::from_secs(100));
    let leased = near.leased(NOW, NOW + Duration::from_secs(20), "m");
    assert!(leased.login.as_ref().unwrap().uncertain_since.is_some());
    assert_eq!(verdict(&leased, NOW + Duration::from_secs(30)), "serve");
    assert_eq!(verdict(&leased, NOW + Duration::from_secs(100)), "renew");
}

#[test]
fn what_certainly_did_not_happen_leaves_nothing_uncertain() {
    let near = login(Duration::from_secs(100));
    let mut refused = failure(FailureKind::Unavailable, None);
    refused.is_unsent = true;
    for failure in [refused, failure(FailureKind::RateLimited, Some(99_991_400))] {
        let state = near.not_refreshed(None, failure, &secret(), NOW);
        assert_eq!(state.login.as_ref().unwrap().uncertain_since, None);
        assert_eq!(verdict(&state, NOW + HOUR), "renew");
    }
}

#[test]
fn the_next_pair_counts_on_and_clears_every_doubt() {
    let near = login(Duration::from_secs(100));
    let lost = near.not_refreshed(None, failure(FailureKind::Timeout, None), &secret(), NOW);
    let mut next = pair(2 * HOUR);
    next.refresh = None;
    next.scopes = String::new();
    let refreshed = lost.refreshed(next, NOW, 0.5);
    let login = refreshed.login.as_ref().unwrap();
    let before = lost.login.as_ref().unwrap().generation;
    assert!(login.generation > before && login.uncertain_since.is_none());
    assert!(login.refresh.is_some(), "the old one stays if none comes");
    assert_eq!(login.scopes, OFFLINE_ACCESS);
    assert!(refreshed.failure.is_none());
}
