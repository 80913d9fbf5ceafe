//! A login is lost to nothing but the platform's own word, and over when its user says so.

use std::time::Duration;

use futures_util::future::join_all;
use lark_service::clock::SystemClock;
use lark_service::clock::{Clock, Timestamp};
use lark_service::ids::AppId;
use lark_service::store::{Due, Expect, Key, Record, Table, Value};
use lark_service::tokens::TokenKey;
use lark_service_tests::servers::Valkey;
use lark_service_tests::site::Site;
use lark_service_tests::traffic::Fate;
use lark_service_tests::world::{Process, soon};
use lark_simulator::{Fault, FaultAction};
use serde_json::json;

/// The user of the tests with one.
const USER: u32 = 1;
/// The platform's endpoint for codes and refresh tokens.
const EXCHANGE: &str = "platform POST /open-apis/authen/v2/oauth/token";

/// The record of the user's login.
async fn login(site: &Site, user: u32) -> Option<Record> {
    let Process(services) = site.operator().await;
    let key = Key::new(
        format!("user#{}", site.app),
        format!("user#{}", site.open_id(user)),
    );
    let record = services.storage.get(Table::Tokens, &key, soon()).await;
    record.expect("a working store")
}

/// Changes the record of the user's login.
async fn change_login(site: &Site, user: u32, change: impl FnOnce(Record) -> Record) {
    let mut record = login(site, user).await.expect("a login");
    let expect = Expect::Version(record.version);
    record.version += 1;
    let Process(services) = site.operator().await;
    let record = change(record);
    let put = services.storage.put(Table::Tokens, &record, expect, soon());
    put.await.expect("nobody else writes it");
}

/// A request to end the login of the user.
fn log_out(site: &Site, user: u32) -> serde_json::Value {
    let target = format!("/v1/oauth/users/{}", site.open_id(user));
    let request = site.request("DELETE", &target);
    request.event("DELETE /v1/oauth/users/{open_id}")
}

fn moment(at: Timestamp) -> Value {
    Value::Number(at.as_millis())
}

/// The write of a pair has four seconds while the pair waits in the shared cache. A freeze of just that length shows in no timer: it is
/// hardly late. The login is stored all the same, and its caller answered.
#[tokio::test(flavor = "multi_thread")]
async fn a_pair_whose_write_stands_still_for_all_its_time_is_stored() {
    let shared = Site::start().await;
    let lengths = [3_950, 3_980, 4_000, 4_020, 4_050, 4_080];
    join_all(lengths.map(|length| check_that_a_pair_is_stored(&shared, length))).await;
}

async fn check_that_a_pair_is_stored(shared: &Site, freeze_ms: u64) {
    let site = shared.beside().await;
    let open_id = site.log_in(USER).await.expect("a login");
    let now = SystemClock.now();
    change_login(&site, USER, |record| {
        record.with("expires_at", moment(now - Duration::from_secs(1)))
    })
    .await;
    let operator = site.operator().await;
    let key = TokenKey::user(AppId::parse(&site.app).expect("an app id"), &open_id);
    let cached = format!("lark:token:{}:user#{open_id}", key.app_id);
    let cache = operator.0.cache.as_ref().expect("a cache");
    cache.delete(&cached).await.expect("a working cache");
    let mut function = site.function("get-token").await;
    let held = function.network.traffic.hold_nth(2, "store PutItem tokens");
    function.begin(&site.user_token(USER));
    held.arrived().await;
    function.freeze().await;
    tokio::time::sleep(Duration::from_millis(freeze_ms)).await;
    held.release();
    function.thaw();
    let ended = function.end().await;
    assert_eq!(ended.outcome(), "200", "frozen for {freeze_ms} ms");
    let record = login(&site, USER).await.expect("a login");
    assert_eq!(
        record.number("uncertain_since"),
        None,
        "frozen for {freeze_ms} ms"
    );
}

