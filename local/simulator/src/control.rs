//! The handle that controls a simulator in the same process. `control_api` offers the same over HTTP.

mod logins;
mod messages;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::apps::{App, AppPatch};
use crate::chats::{ChatInfo, ChatPatch};
use crate::counters::{AppCounters, Counters, PeakInWindow};
use crate::directory::ids;
use crate::directory::{UserIds, UserPatch};
use crate::faults::{Fault, FaultReport};
use crate::invalid::Invalid;
use crate::marketplace::push;
use crate::platform::Platform;
use crate::rate_limit::Tier;
use crate::routes;
use crate::settings::Settings;

pub use logins::Consent;

/// Controls a simulator. Clones control the same one.
#[derive(Clone)]
pub struct Control(Arc<Platform>);

impl fmt::Debug for Control {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Control").finish_non_exhaustive()
    }
}

/// Time.
impl Control {
    /// Simulated milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        self.0.clock.now_ms()
    }

    /// Sets the clock, also back.
    pub fn set_now_ms(&self, now_ms: u64) {
        self.0.clock.set_now_ms(now_ms);
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.0.clock.advance(by);
    }

    /// Stops the clock: from now on only [`advance`](Self::advance) and [`set_now_ms`](Self::set_now_ms) move it.
    pub fn freeze(&self) {
        self.0.clock.freeze();
    }

    /// Lets the clock run again from its current time.
    pub fn unfreeze(&self) {
        self.0.clock.unfreeze();
    }

    /// Whether the clock is stopped.
    pub fn is_frozen(&self) -> bool {
        self.0.clock.is_frozen()
    }
}

/// Settings and faults.
impl Control {
    /// The current settings.
    pub fn settings(&self) -> Settings {
        self.0.settings()
    }

    /// Replaces all settings.
    ///
    /// # Errors
    /// When a field is out of range.
    pub fn set_settings(&self, settings: Settings) -> Result<(), Invalid> {
        self.0.set_settings(settings)
    }

    /// Sets the lifetime of tokens issued from now on, in whole seconds.
    ///
    /// # Errors
    /// When it is below one second.
    pub fn set_token_lifetime(&self, lifetime: Duration) -> Result<(), Invalid> {
        self.set_settings(Settings {
            token_lifetime_seconds: lifetime.as_secs(),
            ..self.settings()
        })
    }

    /// Adds a rule after the existing ones.
    ///
    /// # Errors
    /// When a field is out of range, or no endpoint has the name.
    pub fn add_fault(&self, fault: Fault) -> Result<(), Invalid> {
        self.add_faults(vec![fault])
    }

    /// Adds all rules or none.
    pub(crate) fn add_faults(&self, faults: Vec<Fault>) -> Result<(), Invalid> {
        let endpoints: Vec<_> = routes::names().collect();
        self.0.faults.add(faults, &endpoints, self.now_ms())
    }

    /// The rules in order.
    pub fn faults(&self) -> Vec<FaultReport> {
        self.0.faults.report(self.now_ms())
    }

    /// Removes every rule. Calls that hang end without an answer.
    pub fn clear_faults(&self) {
        self.0.faults.clear();
    }
}

/// Tokens and apps.
impl Control {
    /// Revokes a tenant, app or user access token and returns whether it was known. The app's next token request gets a
    /// new one.
    pub fn revoke_token(&self, token: &str) -> bool {
        self.0.tokens.revoke(token) || self.0.logins.revoke_access(token)
    }

    /// Revokes the app's tenant and app tokens and returns their number. Logins stay.
    pub fn revoke_app_tokens(&self, app_id: &str) -> usize {
        self.0.tokens.revoke_all(app_id)
    }

    /// Adds an app.
    ///
    /// # Errors
    /// When the id exists already, id, secret or a tenant's key is empty, users have no such field to hide, or a URL is
    /// not valid for its purpose.
    pub fn add_app(&self, app: App) -> Result<(), Invalid> {
        self.0.apps.add(app)
    }

    /// Changes an app. Its tokens stay valid, as on the platform after a reset of the secret.
    ///
    /// # Errors
    /// When there is no such app, and as for [`add_app`](Self::add_app).
    pub fn update_app(&self, app_id: &str, patch: AppPatch) -> Result<(), Invalid> {
        patch.check()?;
        self.0.apps.update(app_id, |app| patch.apply(app))
    }

