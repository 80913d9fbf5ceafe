//! Putting, getting and deleting.

use super::*;

pub async fn a_key_nobody_wrote_has_no_record(store: &dyn Store, _: &ManualClock) {
    for table in Table::ALL {
        assert_eq!(store.get(table, &key()).await.unwrap(), None);
    }
}

pub async fn what_is_put_is_got(store: &dyn Store, clock: &ManualClock) {
    let mut record = record(1);
    record.due = Some(Due {
        shard: 7,
        at: clock.now(),
    });
    record.expires_at = Some(whole_seconds_ahead(clock, 60));
    put(store, &record).await;
    assert_eq!(stored(store).await, Some(record));
}

pub async fn every_kind_of_value_comes_back(store: &dyn Store, _: &ManualClock) {
    let record = record(1)
        .with(
            "text",
            Value::Text("名前 \u{1f426} \"quoted\" \\ \n\t\u{0}".to_owned()),
        )
        .with("empty_text", Value::Text(String::new()))
        .with("number", Value::Number(-42))
        .with("zero", Value::Number(0))
        .with("smallest", Value::Number(i64::MIN))
        .with("largest", Value::Number(i64::MAX))
        .with("bytes", Value::Bytes((0..=255).collect()))
        .with("empty_bytes", Value::Bytes(Vec::new()))
        // Reserved words of DynamoDB.
        .with("name", Value::Text("n".to_owned()))
        .with("status", Value::Text("s".to_owned()));
    put(store, &record).await;
    assert_eq!(stored(store).await, Some(record));
}

pub async fn a_record_of_keys_and_version_only_comes_back(store: &dyn Store, _: &ManualClock) {
    let record = Record::new(key(), 0);
    put(store, &record).await;
    assert_eq!(stored(store).await, Some(record));
}

pub async fn keys_are_told_apart_to_the_last_character(store: &dyn Store, _: &ManualClock) {
    let keys = [
        ("a", "b#c"),
        ("a#b", "c"),
        ("a/b", "c"),
        ("a", "b/c"),
        ("a", "b"),
        ("A", "b"),
        ("a", "B"),
        ("a ", "b"),
        ("ab", "#"),
        ("a", "b#"),
        ("应用", "用户#ünïcode/\u{1f426}"),
        ("应用", "用户#ünïcode"),
    ];
    for (version, (partition, sort)) in (1..).zip(keys) {
        let record = Record::new(Key::new(partition, sort), version);
        store
            .put(Table::Tokens, &record, Expect::Absent)
            .await
            .unwrap();
    }
    for (version, (partition, sort)) in (1..).zip(keys) {
        let got = store
            .get(Table::Tokens, &Key::new(partition, sort))
            .await
            .unwrap();
        assert_eq!(got, Some(Record::new(Key::new(partition, sort), version)));
    }
}

pub async fn tables_do_not_share_records(store: &dyn Store, _: &ManualClock) {
    for (version, table) in (1..).zip(Table::ALL) {
        store
            .put(table, &record(version), Expect::Absent)
            .await
            .unwrap();
    }
    for (version, table) in (1..).zip(Table::ALL) {
        assert_eq!(
            store.get(table, &key()).await.unwrap(),
            Some(record(version))
        );
    }
}

pub async fn a_put_replaces_the_whole_record(store: &dyn Store, _: &ManualClock) {
    put(store, &record(1).with("old", Value::Number(1))).await;
    put(store, &record(2).with("new", Value::Number(2))).await;
    assert_eq!(
        stored(store).await,
        Some(record(2).with("new", Value::Number(2)))
    );
}

pub async fn a_large_record_comes_back(store: &dyn Store, _: &ManualClock) {
    let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(300 * 1_024).collect();
    let record = record(1).with("sealed", Value::Bytes(bytes));
    put(store, &record).await;
    assert_eq!(stored(store).await, Some(record));
}

pub async fn many_records_are_got_at_once(store: &dyn Store, _: &ManualClock) {
    let key = |number: u64| Key::new(format!("cli_{}", number % 7), format!("user#{number}"));
    let written = 200;
    for number in 0..written {
        store
            .put(
                Table::Directory,
                &Record::new(key(number), number),
                Expect::Absent,
            )
            .await
            .unwrap();
    }
    // 250 keys: fifty were never written, and every tenth is repeated.
    let mut keys: Vec<Key> = (0..250).map(key).collect();
    keys.extend((0..250).step_by(10).map(key));
    let got = store
        .get_many(Table::Directory, &keys, Attributes::All)
        .await
        .unwrap();
    let versions: BTreeSet<u64> = got.iter().map(|record| record.version).collect();
    assert_eq!(versions, (0..written).collect());
    assert_eq!(got.len(), versions.len(), "a repeated key is answered once");
    assert!(got.iter().all(|record| record.key == key(record.version)));
}

