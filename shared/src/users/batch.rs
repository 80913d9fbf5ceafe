//! The look-up of many users: what the tiers know at once, the rest from Lark, fifty at a time.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};

use super::item::{id_of, item_asked};
use super::{Contact, User, UserId, UserIdKind, UserService};
use crate::apps::Acting;
use crate::clock::Timestamp;
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::lark::{FailureKind, LarkFailure};
use crate::tiers::{
    AbsentReason, Arrival, Found, IdKind, Item, ItemId, ItemKey, Looked, Standing, Whose,
};
use crate::tokens::{SharedToken, TokenKey};

/// The most ids, or addresses of one sort, of a call to Lark ("Obtain user information in batches").
const CHUNK: usize = 50;
/// How many calls to Lark are under way at a time for one batch.
const CONCURRENT_CALLS: usize = 5;

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
        acting: &Acting,
        wanted: &[Wanted],
        deadline: Deadline,
    ) -> Result<Batch> {
        let mut run = Run::new(self, acting, deadline);
        let asked: HashSet<ItemId> = wanted.iter().map(Wanted::item_id).collect();
        let unknown = run.look(asked.iter().cloned().collect()).await;
        let contacts = wanted.iter().filter_map(|wanted| match wanted {
            Wanted::Contact(contact) => Some((contact.item_id(), contact)),
            Wanted::Id(_) => None,
        });
        let contacts: HashMap<ItemId, &Contact> = contacts.collect();
        let (hashes, ids): (Vec<_>, Vec<_>) = unknown
            .into_iter()
            .partition(|it| contacts.contains_key(&it.standing.key().id));
        let ids = run.guarded(ids).await;
        let resolved = run.resolve(hashes, &contacts).await;
        run.fetch(ids.into_iter().chain(resolved).collect(), &asked)
            .await;
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
        acting: &Acting,
        ids: Vec<UserId>,
        until: Timestamp,
        deadline: Deadline,
    ) -> Result<u64> {
        let mut run = Run::new(self, acting, deadline);
        let asked: HashSet<ItemId> = ids.iter().map(UserId::item_id).collect();
        let keys = asked.iter().map(|id| run.key(id.clone())).collect();
        let standings = self.tiers.find_many(keys, deadline).await;
        let due = asked.iter().cloned().zip(standings);
        let due = due.filter(|(_, standing)| !standing.is_fresh_until(until));
        let missing = due.map(|(asked, standing)| Missing { asked, standing });
        run.fetch(missing.collect(), &asked).await;
        let mut fetched = 0;
        for outcome in run.outcomes.into_values() {
            fetched += u64::from(outcome?.is_ok());
        }
        Ok(fetched)
    }
}

/// Somebody who was asked for and has to be asked of Lark.
#[derive(Clone, Debug)]
struct Missing {
    asked: ItemId,
    standing: Standing,
}

struct Run<'r> {
    users: &'r UserService,
    acting: &'r Acting,
    whose: Whose,
    deadline: Deadline,
    outcomes: HashMap<ItemId, Outcome>,
}

/// The users of a chunk, or why there are none.
struct Chunk {
    ids: Vec<UserId>,
    answer: Result<std::result::Result<Vec<User>, LarkFailure>>,
    took: Duration,
}

impl<'r> Run<'r> {
    fn new(users: &'r UserService, acting: &'r Acting, deadline: Deadline) -> Self {
        Self {
            users,
            acting,
            whose: Whose::of(acting),
            deadline,
            outcomes: HashMap::new(),
        }
    }

    fn key(&self, id: ItemId) -> ItemKey {
        ItemKey::new(self.whose.clone(), id)
    }

    /// Those of whom the tiers do not know enough.
    async fn look(&mut self, ids: Vec<ItemId>) -> Vec<Missing> {
        let keys = ids.iter().map(|id| self.key(id.clone())).collect();
        let standings = self.users.tiers.find_many(keys, self.deadline).await;
        let mut missing = Vec::new();
        for (asked, standing) in ids.into_iter().zip(standings) {
            match self.users.tiers.looked(&standing) {
                Looked::Found(found) => {
                    self.outcomes.insert(asked, Ok(Ok(found)));
                }
                Looked::Absent(reason) => {
                    self.outcomes.insert(asked, Ok(Err(reason)));
                }
                Looked::Unknown => missing.push(Missing { asked, standing }),
            }
        }
        missing
    }

    /// Those who may exist.
    async fn guarded(&mut self, missing: Vec<Missing>) -> Vec<Missing> {
        let unknown = missing.iter().filter(|it| it.standing.is_unknown());
        let keys = unknown.map(|it| it.standing.key()).collect();
        let guard = &self.users.guard;
        let refused = guard
            .refused(self.acting, &self.whose, keys, self.deadline)
            .await;
        let refused: HashSet<ItemId> = refused.into_iter().map(|key| key.id.clone()).collect();
        let (refused, possible): (Vec<_>, Vec<_>) = missing
            .into_iter()
            .partition(|it| refused.contains(&it.asked));
        let reason = AbsentReason::Unknown;
        self.outcomes
            .extend(refused.into_iter().map(|it| (it.asked, Ok(Err(reason)))));
        possible
    }

