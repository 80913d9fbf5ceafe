//! The apps: who may ask for tokens, and what their tokens may see.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Deserializer};

use crate::contact::user;
use crate::control::Invalid;
use crate::directory::ids;

/// A self-built app. The field names are those of `POST /_sim/apps`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct App {
    /// Begins with `cli_`.
    pub app_id: String,
    /// The current secret.
    pub secret: String,
    /// A second secret that is accepted as well, while a rotation is under way.
    #[serde(default)]
    pub previous_secret: Option<String>,
    /// A disabled app gets no tokens, and those it has are refused with 99991662. Default true.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Fields of the user object the app has no scope for: absent in every answer, such as `email` and `mobile`.
    #[serde(default)]
    pub hidden_user_fields: BTreeSet<String>,
    /// Numbers of users outside the app's contact scope: 41050 when asked for one, missing in lists.
    #[serde(default)]
    pub hidden_users: BTreeSet<u32>,
}

impl App {
    /// An enabled app that may see everything.
    pub fn new(app_id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self {
            app_id: app_id.into(),
            secret: secret.into(),
            previous_secret: None,
            enabled: true,
            hidden_user_fields: BTreeSet::new(),
            hidden_users: BTreeSet::new(),
        }
    }

    pub(crate) fn accepts(&self, secret: &str) -> bool {
        self.secret == secret || self.previous_secret.as_deref() == Some(secret)
    }
}

/// What to change on an app; absent fields stay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AppPatch {
    /// The current secret.
    pub secret: Option<String>,
    /// `Some(None)`, in JSON `null`, ends a rotation.
    #[serde(deserialize_with = "present")]
    pub previous_secret: Option<Option<String>>,
    /// See [`App::enabled`].
    pub enabled: Option<bool>,
    /// See [`App::hidden_user_fields`].
    pub hidden_user_fields: Option<BTreeSet<String>>,
    /// See [`App::hidden_users`].
    pub hidden_users: Option<BTreeSet<u32>>,
}

/// The id of seeded app `n`, such as `cli_sim000001`.
pub fn seeded_app_id(n: u32) -> String {
    format!("cli_sim{n:06}")
}

/// The secret of a seeded app.
pub fn seeded_app_secret(app_id: &str) -> String {
    format!("secret-{app_id}")
}

pub(crate) struct Apps(RwLock<Registry>);

#[derive(Default)]
struct Registry {
    by_id: HashMap<Arc<str>, Arc<App>>,
    /// Which app an open_id was made for, by [`ids::app_tag`].
    tags: HashMap<u64, Arc<str>>,
}

impl Apps {
    pub(crate) fn new(seeded: u32, further: Vec<App>) -> Result<Self, Invalid> {
        let mut registry = Registry::default();
        let seeded = (1..=seeded).map(|n| {
            let app_id = seeded_app_id(n);
            let secret = seeded_app_secret(&app_id);
            App::new(app_id, secret)
        });
        for app in seeded.chain(further) {
            registry.add(app)?;
        }
        Ok(Self(RwLock::new(registry)))
    }

    pub(crate) fn get(&self, app_id: &str) -> Option<Arc<App>> {
        let registry = self.0.read().unwrap_or_else(PoisonError::into_inner);
        registry.by_id.get(app_id).cloned()
    }

    /// Whether some app's open_ids carry this tag.
    pub(crate) fn has_tag(&self, tag: u64) -> bool {
        let registry = self.0.read().unwrap_or_else(PoisonError::into_inner);
        registry.tags.contains_key(&tag)
    }

    pub(crate) fn add(&self, app: App) -> Result<(), Invalid> {
        let mut registry = self.0.write().unwrap_or_else(PoisonError::into_inner);
        registry.add(app)
    }

    pub(crate) fn update(
        &self,
        app_id: &str,
        change: impl FnOnce(&mut App),
    ) -> Result<(), Invalid> {
        let mut registry = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let app = registry
            .by_id
            .get_mut(app_id)
            .ok_or_else(|| Invalid::new("app_id", format!("there is no app {app_id}")))?;
        change(Arc::make_mut(app));
        Ok(())
    }
}

impl Registry {
    fn add(&mut self, app: App) -> Result<(), Invalid> {
        not_empty("app_id", &app.app_id)?;
        not_empty("secret", &app.secret)?;
        check_fields(&app.hidden_user_fields)?;
        let app_id: Arc<str> = app.app_id.as_str().into();
        if self.by_id.contains_key(&app_id) {
            return Err(Invalid::new("app_id", format!("{app_id} exists already")));
        }
        self.tags.insert(ids::app_tag(&app_id), Arc::clone(&app_id));
        self.by_id.insert(app_id, Arc::new(app));
        Ok(())
    }
}

impl AppPatch {
    pub(crate) fn check(&self) -> Result<(), Invalid> {
        if let Some(secret) = &self.secret {
            not_empty("secret", secret)?;
        }
        self.hidden_user_fields
            .as_ref()
            .map_or(Ok(()), check_fields)
    }

    pub(crate) fn apply(self, app: &mut App) {
        if let Some(secret) = self.secret {
            app.secret = secret;
        }
        if let Some(previous_secret) = self.previous_secret {
            app.previous_secret = previous_secret;
        }
        if let Some(enabled) = self.enabled {
            app.enabled = enabled;
        }
        if let Some(hidden_user_fields) = self.hidden_user_fields {
            app.hidden_user_fields = hidden_user_fields;
        }
        if let Some(hidden_users) = self.hidden_users {
            app.hidden_users = hidden_users;
        }
    }
}

fn not_empty(field: &str, value: &str) -> Result<(), Invalid> {
    match value.is_empty() {
        true => Err(Invalid::new(field, "must not be empty")),
        false => Ok(()),
    }
}

fn check_fields(hidden: &BTreeSet<String>) -> Result<(), Invalid> {
    match hidden.iter().find(|field| !user::is_field(field)) {
        Some(unknown) => {
            let problem = format!("users have no field {unknown}");
            Err(Invalid::new("hidden_user_fields", problem))
        }
        None => Ok(()),
    }
}

fn yes() -> bool {
    true
}

/// Tells an explicit `null` from an absent field.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}
