//! A cached look-up result, and how long it is valid.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use super::key::ItemId;
use super::time::CLOCK_SKEW;
use crate::clock::Timestamp;

/// The jitter of a TTL, as a part of it, so that entries filled together do not expire together.
const JITTER: f64 = 0.1;
/// How long a stale entry is served while it is renewed, as a part of its TTL.
const SERVED_LONGER: f64 = 0.5;

/// How long an item is kept to be served when Lark fails.
pub(super) const STALE_IF_ERROR: Duration = Duration::from_secs(24 * 3_600);

/// A look-up's result.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// The result.
    pub content: Content,
    /// Only a higher version replaces it.
    pub version: u64,
    /// When Lark was asked for it.
    pub fetched_at: Timestamp,
    /// Until when it is fresh (the soft TTL).
    pub fresh_until: Timestamp,
    /// Until when it may be served while it is renewed (the hard TTL).
    pub serve_until: Timestamp,
    /// How long the fetch took, in milliseconds.
    pub load_ms: u32,
}

/// What a look-up found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Content {
    /// The item itself.
    Body {
        /// As JSON, ready for the response.
        body: String,
        /// The other ids it has, as far as the app may see them.
        aliases: Vec<ItemId>,
    },
    /// The id under which the item itself is stored.
    Pointer(ItemId),
    /// No such item exists.
    Absent(AbsentReason),
}

/// Why there is nothing. A missing permission is none of them: it is never remembered.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(
    description = "`unknown`: the platform does not know the id. `left_out`: the platform left it out of its answer for many, \
                   which it does with unknown ids and with users whom the app may not see; `GET /v1/users/{id}` tells the two \
                   apart. `unmatched`: no user whom the app may see has this e-mail address or mobile number."
)]
pub enum AbsentReason {
    /// The platform does not know the id.
    Unknown,
    /// The platform left the id out of a batch answer, which it also does with items that the app may not see. A look-up of
    /// this one id ignores the entry and asks Lark which of the two it is.
    LeftOut,
    /// No user of the tenant has the e-mail address or mobile number.
    Unmatched,
}

impl AbsentReason {
    /// The reason in answers and in the shared cache.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::LeftOut => "left_out",
            Self::Unmatched => "unmatched",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let all = [Self::Unknown, Self::LeftOut, Self::Unmatched];
        all.into_iter().find(|reason| reason.as_str() == text)
    }
}

/// When and how a result was fetched.
#[derive(Clone, Copy, Debug)]
pub(super) struct FetchStamp {
    pub(super) version: u64,
    pub(super) at: Timestamp,
    pub(super) took: Duration,
}

impl Entry {
    /// An item, fresh for about `ttl`.
    pub(super) fn body(
        body: String,
        aliases: Vec<ItemId>,
        loading: FetchStamp,
        ttl: Duration,
    ) -> Self {
        Self::new(Content::Body { body, aliases }, loading, jittered(ttl))
    }

    /// An absence, fresh for `ttl` and never served longer.
    pub(super) fn absent(reason: AbsentReason, loading: FetchStamp, ttl: Duration) -> Self {
        let entry = Self::new(Content::Absent(reason), loading, ttl);
        Self {
            serve_until: entry.fresh_until,
            ..entry
        }
    }

    /// A pointer to `to` from an answer of Lark, fresh for about `ttl`.
    pub(super) fn leading(to: ItemId, loading: FetchStamp, ttl: Duration) -> Self {
        Self::new(Content::Pointer(to), loading, jittered(ttl))
    }

    /// A pointer to `to`, fresh as long as this entry is.
    pub(super) fn pointer(&self, to: ItemId) -> Self {
        Self {
            content: Content::Pointer(to),
            ..self.clone_times()
        }
    }

    fn new(content: Content, loading: FetchStamp, ttl: Duration) -> Self {
        Self {
            content,
            version: loading.version,
            fetched_at: loading.at,
            fresh_until: loading.at + ttl,
            serve_until: loading.at + ttl + ttl.mul_f64(SERVED_LONGER),
            load_ms: u32::try_from(loading.took.as_millis()).unwrap_or(u32::MAX),
        }
    }

    fn clone_times(&self) -> Self {
        Self {
            content: Content::Absent(AbsentReason::Unknown),
            ..*self
        }
    }

