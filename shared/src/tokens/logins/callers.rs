//! Which logins have callers that wait, and for which a refresh token has been presented.
//!
//! A refresh token works once. From the moment at which it is presented until its successor is stored, nobody who waits may be
//! answered: after the last answer the process may be frozen, with the platform's answer unread in a socket. And none is
//! presented when nobody waits for it, or not for long enough.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::deadline::Deadline;
use crate::tokens::TokenKey;

/// The callers of this process that wait for a login's next token. Cheap to clone; clones share everything.
#[derive(Clone, Debug, Default)]
pub(in crate::tokens) struct LoginCallers {
    attended: Arc<Mutex<HashMap<TokenKey, Attended>>>,
}

/// A login that somebody waits for, or whose refresh token has been presented.
#[derive(Debug, Default)]
struct Attended {
    /// Until when each caller can wait, by its number.
    waiting: Vec<(u64, Deadline)>,
    next: u64,
    is_presented: bool,
}

/// A caller that waits. Dropped, it waits no more.
#[derive(Debug)]
pub(in crate::tokens) struct Waiting {
    callers: LoginCallers,
    key: TokenKey,
    number: u64,
}

/// A refresh token that was presented and whose successor is not stored yet.
#[derive(Debug)]
pub(in crate::tokens) struct Presented {
    callers: LoginCallers,
    key: TokenKey,
}

impl LoginCallers {
    /// A caller begins to wait for `key`, until `deadline` if it must.
    pub(in crate::tokens) fn wait(&self, key: &TokenKey, deadline: Deadline) -> Waiting {
        let mut attended = self.lock();
        let login = attended.entry(key.clone()).or_default();
        let number = login.next;
        login.next += 1;
        login.waiting.push((number, deadline));
        Waiting {
            callers: self.clone(),
            key: key.clone(),
            number,
        }
    }

    /// Whether somebody waits for `key` until `needed` at least.
    pub(in crate::tokens) fn is_awaited(&self, key: &TokenKey, needed: Deadline) -> bool {
        let attended = self.lock();
        attended
            .get(key)
            .is_some_and(|login| login.is_awaited(needed))
    }

    /// Begins to present the refresh token of `key`, if somebody waits for it until `needed` at least. From then on no caller
    /// leaves by [`Waiting::leave`].
    pub(in crate::tokens) fn present(&self, key: &TokenKey, needed: Deadline) -> Option<Presented> {
        let mut attended = self.lock();
        let login = attended.get_mut(key)?;
        if !login.is_awaited(needed) {
            return None;
        }
        login.is_presented = true;
        Some(Presented {
            callers: self.clone(),
            key: key.clone(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TokenKey, Attended>> {
        self.attended
            .lock()
            .expect("no panic while holding the callers of logins")
    }

    fn change(&self, key: &TokenKey, change: impl FnOnce(&mut Attended)) {
        let mut attended = self.lock();
        if let Some(login) = attended.get_mut(key) {
            change(login);
            if login.waiting.is_empty() && !login.is_presented {
                attended.remove(key);
            }
        }
    }
}

impl Attended {
    fn is_awaited(&self, needed: Deadline) -> bool {
        self.waiting.iter().any(|(_, until)| *until >= needed)
    }
}

impl Waiting {
    /// Leaves, unless the refresh token has been presented; returns whether the caller may go.
    pub(in crate::tokens) fn leave(&self) -> bool {
        let mut may_go = true;
        self.callers.change(&self.key, |login| {
            may_go = !login.is_presented;
            if may_go {
                login.waiting.retain(|(number, _)| *number != self.number);
            }
        });
        may_go
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let number = self.number;
        self.callers.change(&self.key, |login| {
            login.waiting.retain(|(waiting, _)| *waiting != number);
        });
    }
}

impl Drop for Presented {
    fn drop(&mut self) {
        self.callers
            .change(&self.key, |login| login.is_presented = false);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ids::{AppId, OpenId};

    fn key() -> TokenKey {
        let open_id = OpenId::parse("ou_1").expect("an id");
        TokenKey::user(AppId::parse("cli_a").expect("an id"), &open_id)
    }

    fn after(seconds: u64) -> Deadline {
        Deadline::after(Duration::from_secs(seconds))
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_presented_for_nobody_or_for_a_caller_without_the_time() {
        let callers = LoginCallers::default();
        assert!(callers.present(&key(), after(20)).is_none());
        let short = callers.wait(&key(), after(19));
        assert!(callers.present(&key(), after(20)).is_none());
        let _long = callers.wait(&key(), after(21));
        assert!(callers.present(&key(), after(20)).is_some());
        drop(short);
        assert!(callers.present(&key(), after(20)).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_leaves_before_the_token_is_presented_and_not_after() {
        let callers = LoginCallers::default();
        let (patient, other) = (
            callers.wait(&key(), after(30)),
            callers.wait(&key(), after(30)),
        );
        assert!(other.leave());
        assert!(
            callers.present(&key(), after(20)).is_some(),
            "one still waits"
        );
        let presented = callers.present(&key(), after(20));
        assert!(!patient.leave());
        drop(presented);
        assert!(patient.leave());
        assert!(callers.present(&key(), after(20)).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_remembered_of_a_login_that_nobody_waits_for() {
        let callers = LoginCallers::default();
        let waiting = callers.wait(&key(), after(30));
        let presented = callers.present(&key(), after(20));
        drop(waiting);
        drop(presented);
        assert!(callers.lock().is_empty());
    }
}
