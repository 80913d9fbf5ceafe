//! What a process sends to its servers: a journal of every request, and rules for what happens to some of them.
//!
//! A request is named by its server and what it asks for, and a rule by a pattern of such names in which `*` stands for any
//! characters: `store PutItem tokens`, `cache GET lark:*`, `platform POST /open-apis/authen/*`.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// The requests of one process, and the rules for them. Clones share both.
#[derive(Clone, Debug)]
pub struct Traffic {
    state: Arc<Mutex<State>>,
    arrivals: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct State {
    seen: Vec<Seen>,
    rules: Vec<Rule>,
}

/// A request that reached a proxy.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its server and what it asks for.
    pub name: String,
    /// When it arrived.
    pub at: Instant,
}

/// What happens to a request.
#[derive(Clone, Debug)]
pub enum Fate {
    /// It is forwarded, and so is its answer.
    Forward,
    /// It is forwarded after this.
    Delay(Duration),
    /// It is forwarded. Instead of an answer the connection closes.
    LoseAnswer,
    /// It is not forwarded, and the connection closes.
    Refuse,
    /// It is not forwarded, and nothing happens any more; its connection stays open. Of a cache, the whole connection falls
    /// silent.
    Hang,
    /// It is forwarded, and the answer never comes; its connection stays open. Of a cache, the whole connection falls silent.
    HangAnswer,
    /// It is not forwarded: the server answers that it is throttled, in the words of DynamoDB. For HTTP only.
    Throttle,
    /// A test decides, step by step.
    Hold(Hold),
}

#[derive(Debug)]
struct Rule {
    pattern: String,
    /// How many matching requests pass before it applies.
    skip: u64,
    /// How many it applies to; `None`: all.
    left: Option<u64>,
    fate: Fate,
}

impl Default for Traffic {
    fn default() -> Self {
        Self {
            state: Arc::default(),
            arrivals: watch::Sender::new(0),
        }
    }
}

impl Traffic {
    /// From now on every request that matches `pattern` has this fate. The first rule that matches decides.
    pub fn every(&self, pattern: &str, fate: Fate) {
        self.add(pattern, 0, None, fate);
    }

    /// The `nth` request from now on that matches `pattern` has this fate; 1 is the next one.
    pub fn nth(&self, nth: u64, pattern: &str, fate: Fate) {
        self.add(pattern, nth.saturating_sub(1), Some(1), fate);
    }

    /// The same for the `nth` request from now on and all after it.
    pub fn from_nth(&self, nth: u64, pattern: &str, fate: Fate) {
        self.add(pattern, nth.saturating_sub(1), None, fate);
    }

    /// The next request that matches `pattern` waits at the proxy for the test.
    #[must_use]
    pub fn hold(&self, pattern: &str) -> Hold {
        self.hold_nth(1, pattern)
    }

    /// The same for the `nth` request from now on.
    #[must_use]
    pub fn hold_nth(&self, nth: u64, pattern: &str) -> Hold {
        let hold = Hold::default();
        self.nth(nth, pattern, Fate::Hold(hold.clone()));
        hold
    }

    /// Removes every rule. What waits for a test, hangs or was lost stays so.
    pub fn heal(&self) {
        self.lock().rules.clear();
    }

    /// The requests so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.lock().seen.clone()
    }

    /// The names of the requests so far, from the one with the number `first` (0 is the very first).
    #[must_use]
    pub fn names_from(&self, first: usize) -> Vec<String> {
        let state = self.lock();
        let seen = state.seen.iter().skip(first);
        seen.map(|seen| seen.name.clone()).collect()
    }

    /// How many requests match `pattern` so far.
    #[must_use]
    pub fn count(&self, pattern: &str) -> usize {
        let state = self.lock();
        let seen = state.seen.iter();
        seen.filter(|seen| glob(pattern, &seen.name)).count()
    }

    /// Returns once `count` requests matched `pattern`.
    pub async fn arrived(&self, count: usize, pattern: &str) {
        let mut arrivals = self.arrivals.subscribe();
        while self.count(pattern) < count {
            arrivals.changed().await.expect("the traffic is kept here");
        }
    }

    /// Notes a request and decides its fate.
    pub(crate) fn fate(&self, name: String) -> Fate {
        let mut state = self.lock();
        let fate = state.rules.iter_mut().find_map(|rule| rule.apply(&name));
        let at = Instant::now();
        state.seen.push(Seen { name, at });
        drop(state);
        self.arrivals.send_modify(|arrivals| *arrivals += 1);
        fate.unwrap_or(Fate::Forward)
    }

    fn add(&self, pattern: &str, skip: u64, left: Option<u64>, fate: Fate) {
        let rule = Rule {
            pattern: pattern.to_owned(),
            skip,
            left,
            fate,
        };
        self.lock().rules.push(rule);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while holding the state")
    }
}

