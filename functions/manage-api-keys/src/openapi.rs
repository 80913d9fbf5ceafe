//! What the API's document says of it.

use api_document::{Answer, Content, Operation, Tag, headers, parameters, problems};
use lark_service::api_keys::ApiKeyDescription;
use lark_service::api_keys::Scope;
use lark_service::changes::Change;
use lark_service::page::{Page, PageRules};

use crate::body::{ChangeBody, ChangedKeyAnswer, CreateBody, NewKeyAnswer};

const KEYS: &str = "/v1/api-keys";
const KEY: &str = "/v1/api-keys/{key_id}";
const CHANGES: &str = "/v1/api-keys/{key_id}/changes";

/// Everything under `/v1/api-keys`.
#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![list(), create(), show(), change(), revoke(), changes()]
}

fn list() -> Operation {
    let page = Content::answer::<Page<ApiKeyDescription<'static>>>();
    Operation::get(KEYS, "listApiKeys", Tag::ApiKeys, "API keys, by id")
        .description(
            "A page of keys, without their secrets. A key that may not act for every app sees only keys for apps that it may \
             act for: a page may then have fewer items than asked for, and another one may follow all the same.",
        )
        .scope(Scope::Admin)
        .parameters(parameters::page(&PageRules::OURS))
        .answer(Answer::json(200, "The page.", page).not_kept())
}

fn create() -> Operation {
    let body = Content::body::<CreateBody>().example(NEW_KEY_EXAMPLE);
    let key = Content::answer::<NewKeyAnswer<'static>>().example(KEY_WITH_SECRET_EXAMPLE);
    Operation::post(KEYS, "createApiKey", Tag::ApiKeys, "Make an API key", body)
        .description(
            "The answer has the key itself, this once. Nobody gives away more than they have, and `permission_denied` names what \
             is too much: scopes (an owner, who administers every app, has all), apps, tenants, rate limit and end. A key that \
             has a limit or an end must give one. With `callback_url`, `callback_secret` signs what is posted there \
             ([callbacks](docs/messages.md#callbacks)), and is shown this once too.",
        )
        .scope(Scope::Admin)
        .answer(
            Answer::json(201, "The key was made.", key)
                .not_kept()
                .header(headers::location()),
        )
        .once()
}

fn show() -> Operation {
    Operation::get(KEY, "showApiKey", Tag::ApiKeys, "An API key")
        .description("A revoked key is shown for 90 days.")
        .scope(Scope::Admin)
        .parameter(parameters::key_id_in_path())
        .answer(key())
        .problem(problems::API_KEY_NOT_FOUND)
}

fn change() -> Operation {
    let body = Content::body::<ChangeBody>()
        .with_some_field()
        .named_example("limit", "{ rate_limit: { limit: 60, window_seconds: 60 } }")
        .named_example("disable", "{ status: disabled }")
        .named_example(
            "callbacks",
            "{ callback_url: https://portal.example.com/callbacks }",
        );
    Operation::patch(
        KEY,
        "changeApiKey",
        Tag::ApiKeys,
        "Change an API key",
        body,
    )
    .description(
        "What is left out stays; `null` takes `rate_limit`, `expires_at` or `callback_url` away. What is taken from a key is gone at its next \
         request; API Gateway remembers for up to five minutes what it may do, so what is added may take that long. A revoked \
         key cannot be changed, and no key changes itself. Nobody makes of a key more than they have themselves: scopes (but for \
         an owner), apps, tenants, rate limit and end. What is only taken away may be taken from any key that the caller sees.",
    )
    .scope(Scope::Admin)
    .parameter(parameters::key_id_in_path())
    .answer(
        Answer::json(
            200,
            "The key as it is now.",
            Content::answer::<ChangedKeyAnswer<'static>>().example(KEY_EXAMPLE),
        )
        .not_kept(),
    )
    .problem(problems::API_KEY_NOT_FOUND)
}

fn revoke() -> Operation {
    Operation::delete(KEY, "revokeApiKey", Tag::ApiKeys, "Revoke an API key")
        .description(
            "For ever. The key is refused at its next request; within 30 seconds at most if the shared cache does not hear of it. \
             Revoking again changes nothing, but tells every process once more. No key revokes itself.",
        )
        .scope(Scope::Admin)
        .parameter(parameters::key_id_in_path())
        .answer(Answer::empty(204, "It is done.").not_kept())
        .problem(problems::API_KEY_NOT_FOUND)
}

fn changes() -> Operation {
    let page = Content::answer::<Page<Change>>().example(CHANGES_EXAMPLE);
    Operation::get(
        CHANGES,
        "listApiKeyChanges",
        Tag::ApiKeys,
        "Who changed an API key, how and when",
    )
    .description("Oldest first. Each is kept for 400 days.")
    .scope(Scope::Admin)
    .parameter(parameters::key_id_in_path())
    .parameters(parameters::page(&PageRules::OURS))
    .answer(Answer::json(200, "A page of changes.", page).not_kept())
    .problem(problems::API_KEY_NOT_FOUND)
}

fn key() -> Answer {
    let key = Content::answer::<ApiKeyDescription<'static>>().example(KEY_EXAMPLE);
    Answer::json(200, "The key as it is now.", key).not_kept()
}

const NEW_KEY_EXAMPLE: &str = r#"
name: HR portal
scopes: ["users:read"]
apps: [cli_a1b2c3d4e5f6]
rate_limit: { limit: 600, window_seconds: 60 }"#;

const KEY_EXAMPLE: &str = r#"
key_id: 7k2m9p4q8r3s
name: HR portal
scopes: ["users:read"]
apps: [cli_a1b2c3d4e5f6]
tenants: ["*"]
role: null
rate_limit: { limit: 600, window_seconds: 60 }
status: active
expires_at: null
last_used_at: "2026-01-31T09:40:00Z"
created_at: "2026-01-31T08:00:00Z"
callback_url: null
callback_disabled: null
version: 1769846400000"#;

const KEY_WITH_SECRET_EXAMPLE: &str = r#"
key_id: 7k2m9p4q8r3s
name: HR portal
scopes: ["users:read"]
apps: [cli_a1b2c3d4e5f6]
tenants: ["*"]
role: null
rate_limit: { limit: 600, window_seconds: 60 }
status: active
expires_at: null
last_used_at: null
created_at: "2026-01-31T08:00:00Z"
callback_url: null
callback_disabled: null
version: 1769846400000
key: lsk_7k2m9p4q8r3s_4fJ8sKd02LmQxTnVbYcZpRwEuHgIaOe6B1yN5tM3vC0"#;

const CHANGES_EXAMPLE: &str = r#"
items:
  - { at: "2026-01-31T08:00:00Z", by: "cli:ada@ops-1", action: created, fields: [], version: 1769846400000 }
  - { at: "2026-02-02T09:30:00Z", by: "key:7k2m9p4q8r3s", action: disabled, fields: [status], version: 1770024600000 }
next_page_token: null"#;
