use super::*;
use crate::ids::AppId;
use crate::seal::{KeyRing, KeySource};
use crate::tokens::{Login, RefreshToken};

fn key(app: &str) -> TokenKey {
    TokenKey::tenant(AppId::parse(app).unwrap(), None)
}

fn state() -> TokenState {
    let now = Timestamp::from_seconds(1_000_000);
    let fingerprint = Fingerprint::from_stored("f");
    let expires_at = now + Duration::from_secs(7_200);
    let token = Token {
        value: "t-secret".into(),
        fingerprint: fingerprint.clone(),
        issued_at: now,
        expires_at,
    };
    let mut failure = LarkFailure::without_answer(FailureKind::RateLimited, "slow down");
    failure.code = Some(99_991_400);
    TokenState {
        token: Some(Arc::new(token)),
        ..TokenState::unknown(key("cli_a"), now)
    }
    .failed(failure, &fingerprint, now)
}

#[tokio::test]
async fn a_state_reads_back_from_its_record_in_which_the_token_is_sealed() {
    let sealer = Sealer::new(KeySource::Given(KeyRing::generate().unwrap()));
    let deadline = Deadline::after(Duration::from_secs(5));
    let state = state();
    let record = state.to_record(&sealer, deadline).await.unwrap();
    assert!(!format!("{record:?}").contains("t-secret"));
    let read = TokenState::from_record(&record, &sealer, deadline).await;
    assert_same(&read.unwrap(), &state);
}

#[tokio::test]
async fn a_record_in_the_place_of_another_does_not_open() {
    let sealer = Sealer::new(KeySource::Given(KeyRing::generate().unwrap()));
    let deadline = Deadline::after(Duration::from_secs(5));
    let mut record = state().to_record(&sealer, deadline).await.unwrap();
    for place in [key("cli_b"), TokenKey::app(key("cli_a").app_id)] {
        record.key = place.store_key();
        let read = TokenState::from_record(&record, &sealer, deadline).await;
        assert!(read.is_err(), "{}", record.key);
    }
}

#[test]
fn a_state_reads_back_from_its_entry_and_from_nothing_else() {
    let state = state();
    let entry = state.to_entry();
    let read = TokenState::from_entry(&state.key, state.version, &entry);
    assert_same(&read.unwrap(), &state);
    assert!(TokenState::from_entry(&state.key, 1, b"junk").is_none());
}

#[test]
fn the_entry_of_a_login_has_no_refresh_token() {
    let now = Timestamp::from_seconds(1_000_000);
    let refresh = RefreshToken {
        value: Some("r-secret".into()),
        issued_at: now,
        expires_at: now + Duration::from_secs(604_800),
    };
    let login = Login {
        generation: 7,
        refresh: Some(refresh),
        scopes: "offline_access".to_owned(),
        consented_at: now,
        uncertain_since: None,
        ended: None,
    };
    let state = TokenState {
        login: Some(login),
        ..state()
    };
    let entry = state.to_entry();
    let text = String::from_utf8_lossy(&entry);
    assert!(
        text.contains("t-secret") && !text.contains("r-secret"),
        "{text}"
    );
    let read = TokenState::from_entry(&state.key, state.version, &entry).unwrap();
    assert!(read.login.unwrap().refresh.unwrap().value.is_none());
}

#[track_caller]
fn assert_same(read: &TokenState, state: &TokenState) {
    let parts = |state: &TokenState| {
        let token = state.token.as_ref().unwrap();
        let value = token.value.expose_secret().to_owned();
        (
            state.version,
            state.failure.clone(),
            value,
            token.expires_at,
        )
    };
    assert_eq!(parts(read), parts(state));
}
