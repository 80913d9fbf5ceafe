//! Logins as a browser makes them.

use std::collections::HashMap;

use lark_service::error;
use lark_service::ids::{AppId, OpenId};
use lark_service::logins::{Callback, LoginStart};
use lark_simulator::{Challenge, Consent, Control};
use url::Url;

use crate::world::{APP, Process, soon};

/// The service as browsers see it.
pub const PUBLIC_URL: &str = "http://127.0.0.1:9000";
/// A login to which the user has consented: what their browser brings back.
#[derive(Clone, Debug)]
pub struct BegunLogin {
    /// The state of the attempt.
    pub state: String,
    /// The code of the platform.
    pub code: String,
    /// Name and value of the cookie.
    pub cookie: (String, String),
}

impl Process {
    /// Logs the user with this number in, as their browser does.
    ///
    /// # Errors
    /// As the end of the login.
    pub async fn log_in(&self, control: &Control, number: u32) -> error::Result<OpenId> {
        self.log_in_to(APP, control, number).await
    }

    /// Logs the user with this number in to the app `app`.
    ///
    /// # Errors
    /// As the end of the login.
    pub async fn log_in_to(
        &self,
        app: &str,
        control: &Control,
        number: u32,
    ) -> error::Result<OpenId> {
        let begun = self.begin_login(app, control, number).await?;
        self.come_back(&begun, &begun.code).await
    }

    /// Ends the login that was begun, with this code.
    ///
    /// # Errors
    /// As the end of the login.
    pub async fn come_back(&self, begun: &BegunLogin, code: &str) -> error::Result<OpenId> {
        let public_url: Url = PUBLIC_URL.parse().expect("a URL");
        let callback = Callback {
            state: Some(&begun.state),
            code: Some(code),
            error: None,
            public_url: &public_url,
        };
        let (name, value) = &begun.cookie;
        let cookie = |asked: &str| (asked == name).then_some(value.as_str());
        let finished = self.0.logins.finish(&callback, cookie, soon()).await?;
        Ok(finished.outcome?.open_id)
    }

    /// Begins a login of the user with this number to the app `app`; the user consents.
    ///
    /// # Errors
    /// As the begin of the login.
    pub async fn begin_login(
        &self,
        app: &str,
        control: &Control,
        number: u32,
    ) -> error::Result<BegunLogin> {
        let app_id = AppId::parse(app).expect("an app id");
        let public_url: Url = PUBLIC_URL.parse().expect("a URL");
        let start = LoginStart {
            app_id: &app_id,
            scope: None,
            redirect_to: None,
            public_url: &public_url,
        };
        let started = self.0.logins.start(&start, soon()).await?;
        let asked: HashMap<_, _> = started.location.query_pairs().into_owned().collect();
        let consent = Consent {
            scope: asked["scope"].clone(),
            redirect_uri: asked["redirect_uri"].clone(),
            challenge: Some(Challenge::S256(asked["code_challenge"].clone())),
        };
        let code = control
            .login(app, number, consent)
            .expect("a user consents");
        let (name, rest) = started.cookie.split_once('=').expect("a cookie");
        let value = rest.split(';').next().expect("its value");
        Ok(BegunLogin {
            state: asked["state"].clone(),
            code,
            cookie: (name.to_owned(), value.to_owned()),
        })
    }
}
