//! Putting many values together.

use super::*;

/// More than fit into one command, and no multiple of it.
pub async fn many_values_are_put(cache: &Aged) {
    let keys: Vec<String> = (0..1_203)
        .map(|number| cache.key(&format!("user {number}")))
        .collect();
    let entries: Vec<Put> = (0..)
        .zip(&keys)
        .map(|(version, key)| put(key, version, &format!("value {version}"), LONG))
        .collect();
    assert_eq!(cache.put_many(&entries).await, entries.len());
    let got = cache.cache.get_many(&keys).await.unwrap();
    let expected = (0..).zip(&keys).map(|(version, _)| {
        Some(Bytes::from(versioned(
            version,
            format!("value {version}").as_bytes(),
        )))
    });
    assert_eq!(got, expected.collect::<Vec<_>>());
}

pub async fn of_many_only_newer_values_are_put(cache: &Aged) {
    let keys = ["a", "b", "c", "d"].map(|name| cache.key(name));
    for (key, version) in keys.iter().zip([4, 5, 6]) {
        assert!(cache.put_newer(key, version, "old").await);
    }
    let entries = keys.each_ref().map(|key| put(key, 5, "new", LONG));
    assert_eq!(cache.put_many(&entries).await, 2);
    let mut versions = Vec::new();
    for key in &keys {
        versions.push(cache.version(key).await.unwrap());
    }
    let [new, old] = ["new", "old"].map(Bytes::from);
    assert_eq!(
        versions,
        [(5, new.clone()), (5, old.clone()), (6, old), (5, new)]
    );
}

pub async fn each_of_many_has_its_own_time_to_live(cache: &Aged) {
    let (mortal, lasting) = (cache.key("a"), cache.key("b"));
    let entries = [
        put(&mortal, 1, "value", SHORT),
        put(&lasting, 1, "value", LONG),
    ];
    assert_eq!(cache.put_many(&entries).await, 2);
    cache.let_short_pass().await;
    assert_eq!(cache.version(&mortal).await, None);
    assert!(cache.version(&lasting).await.is_some());
}

pub async fn of_a_repeated_key_the_newest_stays(cache: &Aged) {
    let key = cache.key("a");
    let entries: Vec<Put> = [3, 9, 1, 7]
        .map(|version| put(&key, version, &version.to_string(), LONG))
        .into();
    cache.put_many(&entries).await;
    assert_eq!(cache.version(&key).await, Some((9, Bytes::from("9"))));
}

pub async fn putting_no_values_is_fine(cache: &Aged) {
    assert_eq!(cache.put_many(&[]).await, 0);
}
