use super::*;
use crate::ids::AppId;
use crate::seal::{KeyRing, KeySource};

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
async fn a_state_reads_back_from_record_and_entry_and_its_token_is_sealed_in_both() {
    let sealer = Sealer::new(KeySource::Given(KeyRing::generate().unwrap()));
    let deadline = Deadline::after(Duration::from_secs(5));
    let state = state();
    let record = state.to_record(&sealer, deadline).await.unwrap();
    let entry = state.to_entry(&sealer, deadline).await.unwrap();
    assert!(!format!("{record:?}").contains("t-secret"));
    assert!(!String::from_utf8_lossy(&entry).contains("t-secret"));
    let from_record = TokenState::from_record(&record, &sealer, deadline)
        .await
        .unwrap();
    let from_entry = TokenState::from_entry(&state.key, state.version, &entry, &sealer, deadline)
        .await
        .unwrap()
        .unwrap();
    for read in [from_record, from_entry] {
        assert_eq!(
            (read.version, &read.failure),
            (state.version, &state.failure)
        );
        assert_eq!(
            read.token.unwrap().expires_at,
            state.token.as_ref().unwrap().expires_at
        );
    }
}

#[tokio::test]
async fn an_entry_of_another_token_or_key_ring_is_no_entry() {
    let sealer = Sealer::new(KeySource::Given(KeyRing::generate().unwrap()));
    let other = Sealer::new(KeySource::Given(KeyRing::generate().unwrap()));
    let deadline = Deadline::after(Duration::from_secs(5));
    let entry = state().to_entry(&sealer, deadline).await.unwrap();
    assert!(
        TokenState::from_entry(&key("cli_b"), 1, &entry, &sealer, deadline)
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        TokenState::from_entry(&key("cli_a"), 1, &entry, &other, deadline)
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        TokenState::from_entry(&key("cli_a"), 1, b"junk", &sealer, deadline)
            .await
            .unwrap()
            .is_none()
    );
}
