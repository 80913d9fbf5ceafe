//! The wall clock of a host is wrong, or steps while its process runs: nobody gets a dead token, no login is lost, and what the
//! process leaves behind harms nobody else.

use futures_util::future::join_all;
use lark_service_tests::faked_clock::FakedClock;
use lark_service_tests::function::{Ended, Function};
use lark_service_tests::site::Site;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// How far a clock is wrong, in seconds: a little more than is tolerated, hours, and a year that a new machine wakes in.
const SHIFTS: [i64; 5] = [61, -61, 3 * 3_600, -3 * 3_600, -10 * 365 * 24 * 3_600];
/// When it is wrong.
const STEPS: [Step; 3] = [Step::SetRight, Step::BecomesWrong, Step::DuringARequest];
/// How many processes start at a time.
const STARTING: usize = 2;
/// The user that everything is about.
const USER: u32 = 7;
/// A token lives two hours at the platform; a minute is tolerated.
const LONGEST_LIFE_S: u64 = 7_200 + 60;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    /// Wrong when the process starts, right at its second request.
    SetRight,
    /// Right when it starts, wrong at its second request and then right again.
    BecomesWrong,
    /// Right when it starts, and wrong from the middle of its first request on.
    DuringARequest,
}

/// What the process is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Asked {
    TenantToken,
    UserToken,
    User,
    Refresh,
    Authorize,
}

impl Asked {
    const ALL: [Self; 5] = [
        Self::TenantToken,
        Self::UserToken,
        Self::User,
        Self::Refresh,
        Self::Authorize,
    ];

    const fn function(self) -> &'static str {
        match self {
            Self::TenantToken | Self::UserToken => "get-token",
            Self::User => "get-user",
            Self::Refresh => "refresh-tokens",
            Self::Authorize => "authorize",
        }
    }

    fn event(self, site: &Site) -> Value {
        match self {
            Self::TenantToken => site.tenant_token(),
            Self::UserToken => site.user_token(USER),
            Self::User => site.user(USER),
            Self::Refresh => json!({}),
            Self::Authorize => site.question(),
        }
    }

    /// What is wrong with the answer; `None`: nothing.
    fn fault(self, ended: &Ended) -> Option<String> {
        let Ok(answer) = &ended.answer else {
            return Some(format!("{ended:?}"));
        };
        match self {
            Self::Authorize => (answer["isAuthorized"] != true).then(|| answer.to_string()),
            Self::Refresh => (answer["failed"] != 0).then(|| answer.to_string()),
            Self::TenantToken | Self::UserToken | Self::User => {
                let response = ended.response();
                let left = response.body["expires_in"].as_u64().unwrap_or_default();
                let is_right = response.status == 200 && left <= LONGEST_LIFE_S;
                (!is_right).then(|| format!("{} {}", ended.outcome(), response.body))
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_wrong_costs_no_answer_and_no_login_and_leaves_nothing_behind() {
    let starting = Semaphore::new(STARTING);
    let shared = Site::start().await;
    let (shared, starting) = (&shared, &starting);
    let cases = SHIFTS.into_iter().flat_map(|shift_s| {
        let steps = STEPS.into_iter();
        steps.flat_map(move |step| Asked::ALL.map(|asked| (asked, step, shift_s)))
    });
    let checks = cases.map(|(asked, step, shift_s)| async move {
        let permit = starting.acquire().await;
        let faults = check(shared, asked, step, shift_s).await;
        drop(permit);
        let faults = faults.into_iter();
        faults.map(move |fault| format!("{asked:?}, {step:?}, {shift_s} s: {fault}"))
    });
    let faults: Vec<String> = join_all(checks).await.into_iter().flatten().collect();
    assert!(
        faults.is_empty(),
        "{}:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

/// What is wrong with a process whose clock is wrong, and with another one whose clock is right.
async fn check(shared: &Site, asked: Asked, step: Step, shift_s: i64) -> Vec<String> {
    let site = if asked == Asked::Refresh {
        // A run finds the tokens of all apps in its tables.
        Site::start().await
    } else {
        shared.beside().await
    };
    if matches!(asked, Asked::UserToken | Asked::Refresh) {
        site.log_in(USER).await.expect("a login");
    }
    let at_first = if step == Step::SetRight { shift_s } else { 0 };
    let clock = FakedClock::shifted(at_first);
    let mut function = site.function_with_clock(asked.function(), clock).await;
    let event = asked.event(&site);
    let mut faults = Vec::new();
    let mut note = |when: &str, fault: Option<String>| {
        faults.extend(fault.map(|fault| format!("{when}: {fault}")));
    };
    if step == Step::DuringARequest {
        let ended = with_a_step(&mut function, &event, shift_s).await;
        note("across the step", asked.fault(&ended));
    } else {
        note("at first", asked.fault(&function.invoke(&event).await));
    }
    let second = if step == Step::SetRight { 0 } else { shift_s };
    function.step_clock_to(second);
    note("after it", asked.fault(&function.invoke(&event).await));
    note("others", others(&site, asked).await);
    function.step_clock_to(0);
    note("set right", asked.fault(&function.invoke(&event).await));
    note("others, at last", others(&site, asked).await);
    let counters = site.control().counters();
    let requests = site.requests("auth.tenant_access_token.internal");
    // One for each time that the clock changes.
    note(
        "token requests",
        (requests > 3).then(|| requests.to_string()),
    );
    let refused = counters.refresh_rejected;
    note(
        "refused refreshes",
        (refused > 0).then(|| refused.to_string()),
    );
    faults
}

/// The answer to `event` when the clock steps at the first request that it leads to.
async fn with_a_step(function: &mut Function, event: &Value, shift_s: i64) -> Ended {
    let held = function.network.traffic.hold_nth(1, "*");
    function.begin(event);
    held.arrived().await;
    function.step_clock_to(shift_s);
    held.release();
    function.end().await
}

/// What is wrong with what a new process with a right clock answers. The platform takes its token.
async fn others(site: &Site, asked: Asked) -> Option<String> {
    let process = site.process().await;
    let rejected = site.control().counters().total.rejected_tokens;
    let target = match asked {
        Asked::TenantToken => "/v1/tokens/tenant".to_owned(),
        Asked::UserToken | Asked::Refresh => {
            format!("/v1/tokens/user?open_id={}", site.open_id(USER))
        }
        Asked::User | Asked::Authorize => format!("/v1/users/{}", site.open_id(USER)),
    };
    let response = site.request("GET", &target).send(&process).await;
    let left = response.body["expires_in"].as_u64().unwrap_or_default();
    let fault = (response.status != 200 || left > LONGEST_LIFE_S)
        .then(|| format!("{} {}", response.outcome(), response.body));
    // A profile is fetched with the app's token.
    let stranger = format!("/v1/users/{}", site.open_id(50));
    site.request("GET", &stranger).send(&process).await;
    let now = site.control().counters().total.rejected_tokens;
    fault.or_else(|| (now > rejected).then(|| "a dead token".to_owned()))
}
