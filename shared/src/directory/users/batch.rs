//! The look-up of many users: what the tiers know at once, the rest from Lark, fifty at a time (`run`).

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

/// One of many who are looked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Wanted {
    /// By id.
    Id(UserId),
    /// By address.
    Contact(Contact),
}

/// What was found of many; the numbers say which of those wanted, and each is in one of the lists.
#[derive(Debug, Default)]
pub struct Batch {
    /// These were found.
    pub users: Vec<(usize, Found)>,
    /// These do not exist, or are not for this app to see.
    pub not_found: Vec<(usize, AbsentReason)>,
    /// Of these nobody knows, because Lark failed or refused.
    pub failed: Vec<(usize, Error)>,
}

/// What became of one who was asked for.
type Outcome = Result<std::result::Result<Found, AbsentReason>>;

impl Wanted {
    /// What it is kept under.
    #[must_use]
    pub fn item_id(&self) -> ItemId {
        match self {
            Self::Id(id) => id.item_id(),
            Self::Contact(contact) => contact.item_id(),
        }
    }
}

impl UserService {
    /// All of `wanted`, as far as they can be had. What fails, fails alone.
    ///
    /// # Errors
    /// None of its own: whoever is not answered is in [`Batch::failed`].
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
        // An address that leads to somebody of whom nothing is known stands at their open_id.
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
    /// Fetches those of `ids` who are not fresh until `until`, and says how many there are now.
    ///
    /// # Errors
    /// What Lark said, should it have failed for any of them.
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
        let due = due.filter(|(_, lookup)| !lookup.is_fresh_until(until));
        let missing = due.map(|(asked, lookup)| Missing { asked, lookup });
        run.fetch(missing.collect(), &asked).await;
        let mut fetched = 0;
        for outcome in run.outcomes.into_values() {
            fetched += u64::from(outcome?.is_ok());
        }
        Ok(fetched)
    }
}
