//! One look-up on its way: what a tier offers, and whether the next one has to be asked.

use std::sync::Arc;

use super::entry::{AbsentReason, Content, Entry};
use super::freshness::Tier;
use super::key::ItemKey;
use super::read::{Known, Lookup};
use crate::clock::Timestamp;

/// Who asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum LookupMode {
    /// For one thing, who is told why there is none.
    One,
    /// For many, of which Lark leaves out what there is not.
    Many,
}

/// One look-up on its way through the tiers.
#[derive(Debug)]
pub(super) struct Walk {
    pub(super) asked: ItemKey,
    asking: LookupMode,
    /// What the tiers are asked with now.
    pub(super) at: ItemKey,
    /// What led from `asked` to `at`.
    pub(super) pointer: Option<Arc<Entry>>,
    /// What `asked` pointed to did not agree.
    is_misled: bool,
    pub(super) known: Option<Known>,
    pub(super) is_over: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// Fresh: nobody else needs to be asked.
    Enough,
    /// It pointed to something else, which is now at `at`.
    Follow,
    /// Of no use, or stale: the next tier may have better.
    Insufficient,
}

impl Walk {
    pub(super) fn new(asked: ItemKey, asking: LookupMode) -> Self {
        Self {
            at: asked.clone(),
            asked,
            asking,
            pointer: None,
            is_misled: false,
            known: None,
            is_over: false,
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
