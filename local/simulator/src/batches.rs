//! Batch messages: each reaches its people one after another, as simulated time passes. The last [`KEPT_MAX`] are kept.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::directory::ids;
use crate::random::RandomValues;

/// The most batch messages that are kept.
const KEPT_MAX: usize = 1000;

const BATCH: &str = "bm-";

/// A batch message.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    number: u64,
    pub(crate) app_id: Arc<str>,
    pub(crate) msg_type: &'static str,
    pub(crate) content_sha256: Arc<str>,
    /// Numbers of users, each once.
    pub(crate) people: Arc<[u32]>,
    pub(crate) accepted_ms: u64,
    pub(crate) recalled_ms: Option<u64>,
    per_second: u32,
    /// Numbers of users.
    readers: BTreeSet<u32>,
}

/// A batch message, for the controls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BatchDelivery {
    /// Its id.
    pub message_id: String,
    /// The app that sent it.
    pub app_id: Arc<str>,
    /// Its type.
    pub msg_type: &'static str,
    /// SHA-256 of `content` or `card` as compact JSON with sorted keys, in hexadecimal digits.
    pub content_sha256: Arc<str>,
    /// When it was accepted, in simulated milliseconds since 1970.
    pub accepted_ms: u64,
    /// Numbers of the users that it is for, each once.
    pub people: Arc<[u32]>,
    /// How many of them, the first ones, it has reached.
    pub delivered: usize,
    /// Whether it was recalled.
    pub is_recalled: bool,
}

pub(crate) struct Batches(Mutex<State>);

struct State {
    first: u64,
    kept: VecDeque<Batch>,
}

impl Batch {
    pub(crate) fn id(&self) -> String {
        ids::numbered(BATCH, self.number)
    }

    /// How many people it has reached by now. A recall stops it.
    pub(crate) fn delivered(&self, now_ms: u64) -> usize {
        let until_ms = self.recalled_ms.unwrap_or(now_ms).min(now_ms);
        let passed_ms = until_ms.saturating_sub(self.accepted_ms);
        let reached = u128::from(passed_ms) * u128::from(self.per_second) / 1000;
        usize::try_from(reached).map_or(self.people.len(), |reached| reached.min(self.people.len()))
    }

    /// How many of those whom it has reached have read it.
    pub(crate) fn read(&self, now_ms: u64) -> usize {
        let reached = &self.people[..self.delivered(now_ms)];
        reached
            .iter()
            .filter(|user| self.readers.contains(user))
            .count()
    }
}

impl Batches {
    pub(crate) fn new(random: &RandomValues) -> Self {
        Self(Mutex::new(State {
            first: random.sequence() + 1,
            kept: VecDeque::new(),
        }))
    }

    /// Accepts a batch message that reaches this many people per second, and returns its id.
    pub(crate) fn add(
        &self,
        app_id: &str,
        content: (&'static str, Arc<str>),
        people: Vec<u32>,
        per_second: u32,
        now_ms: u64,
    ) -> String {
        let mut state = self.lock();
        let (msg_type, content_sha256) = content;
        let batch = Batch {
            number: state.first + state.kept.len() as u64,
            app_id: app_id.into(),
            msg_type,
            content_sha256,
            people: people.into(),
            accepted_ms: now_ms,
            recalled_ms: None,
            per_second,
            readers: BTreeSet::new(),
        };
        let id = batch.id();
        state.kept.push_back(batch);
        if state.kept.len() > KEPT_MAX {
            state.kept.pop_front();
            state.first += 1;
        }
        id
    }

    pub(crate) fn get(&self, id: &str) -> Option<Batch> {
        self.lock().find(id).cloned()
    }

    /// Recalls a batch message; a second time changes nothing.
    pub(crate) fn recall(&self, id: &str, now_ms: u64) {
        if let Some(batch) = self.lock().find(id) {
            batch.recalled_ms.get_or_insert(now_ms);
        }
    }

    /// Lets users read a batch message; `false` if there is no such message.
    pub(crate) fn mark_read(&self, id: &str, users: &[u32]) -> bool {
        let mut state = self.lock();
        let batch = state.find(id);
        batch.is_some_and(|batch| {
            batch.readers.extend(users);
            true
        })
    }

    /// Those that are kept, oldest first.
    pub(crate) fn all(&self, now_ms: u64) -> Vec<BatchDelivery> {
        let state = self.lock();
        let delivery = |batch: &Batch| BatchDelivery {
            message_id: batch.id(),
            app_id: Arc::clone(&batch.app_id),
            msg_type: batch.msg_type,
            content_sha256: Arc::clone(&batch.content_sha256),
            accepted_ms: batch.accepted_ms,
            people: Arc::clone(&batch.people),
            delivered: batch.delivered(now_ms),
            is_recalled: batch.recalled_ms.is_some(),
        };
        state.kept.iter().map(delivery).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn find(&mut self, id: &str) -> Option<&mut Batch> {
        let number = ids::decode_numbered(BATCH, id)?;
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.kept.get_mut(index)
    }
}
