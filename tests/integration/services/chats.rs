//! Chats and the people in them: looked up once, page by page, by name, served stale when Lark fails.

use std::collections::BTreeSet;
use std::time::Duration;

use lark_service::directory::tiers::Tier;
use lark_service::error::{Error, ErrorCode};
use lark_service::page::{PageRequest, PageRules};
use lark_service_tests::directory::{json, longest_page_of_chats, to_the_end};
use lark_service_tests::world::{APP, World};
use lark_simulator::{ChatPatch, Fault, FaultAction, chat_id, open_id};

const GET: &str = "im.chat.get";
const LIST: &str = "im.chat.list";
const SEARCH: &str = "im.chat.search";
const MEMBERS: &str = "im.chat.members.get";

/// The simulator's chats; the bots are in all but every fiftieth.
const CHATS: u32 = 200;

/// Longer than a list page is served at all, stale or fresh.
const LIST_IS_OVER: Duration = Duration::from_secs(600);

#[tokio::test]
async fn the_second_look_up_of_a_chat_costs_no_call() {
    let world = World::begin().await;
    let process = world.process();
    let first = process.chat(7).await.unwrap();
    assert_eq!(first.freshness.tier, Tier::Lark);
    let second = process.chat(7).await.unwrap();
    assert_eq!(
        (second.freshness.tier, &second.body),
        (Tier::Memory, &first.body)
    );
    let other = world.process().chat(7).await.unwrap();
    assert_eq!(
        (other.freshness.tier, &other.body),
        (Tier::Valkey, &first.body)
    );
    world.cache.stop();
    let last = world.process().chat(7).await.unwrap();
    assert_eq!(
        (last.freshness.tier, &last.body),
        (Tier::Store, &first.body)
    );
    assert_eq!(world.requests(GET), 1);
}

#[tokio::test]
async fn a_chat_is_told_with_its_id_and_in_the_platforms_words() {
    let world = World::begin().await;
    let chat = json(&world.process().chat(7).await.unwrap());
    assert_eq!(chat["chat_id"], chat_id(7));
    assert_eq!(chat["chat_mode"], "group");
    let members = world.control().chat(7).unwrap().members.len();
    assert_eq!(chat["user_count"], members.to_string());
    assert_eq!(chat["bot_count"], "1");
}

#[tokio::test]
async fn pages_to_the_end_are_all_chats_of_the_bot() {
    let world = World::begin().await;
    let process = world.process();
    let expected: BTreeSet<_> = (1..=CHATS).filter(|n| n % 50 != 0).map(chat_id).collect();
    for page_size in [30, 100] {
        let fetch = async |page| process.chats(&page).await;
        let listed = to_the_end(page_size, "chat_id", fetch).await.unwrap();
        assert_eq!(listed.len(), expected.len());
        assert_eq!(BTreeSet::from_iter(listed), expected, "{page_size}");
    }
    assert_eq!(world.requests(LIST), 7 + 2);
    let fetch = async |page| world.process().chats(&page).await;
    to_the_end(100, "chat_id", fetch).await.unwrap();
    assert_eq!(world.requests(LIST), 7 + 2);
}

#[tokio::test]
async fn chats_are_found_by_name_in_any_language() {
    let world = World::begin().await;
    let lunch = ChatPatch {
        name: Some("午餐 & Lunch?".to_owned()),
        ..ChatPatch::default()
    };
    let n = world.control().create_chat(lunch).unwrap();
    let process = world.process();
    let page = longest_page_of_chats();
    for name in ["午餐", " & Lunch?"] {
        for _ in 0..2 {
            let found = json(&process.chats_named(name, &page).await.unwrap());
            assert_eq!(found["items"].as_array().unwrap().len(), 1);
            assert_eq!(found["items"][0]["chat_id"], chat_id(n));
            assert_eq!(found["next_page_token"], serde_json::Value::Null);
        }
    }
    assert_eq!(world.requests(SEARCH), 2);
    let found = json(&process.chats_named("no such chat", &page).await.unwrap());
    assert_eq!(found["items"], serde_json::json!([]));
}