    /// Sets a new secret. The previous one stays valid until the next rotation.
    ///
    /// # Errors
    /// When there is no such app.
    pub fn rotate_secret(&self, app_id: &str, secret: &str) -> Result<(), Invalid> {
        self.0.apps.update(app_id, |app| {
            let previous = std::mem::replace(&mut app.secret, secret.to_owned());
            app.previous_secret = Some(previous);
        })
    }

    /// Disables the app: it gets no new tokens, and calls with its existing ones fail with 99991662.
    ///
    /// # Errors
    /// When there is no such app.
    pub fn disable_app(&self, app_id: &str) -> Result<(), Invalid> {
        self.0.apps.update(app_id, |app| app.enabled = false)
    }

    /// Undoes [`disable_app`](Self::disable_app).
    ///
    /// # Errors
    /// When there is no such app.
    pub fn enable_app(&self, app_id: &str) -> Result<(), Invalid> {
        self.0.apps.update(app_id, |app| app.enabled = true)
    }
}

/// Users.
impl Control {
    /// Adds a user and returns the number. Absent fields are computed from it.
    ///
    /// # Errors
    /// When another user has the e-mail address or mobile number, or the department does not exist.
    pub fn create_user(&self, user: UserPatch) -> Result<u32, Invalid> {
        self.0.directory.create(user)
    }

    /// Changes a user, seeded or created.
    ///
    /// # Errors
    /// As for [`create_user`](Self::create_user), and when there is no such user.
    pub fn update_user(&self, n: u32, user: UserPatch) -> Result<(), Invalid> {
        self.0.directory.update(n, user)
    }

    /// Removes a user. No other user gets the number.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn delete_user(&self, n: u32) -> Result<(), Invalid> {
        self.0.directory.delete(n)
    }

    /// The ids and addresses of a user; the open_id only if an app is given. `None` when there is no such user.
    pub fn user_ids(&self, n: u32, app_id: Option<&str>) -> Option<UserIds> {
        let profile = self.0.directory.profile(n.into())?;
        Some(UserIds {
            n,
            open_id: app_id.map(|app_id| ids::open_id(app_id, n)),
            union_id: ids::union_id(n),
            user_id: ids::user_id(n),
            email: profile.email,
            mobile: profile.mobile,
        })
    }
}

/// Chats.
impl Control {
    /// Adds a chat and returns the number. Its members are [`ChatPatch::add_members`].
    ///
    /// # Errors
    /// When the directory has no such user.
    pub fn create_chat(&self, chat: ChatPatch) -> Result<u32, Invalid> {
        self.check_members(&chat)?;
        self.0.chats.create(chat)
    }

    /// Changes a chat, seeded or created: its name, its members.
    ///
    /// # Errors
    /// When there is no such chat, it was dissolved, or a new member is not in the directory.
    pub fn update_chat(&self, n: u32, patch: ChatPatch) -> Result<(), Invalid> {
        self.check_members(&patch)?;
        self.0.chats.update(n, |chat| chat.apply(patch))
    }

    /// Dissolves a chat: lists leave it out, and a request for it fails with 232009. No other chat gets the number.
    ///
    /// # Errors
    /// When there is no such chat, or it was dissolved already.
    pub fn dissolve_chat(&self, n: u32) -> Result<(), Invalid> {
        self.0.chats.update(n, |chat| chat.is_dissolved = true)
    }

    /// The current state of a chat, dissolved or not. `None` when there is no such chat.
    pub fn chat(&self, n: u32) -> Option<ChatInfo> {
        let chat = self.0.chats.get(n.into())?;
        Some(ChatInfo {
            n,
            chat_id: ids::chat_id(n),
            members: chat.members(&self.0.directory),
            name: chat.name,
            has_bot: chat.has_bot,
            is_dissolved: chat.is_dissolved,
        })
    }

    fn check_members(&self, patch: &ChatPatch) -> Result<(), Invalid> {
        let mut strangers = patch
            .add_members
            .iter()
            .filter(|n| self.0.directory.profile((**n).into()).is_none());
        match strangers.next() {
            Some(n) => Err(Invalid::new("add_members", format!("there is no user {n}"))),
            None => Ok(()),
        }
    }
}

