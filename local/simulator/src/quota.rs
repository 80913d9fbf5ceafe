//! The monthly quota of calls ("API call quota" of self-built apps in the platform's guide): one for the tenant, over all its
//! self-built apps. Refused calls do not count. Here a month begins at midnight in UTC.

use std::sync::{Mutex, PoisonError};

use crate::calendar;

/// The families of APIs that count; contact, authentication and events do not.
const COUNTED: [&str; 2] = ["im.", "message."];

/// The month and its calls.
#[derive(Default)]
pub(crate) struct Quota(Mutex<((u64, u64), u64)>);

/// The quota of this month is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UsedUp;

impl Quota {
    /// Takes a call from the quota.
    pub(crate) fn take(&self, endpoint: &str, quota: u64, now_ms: u64) -> Result<(), UsedUp> {
        if !COUNTED.iter().any(|family| endpoint.starts_with(family)) {
            return Ok(());
        }
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let month = calendar::month(now_ms);
        if state.0 != month {
            *state = (month, 0);
        }
        if state.1 >= quota {
            return Err(UsedUp);
        }
        state.1 += 1;
        Ok(())
    }

    /// Gives a call back that was refused after all.
    pub(crate) fn give_back(&self, endpoint: &str) {
        if COUNTED.iter().any(|family| endpoint.starts_with(family)) {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            state.1 = state.1.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-31, the last millisecond.
    const LAST_MS: u64 = 1_769_903_999_999;

    #[test]
    fn a_month_has_its_quota_and_some_apis_none() {
        let quota = Quota::default();
        for _ in 0..2 {
            assert_eq!(quota.take("im.message.create", 2, LAST_MS), Ok(()));
        }
        assert_eq!(quota.take("message.batch_send", 2, LAST_MS), Err(UsedUp));
        assert_eq!(quota.take("contact.user.get", 2, LAST_MS), Ok(()));
        quota.give_back("contact.user.get");
        assert_eq!(quota.take("im.chat.list", 2, LAST_MS), Err(UsedUp));
        quota.give_back("im.chat.list");
        assert_eq!(quota.take("im.chat.list", 2, LAST_MS), Ok(()));
        assert_eq!(quota.take("im.chat.list", 2, LAST_MS), Err(UsedUp));
        assert_eq!(quota.take("im.chat.list", 2, LAST_MS + 1), Ok(()));
    }
}
