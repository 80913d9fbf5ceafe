use super::*;

#[test]
fn the_platforms_wish_sets_the_pause() {
    let mut failure = LarkFailure::without_answer(FailureKind::RateLimited, "");
    failure.retry_after = Some(Duration::from_secs(52));
    assert_eq!(backoff(1, &failure), Duration::from_secs(52));
    failure.retry_after = None;
    assert!((1..40).all(|attempt| backoff(attempt, &failure) <= MAX_BACKOFF));
}

mod departures;