/// Tickets of marketplace apps.
impl Control {
    /// The app's current ticket. Each simulated hour there is a new one; the previous one stays valid for an hour.
    ///
    /// # Errors
    /// When there is no such app, or it is not a marketplace app.
    pub fn app_ticket(&self, app_id: &str) -> Result<String, Invalid> {
        self.0.marketplace_app(app_id)?;
        let now_ms = self.now_ms();
        Ok(self.0.tickets.current(app_id, now_ms, &self.0.random))
    }

    /// Makes a new ticket now, without pushing it. After two calls, no earlier ticket is valid.
    ///
    /// # Errors
    /// When there is no such app, or it is not a marketplace app.
    pub fn rotate_app_ticket(&self, app_id: &str) -> Result<String, Invalid> {
        self.0.marketplace_app(app_id)?;
        let now_ms = self.now_ms();
        Ok(self.0.tickets.rotate(app_id, now_ms, &self.0.random))
    }

    /// Pushes the current ticket to the app's [`event_url`](crate::App::event_url) and returns the HTTP status of the
    /// answer. It makes at most three attempts of three seconds each, until one gets 2xx.
    ///
    /// # Errors
    /// When there is no such app, it is not a marketplace app, it has no `event_url`, or nothing answered there.
    pub async fn push_app_ticket(&self, app_id: &str) -> Result<u16, Invalid> {
        push::push(&self.0, app_id).await
    }
}

/// Limits of the APIs, and how close clients come to them.
impl Control {
    /// The current tier of each endpoint.
    pub fn tiers(&self) -> BTreeMap<String, Tier> {
        routes::all()
            .map(|endpoint| {
                let tier = self.0.limits.tier(endpoint.name, endpoint.tier);
                (endpoint.name.to_owned(), tier)
            })
            .collect()
    }

    /// Sets another tier than the documented one for an endpoint; `None` restores that.
    ///
    /// # Errors
    /// When no endpoint has the name.
    pub fn set_tier(&self, endpoint: &str, tier: Option<Tier>) -> Result<(), Invalid> {
        let known = routes::all().find(|known| known.name == endpoint);
        let known = known
            .ok_or_else(|| Invalid::new("endpoint", format!("no endpoint is called {endpoint}")))?;
        self.0.limits.set_tier(known.name, tier);
        Ok(())
    }

    /// The most calls of the app that arrived at the endpoint within any window of its limits, by the window's length
    /// in simulated milliseconds, since the start or the last reset of the counters. Of a marketplace app's tenants it
    /// is the one with the most. Limits need not be on.
    pub fn peak_in_window(&self, app_id: &str, endpoint: &str) -> PeakInWindow {
        self.0.counters.peak(app_id, endpoint)
    }

    /// The same for every app that has called, by app id and endpoint.
    pub fn peaks_by_app(&self) -> BTreeMap<String, BTreeMap<String, PeakInWindow>> {
        self.0.counters.peaks_by_app()
    }
}

/// Counters.
impl Control {
    /// All counts except those by app.
    pub fn counters(&self) -> Counters {
        self.0.counters.read(routes::names())
    }

    /// Counts of the apps that have called.
    pub fn all_app_counters(&self) -> BTreeMap<String, AppCounters> {
        self.0.counters.apps()
    }

    /// The counts of one app; zero if it has never called.
    pub fn app_counters(&self, app_id: &str) -> AppCounters {
        self.0.counters.app(app_id)
    }

    /// Sets all counts to zero, those of messages too, and begins a new list of deliveries. Messages stay.
    pub fn reset_counters(&self) {
        self.0.counters.reset();
        self.0.messages.reset_counts();
    }

    /// Returns once this many calls have arrived at the endpoint (`*` for all) since the start or the last reset,
    /// answered or not. A test awaits this instead of a sleep.
    pub async fn arrived(&self, endpoint: &str, requests: u64) {
        self.0.counters.arrived(endpoint, requests).await;
    }
}

impl Control {
    pub(crate) fn new(platform: Platform) -> Self {
        Self(Arc::new(platform))
    }

    pub(crate) fn platform(&self) -> &Platform {
        &self.0
    }
}
