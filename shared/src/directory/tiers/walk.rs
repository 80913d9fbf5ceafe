//! The state of one look-up: what to do with a tier's entry, and whether to ask the next tier.

use std::sync::Arc;

use super::entry::{AbsentReason, Content, Entry};
use super::freshness::Tier;
use super::key::ItemKey;
use super::read::{Known, Lookup};
use crate::clock::{Stopwatch, Timestamp};

/// How many items a caller wants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum LookupMode {
    /// One item; the caller is told why there is none.
    One,
    /// Many; Lark leaves out those that do not exist.
    Many,
}

/// The state of one look-up through the tiers.
#[derive(Debug)]
pub(super) struct Walk {
    pub(super) asked: ItemKey,
    asking: LookupMode,
    /// The key to look up now.
    pub(super) at: ItemKey,
    /// The pointer from `asked` to `at`.
    pub(super) pointer: Option<Arc<Entry>>,
    /// The item that `asked` pointed to does not have that id.
    is_misled: bool,
    pub(super) known: Option<Known>,
    pub(super) is_over: bool,
    /// Since when it is under way.
    pub(super) watch: Stopwatch,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// Fresh: no other tier is needed.
    Enough,
    /// A pointer; its target is now at `at`.
    Follow,
    /// Unusable or stale: the next tier may have a better entry.
    Insufficient,
}

impl Walk {
    pub(super) fn new(asked: ItemKey, asking: LookupMode, watch: Stopwatch) -> Self {
        Self {
            at: asked.clone(),
            asked,
            asking,
            pointer: None,
            is_misled: false,
            known: None,
            is_over: false,
            watch,
        }
    }

    pub(super) fn collection_name(&self) -> &'static str {
        self.asked.id.kind.collection().name()
    }

    pub(super) fn offer(&mut self, entry: Arc<Entry>, tier: Tier, now: Timestamp) -> Step {
        match &entry.content {
            Content::Pointer(to) => {
                if self.pointer.is_some() || self.is_misled {
                    return Step::Insufficient;
                }
                self.at = self.asked.beside(to.clone());
                self.pointer = Some(entry);
                Step::Follow
            }
            Content::Absent(AbsentReason::LeftOut) if self.asking == LookupMode::One => {
                Step::Insufficient
            }
            Content::Absent(_) if !entry.is_fresh(now) => Step::Insufficient,
            Content::Absent(_) => self.keep(entry, tier, now),
            Content::Body { .. } if entry.is_too_old(now) => Step::Insufficient,
            Content::Body { .. } => {
                if let Some(pointer) = &self.pointer
                    && !entry.agrees(&self.asked.id, pointer, now)
                {
                    self.at = self.asked.clone();
                    self.pointer = None;
                    self.is_misled = true;
                    return Step::Insufficient;
                }
                self.keep(entry, tier, now)
            }
        }
    }

    fn keep(&mut self, entry: Arc<Entry>, tier: Tier, now: Timestamp) -> Step {
        let is_newer = |known: &Known| entry.version > known.entry.version;
        if self.known.as_ref().is_none_or(is_newer) {
            self.known = Some(Known {
                entry: Arc::clone(&entry),
                tier,
            });
        }
        if entry.is_fresh(now) {
            Step::Enough
        } else {
            Step::Insufficient
        }
    }

    pub(super) fn lookup(self) -> Lookup {
        Lookup {
            key: self.at,
            known: self.known,
        }
    }
}
