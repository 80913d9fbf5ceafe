//! Putting many values together.

use super::*;

fn put(key: &str, version: u64, value: &str, ttl: Duration) -> Put {
    Put {
        key: key.to_owned(),
        version,
        value: Bytes::from(value.to_owned()),
        ttl,
    }
}

async fn put_many(cache: &Aged, entries: &[Put]) {
    cache.cache.put_newer_many(entries).await.unwrap();
}

/// More than go into one command, and no multiple of it.
pub async fn many_values_are_put(cache: &Aged) {
    let keys: Vec<String> = (0..1_203)
        .map(|number| cache.key(&format!("user {number}")))
        .collect();
    let entries: Vec<Put> = (0..)
        .zip(&keys)
        .map(|(version, key)| put(key, version, &format!("value {version}"), LONG))
        .collect();
    put_many(cache, &entries).await;
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
    put_many(cache, &entries).await;
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
    put_many(cache, &entries).await;
    cache.let_short_pass().await;
    assert_eq!(cache.version(&mortal).await, None);
    assert!(cache.version(&lasting).await.is_some());
}

pub async fn of_a_repeated_key_the_newest_stays(cache: &Aged) {
    let key = cache.key("a");
    let entries: Vec<Put> = [3, 9, 1, 7]
        .map(|version| put(&key, version, &version.to_string(), LONG))
        .into();
    put_many(cache, &entries).await;
    assert_eq!(cache.version(&key).await, Some((9, Bytes::from("9"))));
}

pub async fn putting_no_values_is_fine(cache: &Aged) {
    put_many(cache, &[]).await;
}
