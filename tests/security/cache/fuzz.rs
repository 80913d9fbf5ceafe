//! Random corruptions of live entries, from a seed: no answer changes, nothing panics, nothing grows.

use bytes::Bytes;

use super::scene::Scene;

/// How many corruptions.
const ROUNDS: u32 = 1_500;
/// Change it to search elsewhere.
const SEED: u64 = 0x1a5c_0011;
/// The longest value that is made up.
const LONGEST: usize = 4_096;

/// Something made of `own`, of `other` and of chance.
fn mutated(random: &mut fastrand::Rng, own: &Bytes, other: &Bytes) -> Vec<u8> {
    let mut value = own.to_vec();
    for _ in 0..random.u32(1..=4) {
        let at = random.usize(..=value.len());
        match random.u8(..9) {
            0 => value.truncate(at),
            1 => value
                .splice(at.., other.iter().copied().skip(at))
                .for_each(drop),
            2 => value.insert(at, random.u8(..)),
            3 => value.extend((0..random.usize(..64)).map(|_| random.u8(..))),
            4 => {
                value = (0..random.usize(..LONGEST))
                    .map(|_| random.u8(..))
                    .collect()
            }
            5 => {
                let version = format!("{:020}", random.u64(..));
                let rest = value.get(20..).unwrap_or_default();
                value = [version.as_bytes(), rest].concat();
            }
            6 => {
                let plain = br#"{"token":null,"failure":null,"voided":18446744073709551615}"#;
                let head = value.get(..20).unwrap_or_default();
                value = [head, plain].concat();
            }
            7 => value.reverse(),
            _ if at < value.len() => value[at] ^= 1 << random.u8(..8),
            _ => value.clear(),
        }
    }
    value
}

#[tokio::test]
async fn random_entries_change_no_answer_and_reach_no_store() {
    let scene = Scene::begin().await;
    let right = scene.answers().await;
    let live: Vec<(String, Bytes)> = scene.live().await.into_iter().collect();
    let mut random = fastrand::Rng::with_seed(SEED);
    for round in 0..ROUNDS {
        let (key, own) = &live[random.usize(..live.len())];
        let (_, other) = &live[random.usize(..live.len())];
        let value = mutated(&mut random, own, other);
        scene.leave(key, &value).await;
        assert_eq!(
            scene.answers().await,
            right,
            "round {round} of seed {SEED:#x}: {key}"
        );
        scene.leave(key, own).await;
    }
    scene.assert_store_is_sane().await;
    // Whatever an attacker leaves, a process keeps no more keys than it has answers.
    let keys = scene.world.cache.keys().len();
    assert!(keys < 200, "{keys}");
}