    /// Whom the addresses belong to, as far as they are not known by then.
    async fn resolve(
        &mut self,
        hashes: Vec<Missing>,
        contacts: &HashMap<ItemId, &Contact>,
    ) -> Vec<Missing> {
        let mut by_kind: HashMap<IdKind, Vec<Contact>> = HashMap::new();
        for missing in &hashes {
            let id = &missing.asked;
            let of_kind = by_kind.entry(id.kind).or_default();
            of_kind.extend(contacts.get(id).map(|contact| (*contact).clone()));
        }
        // A call takes fifty of each sort.
        let mut emails = by_kind.remove(&IdKind::Email).unwrap_or_default();
        let mut mobiles = by_kind.remove(&IdKind::Mobile).unwrap_or_default();
        let mut chunks = Vec::new();
        while !emails.is_empty() || !mobiles.is_empty() {
            let mut chunk = emails.split_off(emails.len().saturating_sub(CHUNK));
            chunk.extend(mobiles.split_off(mobiles.len().saturating_sub(CHUNK)));
            chunks.push(chunk);
        }
        let calls: Vec<BoxFuture<'_, _>> = chunks
            .into_iter()
            .map(|chunk| self.resolve_chunk(chunk).boxed())
            .collect();
        let answers: Vec<(Vec<Contact>, Duration, Result<Vec<Option<String>>>)> =
            stream::iter(calls)
                .buffer_unordered(CONCURRENT_CALLS)
                .collect()
                .await;
        let (mut led, mut absent) = (Vec::new(), Vec::new());
        let mut took = Duration::ZERO;
        for (chunk, chunk_took, answer) in answers {
            took = took.max(chunk_took);
            let asked = chunk.iter().map(Contact::item_id);
            match answer {
                Ok(open_ids) => {
                    for (asked, open_id) in asked.zip(open_ids) {
                        match open_id {
                            Some(open_id) => {
                                led.push((asked, ItemId::new(IdKind::OpenId, open_id)))
                            }
                            None => {
                                absent.push((self.key(asked.clone()), AbsentReason::Unmatched));
                                self.outcomes
                                    .insert(asked, Ok(Err(AbsentReason::Unmatched)));
                            }
                        }
                    }
                }
                Err(error) => {
                    self.outcomes
                        .extend(asked.map(|asked| (asked, Err(error.clone()))));
                }
            }
        }
        self.users
            .tiers
            .keep_leads(&self.whose, &led, absent, took, self.deadline)
            .await;
        self.follow(led).await
    }

    /// What is known of those that the addresses belong to; the rest is missing under the address.
    async fn follow(&mut self, led: Vec<(ItemId, ItemId)>) -> Vec<Missing> {
        let targets: HashSet<ItemId> = led.iter().map(|(_, to)| to.clone()).collect();
        let missing = self.look(targets.into_iter().collect()).await;
        let missing: HashMap<ItemId, Standing> = missing
            .into_iter()
            .map(|it| (it.asked, it.standing))
            .collect();
        let mut unknown = Vec::new();
        for (asked, to) in led {
            match missing.get(&to) {
                Some(standing) => unknown.push(Missing {
                    asked,
                    standing: standing.clone(),
                }),
                None => {
                    let outcome = self.outcomes.get(&to).cloned();
                    self.outcomes
                        .extend(outcome.map(|outcome| (asked, outcome)));
                }
            }
        }
        unknown
    }

    async fn resolve_chunk(
        &self,
        contacts: Vec<Contact>,
    ) -> (Vec<Contact>, Duration, Result<Vec<Option<String>>>) {
        let began = Instant::now();
        let call = |token: SharedToken| {
            let (lark, domain) = (&self.users.lark, self.acting.app().domain);
            let (contacts, deadline) = (&contacts, self.deadline);
            async move {
                lark.find_users(domain, &token.value, contacts, deadline)
                    .await
            }
        };
        let key = TokenKey::acting(self.acting);
        let tokens = &self.users.tokens;
        let answer = tokens
            .call(self.acting.app(), &key, self.deadline, call)
            .await;
        let answer = answer.and_then(|answer| answer.map_err(Error::of_lark));
        (contacts, began.elapsed(), answer)
    }

    /// Asks Lark for those who are missing and keeps what it says.
    async fn fetch(&mut self, missing: Vec<Missing>, asked: &HashSet<ItemId>) {
        let mut by_id: HashMap<ItemId, Vec<Missing>> = HashMap::new();
        for missing in missing {
            let id = missing.standing.key().id.clone();
            by_id.entry(id).or_default().push(missing);
        }
        let mut by_kind: HashMap<UserIdKind, Vec<UserId>> = HashMap::new();
        for id in by_id.keys().filter_map(UserId::of_item) {
            by_kind.entry(id.kind()).or_default().push(id);
        }
        let chunks: Vec<Vec<UserId>> = by_kind
            .values()
            .flat_map(|ids| ids.chunks(CHUNK).map(<[UserId]>::to_vec))
            .collect();
        let this = &*self;
        let calls: Vec<BoxFuture<'_, Vec<(UserId, Outcome)>>> = chunks
            .into_iter()
            .map(|chunk| async move { this.fetch_and_keep(chunk, asked).await }.boxed())
            .collect();
        let answers: Vec<Vec<(UserId, Outcome)>> = stream::iter(calls)
            .buffer_unordered(CONCURRENT_CALLS)
            .collect()
            .await;
        for (id, outcome) in answers.into_iter().flatten() {
            for missing in by_id.remove(&id.item_id()).unwrap_or_default() {
                let outcome = self.or_stale(&missing, outcome.clone());
                self.outcomes.insert(missing.asked, outcome);
            }
        }
    }

