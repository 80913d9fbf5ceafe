//! What the functions are asked for, and what other processes do meanwhile.

use std::time::Duration;

use lark_service::clock::{Clock, SystemClock};
use lark_service::store::{Expect, Key, Table};
use lark_service_tests::function::Ended;
use lark_service_tests::site::Site;
use lark_service_tests::world::{Process, soon};
use lark_simulator::{Settings, UserPatch};
use serde_json::{Value, json};

use crate::plain::Plain;

/// The user that everything is about.
pub(super) const USER: u32 = 7;
/// The user's name after a process was stopped.
pub(super) const NEW_NAME: &str = "Renamed Meanwhile";
/// A lease on a token lasts less; the scheduled run comes once a minute.
const NEXT_RUN: Duration = Duration::from_secs(20);

/// A function and what it is asked for. Nothing is cached, and the process is new.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Scenario {
    /// `get-token`: the tenant's, which has to be fetched.
    TenantToken,
    /// `get-token`: a user's whose access token has ended.
    UserToken,
    /// `refresh-tokens`: a tenant's token and a login are due.
    Refresh,
    /// `finish-login`.
    FinishLogin,
    /// `authorize`.
    Authorize,
    /// `get-user`: not cached anywhere.
    User,
    /// `end-login`.
    EndLogin,
    /// `warm-cache`: nothing is warm.
    Warm,
    /// Any other.
    Plain(Plain),
}

/// The sites beside which most processes run.
pub(super) struct Shared {
    plain: Site,
    with_transactions: Site,
}

impl Shared {
    pub(super) async fn start() -> Self {
        Self {
            plain: Site::start().await,
            with_transactions: Site::start_with_transactions().await,
        }
    }
}

impl Scenario {
    pub(super) const ALL: [Self; 19] = [
        Self::TenantToken,
        Self::UserToken,
        Self::Refresh,
        Self::FinishLogin,
        Self::Authorize,
        Self::User,
        Self::EndLogin,
        Self::Warm,
        Self::Plain(Plain::FindUser),
        Self::Plain(Plain::BatchGetUsers),
        Self::Plain(Plain::Department),
        Self::Plain(Plain::DepartmentUsers),
        Self::Plain(Plain::Chats),
        Self::Plain(Plain::Chat),
        Self::Plain(Plain::ChatMembers),
        Self::Plain(Plain::StartLogin),
        Self::Plain(Plain::RotateSecret),
        Self::Plain(Plain::CreateApiKey),
        Self::Plain(Plain::Ready),
    ];

