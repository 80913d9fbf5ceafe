use super::*;

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(30))
}

/// Two processes with the same key file, both of which have read it.
async fn processes() -> (tempfile::TempDir, Sealer, Sealer) {
    let folder = tempfile::tempdir().unwrap();
    let process = || Sealer::new(KeySource::File(KeyFile::at(folder.path().join("keys"))));
    let (one, other) = (process(), process());
    one.keyring(soon()).await.unwrap();
    other.keyring(soon()).await.unwrap();
    (folder, one, other)
}

async fn current(sealer: &Sealer) -> String {
    let ring = sealer.keyring(soon()).await.unwrap();
    ring.current_key_id().to_owned()
}

async fn is_unknown(sealer: &Sealer, sealed: &[u8]) -> bool {
    let opened = sealer.open("c", sealed, soon()).await;
    matches!(opened, Err(SealError::UnknownKey(_)))
}

#[tokio::test(start_paused = true)]
async fn a_process_learns_of_a_new_key_when_it_meets_it() {
    let (_folder, one, other) = processes().await;
    for _ in 0..3 {
        let id = one.add_key(Timestamp::default(), soon()).await.unwrap();
        let sealed = one.seal("c", &"x".into(), soon()).await.unwrap();
        assert_eq!(key_id_of(&sealed), Some(id.as_str()));
        let opened = other.open("c", &sealed, soon()).await.unwrap();
        assert_eq!(opened.expose_secret(), "x");
        assert_eq!(current(&other).await, id);
    }
}

#[tokio::test(start_paused = true)]
async fn looking_in_vain_for_a_key_happens_once_a_minute() {
    let (folder, one, _) = processes().await;
    let stranger = KeyRing::generate().unwrap();
    assert!(is_unknown(&one, &stranger.seal("c", b"x").unwrap()).await);
    // From here on a reload would find it: the stranger's key is in the file.
    std::fs::write(folder.path().join("keys"), stranger.to_text()).unwrap();
    let sealed = stranger.seal("c", b"x").unwrap();
    assert!(is_unknown(&one, &sealed).await);
    tokio::time::advance(RELOAD_PAUSE).await;
    assert!(!is_unknown(&one, &sealed).await);
}

#[tokio::test(start_paused = true)]
async fn keys_that_cannot_be_read_again_are_an_outage_and_not_an_unknown_key() {
    let (folder, one, other) = processes().await;
    one.add_key(Timestamp::default(), soon()).await.unwrap();
    let sealed = one.seal("c", &"x".into(), soon()).await.unwrap();
    let (path, aside) = (folder.path().join("keys"), folder.path().join("aside"));
    std::fs::rename(&path, &aside).unwrap();
    for _ in 0..2 {
        let opened = other.open("c", &sealed, soon()).await;
        assert!(matches!(opened, Err(SealError::Keys(_))));
    }
    std::fs::rename(&aside, &path).unwrap();
    tokio::time::advance(FAILED).await;
    assert!(other.open("c", &sealed, soon()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn nobody_seals_with_an_old_key_for_more_than_an_hour() {
    let (folder, one, other) = processes().await;
    let old = current(&other).await;
    let new = one.add_key(Timestamp::default(), soon()).await.unwrap();
    assert_eq!(current(&other).await, old);
    let (path, aside) = (folder.path().join("keys"), folder.path().join("aside"));
    std::fs::rename(&path, &aside).unwrap();
    tokio::time::advance(REFRESHED_AFTER).await;
    assert_eq!(
        current(&other).await,
        old,
        "a loaded key is better than none"
    );
    std::fs::rename(&aside, &path).unwrap();
    tokio::time::advance(RELOAD_PAUSE).await;
    assert_eq!(current(&other).await, new);
}

#[tokio::test]
async fn resealing_changes_the_key_and_nothing_else() {
    let (_folder, one, other) = processes().await;
    let old = one.seal("c", &"x".into(), soon()).await.unwrap();
    assert_eq!(one.reseal("c", &old, soon()).await.unwrap(), None);
    let id = one.add_key(Timestamp::default(), soon()).await.unwrap();
    let new = one.reseal("c", &old, soon()).await.unwrap().unwrap();
    assert_eq!(key_id_of(&new), Some(id.as_str()));
    // The other one loads the key here, and finds nothing to do.
    assert_eq!(other.reseal("c", &new, soon()).await.unwrap(), None);
    assert!(one.reseal("d", &old, soon()).await.is_err());
    assert!(one.reseal("c", b"junk", soon()).await.is_err());
}

#[tokio::test]
async fn keys_that_are_removed_are_gone_but_for_the_one_that_seals() {
    let (_folder, one, _) = processes().await;
    let old = current(&one).await;
    let sealed = one.seal("c", &"x".into(), soon()).await.unwrap();
    let new = one.add_key(Timestamp::default(), soon()).await.unwrap();
    one.remove_keys(&[old.clone(), new.clone()], soon())
        .await
        .unwrap();
    let ring = one.keyring(soon()).await.unwrap();
    assert_eq!(ring.key_ids().collect::<Vec<_>>(), [new]);
    assert!(is_unknown(&one, &sealed).await);
}
