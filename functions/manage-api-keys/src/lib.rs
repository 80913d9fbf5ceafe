//! API keys under `/v1/api-keys`: create, list, show, change, revoke, and who did what. For keys with the scope `admin`; a
//! key that may not act for every app manages, and makes, only keys for the apps that it may act for. None changes itself, and
//! none gives away more than it has.

use std::convert::Infallible;

use lambda_http::http::{Method, StatusCode};
use lambda_http::{Body, Request, RequestExt, Response};
use lark_service::api_keys::{ApiKey, ApiKeyDescription, ApiKeys, Authority, Caller, NewApiKey};
use lark_service::callbacks::{Callbacks, SigningSecret};
use lark_service::error::{Error, Result};
use lark_service::http::{self, Admission, Call, Reply, Turn};
use lark_service::idempotency::Seed;
use lark_service::page::PageRules;
use secrecy::ExposeSecret;

mod body;
mod openapi;

use body::{ChangeBody, ChangedKeyAnswer, CreateBody, NewKeyAnswer, key_page};
pub use openapi::operations;

/// Answers one request.
///
/// # Errors
/// Never: every failure is an answer.
pub async fn handle(
    admission: &Admission,
    api_keys: &ApiKeys,
    callbacks: &Callbacks,
    request: Request,
) -> std::result::Result<Response<Body>, Infallible> {
    Ok(http::serve("manage-api-keys", &request, async |call| {
        let caller = admission.administrator(call).await?;
        let is_creation =
            call.path_parameter("key_id").is_empty() && *call.request().method() == Method::POST;
        if is_creation {
            return create(admission, caller, api_keys, callbacks, call).await;
        }
        manage(&Authority::Key(caller), api_keys, callbacks, call).await
    })
    .await)
}

async fn manage(
    authority: &Authority,
    api_keys: &ApiKeys,
    callbacks: &Callbacks,
    call: &Call<'_>,
) -> Result<Reply> {
    let method = call.request().method();
    let key_id = call.path_parameter("key_id");
    if key_id.is_empty() {
        return list(authority, api_keys, call).await;
    }
    // Whatever is to be done with it: a key that the caller may not manage is not there for them.
    let key = api_keys.show(key_id, call.deadline()).await?;
    if !authority.sees(&key) {
        return Err(Error::ApiKeyNotFound(key_id.to_owned()));
    }
    if call.request().raw_http_path().ends_with("/changes") {
        call.only_query(&["page_size", "page_token"])?;
        let page = call.page(&PageRules::OURS)?;
        let page = api_keys
            .changes(key_id, page.after(), page.limit(), call.deadline())
            .await?;
        return Reply::json(&page);
    }
    call.only_query(&[])?;
    match *method {
        Method::PATCH => change(authority, api_keys, callbacks, key_id, call).await,
        Method::DELETE => {
            api_keys.revoke(key_id, authority, call.deadline()).await?;
            Ok(Reply::nothing())
        }
        _ => Reply::json(&ApiKeyDescription::of(&key)),
    }
}

async fn create(
    admission: &Admission,
    caller: Caller,
    api_keys: &ApiKeys,
    callbacks: &Callbacks,
    call: &Call<'_>,
) -> Result<Reply> {
    call.only_query(&[])?;
    let body: CreateBody = call.json()?;
    let url = body.callback_url();
    let url = url.map(|it| callbacks.address(it)).transpose()?;
    let draft = body.read()?;
    let key_id = caller.key_id.clone();
    let authority = Authority::Key(caller);
    api_keys.check_new(&draft, &authority)?;
    let make = async |turn: Turn| {
        // Whoever tries it makes the same key.
        let new = NewApiKey {
            key: ApiKey::from_seed(&turn.seed),
            ..draft
        };
        match api_keys.add(&new, &authority, call.deadline()).await {
            // By an earlier try: nobody else has its secret.
            Err(Error::AlreadyExists(_))
                if api_keys
                    .prove(new.key.reveal().expose_secret(), call.deadline())
                    .await?
                    .is_some() => {}
            outcome => outcome?,
        }
        let secret = url.as_ref().map(|_| SigningSecret::from_seed(&turn.seed));
        if let (Some(url), Some(secret)) = (&url, &secret) {
            let id = new.key.id();
            let deadline = call.deadline();
            let registered = callbacks.register(id, url, secret, &authority, deadline);
            registered.await?;
        }
        let key = api_keys.show(new.key.id(), call.deadline()).await?;
        let location = format!("/v1/api-keys/{}", new.key.id());
        Ok(
            Reply::json(&NewKeyAnswer::of(&key, &new.key, secret.as_ref()))?
                .with_status(StatusCode::CREATED)
                .with_header("location", &location),
        )
    };
    admission
        .once(call, &key_id, "POST /v1/api-keys", make)
        .await
}

async fn list(authority: &Authority, api_keys: &ApiKeys, call: &Call<'_>) -> Result<Reply> {
    call.only_query(&["page_size", "page_token"])?;
    let page = call.page(&PageRules::OURS)?;
    let page = api_keys
        .list_seen(authority, page.after(), page.limit(), call.deadline())
        .await?;
    Reply::json(&key_page(&page.items, page.next_page_token))
}

async fn change(
    authority: &Authority,
    api_keys: &ApiKeys,
    callbacks: &Callbacks,
    key_id: &str,
    call: &Call<'_>,
) -> Result<Reply> {
    let body: ChangeBody = call.json()?;
    let url = body.callback_url();
    let url = url.map(|url| url.map(|it| callbacks.address(it)).transpose());
    let url = url.transpose()?;
    let mut change = body.read()?;
    let mut secret = None;
    if let Some(url) = url {
        change.callback = Some(None);
        if let Some(url) = url {
            let new = SigningSecret::from_seed(&Seed::generate()?);
            let setting = callbacks.setting(key_id, &url, &new, call.deadline());
            change.callback = Some(Some(setting.await?));
            secret = Some(new);
        }
    }
    let key = api_keys
        .change(key_id, &change, authority, call.deadline())
        .await?;
    Reply::json(&ChangedKeyAnswer::of(&key, secret.as_ref()))
}
