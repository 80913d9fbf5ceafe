use std::convert::Infallible;
use std::time::Duration;

use super::*;
use crate::clock::ManualClock;
use crate::ids::AppId;
use crate::staging::contract::{Tested, test_staging_adapter};
use crate::staging::{OFFER_LIFETIME, UploadId};

/// A folder that stays as long as the test, its clock, and the staging in it.
struct Local {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    staging: FolderStaging,
}

impl Local {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_769_846_400_000)));
        let host = Url::parse("http://127.0.0.1:9000").ok();
        let staging = FolderStaging::new(folder.path(), host, Arc::clone(&clock) as _);
        Self {
            folder,
            clock,
            staging,
        }
    }

    /// A place for so many bytes, with an address.
    async fn offered(&self, chance: u8, bytes: usize) -> Result<Place, StagingError> {
        let expected = Expected {
            bytes,
            sha256: None,
        };
        let now = self.clock.now();
        let id = UploadId::new(now, [chance; 16], expected);
        let place = Place::new("key", &AppId::parse("cli_a").unwrap(), id);
        self.staging.offer(&place, now + OFFER_LIFETIME).await?;
        Ok(place)
    }

    async fn put(&self, place: &Place, content: &'static [u8]) -> Received {
        put(&self.staging, place, Bytes::from_static(content)).await
    }

    /// How many files are in the folder.
    fn files(&self) -> usize {
        fs::read_dir(self.folder.path().join("uploads"))
            .unwrap()
            .count()
    }
}

async fn put(staging: &FolderStaging, place: &Place, content: Bytes) -> Received {
    let pieces = stream::iter([Ok::<_, Infallible>(content)]);
    staging.receive(place, pieces).await.unwrap()
}

fn tested() -> Tested {
    let Local {
        folder,
        clock,
        staging,
    } = Local::new();
    let receiver = staging.clone();
    Tested::new(staging, clock, move |offer, content| {
        let receiver = receiver.clone();
        // The folder stays as long as somebody puts something there.
        let _folder = folder.path();
        Box::pin(async move {
            let parts: Vec<_> = offer.url.path().split('/').collect();
            let place = Place::parse(parts[2], parts[3]).unwrap();
            put(&receiver, &place, content).await == Received::Stored
        })
    })
}

test_staging_adapter!(tested());

#[tokio::test]
async fn the_folder_takes_so_much_and_forgets_what_nobody_can_name() {
    let mut local = Local::new();
    local.staging = local.staging.with_room_for(10);
    let one = local.offered(1, 6).await.unwrap();
    let full = local.offered(2, 5).await;
    assert!(matches!(full, Err(StagingError::Full)), "{full:?}");
    let other = local.offered(3, 4).await.unwrap();
    assert_eq!(local.put(&one, b"123456").await, Received::Stored);
    // The address ended to which nothing was put.
    local.clock.advance(OFFER_LIFETIME + Duration::from_secs(1));
    assert_eq!(local.put(&other, b"1234").await, Received::NotOffered);
    local.offered(4, 4).await.unwrap();
    assert!(matches!(local.offered(5, 1).await, Err(StagingError::Full)));
    local.clock.advance(LIFETIME + OFFER_LIFETIME);
    local.offered(6, 10).await.unwrap();
    assert_eq!(local.files(), 1);
    let found = local.staging.open(&one, 1).await.unwrap();
    assert_eq!(found, None);
}

#[tokio::test]
async fn what_ends_too_early_leaves_nothing() {
    let local = Local::new();
    let place = local.offered(1, 6).await.unwrap();
    let pieces = [Ok(Bytes::from_static(b"123")), Err("gone")];
    let received = local.staging.receive(&place, stream::iter(pieces)).await;
    assert_eq!(received.unwrap(), Received::Other);
    assert_eq!(local.files(), 1);
}

#[tokio::test]
async fn a_place_without_an_offer_takes_nothing() {
    let local = Local::new();
    let place = local.offered(1, 3).await.unwrap();
    let parts: Vec<_> = place.upload_id().as_str().split('_').collect();
    let made_up = UploadId::parse(&format!("up_{}", parts[1].replace('1', "2"))).unwrap();
    let made_up = Place::new("key", &AppId::parse("cli_a").unwrap(), made_up);
    assert_eq!(local.put(&made_up, b"one").await, Received::NotOffered);
    assert_eq!(local.files(), 1);
}