/// A token is near its end, so its caller waits two seconds for a new one. The platform is slower than that; its answer
/// arrives while the process stands still, and at the thaw the time for the call is over too.
#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_arrives_while_its_process_stands_still_is_kept() {
    // Which comes first at the thaw, the time-out or the answer, is a matter of chance.
    join_all((0..4).map(|_| check_that_a_grant_is_kept())).await;
}

async fn check_that_a_grant_is_kept() {
    let mut valkey = Valkey::start().await;
    let site = Site::start_over(&valkey.url()).await;
    site.log_in(1).await.expect("a login");
    let before = login(&site, 1).await.expect("a login").number("generation");
    let now = SystemClock.now();
    let (issued_at, expires_at) = (
        now - Duration::from_secs(7_000),
        now + Duration::from_secs(100),
    );
    change_login(&site, 1, |record| {
        record
            .with("issued_at", moment(issued_at))
            .with("expires_at", moment(expires_at))
    })
    .await;
    // The cache forgets the token as it was.
    valkey.kill().await;
    valkey.restart().await;
    let short = [("LARK_SERVICE_LARK_TIMEOUT_MS", "3000")];
    let mut function = site.function_as("get-token", &short).await;
    let held = function.network.traffic.hold(EXCHANGE);
    function.begin(&site.user_token(1));
    held.arrived().await;
    held.forward();
    let slow = async {
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        held.release();
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    let (first, ()) = tokio::join!(function.end(), slow);
    assert_eq!(first.outcome(), "200", "{first:?}");
    let next = function.invoke(&site.user_token(1)).await;
    assert_eq!(next.outcome(), "200", "{next:?}");
    // Whatever is left to do is done with the next request.
    function.invoke(&site.user_token(1)).await;
    let record = login(&site, 1).await.expect("a login");
    assert_eq!(
        record.number("uncertain_since"),
        None,
        "the pair is lost: {record:?}"
    );
    assert!(record.number("generation") > before, "{record:?}");
    let counters = site.control().counters();
    assert_eq!((counters.refresh_grants, counters.refresh_rejected), (1, 0));
}

/// The next page of the index is throttled while refresh tokens are with the platform.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_next_page_is_throttled_keeps_the_logins_that_it_began() {
    const LOGINS: u32 = 5;
    let site = Site::start().await;
    let now = SystemClock.now();
    for user in 1..=LOGINS {
        site.log_in(user).await.unwrap();
        change_login(&site, user, |mut record| {
            let due = record.due.as_mut().expect("a renewable login");
            due.at = now - Duration::from_secs(3_600);
            record
        })
        .await;
    }
    // More than a page in one shard, of apps that are gone: quickly done.
    let due = Due {
        shard: 0,
        at: now - Duration::from_secs(60),
    };
    let others = (0..600).map(|number| Record {
        due: Some(due),
        ..Record::new(
            Key::new(
                format!("tenant#cli_gone{}", number % 75),
                format!("tenant#t{number}"),
            ),
            1,
        )
    });
    let Process(services) = site.operator().await;
    let others: Vec<_> = others.collect();
    services
        .storage
        .put_many(Table::Tokens, &others, soon())
        .await
        .unwrap();
    let before = join_all((1..=LOGINS).map(|user| login(&site, user))).await;
    let mut function = site.function("refresh-tokens").await;
    let traffic = function.network.traffic.clone();
    let held: Vec<_> = (0..LOGINS).map(|_| traffic.hold(EXCHANGE)).collect();
    for hold in &held {
        hold.forward();
    }
    // One query for each of 16 shards, then the next page of the first.
    let page = traffic.hold_nth(17, "store Query tokens");
    traffic.from_nth(17, "store Query tokens", Fate::Throttle);
    function.begin(&json!({}));
    let platform_is_slow = async {
        page.arrived().await;
        held[0].answered().await;
        page.cut();
        traffic.arrived(19, "store Query tokens").await;
        // A run that gives up now has given up before the platform's answers are here.
        tokio::time::sleep(Duration::from_millis(300)).await;
        for hold in &held {
            hold.release();
        }
    };
    let (ended, ()) = tokio::join!(function.end(), platform_is_slow);
    let logins = join_all((1..=LOGINS).map(|user| login(&site, user))).await;
    let renewed = logins.iter().zip(&before);
    let renewed = renewed.filter(|(now, before)| generation(now) > generation(before));
    let granted = site.control().counters().refresh_grants;
    assert!(granted > 0);
    assert_eq!(renewed.count() as u64, granted, "{ended:?}: {logins:?}");
}

