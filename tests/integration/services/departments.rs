//! Departments and the people in them: looked up once, by either id, page by page, served stale when Lark fails.

use std::collections::BTreeSet;
use std::time::Duration;

use lark_service::directory::departments::DepartmentService;
use lark_service::directory::tiers::Tier;
use lark_service::error::{Error, ErrorCode};
use lark_service::lark::Below;
use lark_service::lark::departments;
use lark_service::lark::departments::{DepartmentId, DepartmentIdKind};
use lark_service::page::{PageRequest, PageRules};
use lark_service_tests::directory::{json, to_the_end};
use lark_service_tests::world::{APP, Process, World, soon};
use lark_simulator::{AppPatch, Fault, FaultAction, UserPatch, department_id, open_department_id};

const GET: &str = "contact.department.get";
const USERS: &str = "contact.user.find_by_department";
const OWN: DepartmentIdKind = DepartmentIdKind::DepartmentId;

/// Longer than a list page is served at all, stale or fresh.
const LIST_IS_OVER: Duration = Duration::from_secs(600);

fn first_page() -> PageRequest {
    PageRequest::first(DepartmentService::MAX_PAGE_SIZE)
}

#[tokio::test]
async fn the_second_look_up_of_a_department_is_answered_by_the_nearest_tier_that_knows() {
    let world = World::begin().await;
    let process = world.process();
    let tier = async |process: &Process| process.department(7).await.unwrap().freshness.tier;
    assert_eq!(tier(&process).await, Tier::Lark);
    assert_eq!(tier(&process).await, Tier::Memory);
    assert_eq!(tier(&world.process()).await, Tier::Valkey);
    world.cache.stop();
    assert_eq!(tier(&world.process()).await, Tier::Store);
    assert_eq!(world.requests(GET), 1);
}

#[tokio::test]
async fn a_department_is_found_by_either_id_with_one_call() {
    let world = World::begin().await;
    // 11 is below 1, which is below the root.
    let by_open_id = world.process().department(11).await.unwrap();
    let process = world.process();
    let by_own_id = process.department_by(OWN, &department_id(11)).await;
    assert_eq!(by_own_id.unwrap().body, by_open_id.body);
    process.department_by(OWN, &department_id(1)).await.unwrap();
    process.department(1).await.unwrap();
    assert_eq!(world.requests(GET), 2);
}

#[tokio::test]
async fn a_department_names_the_one_above_it_alike_however_it_was_asked_for() {
    let world = World::begin().await;
    let process = world.process();
    let found = process.department_by(OWN, &department_id(11)).await;
    let department = json(&found.unwrap());
    assert_eq!(department["open_department_id"], open_department_id(11));
    assert_eq!(department["department_id"], department_id(11));
    assert_eq!(department["parent_department_id"], open_department_id(1));
    // One call for its other id, and one by that.
    assert_eq!(world.requests(GET), 2);
    process.department(11).await.unwrap();
    process
        .department_by(OWN, &department_id(11))
        .await
        .unwrap();
    assert_eq!(world.requests(GET), 2);
}

#[tokio::test]
async fn the_root_is_one_department_by_either_id() {
    let world = World::begin().await;
    let process = world.process();
    let root = process.department_by(OWN, "0").await.unwrap();
    assert_eq!(process.department(0).await.unwrap().body, root.body);
    assert_eq!(json(&root)["member_count"], 10_000);
    assert_eq!(world.requests(GET), 1);
}

#[tokio::test]
async fn pages_to_the_end_are_everybody_in_the_department() {
    let world = World::begin().await;
    let process = world.process();
    // The simulator puts everybody into one of a hundred departments in turn.
    let expected: BTreeSet<_> = (7..=10_000)
        .step_by(100)
        .map(|n| lark_simulator::open_id(APP, n))
        .collect();
    for page_size in [1, 7, 50] {
        let fetch = async |page| process.department_users(7, &page).await;
        let listed = to_the_end(page_size, "open_id", fetch).await.unwrap();
        assert_eq!(listed.len(), 100);
        assert_eq!(BTreeSet::from_iter(listed), expected, "{page_size}");
    }
    let calls = world.requests(USERS);
    assert_eq!(calls, 100 + 15 + 2);
    let fetch = async |page| world.process().department_users(7, &page).await;
    to_the_end(50, "open_id", fetch).await.unwrap();
    assert_eq!(world.requests(USERS), calls);
}

