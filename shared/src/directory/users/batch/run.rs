//! The run of one batch: through the tiers, then to Lark.

use std::collections::{HashMap, HashSet};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};

use super::{Batch, Outcome, Wanted};
use crate::apps::AppContext;
use crate::deadline::Deadline;
use crate::directory::tiers::{
    AbsentReason, AppTenant, BatchAnswer, IdKind, Inquiry, Item, ItemId, ItemKey, Lookup,
    LookupOutcome,
};
use crate::directory::users::UserService;
use crate::directory::users::item::{id_of, is_for_all, item_asked};
use crate::error::Error;
use crate::lark::contacts;
use crate::lark::contacts::{User, UserId, UserIdKind};
use crate::platform::SendError;

mod owners;

/// The most ids, or addresses of one sort, of a call to Lark ("Obtain user information in batches").
const CHUNK: usize = 50;
/// How many calls to Lark are under way at a time for one batch.
const CONCURRENT_CALLS: usize = 5;

/// A requested user who has to be fetched from Lark.
#[derive(Clone, Debug)]
pub(super) struct Missing {
    pub(super) asked: ItemId,
    pub(super) lookup: Lookup,
}

pub(super) struct Run<'r> {
    users: &'r UserService,
    context: &'r AppContext,
    app_tenant: AppTenant,
    deadline: Deadline,
    pub(super) outcomes: HashMap<ItemId, Outcome>,
}

/// The users of a chunk, or why there are none.
struct Chunk {
    ids: Vec<UserId>,
    answer: Result<Vec<User>, SendError>,
    inquiry: Inquiry,
}

/// The outcome for one id that was requested from Lark.
enum Fetched {
    Settled(Outcome),
    /// Request it again by this id.
    Leads(ItemId),
}

impl<'r> Run<'r> {
    pub(super) fn new(users: &'r UserService, context: &'r AppContext, deadline: Deadline) -> Self {
        Self {
            users,
            context,
            app_tenant: AppTenant::of(context),
            deadline,
            outcomes: HashMap::new(),
        }
    }

    pub(super) fn key(&self, id: ItemId) -> ItemKey {
        ItemKey::new(self.app_tenant.clone(), id)
    }

    /// Looks `ids` up in the tiers; returns those that need a fetch.
    pub(super) async fn look(&mut self, ids: Vec<ItemId>) -> Vec<Missing> {
        let keys = ids.iter().map(|id| self.key(id.clone())).collect();
        let tiers = &self.users.inner.tiers;
        let lookups = tiers.find_many(keys, self.deadline).await;
        let mut missing = Vec::new();
        for (asked, lookup) in ids.into_iter().zip(lookups) {
            let outcome = match tiers.outcome_of(&lookup) {
                LookupOutcome::Found(found) => Ok(found),
                LookupOutcome::Absent(reason) => Err(reason),
                LookupOutcome::Unknown => {
                    missing.push(Missing { asked, lookup });
                    continue;
                }
            };
            self.outcomes.insert(asked, Ok(outcome));
        }
        missing
    }

    /// Those of `missing` for which whoever asks may call Lark: all, or those that a tier knows.
    pub(super) async fn allowed(&mut self, missing: Vec<Missing>) -> Vec<Missing> {
        if !missing.iter().any(|it| it.lookup.is_unknown()) {
            return missing;
        }
        let Err(error) = self.context.may_ask().await else {
            return missing;
        };
        let (unknown, known): (Vec<_>, Vec<_>) =
            missing.into_iter().partition(|it| it.lookup.is_unknown());
        let unknown = unknown.into_iter().map(|it| it.asked);
        self.outcomes
            .extend(unknown.map(|asked| (asked, Err(error.clone()))));
        known
    }

    /// Those of `missing` that may exist; the guard's refusals become outcomes.
    pub(super) async fn guarded(&mut self, missing: Vec<Missing>) -> Vec<Missing> {
        let unknown = missing.iter().filter(|it| it.lookup.is_unknown());
        let keys = unknown.map(|it| it.lookup.key()).collect();
        let guard = &self.users.inner.guard;
        let refused = guard
            .refused(self.context, &self.app_tenant, keys, self.deadline)
            .await;
        let refused: HashSet<ItemId> = refused.into_iter().map(|key| key.id.clone()).collect();
        if !refused.is_empty() {
            self.context.found_nothing().await;
        }
        let (refused, possible): (Vec<_>, Vec<_>) = missing
            .into_iter()
            .partition(|it| refused.contains(&it.asked));
        let reason = AbsentReason::Unknown;
        let refused = refused.into_iter().map(|it| (it.asked, Ok(Err(reason))));
        self.outcomes.extend(refused);
        possible
    }

