//! What callers ask for.

use lark_service::apps::AppContext;
use lark_service::error::Error;
use lark_service::ids::{AppId, OpenId};
use lark_service::lark::oauth;
use lark_service::tokens::{SharedToken, TokenKey};
use lark_service_tests::world::{APP, Process, soon};
use secrecy::ExposeSecret;

/// The user whose login the processes share.
pub(crate) const USER: u32 = 7;

/// What a caller asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Work {
    Token,
    UserToken,
    LogIn,
    LogOut,
    /// The platform rejects the user's token before its time, and the process calls with it.
    Reject,
    Run,
}

/// What a caller got.
pub(crate) struct Done {
    pub(crate) process: usize,
    pub(crate) work: Work,
    /// For a login or a logout: how many had begun, itself included; `None` if another one was under way.
    pub(crate) alone: Option<u64>,
    pub(crate) outcome: Result<Option<SharedToken>, Error>,
}

pub(crate) fn told<T>(outcome: &Result<T, Error>) -> &'static str {
    match outcome {
        Ok(_) => "ok",
        Err(error) => error.code().as_str(),
    }
}

impl Work {
    pub(crate) async fn of(
        self,
        process: &Process,
        control: &lark_simulator::Control,
        open_id: &OpenId,
    ) -> Result<Option<SharedToken>, Error> {
        match self {
            Self::Token => process.token().await.map(Some),
            Self::UserToken => process.user_token(open_id).await.map(Some),
            Self::LogIn => process.log_in(control, USER).await.map(|_| None),
            Self::LogOut => {
                let app_id = AppId::parse(APP).unwrap();
                let ended = process.0.logins.end(&app_id, open_id, soon()).await;
                ended.map(|_| None)
            }
            Self::Reject => {
                let token = process.user_token(open_id).await?;
                control.revoke_token(token.value.expose_secret());
                let app_id = AppId::parse(APP).unwrap();
                let app = process.0.apps.enabled(&app_id, soon()).await?;
                let key = TokenKey::user(app_id, open_id);
                let context = AppContext::new(app, None)?;
                let request = oauth::user_info();
                let platform = &process.0.platform;
                let identity = platform.send_with(&key, &context, &request, soon());
                Ok(identity.await.map(|_| None)?)
            }
            Self::Run => process.0.refresher().run(soon()).await.map(|_| None),
        }
    }
}
