//! Injected faults: which calls fail, how often, and how.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::hash::mix;
use crate::invalid::Invalid;

/// A rule for faults. The first one that matches and fires decides. The field names are those of `POST /_sim/faults`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The name of an endpoint, or a path that begins with `/`; `*` stands for any characters. Default `*`.
    #[serde(default = "any_endpoint")]
    pub endpoint: String,
    /// Only for calls of this app, by their token or their credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_id: Option<String>,
    /// From 0 to 1. Default 1.
    #[serde(default = "default_probability")]
    pub probability: f64,
    /// How many times it fires; without a limit if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// How long it fires, in simulated milliseconds from when it is added; without end if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lasts_ms: Option<u64>,
    /// Real milliseconds to wait before the action. Default 0.
    #[serde(default)]
    pub delay_ms: u64,
    /// Default [`FaultStage::Before`].
    #[serde(default)]
    pub stage: FaultStage,
    /// What happens to the call.
    pub action: FaultAction,
}

/// Whether the call takes effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultStage {
    /// The call never reaches the endpoint.
    #[default]
    Before,
    /// The endpoint has done its work, for instance issued a token; only the answer is lost.
    After,
}

/// What a fault does to a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultAction {
    /// Nothing, for a rule that only delays.
    Continue,
    /// No answer until the client gives up, someone removes the rules, or the simulator stops; then the connection
    /// ends.
    Hang,
    /// Resets the connection (TCP RST) instead of answering.
    Reset,
    /// Another answer.
    Answer {
        /// HTTP status, 200 to 599. Default 500.
        #[serde(default = "default_status")]
        status: u16,
        /// `code` of the body. Default 5000, which is not a code of the platform.
        #[serde(default = "default_code")]
        code: i64,
        /// `msg` of the body.
        #[serde(default = "default_msg")]
        msg: String,
        /// Sent unchanged instead of `code` and `msg`, for bodies that the platform would not send.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<String>,
        /// Added to the usual headers, or replacing them: `{"Content-Type": "text/html"}`.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        headers: BTreeMap<String, String>,
    },
}

/// A rule and its use so far.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FaultReport {
    /// The rule, with the remaining count and time.
    #[serde(flatten)]
    pub fault: Fault,
    /// How many times it has fired.
    pub fired: u64,
}

impl Fault {
    /// A rule that always fires, before the call takes effect, without delay.
    pub fn new(endpoint: impl Into<String>, action: FaultAction) -> Self {
        Self {
            endpoint: endpoint.into(),
            app_id: None,
            probability: 1.0,
            count: None,
            lasts_ms: None,
            delay_ms: 0,
            stage: FaultStage::Before,
            action,
        }
    }

    fn matches(&self, call: &Candidate<'_>) -> bool {
        let place = match self.endpoint.starts_with('/') {
            true => call.path,
            false => call.endpoint,
        };
        self.stage == call.stage
            && self.count != Some(0)
            && glob(&self.endpoint, place)
            && self
                .app_id
                .as_deref()
                .is_none_or(|app_id| (call.app_id)().as_deref() == Some(app_id))
    }

    /// `endpoints` are the names that exist.
    fn check(&self, endpoints: &[&str]) -> Result<(), Invalid> {
        if !(0.0..=1.0).contains(&self.probability) {
            return Err(Invalid::new("probability", "must be from 0 to 1"));
        }
        let known = self.endpoint.starts_with('/')
            || endpoints.iter().any(|name| glob(&self.endpoint, name));
        if !known {
            let problem = format!("no endpoint is called {}", self.endpoint);
            return Err(Invalid::new("endpoint", problem));
        }
        self.action.check()
    }
}

impl FaultAction {
    /// An answer with this status and code, and a message that says that it is simulated.
    pub fn answer(status: u16, code: i64) -> Self {
        Self::Answer {
            status,
            code,
            msg: default_msg(),
            body: None,
            headers: BTreeMap::new(),
        }
    }

    fn check(&self) -> Result<(), Invalid> {
        let Self::Answer {
            status, headers, ..
        } = self
        else {
            return Ok(());
        };
        if !(200..=599).contains(status) {
            let problem = "must be an HTTP status from 200 to 599";
            return Err(Invalid::new("action.answer.status", problem));
        }
        let bad = headers.iter().find(|(name, value)| {
            http::HeaderName::try_from(name.as_str()).is_err()
                || http::HeaderValue::try_from(value.as_str()).is_err()
        });
        match bad {
            Some((name, _)) => Err(Invalid::new(
                "action.answer.headers",
                format!("{name:?} is not a header"),
            )),
            None => Ok(()),
        }
    }
}

/// A call to match with the rules.
pub(crate) struct Candidate<'a> {
    pub(crate) endpoint: &'a str,
    pub(crate) path: &'a str,
    pub(crate) stage: FaultStage,
    pub(crate) now_ms: u64,
    /// The app of the call; evaluated only for rules that name an app.
    pub(crate) app_id: &'a dyn Fn() -> Option<Arc<str>>,
}