fn generation(login: &Option<Record>) -> Option<i64> {
    login.as_ref()?.number("generation")
}

/// The cache takes a little longer than a reader waits for it while somebody logs out.
#[tokio::test(flavor = "multi_thread")]
async fn a_hiccup_of_the_cache_undoes_no_logout() {
    let site = Site::start().await;
    site.log_in(1).await.unwrap();
    let mut reader = site.function("get-token").await;
    assert_eq!(reader.invoke(&site.user_token(1)).await.outcome(), "200");
    let mut function = site.function("end-login").await;
    // A process that has done this before, for somebody else.
    function.invoke(&log_out(&site, 2)).await;
    let slow = Fate::Delay(Duration::from_millis(60));
    function.network.traffic.every("cache *", slow);
    let ended = function.invoke(&log_out(&site, 1)).await;
    assert_eq!(ended.outcome(), "204", "{ended:?}");
    // What did not arrive at once is repeated within a minute.
    let Process(services) = site.operator().await;
    services.refresher().run(soon()).await.unwrap();
    let mut other = site.function("get-token").await;
    let answer = other.invoke(&site.user_token(1)).await.outcome();
    assert_eq!(answer, "409 reauthorization_required");
}

/// A process that knows nothing and reaches neither store nor platform fails; others have the token.
#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_was_made_blind_keeps_no_token_from_others() {
    let site = Site::start().await;
    let mut warm = site.function("get-token").await;
    assert_eq!(warm.invoke(&site.tenant_token()).await.outcome(), "200");
    let mut cold = site.function("get-token").await;
    let traffic = &cold.network.traffic;
    let stall = Fate::Delay(Duration::from_millis(100));
    traffic.nth(1, "cache GET *token*", stall);
    traffic.every("store * tokens", Fate::Refuse);
    traffic.every("platform *", Fate::Refuse);
    let blind = cold.invoke(&site.tenant_token()).await;
    let mut other = site.function("get-token").await;
    let answer = other.invoke(&site.tenant_token()).await;
    assert_eq!(answer.outcome(), "200", "after {blind:?}");
}

/// The platform refuses for a reason that passes: the app is disabled, or the user left and comes back.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_can_be_undone_ends_no_login() {
    for code in [20_008, 20_010, 20_066, 20_074] {
        let site = Site::start().await;
        site.log_in(1).await.unwrap();
        change_login(&site, 1, |mut record| {
            let due = record.due.as_mut().expect("a renewable login");
            due.at = SystemClock.now();
            record
        })
        .await;
        let refused = Fault {
            count: Some(1),
            ..Fault::new("authen.oauth_token", FaultAction::answer(400, code))
        };
        site.control().add_fault(refused).unwrap();
        let Process(services) = site.operator().await;
        services.refresher().run(soon()).await.unwrap();
        let record = login(&site, 1).await.expect("a login");
        assert_eq!(record.text("ended"), None, "{code}");
        assert!(record.bytes("refresh").is_some(), "{code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_generation_of_a_login_never_starts_again() {
    let site = Site::start().await;
    site.log_in(1).await.unwrap();
    let first = login(&site, 1).await.expect("a login").number("generation");
    let mut function = site.function("end-login").await;
    let ended = function.invoke(&log_out(&site, 1)).await;
    assert_eq!(ended.outcome(), "204", "{ended:?}");
    site.log_in(1).await.unwrap();
    let second = login(&site, 1).await.expect("a login").number("generation");
    assert!(second > first, "{second:?} after {first:?}");
}
