use super::*;

fn account(app_id: &str) -> Account {
    Account {
        app_id: app_id.into(),
        tenant: None,
    }
}

struct Limiter {
    limits: RateLimits,
    windows: Vec<Window>,
    kind: RateLimitWindows,
}

impl Limiter {
    fn new(tier: Tier, scale: u32, kind: RateLimitWindows) -> Self {
        Self {
            limits: RateLimits::default(),
            windows: tier.windows(scale).collect(),
            kind,
        }
    }

    fn take_for(&self, account: &Account, now_ms: u64) -> Result<(), Exceeded> {
        self.limits
            .take("some.api", account, &self.windows, self.kind, now_ms)
    }

    fn take(&self, now_ms: u64) -> Result<(), Exceeded> {
        self.take_for(&account("cli_a"), now_ms)
    }
}

fn exceeded(limit: u32, reset_seconds: u64) -> Result<(), Exceeded> {
    Err(Exceeded {
        limit,
        reset_seconds,
    })
}

#[test]
fn the_fifty_first_call_of_a_second_waits_for_the_next() {
    let limiter = Limiter::new(Tier::Four, 1, RateLimitWindows::Fixed);
    for _ in 0..50 {
        limiter.take(999).expect("within the limit");
    }
    assert_eq!(limiter.take(999), exceeded(50, 1));
    assert_eq!(limiter.take(1000), Ok(()));
}

#[test]
fn a_minute_holds_a_thousand_calls_however_they_are_spread() {
    let limiter = Limiter::new(Tier::Four, 1, RateLimitWindows::Fixed);
    let allowed = (0..60_000)
        .step_by(10)
        .filter(|now_ms| limiter.take(*now_ms).is_ok())
        .count();
    assert_eq!(allowed, 1000);
    assert_eq!(limiter.take(30_500), exceeded(1000, 30));
}

#[test]
fn apps_tenants_and_apis_have_their_own_budgets() {
    let limiter = Limiter::new(Tier::Four, 1, RateLimitWindows::Fixed);
    for _ in 0..50 {
        limiter.take(0).expect("within the limit");
    }
    assert_eq!(limiter.take(0), exceeded(50, 1));
    let tenant = Account {
        tenant: Some("tenant".into()),
        ..account("cli_a")
    };
    for other in [account("cli_b"), tenant] {
        assert_eq!(limiter.take_for(&other, 0), Ok(()));
    }
    let windows = &limiter.windows;
    let other = limiter
        .limits
        .take("other.api", &account("cli_a"), windows, limiter.kind, 0);
    assert_eq!(other, Ok(()));
}

#[test]
fn a_sliding_window_has_no_seam_to_burst_across() {
    let fixed = Limiter::new(Tier::Six, 1, RateLimitWindows::Fixed);
    let sliding = Limiter::new(Tier::Six, 1, RateLimitWindows::Sliding);
    for limiter in [&fixed, &sliding] {
        for _ in 0..5 {
            limiter.take(900).expect("within the limit");
        }
    }
    assert_eq!(fixed.take(1000), Ok(()));
    assert_eq!(sliding.take(1000), exceeded(5, 1));
    assert_eq!(sliding.take(1899), exceeded(5, 1));
    assert_eq!(sliding.take(1900), Ok(()));
}

#[test]
fn a_sliding_minute_tells_when_its_first_call_leaves() {
    let limiter = Limiter::new(Tier::Three, 1, RateLimitWindows::Sliding);
    for now_ms in (0..100).map(|call| call * 100) {
        limiter.take(now_ms).expect("within the limit");
    }
    assert_eq!(limiter.take(10_000), exceeded(100, 50));
    assert_eq!(limiter.take(59_999), exceeded(100, 1));
    assert_eq!(limiter.take(60_000), Ok(()));
}

#[test]
fn a_clock_that_is_set_back_begins_anew() {
    let limiter = Limiter::new(Tier::Five, 1, RateLimitWindows::Sliding);
    assert_eq!(limiter.take(100_000), Ok(()));
    assert_eq!(limiter.take(99_990), exceeded(1, 1));
    assert_eq!(limiter.take(5_000), Ok(()));
}

#[test]
fn a_scale_shortens_every_window() {
    let lengths = |tier: Tier, scale| -> Vec<_> {
        tier.windows(scale)
            .map(|window| (window.limit, window.length_ms))
            .collect()
    };
    assert_eq!(lengths(Tier::Special, 1), [(50, 1000), (1000, 60_000)]);
    assert_eq!(lengths(Tier::Four, 60), [(50, 16), (1000, 1000)]);
    assert_eq!(lengths(Tier::TwentyOne, 5000), [(3, 1)]);
}