#[tokio::test]
async fn people_seen_on_a_page_are_known() {
    let world = World::begin().await;
    let process = world.process();
    let page = process.department_users(7, &first_page()).await.unwrap();
    let seen = process.user(107).await.unwrap();
    assert_eq!(json(&page)["items"][1], json(&seen));
    world.process().user(207).await.unwrap();
    assert_eq!(world.user_requests(), 0);
}

#[tokio::test]
async fn pages_are_shared_by_both_ids_and_name_departments_alike() {
    let world = World::begin().await;
    let process = world.process();
    let (id, page) = (department_id(11), first_page());
    let by_own_id = process.department_users_by(OWN, &id, &page).await.unwrap();
    let by_open_id = process.department_users(11, &page).await.unwrap();
    assert_eq!(by_own_id.body, by_open_id.body);
    let departments = &json(&by_own_id)["items"][0]["department_ids"];
    assert_eq!(departments[0], open_department_id(11));
    assert_eq!(world.requests(USERS), 1);
}

#[tokio::test]
async fn an_absent_department_is_believed_for_a_minute_in_every_process() {
    let world = World::begin().await;
    let nothing = department_id(9_999);
    for _ in 0..5 {
        let error = world.process().department_by(OWN, &nothing).await;
        assert_eq!(error.unwrap_err().code(), ErrorCode::DepartmentNotFound);
    }
    assert_eq!(world.requests(GET), 1);
    let page = first_page();
    for _ in 0..5 {
        let id = format!("od-{:032x}", 1);
        let open = DepartmentIdKind::OpenDepartmentId;
        let error = world.process().department_users_by(open, &id, &page).await;
        assert_eq!(error.unwrap_err().code(), ErrorCode::DepartmentNotFound);
    }
    assert_eq!(world.requests(USERS), 1);
}

#[tokio::test]
async fn a_department_that_comes_into_being_is_found_after_a_minute() {
    let world = World::begin().await;
    let unknown = Fault {
        count: Some(1),
        ..Fault::new(GET, FaultAction::answer(400, 40_015))
    };
    world.control().add_fault(unknown).unwrap();
    let process = world.process();
    for _ in 0..2 {
        let error = process.department(7).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::DepartmentNotFound);
    }
    world.advance(Duration::from_secs(61));
    process.department(7).await.unwrap();
    assert_eq!(world.requests(GET), 2);
}

#[tokio::test]
async fn a_missing_permission_is_never_remembered() {
    let world = World::begin().await;
    let process = world.process();
    let only = |departments: &[u32]| {
        let patch = AppPatch {
            contact_departments: Some(Some(departments.iter().copied().collect())),
            ..AppPatch::default()
        };
        world.control().update_app(APP, patch).unwrap();
    };
    only(&[1]);
    let page = first_page();
    let refusals = [
        process.department(7).await.unwrap_err(),
        process.department_users(7, &page).await.unwrap_err(),
    ];
    assert!(
        refusals
            .iter()
            .all(|error| error.code() == ErrorCode::LarkForbidden)
    );
    only(&[1, 7]);
    process.department(7).await.unwrap();
    process.department_users(7, &page).await.unwrap();
}

