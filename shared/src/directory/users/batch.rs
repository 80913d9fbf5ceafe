//! Batch look-up of users: first from the tiers, the rest from Lark, fifty at a time (`run`).

use std::collections::{HashMap, HashSet};

use super::UserService;
use crate::apps::AppContext;
use crate::clock::Timestamp;
use crate::deadline::Deadline;
use crate::directory::tiers::{AbsentReason, Found, ItemId};
use crate::error::{Error, Result};
use crate::lark::contacts::{Contact, UserId};

mod run;

use run::{Missing, Run};

/// A user of a batch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Wanted {
    /// By id.
    Id(UserId),
    /// By address.
    Contact(Contact),
}

/// The result of a batch. The numbers are positions in the request; each is in exactly one of the lists.
#[derive(Debug, Default)]
pub struct Batch {
    /// These were found.
    pub users: Vec<(usize, Found)>,
    /// These do not exist, or the app may not see them.
    pub not_found: Vec<(usize, AbsentReason)>,
    /// These could not be looked up, because Lark failed or refused.
    pub failed: Vec<(usize, Error)>,
}

/// The outcome for one user of a batch.
type Outcome = Result<std::result::Result<Found, AbsentReason>>;

impl Wanted {
    /// The id that it is cached under.
    #[must_use]
    pub fn item_id(&self) -> ItemId {
        match self {
            Self::Id(id) => id.item_id(),
            Self::Contact(contact) => contact.item_id(),
        }
    }
}

impl UserService {
    /// Looks all of `wanted` up. One failure does not affect the others.
    ///
    /// # Errors
    /// None of its own: failed look-ups are in [`Batch::failed`].
    pub async fn batch(
        &self,
        context: &AppContext,
        wanted: &[Wanted],
        deadline: Deadline,
    ) -> Result<Batch> {
        let mut run = Run::new(self, context, deadline);
        let asked: HashSet<ItemId> = wanted.iter().map(Wanted::item_id).collect();
        let unknown = run.look(asked.iter().cloned().collect()).await;
        let mut contacts: HashMap<ItemId, &Contact> = HashMap::new();
        for wanted in wanted {
            if let Wanted::Contact(contact) = wanted {
                contacts.insert(contact.item_id(), contact);
            }
        }
        // The lookup of an address that points to an uncached user has that user's open_id as its key.
        let unknown = run.allowed(unknown).await;
        let (hashes, ids): (Vec<_>, Vec<_>) = unknown
            .into_iter()
            .partition(|it| contacts.contains_key(&it.lookup.key().id));
        let hashes = hashes.iter().filter_map(|it| contacts.get(&it.asked));
        let hashes = hashes.map(|contact| (*contact).clone()).collect();
        let mut missing = run.guarded(ids).await;
        missing.extend(run.resolve(hashes).await);
        run.fetch(missing, &asked).await;
        Ok(run.finish(wanted))
    }
}

impl UserService {
    /// Fetches those of `ids` that are not fresh until `until`; returns how many were found.
    ///
    /// # Errors
    /// Lark's error, if the fetch failed for any of them.
    pub async fn warm(
        &self,
        context: &AppContext,
        ids: Vec<UserId>,
        until: Timestamp,
        deadline: Deadline,
    ) -> Result<u64> {
        let mut run = Run::new(self, context, deadline);
        let asked: HashSet<ItemId> = ids.iter().map(UserId::item_id).collect();
        let keys = asked.iter().map(|id| run.key(id.clone())).collect();
        let lookups = self.inner.tiers.find_many(keys, deadline).await;
        let due = asked.iter().cloned().zip(lookups);
        // An id that no tier knows was not looked up in the last day: it costs no call because the cache calls it popular.
        let due = due.filter(|(_, lookup)| !lookup.is_unknown() && !lookup.is_fresh_until(until));
        let missing = due.map(|(asked, lookup)| Missing { asked, lookup });
        run.fetch(missing.collect(), &asked).await;
        let mut fetched = 0;
        for outcome in run.outcomes.into_values() {
            fetched += u64::from(outcome?.is_ok());
        }
        Ok(fetched)
    }
}