impl Rule {
    fn apply(&mut self, name: &str) -> Option<Fate> {
        if self.left == Some(0) || !glob(&self.pattern, name) {
            return None;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        self.left = self.left.map(|left| left - 1);
        Some(self.fate.clone())
    }
}

/// A request that waits at its proxy, first before it is forwarded, then with its answer. Clones are the same.
#[derive(Clone, Debug)]
pub struct Hold(watch::Sender<Progress>);

#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    has_arrived: bool,
    may_be_forwarded: bool,
    is_answered: bool,
    may_be_answered: bool,
    is_cut: bool,
}

impl Default for Hold {
    fn default() -> Self {
        Self(watch::Sender::new(Progress::default()))
    }
}

impl Hold {
    /// Returns once the request is at the proxy.
    pub async fn arrived(&self) {
        self.until(|progress| progress.has_arrived).await;
    }

    /// Whether the request is at the proxy or was.
    #[must_use]
    pub fn has_arrived(&self) -> bool {
        self.0.borrow().has_arrived
    }

    /// Lets the request through; its answer waits.
    pub fn forward(&self) {
        self.0
            .send_modify(|progress| progress.may_be_forwarded = true);
    }

    /// Returns once the server's answer is at the proxy.
    pub async fn answered(&self) {
        self.until(|progress| progress.is_answered).await;
    }

    /// Lets the request and its answer through.
    pub fn release(&self) {
        self.0.send_modify(|progress| {
            progress.may_be_forwarded = true;
            progress.may_be_answered = true;
        });
    }

    /// Closes the connection, whether or not the request was forwarded.
    pub fn cut(&self) {
        self.0.send_modify(|progress| progress.is_cut = true);
    }

    /// The request is here: whether it is to be forwarded; it is cut otherwise.
    pub(crate) async fn may_forward(&self) -> bool {
        self.0.send_modify(|progress| progress.has_arrived = true);
        self.until(|progress| progress.may_be_forwarded || progress.is_cut)
            .await;
        !self.0.borrow().is_cut
    }

    /// The answer is here: whether it is to be passed on; it is cut otherwise.
    pub(crate) async fn may_answer(&self) -> bool {
        self.0.send_modify(|progress| progress.is_answered = true);
        self.until(|progress| progress.may_be_answered || progress.is_cut)
            .await;
        !self.0.borrow().is_cut
    }

    async fn until(&self, reached: impl FnMut(&Progress) -> bool) {
        let mut progress = self.0.subscribe();
        let reached = progress.wait_for(reached).await;
        reached.expect("the progress is kept here");
    }
}

/// Whether a text matches a pattern in which `*` stands for any characters.
fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|tail| {
            let ends = tail.char_indices().map(|(at, _)| at).chain([tail.len()]);
            ends.into_iter().any(|at| glob(rest, &tail[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_count_only_what_they_match_and_the_first_that_applies_decides() {
        let traffic = Traffic::default();
        traffic.nth(2, "store PutItem *", Fate::Refuse);
        traffic.every("store *", Fate::Throttle);
        let fates = [
            "PutItem tokens",
            "GetItem apps",
            "PutItem apps",
            "PutItem apps",
        ]
        .map(|name| traffic.fate(format!("store {name}")));
        assert!(matches!(
            fates,
            [Fate::Throttle, Fate::Throttle, Fate::Refuse, Fate::Throttle]
        ));
        assert!(matches!(
            traffic.fate("cache GET k".to_owned()),
            Fate::Forward
        ));
        assert_eq!(traffic.count("* PutItem *"), 3);
        traffic.heal();
        assert!(matches!(
            traffic.fate("store GetItem apps".to_owned()),
            Fate::Forward
        ));
    }

    #[tokio::test]
    async fn a_held_request_waits_twice() {
        let traffic = Traffic::default();
        let held = traffic.hold("store *");
        let Fate::Hold(at_proxy) = traffic.fate("store PutItem tokens".to_owned()) else {
            panic!("it is held");
        };
        let proxy = async {
            assert!(at_proxy.may_forward().await);
            assert!(!at_proxy.may_answer().await);
        };
        let test = async {
            held.arrived().await;
            held.forward();
            held.answered().await;
            held.cut();
        };
        tokio::join!(proxy, test);
    }
}