pub(crate) struct Faults {
    rules: Mutex<Rules>,
    clears: watch::Sender<u64>,
}

struct Rules {
    rules: Vec<Rule>,
    random_state: u64,
}

struct Rule {
    fault: Fault,
    fired: u64,
    ends_at_ms: Option<u64>,
}

impl Rule {
    fn is_over(&self, now_ms: u64) -> bool {
        self.ends_at_ms.is_some_and(|end| end <= now_ms)
    }

    fn report(&self, now_ms: u64) -> FaultReport {
        let lasts_ms = self.ends_at_ms.map(|end| end.saturating_sub(now_ms));
        FaultReport {
            fault: Fault {
                lasts_ms,
                ..self.fault.clone()
            },
            fired: self.fired,
        }
    }
}

/// A signal that the rules were removed.
pub(crate) struct Cleared(watch::Receiver<u64>);

impl Cleared {
    pub(crate) async fn wait(&mut self) {
        // An error means that the simulator was dropped.
        let _gone = self.0.changed().await;
    }
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        let rules = Rules {
            rules: Vec::new(),
            random_state: seed,
        };
        Self {
            rules: Mutex::new(rules),
            clears: watch::Sender::new(0),
        }
    }

    /// Adds all rules or none. `endpoints` are the names that exist.
    pub(crate) fn add(
        &self,
        faults: Vec<Fault>,
        endpoints: &[&str],
        now_ms: u64,
    ) -> Result<(), Invalid> {
        for (index, fault) in faults.iter().enumerate() {
            fault.check(endpoints).map_err(|invalid| {
                let field = format!("faults[{index}].{}", invalid.field);
                Invalid::new(field, invalid.problem)
            })?;
        }
        let rules = faults.into_iter().map(|fault| Rule {
            ends_at_ms: fault
                .lasts_ms
                .map(|lasts_ms| now_ms.saturating_add(lasts_ms)),
            fault,
            fired: 0,
        });
        self.lock().rules.extend(rules);
        Ok(())
    }

    /// Removes every rule, and releases the calls that hang because of one.
    pub(crate) fn clear(&self) {
        let mut rules = self.lock();
        rules.rules.clear();
        self.clears.send_modify(|clears| *clears += 1);
    }

    pub(crate) fn report(&self, now_ms: u64) -> Vec<FaultReport> {
        let rules = self.lock();
        rules.rules.iter().map(|rule| rule.report(now_ms)).collect()
    }

    /// Picks the first rule that fires, reduces its count, and returns it with a signal of its removal.
    pub(crate) fn pick(&self, call: &Candidate<'_>) -> Option<(Fault, Cleared)> {
        let mut guard = self.lock();
        let Rules {
            rules,
            random_state,
        } = &mut *guard;
        let rule = rules.iter_mut().find(|rule| {
            !rule.is_over(call.now_ms)
                && rule.fault.matches(call)
                && happens(random_state, rule.fault.probability)
        })?;
        rule.fired += 1;
        rule.fault.count = rule.fault.count.map(|left| left.saturating_sub(1));
        // Subscribes under the lock, so that no removal after the pick is missed.
        Some((rule.fault.clone(), Cleared(self.clears.subscribe())))
    }

    fn lock(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn happens(random_state: &mut u64, probability: f64) -> bool {
    *random_state = random_state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    // 53 bits fill the mantissa: at least 0 and less than 1.
    let rolled = (mix(*random_state) >> 11) as f64 / (1_u64 << 53) as f64;
    rolled < probability
}

/// Whether a text matches a pattern in which `*` stands for any characters.
fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|tail| {
            tail.char_indices()
                .map(|(at, _)| at)
                .chain([tail.len()])
                .any(|at| glob(rest, &tail[at..]))
        }),
    }
}

fn any_endpoint() -> String {
    "*".to_owned()
}

fn default_probability() -> f64 {
    1.0
}

fn default_status() -> u16 {
    500
}

fn default_code() -> i64 {
    5000
}

fn default_msg() -> String {
    "simulated failure".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, text: &str, expected: bool) {
        assert_eq!(glob(pattern, text), expected, "{pattern} against {text}");
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        check("*", "", true);
        check("contact.*", "contact.user.get", true);
        check("*.get", "contact.user.get", true);
        check("contact.*.get", "contact.user.batch", false);
        check("contact.user.get", "contact.user.get_more", false);
    }

    #[test]
    fn the_same_seed_gives_the_same_faults_near_the_probability() {
        let run = |seed| {
            let mut random_state = seed;
            (0..10_000)
                .map(|_| happens(&mut random_state, 0.3))
                .collect::<Vec<_>>()
        };
        assert_eq!(run(7), run(7));
        let fired = run(7).into_iter().filter(|fired| *fired).count();
        assert!((2_800..3_200).contains(&fired), "{fired}");
    }
}
