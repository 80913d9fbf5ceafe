//! The apps: which credentials are valid, and what an app's tokens may see.

mod patch;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use serde::Deserialize;
use serde_json::Value;

use crate::directory::departments::{self, ROOT};
use crate::directory::ids;
use crate::directory::people::Profile;
use crate::invalid::Invalid;
use patch::Checks;

pub use patch::AppPatch;
pub(crate) use patch::is_local;

/// A self-built app or a marketplace app. The field names are those of `POST /_sim/apps`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct App {
    /// Begins with `cli_`.
    pub app_id: String,
    /// The current secret.
    pub secret: String,
    /// A second valid secret, during a rotation.
    #[serde(default)]
    pub previous_secret: Option<String>,
    /// A disabled app gets no tokens; calls with its existing tokens fail with 99991662. Default true.
    #[serde(default = "default_enabled")]
    pub enabled: bool,
    /// Fields of the user object that the app has no scope for, such as `email` and `mobile`: missing in every answer.
    #[serde(default)]
    pub hidden_user_fields: BTreeSet<String>,
    /// Numbers of users outside the app's contact scope: a request for one fails with 41050, lists leave them out.
    #[serde(default)]
    pub hidden_users: BTreeSet<u32>,
    /// Numbers of users outside the app's availability: a message to one fails with 230013.
    #[serde(default)]
    pub unavailable_users: BTreeSet<u32>,
    /// The departments in the app's contact scope, each with all below it; 0 is the whole company. `None`, the default:
    /// the whole company.
    #[serde(default)]
    pub contact_departments: Option<BTreeSet<u32>>,
    /// Users who are in the app's contact scope although their department is not.
    #[serde(default)]
    pub contact_users: BTreeSet<u32>,
    /// The permission scopes that the app has, such as `contact:contact.base:readonly`. An API that needs another one
    /// answers 99991672. `None`, the default: all scopes.
    #[serde(default)]
    pub granted_scopes: Option<BTreeSet<String>>,
    /// Allowed redirect URIs of logins, compared character by character ("Redirect URLs" in an app's security
    /// settings). `None`, the default: every `http` URL of this machine.
    #[serde(default)]
    pub redirect_uris: Option<Vec<String>>,
    /// The scopes the app has applied for; a login that asks for another one fails with 20027. `None`, the default: all
    /// scopes.
    #[serde(default)]
    pub login_scopes: Option<BTreeSet<String>>,
    /// A marketplace app (ISV): it gets its tokens with an app_ticket, and each tenant that installed it has its own.
    #[serde(default)]
    pub marketplace: bool,
    /// Keys of the tenants that installed a marketplace app. All tenants see the one directory.
    #[serde(default)]
    pub tenants: BTreeSet<String>,
    /// The URL for pushed app tickets: `http`, this machine only. `{app_id}` in it stands for the app's id.
    #[serde(default)]
    pub event_url: Option<String>,
    /// `token` of pushed events, by which the receiver recognizes them; empty without one.
    #[serde(default)]
    pub verification_token: Option<String>,
}

impl App {
    /// An enabled self-built app that may see everything.
    pub fn new(app_id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self {
            app_id: app_id.into(),
            secret: secret.into(),
            previous_secret: None,
            enabled: true,
            hidden_user_fields: BTreeSet::new(),
            hidden_users: BTreeSet::new(),
            unavailable_users: BTreeSet::new(),
            contact_departments: None,
            contact_users: BTreeSet::new(),
            granted_scopes: None,
            redirect_uris: None,
            login_scopes: None,
            marketplace: false,
            tenants: BTreeSet::new(),
            event_url: None,
            verification_token: None,
        }
    }

    /// The tenant of logins: the first that installed a marketplace app, the only one of a self-built app.
    pub(crate) fn login_tenant(&self) -> Option<&str> {
        match self.marketplace {
            true => self.tenants.first().map(String::as_str),
            false => Some(TENANT_KEY),
        }
    }

    /// Whether the app has one of the scopes; always true for an API that needs none.
    pub(crate) fn has_one_of(&self, scopes: &[&str]) -> bool {
        let granted = self.granted_scopes.as_ref();
        scopes.is_empty()
            || granted.is_none_or(|granted| scopes.iter().any(|scope| granted.contains(*scope)))
    }

    /// Whether the whole company is in the app's contact scope. Hidden users do not change this.
    pub(crate) fn sees_everything(&self) -> bool {
        self.sees_department(ROOT)
    }

    /// Whether the contact scope has the department or one above it.
    pub(crate) fn sees_department(&self, department: u32) -> bool {
        self.contact_departments.as_ref().is_none_or(|granted| {
            granted
                .iter()
                .any(|above| departments::is_within(department, *above))
        })
    }

    /// Whether the contact scope has the user or the user's department.
    pub(crate) fn sees_user(&self, profile: &Profile) -> bool {
        let is_granted =
            self.contact_users.contains(&profile.n) || self.sees_department(profile.department);
        is_granted && !self.hidden_users.contains(&profile.n)
    }

    /// A user object without the fields that the app has no scope for.
    pub(crate) fn without_hidden_fields(&self, mut user: Value) -> Value {
        if let Some(fields) = user.as_object_mut() {
            fields.retain(|field, _| !self.hidden_user_fields.contains(field));
        }
        user
    }

    pub(crate) fn accepts(&self, secret: &str) -> bool {
        self.secret == secret || self.previous_secret.as_deref() == Some(secret)
    }
}

/// `tenant_key` of the company that built the self-built apps.
pub const TENANT_KEY: &str = "2f1a7c0b95e3d486";

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
    /// App ids by the tag in their open_ids, [`ids::app_tag`].
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

    /// Whether the open_ids of some app have this tag.
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
        let app = Arc::make_mut(app);
        change(app);
        fill_in(&mut app.event_url, app_id);
        Ok(())
    }
}

impl Registry {
    fn add(&mut self, mut app: App) -> Result<(), Invalid> {
        fill_in(&mut app.event_url, &app.app_id);
        Checks::of_app(&app)?;
        let app_id: Arc<str> = app.app_id.as_str().into();
        if self.by_id.contains_key(&app_id) {
            return Err(Invalid::new(
                "app_id",
                format!("the app {app_id} exists already"),
            ));
        }
        self.tags.insert(ids::app_tag(&app_id), Arc::clone(&app_id));
        self.by_id.insert(app_id, Arc::new(app));
        Ok(())
    }
}

/// Replaces `{app_id}`.
fn fill_in(event_url: &mut Option<String>, app_id: &str) {
    if let Some(url) = event_url {
        *url = url.replace("{app_id}", app_id);
    }
}

fn default_enabled() -> bool {
    true
}
