//! The filter: all ids of a directory in about two bytes each.

use std::collections::BTreeSet;
use std::fmt;

use fastbloom::BloomFilter;
use ring::digest::{SHA256, digest};

use crate::clock::Timestamp;
use crate::directory::tiers::{IdKind, ItemId};

/// The false positive rate: one in so many ids that do not exist passes as possible.
pub const FALSE_POSITIVES_ONE_IN: u32 = 1_000;
/// The most ids of a filter, in 1.8 MB. A larger directory has no filter.
pub const MAX_IDS: usize = 1_000_000;
/// The version of the serialised format and of the hashing of ids to bits.
const FORMAT: u8 = 1;

/// The ids of a directory at one moment. It has false positives, never false negatives.
#[derive(Clone)]
pub struct Filter {
    bits: BloomFilter,
    ids: u64,
    /// When the reading of the directory began.
    pub built_at: Timestamp,
    /// How many users the directory had, both then and after the reading.
    pub members: u64,
    /// The kinds of id that every user had.
    pub kinds: BTreeSet<IdKind>,
}

impl Filter {
    /// An empty filter for `ids` ids, begun at `built_at` over a directory of `members` users.
    #[must_use]
    pub fn new(ids: usize, built_at: Timestamp, members: u64) -> Self {
        let share = 1.0 / f64::from(FALSE_POSITIVES_ONE_IN);
        let bits = BloomFilter::with_false_pos(share)
            .seed(&0)
            .expected_items(ids.clamp(1_000, MAX_IDS));
        Self {
            bits,
            ids: 0,
            built_at,
            members,
            kinds: BTreeSet::new(),
        }
    }

    /// Adds `id`.
    pub fn insert(&mut self, id: &ItemId) {
        self.bits.insert_hash(spread(id));
        self.ids += 1;
    }

    /// Whether `id` may have been added. Any id may be, if its kind was not visible to the app.
    #[must_use]
    pub fn may_have(&self, id: &ItemId) -> bool {
        !self.kinds.contains(&id.kind) || self.bits.contains_hash(spread(id))
    }

    /// How many ids were added.
    #[must_use]
    pub const fn ids(&self) -> u64 {
        self.ids
    }

    /// As bytes, for the shared cache.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let words = self.bits.as_slice();
        let mut bytes = Vec::with_capacity(40 + words.len() * 8);
        bytes.push(FORMAT);
        let kinds = IdKind::ALL.into_iter().enumerate();
        let kinds = kinds.filter(|(_, kind)| self.kinds.contains(kind));
        let mask = kinds.fold(0_u32, |mask, (bit, _)| mask | 1 << bit);
        bytes.extend(mask.to_le_bytes());
        bytes.extend(self.bits.num_hashes().to_le_bytes());
        bytes.extend(self.ids.to_le_bytes());
        bytes.extend(self.built_at.as_millis().to_le_bytes());
        bytes.extend(self.members.to_le_bytes());
        bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        bytes
    }

    /// Reads what [`Filter::to_bytes`] made; `None` for anything else.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut rest = Reader(bytes.strip_prefix(&[FORMAT])?);
        let mask = u32::from_le_bytes(rest.take()?);
        let hashes = u32::from_le_bytes(rest.take()?);
        let ids = u64::from_le_bytes(rest.take()?);
        let built_at = Timestamp::from_millis(i64::from_le_bytes(rest.take()?));
        let members = u64::from_le_bytes(rest.take()?);
        let (words, []) = rest.0.as_chunks::<8>() else {
            return None;
        };
        if words.is_empty() || !(1..=64).contains(&hashes) {
            return None;
        }
        let words = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let kinds = IdKind::ALL.into_iter().enumerate();
        Some(Self {
            bits: BloomFilter::from_vec(words).seed(&0).hashes(hashes),
            ids,
            built_at,
            members,
            kinds: kinds
                .filter(|(bit, _)| mask & 1 << bit != 0)
                .map(|(_, kind)| kind)
                .collect(),
        })
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter")
            .field("ids", &self.ids)
            .field("bits", &self.bits.num_bits())
            .field("built_at", &self.built_at)
            .field("members", &self.members)
            .field("kinds", &self.kinds)
            .finish()
    }
}

struct Reader<'b>(&'b [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }
}

/// The same for every build and on every machine, which the standard library's hashes do not promise.
fn spread(id: &ItemId) -> u64 {
    let hash = digest(&SHA256, id.to_string().as_bytes());
    hash.as_ref()
        .first_chunk::<8>()
        .map_or(0, |first| u64::from_le_bytes(*first))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open_id(number: u32) -> ItemId {
        ItemId::new(IdKind::OpenId, format!("ou_{number:08x}"))
    }

    fn filled(ids: u32) -> Filter {
        let mut filter = Filter::new(ids as usize, Timestamp::from_seconds(7), 9);
        filter.kinds.insert(IdKind::OpenId);
        (0..ids).for_each(|number| filter.insert(&open_id(number)));
        filter
    }

    #[test]
    fn no_id_that_was_taken_in_is_missed_and_few_others_are_taken_for_one() {
        let filter = filled(30_000);
        assert!((0..30_000).all(|number| filter.may_have(&open_id(number))));
        let strangers = 1_000_000..1_200_000;
        let mistaken = strangers
            .filter(|number| filter.may_have(&open_id(*number)))
            .count();
        // 200 are to be expected; 5 standard deviations of 14.
        assert!((130..270).contains(&mistaken), "{mistaken} of 200,000");
    }

    #[test]
    fn ids_of_a_kind_that_not_everybody_shows_are_let_through() {
        let filter = filled(10);
        assert!(!filter.may_have(&open_id(77_777)));
        assert!(filter.may_have(&ItemId::new(IdKind::UserId, "77777")));
    }

    #[test]
    fn a_filter_survives_its_bytes() {
        let filter = filled(5_000);
        let bytes = filter.to_bytes();
        let read = Filter::from_bytes(&bytes).unwrap();
        assert_eq!(read.to_bytes(), bytes);
        assert_eq!((read.ids(), read.members), (5_000, 9));
        assert_eq!(read.built_at, filter.built_at);
        assert!((0..5_000).all(|number| read.may_have(&open_id(number))));
        assert!(!read.may_have(&open_id(77_777)));
        assert!(bytes.len() < 5_000 * 2 + 100);
    }

    #[test]
    fn what_is_not_a_filter_is_none() {
        let bytes = filled(10).to_bytes();
        assert!(Filter::from_bytes(&[]).is_none());
        assert!(Filter::from_bytes(&bytes[..bytes.len() - 1]).is_none());
        assert!(Filter::from_bytes(&bytes[..33]).is_none());
        assert!(Filter::from_bytes(&[2, 0, 0]).is_none());
    }
}