    /// Whether it is fresh at `now`.
    #[must_use]
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        self.fresh_until > now
    }

    /// Whether it may be served at `now` while it is renewed.
    #[must_use]
    pub fn is_servable(&self, now: Timestamp) -> bool {
        self.serve_until > now
    }

    /// Whether it is too old at `now` even for an outage of Lark.
    pub(super) fn is_too_old(&self, now: Timestamp) -> bool {
        self.fetched_at + STALE_IF_ERROR <= now
    }

    /// Whether its times can be true at `now` for something that is fresh for about `ttl`: it does not begin in the future, and
    /// has no more life left than any can have. Otherwise some clock was wrong.
    pub(super) fn is_credible(&self, now: Timestamp, ttl: Duration) -> bool {
        let (now, longest) = (now + CLOCK_SKEW, ttl.mul_f64(1.0 + JITTER));
        self.fetched_at <= now
            && self.fresh_until <= now + longest
            && self.serve_until <= now + longest.mul_f64(1.0 + SERVED_LONGER)
    }

    /// Whether it holds an item.
    #[must_use]
    pub const fn has_body(&self) -> bool {
        matches!(self.content, Content::Body { .. })
    }

    pub(super) const fn is_pointer(&self) -> bool {
        matches!(self.content, Content::Pointer(_))
    }

    pub(super) fn has_same_aliases(&self, other: &Self) -> bool {
        match (&self.content, &other.content) {
            (
                Content::Body { aliases, .. },
                Content::Body {
                    aliases: others, ..
                },
            ) => aliases == others,
            _ => false,
        }
    }

    /// Whether a reader at `now` should renew it although it is still fresh.
    ///
    /// The probability grows towards the end and with the time a load takes, so that about one of many readers renews it in
    /// time: XFetch, of "Optimal Probabilistic Cache Stampede Prevention" (Vattani, Chierichetti, Lowenstein, 2015), with
    /// β = 1. `luck` is uniform over 0 to 1.
    #[must_use]
    pub fn is_due_early(&self, now: Timestamp, luck: f64) -> bool {
        let ahead = f64::from(self.load_ms) * -luck.max(f64::MIN_POSITIVE).ln();
        self.has_body() && now + Duration::from_secs_f64(ahead / 1_000.0) >= self.fresh_until
    }

    /// Whether `pointer`, stored at `asked`, may lead to this item at `now`: the item lists the id; or the pointer is fresh,
    /// and newer than the item or for a kind of id that the app does not see. So an address that now belongs to another user
    /// never leads to the old one.
    #[must_use]
    pub fn agrees(&self, asked: &ItemId, pointer: &Self, now: Timestamp) -> bool {
        let Content::Body { aliases, .. } = &self.content else {
            return true;
        };
        if aliases.contains(asked) {
            return true;
        }
        let is_hidden = aliases.iter().all(|id| id.kind != asked.kind);
        pointer.is_fresh(now) && (is_hidden || pointer.version > self.version)
    }

    /// Its approximate size in memory.
    pub(super) fn weight(&self) -> usize {
        let id = |id: &ItemId| size_of::<ItemId>() + id.text.len();
        let content = match &self.content {
            Content::Body { body, aliases } => body.len() + aliases.iter().map(id).sum::<usize>(),
            Content::Pointer(to) => id(to),
            Content::Absent(_) => 0,
        };
        size_of::<Self>() + content
    }
}

