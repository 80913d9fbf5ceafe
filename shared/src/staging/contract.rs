//! What every [`Staging`] promises, as tests that run on each adapter.
//!
//! One line per adapter: `test_staging_adapter!(tested())`. An emulator of S3 says `emulated`: it has a clock of its own.
#![expect(missing_docs, reason = "the name of a case is its promise")]
#![expect(clippy::unwrap_used, reason = "a case is a test")]

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use futures_util::future::BoxFuture;

use super::{Expected, OFFER_LIFETIME, Offer, Place, Staged, Staging, StagingError, UploadId};
use crate::clock::{Clock, ManualClock};
use crate::ids::AppId;

/// Sends a `PUT` as an offer says, and tells whether it was taken.
type Put = dyn Fn(Offer, Bytes) -> BoxFuture<'static, bool> + Send + Sync;

/// An adapter, its clock, and how callers reach it.
pub struct Tested {
    staging: Arc<dyn Staging>,
    clock: Arc<ManualClock>,
    put: Box<Put>,
}

impl fmt::Debug for Tested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tested").finish_non_exhaustive()
    }
}

impl Tested {
    /// `staging`, whose addresses `put` sends to.
    pub fn new(
        staging: impl Staging + 'static,
        clock: Arc<ManualClock>,
        put: impl Fn(Offer, Bytes) -> BoxFuture<'static, bool> + Send + Sync + 'static,
    ) -> Self {
        Self {
            staging: Arc::new(staging),
            clock,
            put: Box::new(put),
        }
    }

    async fn offer(&self, place: &Place) -> Offer {
        let expires_at = self.clock.now() + OFFER_LIFETIME;
        self.staging.offer(place, expires_at).await.unwrap()
    }

    async fn put(&self, offer: &Offer, content: &'static [u8]) -> bool {
        (self.put)(offer.clone(), Bytes::from_static(content)).await
    }

    /// Puts `content` at a place of its own.
    async fn put_anew(&self, key_id: &str, content: &'static [u8]) -> Place {
        let place = self.place(key_id, content.len());
        let offer = self.offer(&place).await;
        assert!(self.put(&offer, content).await);
        place
    }

    async fn open(&self, place: &Place) -> Option<Staged> {
        self.staging.open(place, 100).await.unwrap()
    }

    async fn content(&self, place: &Place) -> Option<Vec<u8>> {
        let found = self.open(place).await?;
        let read = self.read(place, &found.version, 0..found.bytes).await;
        Some(read.unwrap())
    }

    async fn read(
        &self,
        place: &Place,
        version: &str,
        range: Range<usize>,
    ) -> Result<Vec<u8>, StagingError> {
        let pieces = self.staging.read(place, version, range).await?;
        let pieces: Vec<_> = pieces.try_collect().await?;
        Ok(pieces.concat())
    }

    fn place(&self, key_id: &str, bytes: usize) -> Place {
        self.summed_place(key_id, bytes, None)
    }

    fn summed_place(&self, key_id: &str, bytes: usize, sha256: Option<[u8; 32]>) -> Place {
        let app_id = AppId::parse("cli_a").unwrap();
        let chance = fastrand::u128(..).to_be_bytes();
        let id = UploadId::new(self.clock.now(), chance, Expected { bytes, sha256 });
        Place::new(key_id, &app_id, id)
    }
}

/// Turns every case into a test of one adapter. The argument is a [`Tested`] that no other test uses.
#[macro_export]
macro_rules! test_staging_adapter {
    ($factory:expr) => {
        $crate::test_staging_adapter!($factory, emulated);
        $crate::test_staging_adapter! { @cases $factory; an_address_ends }
    };
    ($factory:expr, emulated) => {
        $crate::test_staging_adapter! { @cases $factory;
            what_is_put_is_there, what_nobody_put_is_not_there, places_do_not_mix, a_part_is_read_alone,
            the_last_put_counts, what_was_replaced_is_not_read_on, what_is_deleted_is_not_there,
            an_address_takes_so_many_bytes_and_no_others, an_address_takes_what_has_its_sum
        }
    };
    (@cases $factory:expr; $($case:ident),+) => {
        $(#[tokio::test]
        async fn $case() {
            $crate::staging::contract::$case($factory).await;
        })+
    };
}

pub use test_staging_adapter;

