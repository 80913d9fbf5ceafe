//! The apps: who may ask for tokens, and what their tokens may see.

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

/// An app, self-built or of the marketplace. The field names are those of `POST /_sim/apps`.
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
    /// The departments in the app's contact scope, each with all below it; 0 is the whole company. `None`, the default:
    /// the whole company.
    #[serde(default)]
    pub contact_departments: Option<BTreeSet<u32>>,
    /// Users in the app's contact scope whose department is not.
    #[serde(default)]
    pub contact_users: BTreeSet<u32>,
    /// The permission scopes that were granted to the app, such as `contact:contact.base:readonly`; an API that needs
    /// another one answers 99991672. `None`, the default: all scopes.
    #[serde(default)]
    pub granted_scopes: Option<BTreeSet<String>>,
    /// Where a login may lead back to, compared character by character ("Redirect URLs" in an app's security settings).
    /// `None`, the default: every `http` URL of this machine.
    #[serde(default)]
    pub redirect_uris: Option<Vec<String>>,
    /// The scopes the app has applied for; a login that asks for another one is answered with 20027. `None`, the default:
    /// all scopes.
    #[serde(default)]
    pub login_scopes: Option<BTreeSet<String>>,
    /// An app of the marketplace (ISV): its tokens come from an app_ticket, and each tenant that installed it has its own.
    #[serde(default)]
    pub marketplace: bool,
    /// Keys of the tenants that installed a marketplace app. They all see the one directory.
    #[serde(default)]
    pub tenants: BTreeSet<String>,
    /// Where app tickets are pushed to: `http`, this machine only. `{app_id}` in it is replaced by the app's id.
    #[serde(default)]
    pub event_url: Option<String>,
    /// `token` of pushed events, by which the receiver knows them; empty without one.
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

    /// The tenant whose people log in: the first that installed a marketplace app, the only one of a self-built app.
    pub(crate) fn login_tenant(&self) -> Option<&str> {
        match self.marketplace {
            true => self.tenants.first().map(String::as_str),
            false => Some(TENANT_KEY),
        }
    }

    /// Whether one of the scopes was granted; to an API that needs none, always.
    pub(crate) fn has_one_of(&self, scopes: &[&str]) -> bool {
        let granted = self.granted_scopes.as_ref();
        scopes.is_empty()
            || granted.is_none_or(|granted| scopes.iter().any(|scope| granted.contains(*scope)))
    }

    /// Whether the whole company is in the app's contact scope. Single hidden users do not count.
    pub(crate) fn sees_everything(&self) -> bool {
        self.sees_department(ROOT)
    }

    /// Whether the department, or one above it, was granted.
    pub(crate) fn sees_department(&self, department: u32) -> bool {
        self.contact_departments.as_ref().is_none_or(|granted| {
            granted
                .iter()
                .any(|above| departments::is_within(department, *above))
        })
    }

    /// Whether the user was granted, or the department they work in.
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
            return Err(Invalid::new("app_id", format!("{app_id} exists already")));
        }
        self.tags.insert(ids::app_tag(&app_id), Arc::clone(&app_id));
        self.by_id.insert(app_id, Arc::new(app));
        Ok(())
    }
}

/// The id of the app stands in for `{app_id}`.
fn fill_in(event_url: &mut Option<String>, app_id: &str) {
    if let Some(url) = event_url {
        *url = url.replace("{app_id}", app_id);
    }
}

fn yes() -> bool {
    true
}
