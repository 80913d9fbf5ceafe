//! Data keys: rotated, continued after an interruption, retired.

use crate::Place;

#[tokio::test]
async fn a_rotation_seals_everything_anew_and_the_old_key_can_go() {
    let (place, app) = Place::with_app().await;
    place.done(&["token", "refresh", &app], "").await;
    let rotated = place.json(&["seal", "rotate-key"], "").await;
    assert_eq!(
        (&rotated["done"]["records"], &rotated["done"]["resealed"]),
        (&2.into(), &2.into())
    );
    let again = place.json(&["seal", "rotate-key", "--continue"], "").await;
    assert_eq!(again["key_id"], rotated["key_id"]);
    assert_eq!(
        (&again["done"]["records"], &again["done"]["resealed"]),
        (&2.into(), &0.into())
    );
    assert_eq!(
        place.refused(&["seal", "retire-keys"], "", 1).await,
        "incomplete"
    );
    let retired = place.json(&["seal", "retire-keys", "--force"], "").await;
    assert_eq!(retired["removed"].as_array().unwrap().len(), 1);
    let kept = place.json(&["token", "refresh", &app], "").await;
    assert_eq!(kept["issued"], false, "the token still opens");
    let changes = place.done(&["app", "show", &app, "--changes"], "").await;
    assert!(changes.contains("resealed"), "{changes}");
}

#[tokio::test]
async fn a_key_in_use_is_not_retired() {
    let (place, _) = Place::with_app().await;
    let services = place.services().await;
    let now = services.clock.now();
    services.sealer.add_key(now, crate::soon()).await.unwrap();
    drop(services);
    let ran = place.run(&["seal", "retire-keys", "--force"], "").await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("rotate-key --continue"), "{ran:?}");
    assert_eq!(
        place.json(&["seal", "rotate-key", "--continue"], "").await["done"]["resealed"],
        1
    );
}