    /// What is too old is better than nothing while Lark fails.
    fn or_stale(&self, missing: &Missing, outcome: Outcome) -> Outcome {
        match outcome {
            Err(error) if error.is_outage() => {
                let stale = self.users.tiers.whatever(&missing.standing);
                stale.map(Ok).ok_or(error)
            }
            outcome => outcome,
        }
    }

    async fn fetch_and_keep(
        &self,
        ids: Vec<UserId>,
        asked: &HashSet<ItemId>,
    ) -> Vec<(UserId, Outcome)> {
        let mut outcomes = Vec::with_capacity(ids.len());
        for chunk in self.fetch_chunk(ids).await {
            let users = match chunk.answer {
                Ok(Ok(users)) => users,
                Ok(Err(failure)) if failure.kind == FailureKind::NotFound => Vec::new(),
                Ok(Err(failure)) => {
                    let error = Error::of_lark(failure);
                    outcomes.extend(chunk.ids.into_iter().map(|id| (id, Err(error.clone()))));
                    continue;
                }
                Err(error) => {
                    outcomes.extend(chunk.ids.into_iter().map(|id| (id, Err(error.clone()))));
                    continue;
                }
            };
            outcomes.extend(self.keep(chunk.ids, &users, chunk.took, asked).await);
        }
        outcomes
    }

    async fn keep(
        &self,
        ids: Vec<UserId>,
        users: &[User],
        took: Duration,
        asked: &HashSet<ItemId>,
    ) -> Vec<(UserId, Outcome)> {
        let mut present: Vec<(UserId, Item)> = Vec::with_capacity(users.len());
        let mut absent = Vec::new();
        for id in ids {
            let user = users
                .iter()
                .find(|user| id_of(user, id.kind()) == Some(id.as_str()));
            match user {
                Some(user) => {
                    let item = item_asked(user, &id.item_id());
                    present.push((id, item));
                }
                None => absent.push(id),
            }
        }
        let items = present.iter().map(|(_, item)| item.clone()).collect();
        let gone = absent
            .iter()
            .map(|id| (self.key(id.item_id()), AbsentReason::LeftOut));
        let arrival = Arrival {
            took,
            locally: true,
            asked,
        };
        let tiers = &self.users.tiers;
        let kept = tiers
            .keep_many(&self.whose, items, gone.collect(), arrival, self.deadline)
            .await;
        let present = present
            .into_iter()
            .zip(kept)
            .map(|((id, _), found)| (id, Ok(Ok(found))));
        let absent = absent
            .into_iter()
            .map(|id| (id, Ok(Err(AbsentReason::LeftOut))));
        present.chain(absent).collect()
    }

    /// The users of `ids`. Where one unknown id spoils the whole call, halves are asked for, down to the one.
    fn fetch_chunk(&self, ids: Vec<UserId>) -> BoxFuture<'_, Vec<Chunk>> {
        async move {
            let began = Instant::now();
            let call = |token: SharedToken| {
                let (lark, domain, ids) = (&self.users.lark, self.acting.app().domain, &ids);
                async move {
                    lark.fetch_users(domain, &token.value, ids, self.deadline)
                        .await
                }
            };
            let key = TokenKey::acting(self.acting);
            let tokens = &self.users.tokens;
            let answer = tokens
                .call(self.acting.app(), &key, self.deadline, call)
                .await;
            let is_spoilt =
                matches!(&answer, Ok(Err(failure)) if failure.kind == FailureKind::NotFound);
            if is_spoilt && ids.len() > 1 {
                let mut first = ids;
                let second = first.split_off(first.len() / 2);
                let mut chunks = self.fetch_chunk(first).await;
                chunks.extend(self.fetch_chunk(second).await);
                return chunks;
            }
            vec![Chunk {
                ids,
                answer,
                took: began.elapsed(),
            }]
        }
        .boxed()
    }

    /// The outcomes, in the order of those wanted.
    fn finish(self, wanted: &[Wanted]) -> Batch {
        let mut batch = Batch::default();
        for (number, wanted) in wanted.iter().enumerate() {
            match self.outcomes.get(&wanted.item_id()) {
                Some(Ok(Ok(found))) => batch.users.push((number, found.clone())),
                Some(Ok(Err(reason))) => batch.not_found.push((number, *reason)),
                Some(Err(error)) => batch.failed.push((number, error.clone())),
                None => batch
                    .failed
                    .push((number, Error::internal("nobody looked"))),
            }
        }
        batch
    }
}