    pub(super) const fn function(self) -> &'static str {
        match self {
            Self::TenantToken | Self::UserToken => "get-token",
            Self::Refresh => "refresh-tokens",
            Self::FinishLogin => "finish-login",
            Self::Authorize => "authorize",
            Self::User => "get-user",
            Self::EndLogin => "end-login",
            Self::Warm => "warm-cache",
            Self::Plain(plain) => plain.function(),
        }
    }

    fn needs_transactions(self) -> bool {
        self == Self::Plain(Plain::CreateApiKey)
    }

    /// A site with tables of its own, in a store that can do what the function needs.
    pub(super) async fn new_site(self) -> Site {
        if self.needs_transactions() {
            Site::start_with_transactions().await
        } else {
            Site::start().await
        }
    }

    /// A site for one process. A run finds the apps and tokens of all in its tables, so it needs tables of its own.
    pub(super) async fn site(self, shared: &Shared) -> Site {
        if matches!(self, Self::Refresh | Self::Warm) {
            self.new_site().await
        } else if self.needs_transactions() {
            shared.with_transactions.beside().await
        } else {
            shared.plain.beside().await
        }
    }

    pub(super) async fn prepare(self, site: &Site) {
        match self {
            Self::UserToken => {
                let settings = site.control().settings();
                site.set(|settings| Settings {
                    user_token_lifetime_seconds: 1,
                    ..settings
                });
                // On a busy machine the token ends before the log-in does.
                let mut attempts = 1;
                while let Err(error) = site.log_in(USER).await {
                    assert!(attempts < 5, "a login: {error}");
                    attempts += 1;
                }
                site.set(|_| settings);
            }
            Self::Refresh => {
                site.log_in(USER).await.expect("a login");
                make_login_due(site).await;
            }
            Self::EndLogin => {
                site.log_in(USER).await.expect("a login");
            }
            Self::TenantToken
            | Self::FinishLogin
            | Self::Authorize
            | Self::User
            | Self::Warm
            | Self::Plain(_) => {}
        }
    }

    /// Waits until what was prepared has come to its end.
    pub(super) async fn ripen(self) {
        if self == Self::UserToken {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    pub(super) async fn event(self, site: &Site) -> Value {
        match self {
            Self::TenantToken => site.tenant_token(),
            Self::UserToken => site.user_token(USER),
            Self::Refresh => json!({}),
            Self::FinishLogin => site.callback(USER).await.expect("a begun login"),
            Self::Authorize => site.question(),
            Self::User => site.user(USER),
            Self::EndLogin => {
                let target = format!("/v1/oauth/users/{}", site.open_id(USER));
                let request = site.request("DELETE", &target);
                request.event("DELETE /v1/oauth/users/{open_id}")
            }
            Self::Warm => json!({}),
            Self::Plain(plain) => plain.event(site),
        }
    }

    /// Whether it is the answer that nobody disturbed.
    pub(super) fn is_right(self, ended: &Ended) -> bool {
        let Ok(answer) = &ended.answer else {
            return false;
        };
        match self {
            Self::Authorize => answer["isAuthorized"] == true,
            Self::Refresh => answer["failed"] == 0,
            Self::Warm => answer["failed"].as_u64().unwrap_or_default() == 0,
            Self::TenantToken | Self::UserToken | Self::FinishLogin | Self::User => {
                answer["statusCode"] == 200
            }
            Self::EndLogin => answer["statusCode"] == 204,
            Self::Plain(plain) => answer["statusCode"] == plain.status(),
        }
    }

    /// What changes at the platform while the process stands still.
    pub(super) fn meanwhile(self, site: &Site) {
        if self == Self::User {
            let renamed = UserPatch {
                name: Some(NEW_NAME.to_owned()),
                ..UserPatch::default()
            };
            site.control().update_user(USER, renamed).expect("a user");
        }
    }

    /// What another process does while this one stands still for `freeze`: the answer that its caller gets.
    pub(super) async fn other(self, site: &Site, process: &Process, freeze: Duration) -> String {
        match self {
            Self::Refresh => {
                if freeze > NEXT_RUN {
                    tokio::time::sleep(NEXT_RUN).await;
                    let run = process.invoke("refresh-tokens", json!({})).await;
                    run.expect("a run");
                }
                user_token(site, process).await
            }
            Self::TenantToken => {
                let request = site.request("GET", "/v1/tokens/tenant");
                request.send(process).await.outcome()
            }
            Self::UserToken => user_token(site, process).await,
            Self::FinishLogin | Self::EndLogin => "-".to_owned(),
            Self::Authorize => {
                let event = site.question();
                let decision = process
                    .invoke("authorize", event)
                    .await
                    .expect("a decision");
                if decision["isAuthorized"] == true {
                    "200"
                } else {
                    "401"
                }
                .to_owned()
            }
            Self::User => name(site, process).await,
            Self::Warm => {
                let warmed = process.invoke("warm-cache", json!({})).await;
                warmed.map_or_else(|error| error.to_string(), |_| "200".to_owned())
            }
            Self::Plain(plain) => plain.other(site, process).await,
        }
    }

    /// What a process that starts now answers, after all is over.
    pub(super) async fn after(self, site: &Site) -> String {
        let process = site.process().await;
        match self {
            Self::Refresh | Self::UserToken | Self::FinishLogin => {
                let answer = user_token(site, &process).await;
                let doubt = if is_in_doubt(site, site.operator().await).await {
                    ", in doubt"
                } else {
                    ""
                };
                format!("{answer}{doubt}")
            }
            Self::EndLogin => {
                let answer = user_token(site, &process).await;
                if answer.starts_with("409") {
                    "200".to_owned()
                } else {
                    format!("still logged in: {answer}")
                }
            }
            Self::TenantToken | Self::Authorize | Self::User | Self::Warm | Self::Plain(_) => {
                self.other(site, &process, Duration::ZERO).await
            }
        }
    }
}

async fn user_token(site: &Site, process: &Process) -> String {
    let target = format!("/v1/tokens/user?open_id={}", site.open_id(USER));
    site.request("GET", &target).send(process).await.outcome()
}

/// The status, and whether the name is the new one.
async fn name(site: &Site, process: &Process) -> String {
    let target = format!("/v1/users/{}", site.open_id(USER));
    let response = site.request("GET", &target).send(process).await;
    let age = if response.body["name"] == NEW_NAME {
        "new"
    } else {
        "old"
    };
    format!("{} {age}", response.outcome())
}

fn login_key(site: &Site) -> Key {
    Key::new(
        format!("user#{}", site.app),
        format!("user#{}", site.open_id(USER)),
    )
}

/// Whether the refresh token of the login may be used up.
async fn is_in_doubt(site: &Site, process: &Process) -> bool {
    let storage = &process.0.storage;
    let record = storage.get(Table::Tokens, &login_key(site), soon()).await;
    let record = record.expect("a working store");
    record.is_some_and(|record| record.number("uncertain_since").is_some())
}

async fn make_login_due(site: &Site) {
    let Process(services) = site.operator().await;
    let storage = &services.storage;
    let record = storage.get(Table::Tokens, &login_key(site), soon()).await;
    let mut record = record.expect("a working store").expect("a login");
    let expect = Expect::Version(record.version);
    record.version += 1;
    if let Some(due) = &mut record.due {
        due.at = SystemClock.now();
    }
    storage
        .put(Table::Tokens, &record, expect, soon())
        .await
        .expect("nobody else writes it");
}
