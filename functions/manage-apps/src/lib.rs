//! Apps under `/v1/apps`: create, list, show, change, delete, and who did what. For keys with the scope `admin`, within the
//! apps that the key may act for.

use std::convert::Infallible;

use lambda_http::http::{Method, StatusCode};
use lambda_http::{Body, Request, RequestExt, Response};
use lark_service::api_keys::{AllowedApps, Caller};
use lark_service::apps::{AppDescription, Apps};
use lark_service::changes::Actor;
use lark_service::error::{Error, Result};
use lark_service::http::{self, Admission, Call, Reply, Turn};
use lark_service::ids::AppId;
use lark_service::page::PageRules;
use lark_service::tokens::TokenService;

mod body;
mod openapi;

use body::{AppDetails, ChangeBody, CreateBody, app_page};
pub use openapi::operations;

/// Answers one request.
///
/// # Errors
/// Never: every failure is an answer.
pub async fn handle(
    admission: &Admission,
    apps: &Apps,
    tokens: &TokenService,
    request: Request,
) -> std::result::Result<Response<Body>, Infallible> {
    Ok(http::serve("manage-apps", &request, async |call| {
        let caller = admission.administrator(call).await?;
        let is_creation =
            call.path_parameter("app_id").is_empty() && *call.request().method() == Method::POST;
        if is_creation {
            return create(admission, &caller, apps, tokens, call).await;
        }
        manage(&caller, apps, tokens, call).await
    })
    .await)
}

async fn manage(
    caller: &Caller,
    apps: &Apps,
    tokens: &TokenService,
    call: &Call<'_>,
) -> Result<Reply> {
    let method = call.request().method();
    let given = call.path_parameter("app_id");
    if given.is_empty() {
        return list(caller, apps, call).await;
    }
    let app_id = AppId::parse(given)
        .ok_or_else(|| Error::invalid("app_id", "must be 1 to 64 letters, digits, `_` or `-`"))?;
    allow(caller, &app_id)?;
    if call.request().raw_http_path().ends_with("/changes") {
        call.only_query(&["page_size", "page_token"])?;
        let page = call.page(&PageRules::OURS)?;
        let page = apps
            .changes(&app_id, page.after(), page.limit(), call.deadline())
            .await?;
        return Reply::json(&page);
    }
    call.only_query(&[])?;
    match *method {
        Method::PATCH => change(caller, apps, &app_id, call).await,
        Method::DELETE => delete(caller, apps, tokens, &app_id, call).await,
        _ => {
            let app = apps.read(&app_id, call.deadline()).await?;
            Reply::json(&AppDetails::of(&app, tokens, call.deadline()).await?)
        }
    }
}

async fn create(
    admission: &Admission,
    caller: &Caller,
    apps: &Apps,
    tokens: &TokenService,
    call: &Call<'_>,
) -> Result<Reply> {
    call.only_query(&[])?;
    let body: CreateBody = call.json()?;
    let new = body.read()?;
    allow(caller, &new.app_id)?;
    new.check()?;
    let actor = Actor::api_key(&caller.key_id);
    let make = async |turn: Turn| {
        let made = tokens
            .register_app(apps, &new, &actor, call.deadline())
            .await;
        match (made, turn.tried_since) {
            (Err(Error::AlreadyExists(_)), Some(since)) => {
                tokens
                    .finish_registration(apps, &new, &actor, since, call.deadline())
                    .await?;
            }
            (made, _) => made?,
        }
        let app = apps.read(&new.app_id, call.deadline()).await?;
        Ok(Reply::json(&AppDescription::of(&app))?
            .with_status(StatusCode::CREATED)
            .with_header("location", &format!("/v1/apps/{}", new.app_id)))
    };
    admission
        .once(call, &caller.key_id, "POST /v1/apps", make)
        .await
}

async fn list(caller: &Caller, apps: &Apps, call: &Call<'_>) -> Result<Reply> {
    call.only_query(&["page_size", "page_token"])?;
    let page = call.page(&PageRules::OURS)?;
    let (size, after) = (page.limit(), page.after());
    let (found, next) = match &caller.apps {
        AllowedApps::All => {
            let page = apps.list(after, size, call.deadline()).await?;
            (page.items, page.next_page_token)
        }
        // A key's own apps are few; they are read by name.
        AllowedApps::Only(allowed) => {
            let is_next = |app_id: &&AppId| after.is_none_or(|after| app_id.as_str() > after);
            let mut page: Vec<_> = allowed
                .iter()
                .filter(is_next)
                .take(size + 1)
                .cloned()
                .collect();
            let has_more = page.len() > size;
            page.truncate(size);
            let next = page.last().filter(|_| has_more).map(ToString::to_string);
            let mut found = apps.read_many(&page, call.deadline()).await?;
            found.sort_by(|one, other| one.app_id.cmp(&other.app_id));
            (found, next)
        }
    };
    Reply::json(&app_page(&found, next))
}

async fn change(caller: &Caller, apps: &Apps, app_id: &AppId, call: &Call<'_>) -> Result<Reply> {
    let body: ChangeBody = call.json()?;
    let change = body.read()?;
    let actor = Actor::api_key(&caller.key_id);
    let app = apps
        .change(app_id, &change, &actor, call.deadline())
        .await?;
    Reply::json(&AppDescription::of(&app))
}

async fn delete(
    caller: &Caller,
    apps: &Apps,
    tokens: &TokenService,
    app_id: &AppId,
    call: &Call<'_>,
) -> Result<Reply> {
    let actor = Actor::api_key(&caller.key_id);
    tokens
        .delete_app(apps, app_id, &actor, call.deadline())
        .await?;
    Ok(Reply::nothing())
}

fn allow(caller: &Caller, app_id: &AppId) -> Result<()> {
    if caller.apps.contains(app_id) {
        return Ok(());
    }
    Err(Error::PermissionDenied(format!(
        "the API key may not manage the app {app_id}"
    )))
}
