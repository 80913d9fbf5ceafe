//! The handle that steers a simulator, in the process. `control_api` offers the same over HTTP.

mod chats;
mod limits;
mod logins;
mod tickets;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::apps::{App, AppPatch};
use crate::counters::{AppCounters, Counters};
use crate::directory::ids;
use crate::directory::{UserIds, UserPatch};
use crate::faults::{Fault, FaultReport};
use crate::invalid::Invalid;
use crate::platform::Platform;
use crate::settings::Settings;

pub use logins::Consent;

/// Steers a simulator. Clones steer the same one.
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

    /// Jumps to a moment, backwards too.
    pub fn set_now_ms(&self, now_ms: u64) {
        self.0.clock.set_now_ms(now_ms);
    }

    /// Jumps ahead.
    pub fn advance(&self, by: Duration) {
        self.0.clock.advance(by);
    }

    /// From now on time moves only by [`advance`](Self::advance) and [`set_now_ms`](Self::set_now_ms).
    pub fn freeze(&self) {
        self.0.clock.freeze();
    }

    /// Time passes again, from where it stands.
    pub fn unfreeze(&self) {
        self.0.clock.unfreeze();
    }

    /// Whether time stands still.
    pub fn is_frozen(&self) -> bool {
        self.0.clock.is_frozen()
    }
}

/// Settings and faults.
impl Control {
    /// The settings in force.
    pub fn settings(&self) -> Settings {
        self.0.settings()
    }

    /// Replaces all settings.
    ///
    /// # Errors
    /// When a field is out of its range.
    pub fn set_settings(&self, settings: Settings) -> Result<(), Invalid> {
        self.0.set_settings(settings)
    }

    /// Life of the tokens issued from now on, in whole seconds.
    ///
    /// # Errors
    /// Below one second.
    pub fn set_token_lifetime(&self, lifetime: Duration) -> Result<(), Invalid> {
        self.set_settings(Settings {
            token_lifetime_seconds: lifetime.as_secs(),
            ..self.settings()
        })
    }

    /// Adds a rule after those that exist.
    ///
    /// # Errors
    /// When a field is out of its range, or no endpoint has the name.
    pub fn add_fault(&self, fault: Fault) -> Result<(), Invalid> {
        self.0.faults.add(vec![fault], self.now_ms())
    }

    /// The rules in their order.
    pub fn faults(&self) -> Vec<FaultReport> {
        self.0.faults.report(self.now_ms())
    }

    /// Removes every rule. The connections of calls that hang end without an answer.
    pub fn clear_faults(&self) {
        self.0.faults.clear();
    }
}

/// Tokens and apps.
impl Control {
    /// Ends a tenant, app or user access token; whether it was known. The app's next token request gets a new one.
    pub fn revoke_token(&self, token: &str) -> bool {
        self.0.tokens.revoke(token) || self.0.logins.revoke_access(token)
    }

    /// Ends the app's tenant and app tokens; how many there were. Logins stay.
    pub fn revoke_app_tokens(&self, app_id: &str) -> usize {
        self.0.tokens.revoke_all(app_id)
    }

    /// Adds an app.
    ///
    /// # Errors
    /// When the id is taken, id, secret or a tenant's key is empty, users have no such field to hide, or a URL cannot be
    /// what it is for.
    pub fn add_app(&self, app: App) -> Result<(), Invalid> {
        self.0.apps.add(app)
    }

    /// Changes an app. Its tokens stay valid, as the platform's do when a secret is reset.
    ///
    /// # Errors
    /// When there is no such app, and as for [`add_app`](Self::add_app).
    pub fn update_app(&self, app_id: &str, patch: AppPatch) -> Result<(), Invalid> {
        patch.check()?;
        self.0.apps.update(app_id, |app| patch.apply(app))
    }

    /// A new secret; the one before is accepted as well until the next rotation.
    ///
    /// # Errors
    /// When there is no such app.
    pub fn rotate_secret(&self, app_id: &str, secret: &str) -> Result<(), Invalid> {
        self.0.apps.update(app_id, |app| {
            let previous = std::mem::replace(&mut app.secret, secret.to_owned());
            app.previous_secret = Some(previous);
        })
    }

    /// No new tokens for the app; those it has are refused with 99991662.
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
    /// Adds a user and tells the number; absent fields are made up from it.
    ///
    /// # Errors
    /// When the e-mail address or mobile number is taken, or the department does not exist.
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

    /// Removes a user. The number is not given again.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn delete_user(&self, n: u32) -> Result<(), Invalid> {
        self.0.directory.delete(n)
    }

    /// How to look a user up; the open_id only for a named app. `None` when there is no such user.
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

/// Counters.
impl Control {
    /// Everything but the counts by app.
    pub fn counters(&self) -> Counters {
        self.0.counters.read()
    }

    /// Counts of the apps that have called.
    pub fn all_app_counters(&self) -> BTreeMap<String, AppCounters> {
        self.0.counters.apps()
    }

    /// Counts of one app, zero when it has never called.
    pub fn app_counters(&self, app_id: &str) -> AppCounters {
        self.0.counters.app(app_id)
    }

    /// Back to zero.
    pub fn reset_counters(&self) {
        self.0.counters.reset();
    }

    /// Returns once so many calls have arrived at the endpoint (`*` for all) since the start or the last reset,
    /// answered or not: what a test awaits in place of a sleep.
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