pub async fn getting_no_records_is_fine(store: &dyn Store, _: &ManualClock) {
    assert_eq!(
        store
            .get_many(Table::Directory, &[], Attributes::All)
            .await
            .unwrap(),
        []
    );
}

pub async fn many_records_come_with_the_attributes_asked_for(
    store: &dyn Store,
    clock: &ManualClock,
) {
    // "name" and "status" are reserved words of DynamoDB.
    let mut whole = record(3)
        .with("name", Value::Text("n".to_owned()))
        .with("status", Value::Number(1))
        .with("sealed", Value::Bytes(vec![0; 1_000]));
    whole.due = Some(Due {
        shard: 7,
        at: clock.now(),
    });
    whole.expires_at = Some(whole_seconds_ahead(clock, 60));
    put(store, &whole).await;
    let bare = Record::new(Key::new("cli_b", "tenant"), 1);
    put(store, &bare).await;
    let keys = [whole.key.clone(), bare.key.clone()];
    for wanted in [
        Attributes::Only(&["name", "status", "nobody_has_this"]),
        Attributes::Only(&["sealed"]),
        Attributes::Only(&[]),
        Attributes::All,
    ] {
        let mut expected = whole.clone();
        if let Attributes::Only(names) = wanted {
            let is_wanted = |name: &str| names.contains(&name);
            expected.attributes.retain(|name, _| is_wanted(name));
        }
        let mut got = store.get_many(Table::Tokens, &keys, wanted).await.unwrap();
        got.sort_by(|one, other| one.key.cmp(&other.key));
        assert_eq!(got, [expected, bare.clone()], "{wanted:?}");
    }
}

pub async fn many_records_are_put_at_once(store: &dyn Store, clock: &ManualClock) {
    let key = |number: u64| Key::new(format!("cli_{}", number % 7), format!("user#{number}"));
    // More than fit into one request, and no multiple of it.
    let records: Vec<Record> = (0..260)
        .map(|number| {
            let mut record =
                Record::new(key(number), number).with("id", Value::Text(number.to_string()));
            record.expires_at = Some(whole_seconds_ahead(clock, 60));
            record
        })
        .collect();
    store.put_many(Table::Directory, &records).await.unwrap();
    let keys: Vec<Key> = (0..260).map(key).collect();
    let got = store.get_many(Table::Directory, &keys, Attributes::All);
    let mut got = got.await.unwrap();
    got.sort_by_key(|record| record.version);
    assert_eq!(got, records);
    clock.advance(Duration::from_secs(120));
    let got = store.get_many(Table::Directory, &keys, Attributes::All);
    assert_eq!(got.await.unwrap(), []);
}

pub async fn what_is_put_with_many_replaces_whole_records(store: &dyn Store, clock: &ManualClock) {
    let mut old = record(9).with("old", Value::Number(1));
    old.due = Some(Due {
        shard: 7,
        at: clock.now(),
    });
    put(store, &old).await;
    let new = record(2).with("new", Value::Number(2));
    store
        .put_many(Table::Tokens, std::slice::from_ref(&new))
        .await
        .unwrap();
    assert_eq!(stored(store).await, Some(new));
    assert_eq!(
        store
            .due(Table::Tokens, 7, clock.now(), None, 10)
            .await
            .unwrap(),
        []
    );
}

pub async fn of_a_record_put_twice_at_once_the_last_is_written(store: &dyn Store, _: &ManualClock) {
    let others = (0..60).map(|number| Record::new(Key::new("cli_b", format!("{number}")), 1));
    let mut records: Vec<Record> = others.collect();
    for (place, version) in [(0, 5), (30, 7), (60, 6)] {
        records.insert(place, record(version));
    }
    store.put_many(Table::Tokens, &records).await.unwrap();
    assert_eq!(stored(store).await, Some(record(6)));
}

pub async fn putting_no_records_is_fine(store: &dyn Store, _: &ManualClock) {
    store.put_many(Table::Directory, &[]).await.unwrap();
}

pub async fn a_deleted_record_is_gone(store: &dyn Store, _: &ManualClock) {
    put(store, &record(1)).await;
    store
        .delete(Table::Tokens, &key(), Expect::Anything)
        .await
        .unwrap();
    assert_eq!(stored(store).await, None);
    assert_eq!(
        store
            .get_many(Table::Tokens, &[key()], Attributes::All)
            .await
            .unwrap(),
        []
    );
}

pub async fn the_store_answers(store: &dyn Store, _: &ManualClock) {
    store.ping().await.unwrap();
}
