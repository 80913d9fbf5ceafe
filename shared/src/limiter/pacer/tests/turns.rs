//! What is done between a place and the call, and a cache that does not answer.

use super::*;

#[tokio::test(start_paused = true)]
async fn what_is_done_while_the_place_lies_ahead_costs_nothing() {
    let [pacer, _] = by_tokio_s_time(true);
    assert!(turn(&pacer).await);
    let began = Instant::now();
    let mut turn = pacer.turn(vec![per_second(1)], MAX_PATIENCE).await.unwrap();
    assert!(began.elapsed().is_zero());
    // A write.
    tokio::time::sleep(SECOND * 3 / 4).await;
    turn.come(Duration::ZERO).await.unwrap();
    assert_eq!((began.elapsed(), turn.is_now()), (SECOND, true));
}

#[tokio::test(start_paused = true)]
async fn a_place_that_passes_during_a_write_is_given_back_and_another_one_is_waited_for() {
    for is_shared in [true, false] {
        let [pacer, other] = by_tokio_s_time(is_shared);
        let began = Instant::now();
        let paces = vec![chat(1), per_second(1)];
        let mut turn = pacer.turn(paces.clone(), MAX_PATIENCE).await.unwrap();
        tokio::time::sleep(LATE * 2).await;
        assert!(!turn.is_now());
        // Nobody came after it, so it goes out without a wait, and counts from this moment.
        turn.come(MAX_PATIENCE).await.unwrap();
        assert_eq!((began.elapsed(), turn.is_now()), (LATE * 2, true));
        turn.use_up();
        drop(turn);
        let mut next = other.turn(paces, MAX_PATIENCE).await.unwrap();
        next.come(MAX_PATIENCE).await.unwrap();
        assert_eq!(began.elapsed(), LATE * 2 + SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_is_missed_behind_others_waits_behind_them() {
    let [pacer, other] = by_tokio_s_time(true);
    let began = Instant::now();
    let mut missed = pacer.turn(vec![per_second(1)], MAX_PATIENCE).await.unwrap();
    let behind = other.turn(vec![per_second(1)], MAX_PATIENCE).await.unwrap();
    tokio::time::sleep(LATE * 2).await;
    let refused = missed.come(SECOND).await.unwrap_err();
    assert!(!refused.is_allowed && refused.retry_after <= SECOND);
    assert!(!missed.is_now());
    missed.come(SECOND * 2).await.unwrap();
    assert_eq!(began.elapsed(), SECOND * 2);
    drop(behind);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_not_due_much_later_than_its_place_also_by_the_clock_alone() {
    let clock = clock();
    let pacer = pacer(Some(shared(&clock)), &clock);
    let mut turn = pacer.turn(vec![per_second(1)], MAX_PATIENCE).await.unwrap();
    turn.come(Duration::ZERO).await.unwrap();
    clock.advance(LATE);
    assert!(turn.is_now());
    clock.advance(Duration::from_millis(1));
    assert!(!turn.is_now());
}

#[tokio::test(start_paused = true)]
async fn a_patient_pacer_decides_by_itself_only_after_a_long_silence_of_the_cache() {
    let hasty = pacer(Some(out_of_reach()), &clock());
    let patient = hasty.patient();
    let pace = || vec![per_second(8)];
    let refused = patient.turn(pace(), SECOND).await.unwrap_err();
    assert_eq!(
        (refused.is_allowed, refused.retry_after),
        (false, MISSED_PAUSE)
    );
    let began = Instant::now();
    assert!(hasty.turn(pace(), Duration::ZERO).await.is_ok());
    assert!(began.elapsed() < ASK_AGAIN * 4);
    assert!(patient.turn(pace(), MAX_PATIENCE).await.is_ok());
    let waited = began.elapsed();
    assert!(waited > SILENT - SECOND - ASK_AGAIN * 4, "{waited:?}");
}