#[tokio::test]
async fn pages_to_the_end_are_all_people_in_the_chat() {
    let world = World::begin().await;
    let process = world.process();
    let members = world.control().chat(3).unwrap().members;
    let expected: BTreeSet<_> = members.iter().map(|n| open_id(APP, *n)).collect();
    assert!(members.len() > 100, "several pages");
    let fetch = async |page| process.chat_members(3, &page).await;
    let listed = to_the_end(30, "member_id", fetch).await.unwrap();
    assert_eq!(listed.len(), members.len());
    assert_eq!(BTreeSet::from_iter(listed), expected);
    let calls = world.requests(MEMBERS);
    let fetch = async |page| world.process().chat_members(3, &page).await;
    to_the_end(30, "member_id", fetch).await.unwrap();
    assert_eq!(world.requests(MEMBERS), calls);
}

#[tokio::test]
async fn an_absent_chat_is_believed_for_a_minute_and_found_after_it_is_made() {
    let world = World::begin().await;
    let page = longest_page_of_chats();
    for _ in 0..3 {
        let process = world.process();
        let errors = [
            process.chat(CHATS + 1).await.unwrap_err(),
            process.chat_members(CHATS + 1, &page).await.unwrap_err(),
        ];
        assert!(
            errors
                .iter()
                .all(|error| error.code() == ErrorCode::ChatNotFound)
        );
    }
    assert_eq!((world.requests(GET), world.requests(MEMBERS)), (1, 1));
    let n = world.control().create_chat(ChatPatch::default()).unwrap();
    assert_eq!(n, CHATS + 1);
    world.process().chat(n).await.unwrap_err();
    world.advance(Duration::from_secs(61));
    world.process().chat(n).await.unwrap();
    world.process().chat_members(n, &page).await.unwrap();
    assert_eq!((world.requests(GET), world.requests(MEMBERS)), (2, 2));
}

#[tokio::test]
async fn a_dissolved_chat_is_not_found_once_its_time_is_over() {
    let world = World::begin().await;
    let process = world.process();
    process.chat(7).await.unwrap();
    world.control().dissolve_chat(7).unwrap();
    world.advance(Duration::from_secs(2 * 3_600));
    for process in [process, world.process()] {
        let error = process.chat(7).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::ChatNotFound);
    }
}

#[tokio::test]
async fn that_the_bot_is_not_in_a_chat_is_never_remembered() {
    let world = World::begin().await;
    let process = world.process();
    let page = longest_page_of_chats();
    let refusal = process.chat_members(50, &page).await.unwrap_err();
    assert_eq!(refusal.code(), ErrorCode::LarkForbidden);
    let invited = ChatPatch {
        has_bot: Some(true),
        ..ChatPatch::default()
    };
    world.control().update_chat(50, invited).unwrap();
    process.chat_members(50, &page).await.unwrap();
}

#[tokio::test]
async fn no_permission_is_not_an_absence() {
    let world = World::begin().await;
    let process = world.process();
    for code in [232_010, 232_011, 232_017, 232_024, 232_025, 232_033] {
        let refusal = Fault {
            count: Some(1),
            ..Fault::new(GET, FaultAction::answer(400, code))
        };
        world.control().add_fault(refusal).unwrap();
        let error = process.chat(7).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::LarkForbidden, "{code}");
    }
    process.chat(7).await.unwrap();
}

#[tokio::test]
async fn lists_are_served_stale_and_marked_while_lark_is_down() {
    let mut world = World::begin().await;
    let process = world.process();
    let page = longest_page_of_chats();
    let chats = process.chats(&page).await.unwrap();
    let members = process.chat_members(7, &page).await.unwrap();
    assert!(!chats.freshness.is_stale());
    world.advance(LIST_IS_OVER);
    world.simulator.pause().await;
    for process in [process, world.process()] {
        let stale = process.chats(&page).await.unwrap();
        assert_eq!(
            (stale.freshness.is_stale(), &stale.body),
            (true, &chats.body)
        );
        let stale = process.chat_members(7, &page).await.unwrap();
        assert_eq!(
            (stale.freshness.is_stale(), &stale.body),
            (true, &members.body)
        );
    }
    let unseen = world.process().chat_members(8, &page).await;
    assert_eq!(unseen.unwrap_err().code(), ErrorCode::LarkUnavailable);
}

#[tokio::test]
async fn a_token_of_another_list_is_the_callers_mistake() {
    let world = World::begin().await;
    let process = world.process();
    let chats = json(&process.chats(&PageRequest::first(10)).await.unwrap());
    let token = chats["next_page_token"].as_str();
    let page = PageRequest::parse(Some("10"), token, &PageRules::platform(100)).unwrap();
    let error = process.chat_members(7, &page).await.unwrap_err();
    let Error::InvalidArgument(fields) = error else {
        panic!("{error}");
    };
    assert_eq!(fields[0].field, "page_token");
}
