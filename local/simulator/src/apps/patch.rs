//! Changes to an app, and the rules for its fields.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::{Deserialize, Deserializer};
use url::{Host, Url};

use super::App;
use crate::directory::departments;
use crate::invalid::Invalid;
use crate::user_object;

/// Changes to an app; absent fields stay. For an optional field, `Some(None)`, in JSON `null`, removes the value.
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
    /// See [`App::unavailable_users`].
    pub unavailable_users: Option<BTreeSet<u32>>,
    /// See [`App::contact_departments`].
    #[serde(deserialize_with = "present")]
    pub contact_departments: Option<Option<BTreeSet<u32>>>,
    /// See [`App::contact_users`].
    pub contact_users: Option<BTreeSet<u32>>,
    /// See [`App::granted_scopes`].
    #[serde(deserialize_with = "present")]
    pub granted_scopes: Option<Option<BTreeSet<String>>>,
    /// See [`App::redirect_uris`].
    #[serde(deserialize_with = "present")]
    pub redirect_uris: Option<Option<Vec<String>>>,
    /// See [`App::login_scopes`].
    #[serde(deserialize_with = "present")]
    pub login_scopes: Option<Option<BTreeSet<String>>>,
    /// See [`App::marketplace`].
    pub marketplace: Option<bool>,
    /// See [`App::tenants`].
    pub tenants: Option<BTreeSet<String>>,
    /// See [`App::event_url`].
    #[serde(deserialize_with = "present")]
    pub event_url: Option<Option<String>>,
    /// See [`App::verification_token`].
    #[serde(deserialize_with = "present")]
    pub verification_token: Option<Option<String>>,
}

impl AppPatch {
    pub(crate) fn check(&self) -> Result<(), Invalid> {
        Checks {
            secret: self.secret.as_deref(),
            hidden_user_fields: self.hidden_user_fields.as_ref(),
            contact_departments: self.contact_departments.as_ref().and_then(Option::as_ref),
            redirect_uris: self.redirect_uris.as_ref().and_then(Option::as_deref),
            tenants: self.tenants.as_ref(),
            event_url: self.event_url.as_ref().and_then(Option::as_deref),
        }
        .run()
    }

    pub(crate) fn apply(self, app: &mut App) {
        set(&mut app.secret, self.secret);
        set(&mut app.previous_secret, self.previous_secret);
        set(&mut app.enabled, self.enabled);
        set(&mut app.hidden_user_fields, self.hidden_user_fields);
        set(&mut app.hidden_users, self.hidden_users);
        set(&mut app.unavailable_users, self.unavailable_users);
        set(&mut app.contact_departments, self.contact_departments);
        set(&mut app.contact_users, self.contact_users);
        set(&mut app.granted_scopes, self.granted_scopes);
        set(&mut app.redirect_uris, self.redirect_uris);
        set(&mut app.login_scopes, self.login_scopes);
        set(&mut app.marketplace, self.marketplace);
        set(&mut app.tenants, self.tenants);
        set(&mut app.event_url, self.event_url);
        set(&mut app.verification_token, self.verification_token);
    }
}

/// The fields that have rules; `None` for those that are not given.
pub(super) struct Checks<'a> {
    secret: Option<&'a str>,
    hidden_user_fields: Option<&'a BTreeSet<String>>,
    contact_departments: Option<&'a BTreeSet<u32>>,
    redirect_uris: Option<&'a [String]>,
    tenants: Option<&'a BTreeSet<String>>,
    event_url: Option<&'a str>,
}

impl Checks<'_> {
    pub(super) fn of_app(app: &App) -> Result<(), Invalid> {
        not_empty("app_id", &app.app_id)?;
        Checks {
            secret: Some(&app.secret),
            hidden_user_fields: Some(&app.hidden_user_fields),
            contact_departments: app.contact_departments.as_ref(),
            redirect_uris: app.redirect_uris.as_deref(),
            tenants: Some(&app.tenants),
            event_url: app.event_url.as_deref(),
        }
        .run()
    }

    fn run(&self) -> Result<(), Invalid> {
        if let Some(secret) = self.secret {
            not_empty("secret", secret)?;
        }
        let mut hidden = self.hidden_user_fields.into_iter().flatten();
        if let Some(unknown) = hidden.find(|field| !user_object::is_field(field)) {
            let problem = format!("users have no field {unknown}");
            return Err(Invalid::new("hidden_user_fields", problem));
        }
        let mut granted = self.contact_departments.into_iter().flatten();
        if let Some(unknown) = granted.find(|department| **department > departments::COUNT) {
            let problem = format!("there is no department {unknown}");
            return Err(Invalid::new("contact_departments", problem));
        }
        let mut uris = self.redirect_uris.into_iter().flatten();
        if let Some(bad) = uris.find(|uri| Url::parse(uri).is_err()) {
            let problem = format!("{bad:?} is not a URL");
            return Err(Invalid::new("redirect_uris", problem));
        }
        for tenant in self.tenants.into_iter().flatten() {
            not_empty("tenants", tenant)?;
        }
        match self.event_url {
            Some(url) if !is_local(url) => {
                let problem = "must be an http URL of 127.0.0.1, ::1 or localhost";
                Err(Invalid::new("event_url", problem))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// Whether a URL is an `http` URL of this machine.
pub(crate) fn is_local(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else {
        return false;
    };
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback(),
        None => false,
    };
    url.scheme() == "http" && is_loopback
}

fn not_empty(field: &str, value: &str) -> Result<(), Invalid> {
    match value.is_empty() {
        true => Err(Invalid::new(field, "must not be empty")),
        false => Ok(()),
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

/// Distinguishes an explicit `null` from an absent field.
fn present<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Deserialize::deserialize(deserializer).map(Some)
}
