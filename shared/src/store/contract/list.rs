//! The records of a partition, in order.

use super::*;

const PARTITION: &str = "cli_a";

fn named(sort: &str) -> Record {
    Record::new(Key::new(PARTITION, sort), 1).with("name", Value::Text(sort.to_owned()))
}

async fn put_named<'a>(store: &dyn Store, sorts: impl IntoIterator<Item = &'a str>) {
    for sort in sorts {
        put(store, &named(sort)).await;
    }
}

async fn page(store: &dyn Store, prefix: &str, after: Option<&str>, limit: usize) -> ListPage {
    let page = store.list(Table::Tokens, PARTITION, prefix, after, limit);
    let page = page.await.unwrap();
    assert!(page.records.len() <= limit);
    page
}

fn sorts(records: Vec<Record>) -> Vec<String> {
    records.into_iter().map(|record| record.key.sort).collect()
}

/// The sort keys that start with `prefix` after `after`, read in pages of `limit`.
async fn paged(store: &dyn Store, prefix: &str, after: Option<&str>, limit: usize) -> Vec<String> {
    let (mut listed, mut after) = (Vec::new(), after.map(str::to_owned));
    loop {
        let page = page(store, prefix, after.as_deref(), limit).await;
        listed.extend(sorts(page.records));
        let Some(next) = page.next else {
            return listed;
        };
        assert!(after.is_none_or(|after| after < next), "a page leads on");
        after = Some(next);
    }
}

async fn all(store: &dyn Store, prefix: &str) -> Vec<String> {
    paged(store, prefix, None, 100).await
}

pub async fn records_come_in_the_order_of_their_sort_keys(store: &dyn Store, _: &ManualClock) {
    // In UTF-16 order the bird would sort before the last single-unit character.
    let ordered = [
        " ",
        "#",
        "1",
        "10",
        "2",
        "A",
        "B",
        "a",
        "a#",
        "a#1",
        "aa",
        "ab",
        "a\u{80}",
        "b",
        "ä",
        "用户",
        "\u{ffee}",
        "\u{1f426}",
    ];
    // Seven and eighteen have no common divisor: this covers all, in a different order.
    put_named(
        store,
        (0..ordered.len()).map(|n| ordered[n * 7 % ordered.len()]),
    )
    .await;
    assert_eq!(all(store, "").await, ordered);
    assert_eq!(paged(store, "", None, 1).await, ordered);
}

pub async fn a_prefix_is_matched_to_the_last_byte(store: &dyn Store, _: &ManualClock) {
    let around = [
        "user",
        "user\"",
        "user#",
        "user##",
        "user#1",
        "user#\u{10ffff}",
        "user$",
        "user$1",
        "user1",
        "User#1",
        "user\u{10ffff}",
        "ä",
        "å",
    ];
    put_named(store, around).await;
    let expected = ["user#", "user##", "user#1", "user#\u{10ffff}"];
    assert_eq!(all(store, "user#").await, expected);
    assert_eq!(paged(store, "user#", None, 1).await, expected);
    assert_eq!(all(store, "user$").await, ["user$", "user$1"]);
    assert_eq!(all(store, "user\u{10ffff}").await, ["user\u{10ffff}"]);
    // The two begin with the same byte.
    assert_eq!(all(store, "ä").await, ["ä"]);
    assert_eq!(all(store, "user%").await, [""; 0]);
}

pub async fn every_record_is_on_one_page(store: &dyn Store, _: &ManualClock) {
    let expected: Vec<String> = (0..10).map(|number| format!("user#{number}")).collect();
    put_named(store, expected.iter().map(String::as_str)).await;
    put_named(store, ["tenant#1", "user$"]).await;
    for limit in [1, 3, 5, 10, 11, 5_000] {
        let listed = paged(store, "user#", None, limit).await;
        assert_eq!(listed, expected, "in pages of {limit}");
    }
}

pub async fn large_records_are_all_listed(store: &dyn Store, _: &ManualClock) {
    let large = vec![0xab; 300 * 1_024];
    for sort in ["1", "2", "3", "4", "5"] {
        put(
            store,
            &named(sort).with("sealed", Value::Bytes(large.clone())),
        )
        .await;
    }
    assert_eq!(all(store, "").await, ["1", "2", "3", "4", "5"]);
}

pub async fn listed_records_come_whole(store: &dyn Store, clock: &ManualClock) {
    let mut record = named("user#1").with("sealed", Value::Bytes(vec![1, 2, 3]));
    record.due = Some(Due {
        shard: 3,
        at: clock.now(),
    });
    record.expires_at = Some(whole_seconds_ahead(clock, 60));
    put(store, &record).await;
    assert_eq!(page(store, "user#", None, 10).await.records, [record]);
}