    async fn keep_leads(
        &mut self,
        led: &[(ItemId, ItemId)],
        absent: Vec<ItemId>,
        inquiry: Inquiry,
    ) {
        if led.is_empty() && absent.is_empty() {
            return;
        }
        let reason = AbsentReason::Unmatched;
        let gone = absent.iter().map(|id| (self.key(id.clone()), reason));
        let tiers = &self.users.inner.tiers;
        tiers
            .keep_leads(
                &self.app_tenant,
                led,
                gone.collect(),
                inquiry,
                self.deadline,
            )
            .await;
        let absent = absent.into_iter().map(|id| (id, Ok(Err(reason))));
        self.outcomes.extend(absent);
    }

    /// Looks the targets of `led` up; a target that needs a fetch is returned under the requested id.
    async fn follow(&mut self, led: Vec<(ItemId, ItemId)>) -> Vec<Missing> {
        let targets: HashSet<ItemId> = led.iter().map(|(_, to)| to.clone()).collect();
        let missing = self.look(targets.into_iter().collect()).await;
        let missing: HashMap<ItemId, Lookup> = missing
            .into_iter()
            .map(|it| (it.asked, it.lookup))
            .collect();
        let mut unknown = Vec::new();
        for (asked, to) in led {
            match missing.get(&to) {
                Some(lookup) => unknown.push(Missing {
                    asked,
                    lookup: lookup.clone(),
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

    /// Fetches `missing` from Lark, stores the answers, and fetches again by open_id where an answer cannot be cached for all
    /// callers.
    pub(super) async fn fetch(&mut self, missing: Vec<Missing>, asked: &HashSet<ItemId>) {
        let is_open = |it: &Missing| it.lookup.key().id.kind == IdKind::OpenId;
        let (mut open, others): (Vec<_>, Vec<_>) = missing.into_iter().partition(is_open);
        if !others.is_empty() {
            let inquiry = self.users.inner.tiers.inquire().await;
            let led = self.fetch_all(others, asked).await;
            self.keep_leads(&led, Vec::new(), inquiry).await;
            open.extend(self.follow(led).await);
        }
        self.fetch_all(open, asked).await;
    }

    /// Fetches each once; returns which to fetch again, and by which id.
    async fn fetch_all(
        &mut self,
        missing: Vec<Missing>,
        asked: &HashSet<ItemId>,
    ) -> Vec<(ItemId, ItemId)> {
        let mut by_id: HashMap<ItemId, Vec<Missing>> = HashMap::new();
        for missing in missing {
            let id = missing.lookup.key().id.clone();
            by_id.entry(id).or_default().push(missing);
        }
        let mut by_kind: HashMap<UserIdKind, Vec<UserId>> = HashMap::new();
        for id in by_id.keys().filter_map(UserId::of_item) {
            by_kind.entry(id.kind()).or_default().push(id);
        }
        let chunks = by_kind.values().flat_map(|ids| ids.chunks(CHUNK));
        let calls: Vec<BoxFuture<'_, Vec<(UserId, Fetched)>>> = chunks
            .map(|chunk| self.fetch_and_keep(chunk.to_vec(), asked).boxed())
            .collect();
        let answers: Vec<Vec<(UserId, Fetched)>> = stream::iter(calls)
            .buffer_unordered(CONCURRENT_CALLS)
            .collect()
            .await;
        let mut led = Vec::new();
        for (id, fetched) in answers.into_iter().flatten() {
            for missing in by_id.remove(&id.item_id()).unwrap_or_default() {
                match &fetched {
                    Fetched::Leads(to) => led.push((missing.asked, to.clone())),
                    Fetched::Settled(outcome) => {
                        let outcome = self.or_stale(&missing, outcome.clone());
                        self.outcomes.insert(missing.asked, outcome);
                    }
                }
            }
        }
        led
    }

    /// While Lark fails, an entry that is too old is better than none.
    fn or_stale(&self, missing: &Missing, outcome: Outcome) -> Outcome {
        match outcome {
            Err(error) if error.allows_stale() => {
                let stale = self.users.inner.tiers.any_known(&missing.lookup);
                stale.map(Ok).ok_or(error)
            }
            outcome => outcome,
        }
    }

    async fn fetch_and_keep(
        &self,
        ids: Vec<UserId>,
        asked: &HashSet<ItemId>,
    ) -> Vec<(UserId, Fetched)> {
        let mut outcomes = Vec::with_capacity(ids.len());
        for chunk in self.fetch_chunk(ids).await {
            let users = match chunk.answer {
                Err(error) if error.is_not_found() => Ok(Vec::new()),
                answer => answer,
            };
            let error = match users {
                Ok(users) => {
                    let kept = self.keep(chunk.ids, &users, chunk.inquiry, asked).await;
                    outcomes.extend(kept);
                    continue;
                }
                Err(error) => Error::from(error),
            };
            let failed = chunk.ids.into_iter();
            outcomes.extend(failed.map(|id| (id, Fetched::Settled(Err(error.clone())))));
        }
        outcomes
    }

    async fn keep(
        &self,
        ids: Vec<UserId>,
        users: &[User],
        inquiry: Inquiry,
        asked: &HashSet<ItemId>,
    ) -> Vec<(UserId, Fetched)> {
        let (mut present, mut outcomes, mut absent) = (Vec::new(), Vec::new(), Vec::new());
        for id in ids {
            let is_it = |user: &&User| id_of(user, id.kind()) == Some(id.as_str());
            match users.iter().find(is_it) {
                Some(user) if !is_for_all(user, id.kind()) => {
                    let to = ItemId::new(IdKind::OpenId, user.open_id.clone().unwrap_or_default());
                    outcomes.push((id, Fetched::Leads(to)));
                }
                Some(user) => {
                    let item = item_asked(user, &id.item_id());
                    present.push((id, item));
                }
                None => {
                    absent.push((self.key(id.item_id()), AbsentReason::LeftOut));
                    outcomes.push((id, Fetched::Settled(Ok(Err(AbsentReason::LeftOut)))));
                }
            }
        }
        let (ids, items): (Vec<UserId>, Vec<Item>) = present.into_iter().unzip();
        let arrival = BatchAnswer {
            inquiry,
            locally: true,
            asked,
        };
        let tiers = &self.users.inner.tiers;
        let kept = tiers
            .keep_many(&self.app_tenant, items, absent, arrival, self.deadline)
            .await;
        let present = ids.into_iter().zip(kept);
        outcomes.extend(present.map(|(id, found)| (id, Fetched::Settled(Ok(Ok(found))))));
        outcomes
    }

    /// The users of `ids`. Where one unknown id fails the whole call, the ids are split in halves, down to that one.
    fn fetch_chunk(&self, ids: Vec<UserId>) -> BoxFuture<'_, Vec<Chunk>> {
        async move {
            let inquiry = self.users.inner.tiers.inquire().await;
            let request = contacts::batch_get_users(&ids);
            let platform = &self.users.inner.platform;
            let answer = platform.send(self.context, &request, self.deadline).await;
            if answer.as_ref().is_ok_and(Vec::is_empty) {
                self.context.found_nothing().await;
            }
            let is_spoilt = answer.as_ref().is_err_and(SendError::is_not_found);
            if is_spoilt && ids.len() > 1 {
                if let Err(error) = self.context.may_ask().await {
                    // Each half would cost a call.
                    let answer = Err(SendError::Unsent(error));
                    return vec![Chunk {
                        ids,
                        answer,
                        inquiry,
                    }];
                }
                let mut first = ids;
                let second = first.split_off(first.len() / 2);
                let mut chunks = self.fetch_chunk(first).await;
                chunks.extend(self.fetch_chunk(second).await);
                return chunks;
            }
            vec![Chunk {
                ids,
                answer,
                inquiry,
            }]
        }
        .boxed()
    }

    /// The outcomes, in the order of `wanted`.
    pub(super) fn finish(self, wanted: &[Wanted]) -> Batch {
        let mut batch = Batch::default();
        for (number, wanted) in wanted.iter().enumerate() {
            match self.outcomes.get(&wanted.item_id()) {
                Some(Ok(Ok(found))) => batch.users.push((number, found.clone())),
                Some(Ok(Err(reason))) => batch.not_found.push((number, *reason)),
                Some(Err(error)) => batch.failed.push((number, error.clone())),
                None => batch
                    .failed
                    .push((number, Error::internal("a user without an outcome"))),
            }
        }
        batch
    }
}
