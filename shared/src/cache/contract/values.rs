//! Putting, getting, expiring and deleting.

use super::*;

pub async fn a_key_nobody_put_has_no_value(cache: &Aged) {
    assert_eq!(cache.get(&cache.key("a")).await, None);
}

pub async fn what_is_put_is_got(cache: &Aged) {
    let (key, other) = (cache.key("a"), cache.key("b"));
    cache.put(&key, b"value").await;
    assert_eq!(cache.get(&key).await.as_deref(), Some(b"value".as_slice()));
    assert_eq!(cache.get(&other).await, None);
}

pub async fn a_put_replaces_value_and_expiry(cache: &Aged) {
    let key = cache.key("a");
    cache.cache.put(&key, b"old", SHORT).await.unwrap();
    cache.put(&key, b"new").await;
    cache.let_short_pass().await;
    assert_eq!(cache.get(&key).await.as_deref(), Some(b"new".as_slice()));
}

pub async fn any_bytes_come_back(cache: &Aged) {
    let every_byte: Vec<u8> = (0..=u8::MAX).collect();
    let text = "名前 \u{1f426} \r\n$5\r\n".as_bytes();
    for (name, value) in [
        ("every byte", every_byte.as_slice()),
        ("nothing", b""),
        ("text", text),
    ] {
        let key = cache.key(&format!("{name} 名前#/ \r\n"));
        cache.put(&key, value).await;
        assert_eq!(cache.get(&key).await.as_deref(), Some(value), "{name}");
    }
}

pub async fn a_large_value_comes_back(cache: &Aged) {
    let key = cache.key("a");
    let value: Vec<u8> = (0..=u8::MAX).cycle().take(256 * 1_024).collect();
    cache.put(&key, &value).await;
    assert_eq!(cache.get(&key).await.as_deref(), Some(value.as_slice()));
    let large = Put {
        key: key.clone(),
        version: 1,
        value: Bytes::from(value.clone()),
        ttl: LONG,
    };
    assert_eq!(cache.put_many(&[large]).await, 1);
    assert_eq!(
        cache.get(&key).await.map(Vec::from),
        Some(versioned(1, &value))
    );
    assert!(cache.delete(&key, Some(&versioned(1, &value))).await);
}

pub async fn many_values_come_in_the_order_of_their_keys(cache: &Aged) {
    let keys: Vec<String> = (0..300)
        .map(|number| cache.key(&format!("user {number}")))
        .collect();
    for (number, key) in keys
        .iter()
        .enumerate()
        .filter(|(number, _)| number % 3 != 0)
    {
        cache.put(key, number.to_string().as_bytes()).await;
    }
    let mut asked: Vec<usize> = (0..300).rev().collect();
    asked.extend([7, 7]);
    let asked_keys: Vec<String> = asked.iter().map(|number| keys[*number].clone()).collect();
    let got = cache.cache.get_many(&asked_keys).await.unwrap();
    let expected = asked
        .iter()
        .map(|number| (number % 3 != 0).then(|| Bytes::from(number.to_string())));
    assert_eq!(got, expected.collect::<Vec<_>>());
}

pub async fn getting_no_values_is_fine(cache: &Aged) {
    assert_eq!(cache.cache.get_many(&[]).await.unwrap(), [None::<Bytes>; 0]);
}

pub async fn a_value_expires(cache: &Aged) {
    let (mortal, lasting) = (cache.key("a"), cache.key("b"));
    cache.cache.put(&mortal, b"value", SHORT).await.unwrap();
    cache.put(&lasting, b"value").await;
    assert!(cache.get(&mortal).await.is_some());
    cache.let_short_pass().await;
    assert_eq!(cache.get(&mortal).await, None);
    let got = cache.cache.get_many(&[mortal, lasting]).await.unwrap();
    assert_eq!(got, [None, Some(Bytes::from("value"))]);
}

pub async fn a_time_to_live_of_zero_is_the_shortest(cache: &Aged) {
    let key = cache.key("a");
    cache
        .cache
        .put(&key, b"value", Duration::ZERO)
        .await
        .unwrap();
    cache.let_expire(&key).await;
}

pub async fn a_deleted_value_is_gone(cache: &Aged) {
    let key = cache.key("a");
    cache.put(&key, b"value").await;
    assert!(cache.delete(&key, None).await);
    assert_eq!(cache.get(&key).await, None);
}

pub async fn deleting_a_value_needs_one(cache: &Aged) {
    let key = cache.key("a");
    assert!(!cache.delete(&key, None).await);
    cache.cache.put(&key, b"value", SHORT).await.unwrap();
    cache.let_short_pass().await;
    assert!(!cache.delete(&key, None).await);
}

pub async fn the_cache_answers(cache: &Aged) {
    cache.cache.ping().await.unwrap();
}