pub async fn a_list_goes_on_after_a_deleted_key(store: &dyn Store, _: &ManualClock) {
    put_named(store, ["user#1", "user#2", "user#3"]).await;
    let first = page(store, "user#", None, 2).await;
    assert_eq!(first.next.as_deref(), Some("user#2"));
    store
        .delete(
            Table::Tokens,
            &Key::new(PARTITION, "user#2"),
            Expect::Anything,
        )
        .await
        .unwrap();
    let rest = paged(store, "user#", first.next.as_deref(), 2).await;
    assert_eq!(rest, ["user#3"]);
    let rest = paged(store, "user#", Some("user#11"), 2).await;
    assert_eq!(rest, ["user#3"], "no such key ever was");
}

pub async fn a_list_goes_on_after_a_key_without_the_prefix(store: &dyn Store, _: &ManualClock) {
    let user = ["user#", "user#1", "user#2"];
    put_named(store, user).await;
    put_named(store, ["tenant#1", "user$1", "v"]).await;
    for before in ["", "tenant#9", "user", "user\"9"] {
        let listed = paged(store, "user#", Some(before), 1).await;
        assert_eq!(listed, user, "after {before:?}");
    }
    for beyond in ["user$", "userx", "v", "\u{1f426}"] {
        let listed = paged(store, "user#", Some(beyond), 1).await;
        assert_eq!(listed, [""; 0], "after {beyond:?}");
    }
    let listed = paged(store, "user#", Some("user#"), 1).await;
    assert_eq!(listed, ["user#1", "user#2"], "a prefix may be a key");
    assert_eq!(paged(store, "", Some(""), 10).await.len(), 6);
    assert_eq!(paged(store, "", Some("user#2"), 10).await, ["user$1", "v"]);
}

pub async fn other_partitions_and_tables_are_not_listed(store: &dyn Store, _: &ManualClock) {
    for partition in ["cli", "cli_", "cli_A", "cli_a#", "cli_a/", "cli_b", "a"] {
        put(store, &Record::new(Key::new(partition, "user#9"), 1)).await;
    }
    for table in Table::ALL {
        let record = Record::new(Key::new(PARTITION, format!("user#{}", table.name())), 1);
        store.put(table, &record, Expect::Absent).await.unwrap();
    }
    for table in Table::ALL {
        let page = store.list(table, PARTITION, "user#", None, 10);
        let page = page.await.unwrap();
        assert_eq!(sorts(page.records), [format!("user#{}", table.name())]);
    }
}

pub async fn expired_records_are_passed_over(store: &dyn Store, clock: &ManualClock) {
    for (number, is_mortal) in [true, false, true, true, true, false, true]
        .iter()
        .enumerate()
    {
        let mut record = named(&format!("user#{number}"));
        record.expires_at = is_mortal.then(|| whole_seconds_ahead(clock, 60));
        put(store, &record).await;
    }
    assert_eq!(all(store, "user#").await.len(), 7);
    clock.advance(Duration::from_secs(120));
    for limit in [1, 2, 3, 100] {
        let listed = paged(store, "user#", None, limit).await;
        assert_eq!(listed, ["user#1", "user#5"], "in pages of {limit}");
    }
}

pub async fn a_partition_without_records_has_an_empty_list(store: &dyn Store, _: &ManualClock) {
    for table in Table::ALL {
        for (prefix, after) in [("", None), ("user#", None), ("user#", Some("user#1"))] {
            let page = store.list(table, PARTITION, prefix, after, 10);
            assert_eq!(page.await.unwrap(), ListPage::default());
        }
    }
}

pub async fn a_limit_of_zero_lists_nothing(store: &dyn Store, _: &ManualClock) {
    put_named(store, ["user#1", "user#2"]).await;
    assert_eq!(page(store, "user#", None, 0).await, ListPage::default());
    let after = page(store, "user#", Some("user#1"), 0).await;
    assert_eq!(after, ListPage::default());
}

pub async fn changes_are_listed_at_once(store: &dyn Store, _: &ManualClock) {
    for number in 0..20 {
        let mut record = named(&format!("user#{number:02}"));
        put(store, &record).await;
        record.version = 2;
        put(store, &record).await;
        let listed = page(store, "user#", None, 100).await.records;
        assert_eq!(listed.len(), number + 1);
        assert_eq!(listed.last(), Some(&record));
    }
    for number in 0..20 {
        let key = Key::new(PARTITION, format!("user#{number:02}"));
        store
            .delete(Table::Tokens, &key, Expect::Version(2))
            .await
            .unwrap();
        assert_eq!(all(store, "user#").await.len(), 19 - number);
    }
}