pub async fn what_is_put_is_there(tested: Tested) {
    let place = tested.put_anew("a", b"\0\xff\r\n+").await;
    let found = tested.open(&place).await.unwrap();
    assert_eq!((found.bytes, &found.head[..]), (5, &b"\0\xff\r\n+"[..]));
    for _ in 0..2 {
        assert_eq!(tested.content(&place).await.unwrap(), b"\0\xff\r\n+");
    }
    let found = tested.staging.open(&place, 2).await.unwrap().unwrap();
    assert_eq!((found.bytes, &found.head[..]), (5, &b"\0\xff"[..]));
}

pub async fn what_nobody_put_is_not_there(tested: Tested) {
    let place = tested.place("a", 5);
    assert_eq!(tested.open(&place).await, None);
    let _offer = tested.offer(&place).await;
    assert_eq!(tested.open(&place).await, None);
    let read = tested.read(&place, "none", 0..5).await;
    assert!(matches!(read, Err(StagingError::Altered)), "{read:?}");
}

pub async fn places_do_not_mix(tested: Tested) {
    let one = tested.put_anew("a", b"one").await;
    let other = tested.place("b", 5);
    assert_eq!(tested.open(&other).await, None);
    let other_key = Place::new(
        "b",
        &AppId::parse("cli_a").unwrap(),
        one.upload_id().clone(),
    );
    assert_eq!(tested.open(&other_key).await, None);
    let offer = tested.offer(&other).await;
    assert!(tested.put(&offer, b"other").await);
    assert_eq!(tested.content(&one).await.unwrap(), b"one");
}

pub async fn a_part_is_read_alone(tested: Tested) {
    let place = tested.put_anew("a", b"0123456789").await;
    let version = tested.open(&place).await.unwrap().version;
    for (range, expected) in [(0..1, "0"), (3..7, "3456"), (9..10, "9"), (4..4, "")] {
        let read = tested.read(&place, &version, range).await.unwrap();
        assert_eq!(read, expected.as_bytes());
    }
}

pub async fn the_last_put_counts(tested: Tested) {
    let place = tested.place("a", 3);
    let offer = tested.offer(&place).await;
    assert!(tested.put(&offer, b"one").await);
    assert!(tested.put(&offer, b"two").await);
    assert_eq!(tested.content(&place).await.unwrap(), b"two");
}

pub async fn what_was_replaced_is_not_read_on(tested: Tested) {
    let place = tested.place("a", 3);
    let offer = tested.offer(&place).await;
    assert!(tested.put(&offer, b"one").await);
    let version = tested.open(&place).await.unwrap().version;
    assert!(tested.put(&offer, b"two").await);
    let read = tested.read(&place, &version, 0..3).await;
    assert!(matches!(read, Err(StagingError::Altered)), "{read:?}");
}

pub async fn what_is_deleted_is_not_there(tested: Tested) {
    let place = tested.put_anew("a", b"one").await;
    for _ in 0..2 {
        tested.staging.delete(&place).await.unwrap();
        assert_eq!(tested.open(&place).await, None);
    }
}

pub async fn an_address_takes_what_has_its_sum(tested: Tested) {
    // SHA-256 of `abc`, from FIPS 180-2.
    let sum = [
        0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22,
        0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00,
        0x15, 0xad,
    ];
    let place = tested.summed_place("a", 3, Some(sum));
    let offer = tested.offer(&place).await;
    assert!(!tested.put(&offer, b"abd").await);
    assert_eq!(tested.open(&place).await, None);
    assert!(tested.put(&offer, b"abc").await);
    assert_eq!(tested.content(&place).await.unwrap(), b"abc");
}

pub async fn an_address_takes_so_many_bytes_and_no_others(tested: Tested) {
    let place = tested.place("a", 3);
    let offer = tested.offer(&place).await;
    assert!(!tested.put(&offer, b"three").await);
    assert!(!tested.put(&offer, b"").await);
    assert_eq!(tested.open(&place).await, None);
}

pub async fn an_address_ends(tested: Tested) {
    let place = tested.place("a", 3);
    let offer = tested.offer(&place).await;
    tested
        .clock
        .advance(OFFER_LIFETIME + Duration::from_secs(1));
    assert!(!tested.put(&offer, b"one").await);
    assert_eq!(tested.open(&place).await, None);
}