#[tokio::test]
async fn a_list_is_served_stale_and_marked_while_lark_is_down() {
    let mut world = World::begin().await;
    let process = world.process();
    let page = first_page();
    let fresh = process.department_users(7, &page).await.unwrap();
    let department = process.department(7).await.unwrap();
    assert!(!fresh.freshness.is_stale());
    world.advance(LIST_IS_OVER);
    world.simulator.pause().await;
    for process in [process, world.process()] {
        let stale = process.department_users(7, &page).await.unwrap();
        assert!(stale.freshness.is_stale(), "{:?}", stale.freshness);
        assert_eq!(stale.body, fresh.body);
        // A department stays fresh for longer.
        let known = process.department(7).await.unwrap();
        assert_eq!(
            (known.freshness.is_stale(), known.body),
            (false, department.body.clone())
        );
    }
    let unseen = world.process().department_users(8, &page).await;
    assert_eq!(unseen.unwrap_err().code(), ErrorCode::LarkUnavailable);
    world.advance(Duration::from_secs(24 * 3_600));
    let gone = world.process().department_users(7, &page).await;
    assert_eq!(gone.unwrap_err().code(), ErrorCode::LarkUnavailable);
}

#[tokio::test]
async fn a_change_is_seen_once_the_page_is_asked_for_again_and_on_the_person_too() {
    let world = World::begin().await;
    let process = world.process();
    let page = PageRequest::first(1);
    let names = async || {
        let person = json(&process.user(7).await.unwrap());
        let page = json(&process.department_users(7, &page).await.unwrap());
        [&person, &page["items"][0]].map(|person| person["name"].as_str().unwrap().to_owned())
    };
    let before = names().await;
    let patch = UserPatch {
        name: Some("Renamed".to_owned()),
        ..UserPatch::default()
    };
    world.control().update_user(7, patch).unwrap();
    assert_eq!(names().await, before);
    world.advance(LIST_IS_OVER);
    process.department_users(7, &page).await.unwrap();
    assert_eq!(names().await, ["Renamed", "Renamed"]);
    let person = json(&world.process().user(7).await.unwrap());
    assert_eq!(person["name"], "Renamed");
    assert_eq!(world.user_requests(), 1);
}

#[tokio::test]
async fn a_made_up_page_token_is_the_callers_mistake_and_not_remembered() {
    let world = World::begin().await;
    let process = world.process();
    let page = PageRequest::parse(None, Some("made-up"), &PageRules::platform(50)).unwrap();
    for calls in 1..=2 {
        let error = process.department_users(7, &page).await.unwrap_err();
        let Error::InvalidArgument(fields) = error else {
            panic!("{error}");
        };
        assert_eq!(fields[0].field, "page_token");
        assert_eq!(world.requests(USERS), calls);
    }
}

#[tokio::test]
async fn the_departments_below_another_are_read_page_by_page_at_any_depth() {
    let world = World::begin().await;
    let process = world.process();
    let context = process.app_context().await.unwrap();
    let platform = &process.0.platform;
    let root = DepartmentId::root();
    for (below, expected) in [(Below::Direct, 10), (Below::All, 100)] {
        let mut page = PageRequest::first(30);
        let mut seen = BTreeSet::new();
        loop {
            let request = departments::list_children(&root, below, &page);
            let list = platform.send(&context, &request, soon()).await.unwrap();
            assert!(list.items.len() <= 30);
            seen.extend(list.items.into_iter().map(|it| it.open_department_id));
            page.page_token = list.next_page_token;
            if page.page_token.is_none() {
                break;
            }
        }
        assert_eq!(seen.len(), expected);
    }
}

#[tokio::test]
async fn what_the_app_may_see_is_read_page_by_page() {
    let world = World::begin().await;
    let patch = AppPatch {
        contact_departments: Some(Some([1, 7].into())),
        contact_users: Some([8].into()),
        ..AppPatch::default()
    };
    world.control().update_app(APP, patch).unwrap();
    let process = world.process();
    let context = process.app_context().await.unwrap();
    let platform = &process.0.platform;
    let mut page = PageRequest::first(2);
    let request = departments::list_scopes(&page);
    let first = platform.send(&context, &request, soon()).await.unwrap();
    assert_eq!(first.department_ids, [1, 7].map(open_department_id));
    page.page_token = first.next_page_token;
    assert!(page.page_token.is_some());
    let request = departments::list_scopes(&page);
    let last = platform.send(&context, &request, soon()).await.unwrap();
    assert_eq!(last.user_ids, [lark_simulator::open_id(APP, 8)]);
    assert_eq!((last.next_page_token, last.group_ids), (None, Vec::new()));
}
