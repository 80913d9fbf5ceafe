//! Everything the simulated platform remembers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::apps::Apps;
use crate::calendar;
use crate::clock::Clock;
use crate::control::Invalid;
use crate::counters::CounterBook;
use crate::directory::Directory;
use crate::faults::Faults;
use crate::options::Options;
use crate::rate_limit::RateLimits;
use crate::settings::Settings;
use crate::tokens::{Grant, Tokens};

/// Everything the simulated platform remembers.
pub(crate) struct Platform {
    pub(crate) clock: Clock,
    pub(crate) apps: Apps,
    pub(crate) tokens: Tokens,
    pub(crate) directory: Directory,
    pub(crate) faults: Faults,
    pub(crate) counters: CounterBook,
    pub(crate) limits: RateLimits,
    pub(crate) max_body_bytes: usize,
    settings: Mutex<Settings>,
    log_ids: AtomicU64,
}

impl Platform {
    pub(crate) fn new(options: Options) -> Result<Self, Invalid> {
        let clock = Clock::new(options.clock);
        let tokens = match &options.token_file {
            Some(path) => Tokens::kept_in(path, clock.now_ms()).map_err(|error| {
                Invalid::new("token_file", format!("{}: {error}", path.display()))
            })?,
            None => Tokens::new(),
        };
        let platform = Self {
            clock,
            apps: Apps::new(options.seeded_apps, options.apps)?,
            tokens,
            directory: Directory::new(options.users),
            faults: Faults::new(options.fault_seed),
            counters: CounterBook::default(),
            limits: RateLimits::default(),
            max_body_bytes: options.max_body_bytes,
            settings: Mutex::default(),
            log_ids: AtomicU64::new(0),
        };
        platform.set_settings(options.settings)?;
        Ok(platform)
    }

    pub(crate) fn settings(&self) -> Settings {
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_settings(&self, settings: Settings) -> Result<(), Invalid> {
        if let Some((field, problem)) = settings.problem() {
            return Err(Invalid::new(field, problem));
        }
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = settings;
        Ok(())
    }

    /// The app's token under the 30-minute rule, counted when it is a new one.
    pub(crate) fn issue_token(&self, app_id: &str, now_ms: u64) -> Grant {
        let lifetime_ms = self.settings().token_lifetime_seconds.saturating_mul(1000);
        let grant = self.tokens.issue(app_id, now_ms, lifetime_ms);
        if grant.is_new {
            self.counters.token_issued(app_id);
        }
        grant
    }

    /// Shaped like the platform's: the moment, then 20 hexadecimal digits.
    pub(crate) fn next_log_id(&self, now_ms: u64) -> String {
        let serial = self.log_ids.fetch_add(1, Ordering::Relaxed);
        format!("{}{serial:020X}", calendar::compact(now_ms))
    }
}
