//! The state of the simulated platform.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::apps::{App, Apps};
use crate::audience::Audience;
use crate::batches::Batches;
use crate::calendar;
use crate::chats::Chats;
use crate::clock::Clock;
use crate::counters::CallCounters;
use crate::directory::{Directory, departments};
use crate::faults::Faults;
use crate::invalid::Invalid;
use crate::journal::Journal;
use crate::logins::Logins;
use crate::logins::codes::Codes;
use crate::media::Media;
use crate::messages::Messages;
use crate::options::Options;
use crate::quota::Quota;
use crate::random::RandomValues;
use crate::rate_limit::RateLimits;
use crate::settings::Settings;
use crate::spool::Spool;
use crate::tickets::{PushQueue, Tickets};
use crate::tokens::{IssuedToken, TokenOwner, Tokens};

/// The state of the simulated platform.
pub(crate) struct Platform {
    pub(crate) clock: Clock,
    pub(crate) apps: Apps,
    pub(crate) tokens: Tokens,
    pub(crate) codes: Codes,
    pub(crate) logins: Logins,
    pub(crate) tickets: Tickets,
    pub(crate) push_queue: PushQueue,
    pub(crate) random: RandomValues,
    pub(crate) directory: Directory,
    pub(crate) chats: Chats,
    pub(crate) messages: Messages,
    pub(crate) batches: Batches,
    pub(crate) media: Media,
    pub(crate) spool: Arc<Spool>,
    pub(crate) faults: Faults,
    pub(crate) counters: CallCounters,
    pub(crate) limits: RateLimits,
    pub(crate) quota: Quota,
    pub(crate) max_body_bytes: usize,
    pub(crate) head_timeout: Duration,
    settings: Mutex<Settings>,
    log_ids: AtomicU64,
}

impl Platform {
    pub(crate) fn new(options: Options) -> Result<Self, Invalid> {
        let clock = Clock::new(options.clock);
        let (tokens, logins) = match &options.token_file {
            Some(path) => restore_from(path, clock.now_ms()).map_err(|error| {
                Invalid::new("token_file", format!("{}: {error}", path.display()))
            })?,
            None => (Tokens::restored(&[], 0), Logins::restored(&[], 0)),
        };
        let spool = Spool::new()
            .map_err(|error| Invalid::new("spool", format!("a temporary file: {error}")))?;
        let random = RandomValues::new();
        let platform = Self {
            clock,
            apps: Apps::new(options.seeded_apps, options.apps)?,
            tokens,
            codes: Codes::default(),
            logins,
            tickets: Tickets::default(),
            push_queue: PushQueue::default(),
            messages: Messages::new(&random),
            batches: Batches::new(&random),
            media: Media::new(&random),
            spool,
            random,
            directory: Directory::new(options.users),
            chats: Chats::new(options.chats, options.users),
            faults: Faults::new(options.fault_seed),
            counters: CallCounters::default(),
            limits: RateLimits::default(),
            quota: Quota::default(),
            max_body_bytes: options.max_body_bytes,
            head_timeout: options.head_timeout,
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

    /// Issues the app's token by the 30-minute rule, and counts it if it is new.
    pub(crate) fn issue_token(&self, app_id: &str, audience: Audience, now_ms: u64) -> IssuedToken {
        let lifetime_ms = self.settings().token_lifetime_seconds.saturating_mul(1000);
        let owner = TokenOwner {
            app_id: app_id.into(),
            audience,
        };
        let issued = self.tokens.issue(owner, now_ms, lifetime_ms);
        if issued.is_new {
            self.counters.count(app_id, |app| app.tokens_issued += 1);
        }
        issued
    }

    /// An existing app.
    pub(crate) fn app(&self, app_id: &str) -> Result<Arc<App>, Invalid> {
        self.apps
            .get(app_id)
            .ok_or_else(|| Invalid::new("app_id", format!("there is no app {app_id}")))
    }

    /// An existing marketplace app.
    pub(crate) fn marketplace_app(&self, app_id: &str) -> Result<Arc<App>, Invalid> {
        let app = self.app(app_id)?;
        match app.marketplace {
            true => Ok(app),
            false => Err(Invalid::new(
                "app_id",
                format!("{app_id} is not a marketplace app"),
            )),
        }
    }

    /// The people of a department and of those below it, who have not left the company.
    pub(crate) fn people_within(&self, department: u32) -> impl Iterator<Item = u32> {
        let below = departments::descendants(department).chain([department]);
        below.flat_map(|department| {
            let members = self.directory.members(department, 0, usize::MAX, |_| true);
            members.into_iter().map(|member| member.n)
        })
    }

    /// A log id like the platform's: the time, then 20 hexadecimal digits.
    pub(crate) fn next_log_id(&self, now_ms: u64) -> String {
        let serial = self.log_ids.fetch_add(1, Ordering::Relaxed);
        format!("{}{serial:020X}", calendar::compact(now_ms))
    }
}

/// Restores tokens and logins from the file at `path` and rewrites it with the entries that they still need.
fn restore_from(path: &Path, now_ms: u64) -> io::Result<(Tokens, Logins)> {
    let entries = Journal::read(path)?;
    let tokens = Tokens::restored(&entries, now_ms);
    let logins = Logins::restored(&entries, now_ms);
    let needed = entries
        .iter()
        .filter(|entry| tokens.needs(entry) || logins.needs(entry));
    let journal = Arc::new(Journal::create(path, needed)?);
    tokens.write_to(Arc::clone(&journal));
    logins.write_to(journal);
    Ok((tokens, logins))
}