fn jittered(ttl: Duration) -> Duration {
    ttl.mul_f64(1.0 + JITTER * (2.0 * fastrand::f64() - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::tiers::IdKind;

    const TTL: Duration = Duration::from_secs(1_000);

    fn loading() -> FetchStamp {
        FetchStamp {
            version: 1,
            at: Timestamp::from_seconds(10_000),
            took: Duration::from_millis(200),
        }
    }

    fn entry(aliases: Vec<ItemId>) -> Entry {
        Entry::body(String::new(), aliases, loading(), TTL)
    }

    #[test]
    fn lives_are_spread_by_a_tenth_and_served_half_as_long_again() {
        let lives = (0..1_000).map(|_| entry(Vec::new()));
        let (mut shortest, mut longest) = (u64::MAX, 0);
        for entry in lives {
            let life = entry.fresh_until.since(entry.fetched_at);
            let served = entry.serve_until.since(entry.fetched_at);
            assert!(served.abs_diff(life.mul_f64(1.5)) < Duration::from_millis(2));
            (shortest, longest) = (shortest.min(life.as_secs()), longest.max(life.as_secs()));
        }
        assert!((900..930).contains(&shortest), "{shortest}");
        assert!((1_070..=1_100).contains(&longest), "{longest}");
    }

    #[test]
    fn what_begins_in_the_future_or_lives_too_long_is_not_believed() {
        let now = Timestamp::from_seconds(10_000);
        let check = |expected: bool, change: fn(&mut Entry, Timestamp)| {
            for _ in 0..100 {
                let mut entry = entry(Vec::new());
                change(&mut entry, now);
                assert_eq!(entry.is_credible(now, TTL), expected, "{entry:?}");
            }
        };
        check(true, |_, _| {});
        check(true, |it, now| it.fetched_at = now + CLOCK_SKEW);
        check(true, |it, now| it.fetched_at = now - TTL * 1_000);
        check(true, |it, now| it.fresh_until = now - TTL * 1_000);
        check(true, |it, now| it.fresh_until = now + TTL.mul_f64(1.1));
        check(true, |it, now| it.serve_until = now + TTL.mul_f64(1.65));
        check(false, |it, now| {
            it.fetched_at = now + CLOCK_SKEW + Duration::from_millis(1);
        });
        check(false, |it, now| it.fetched_at = now + TTL * 9_000_000);
        check(false, |it, now| {
            it.fresh_until = now + TTL.mul_f64(1.1) + CLOCK_SKEW + Duration::from_secs(1);
        });
        check(false, |it, now| {
            it.serve_until = now + TTL.mul_f64(1.65) + CLOCK_SKEW + Duration::from_secs(1);
        });
        check(false, |it, _| {
            it.serve_until = Timestamp::from_millis(i64::MAX)
        });
        let absent = Entry::absent(AbsentReason::Unknown, loading(), TTL);
        assert!(absent.is_credible(now, TTL));
        assert!(!absent.is_credible(now, TTL / 2));
    }

    #[test]
    fn an_absence_is_not_served_longer_than_it_is_believed() {
        let absent = Entry::absent(AbsentReason::Unknown, loading(), TTL);
        assert_eq!(absent.serve_until, absent.fetched_at + TTL);
    }

    #[test]
    fn readers_near_the_end_renew_early_and_the_likelier_the_longer_a_load_takes() {
        let entry = entry(Vec::new());
        let before = |length: Duration| entry.fresh_until - length;
        // With β = 1 a reader is early by a load's time with the probability 1/e.
        let share = |entry: &Entry, length| {
            let moment = before(length);
            (1..1_000)
                .filter(|n| entry.is_due_early(moment, f64::from(*n) / 1_000.0))
                .count()
        };
        assert!((360..375).contains(&share(&entry, Duration::from_millis(200))));
        assert_eq!(share(&entry, Duration::from_secs(10)), 0);
        let slow = Entry {
            load_ms: 10_000,
            ..entry.clone()
        };
        assert!((360..375).contains(&share(&slow, Duration::from_secs(10))));
        assert!(entry.is_due_early(entry.fresh_until, 1.0));
    }

    #[test]
    fn a_pointer_is_believed_as_far_as_what_it_leads_to_agrees() {
        let id = |text: &str| ItemId::new(IdKind::UserId, text);
        let pointer = entry(Vec::new()).pointer(ItemId::new(IdKind::OpenId, "ou_1"));
        let (fresh, stale) = (pointer.fetched_at, pointer.fresh_until);
        let known = entry(vec![id("u1")]);
        assert!(known.agrees(&id("u1"), &pointer, stale));
        assert!(!known.agrees(&id("u2"), &pointer, fresh));
        let silent = entry(vec![ItemId::new(IdKind::UnionId, "on_1")]);
        assert!(silent.agrees(&id("u1"), &pointer, fresh));
        assert!(!silent.agrees(&id("u1"), &pointer, stale));
        // The id was given to this user after the profile was fetched.
        let newer = Entry {
            version: known.version + 1,
            ..pointer
        };
        assert!(known.agrees(&id("u2"), &newer, fresh));
        assert!(!known.agrees(&id("u2"), &newer, stale));
    }
}
