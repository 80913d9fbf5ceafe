//! What the API's document says of it.

use api_document::{Answer, Content, Operation, Tag, headers, parameters, problems};
use lark_service::api_keys::Scope;
use lark_service::changes::Change;
use lark_service::page::{Page, PageRules};

use crate::body::{AppDetails, ChangeBody, CreateBody};
use lark_service::apps::AppDescription;

const APPS: &str = "/v1/apps";
const APP: &str = "/v1/apps/{app_id}";
const CHANGES: &str = "/v1/apps/{app_id}/changes";

/// Everything under `/v1/apps`.
#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![list(), create(), show(), change(), delete(), changes()]
}

fn list() -> Operation {
    let page = Content::answer::<Page<AppDescription<'static>>>();
    Operation::get(APPS, "listApps", Tag::Apps, "Apps, by id")
        .description("A page of the apps that the key may act for, without their secrets.")
        .scope(Scope::Admin)
        .parameters(parameters::page(&PageRules::OURS))
        .answer(Answer::json(200, "The page.", page).not_kept())
}

fn create() -> Operation {
    let body = Content::body::<CreateBody>().example(NEW_APP_EXAMPLE);
    let app = Content::answer::<AppDescription<'static>>().example(APP_EXAMPLE);
    Operation::post(APPS, "createApp", Tag::Apps, "Register an app", body)
        .description(
            "The app can be used at once; its first token is fetched within a minute or with the first request, whichever \
             comes first. An id that was deleted can be registered again.",
        )
        .scope(Scope::Admin)
        .answer(
            Answer::json(201, "The app was registered.", app)
                .not_kept()
                .header(headers::location()),
        )
        .once()
        .problem(problems::ALREADY_EXISTS)
}

fn show() -> Operation {
    let details = Content::answer::<AppDetails<'static>>();
    Operation::get(APP, "showApp", Tag::Apps, "An app and how its tokens stand")
        .description("Up to 20 tokens of each kind, without their values.")
        .scope(Scope::Admin)
        .parameter(parameters::app_id_in_path())
        .answer(Answer::json(200, "The app.", details).not_kept())
        .problem(problems::APP_NOT_FOUND)
}

fn change() -> Operation {
    let body = Content::body::<ChangeBody>()
        .with_some_field()
        .named_example(
            "rotate",
            "{ secret: Zt5wPn83kHc6yBd1, previous_secret_seconds: 3600 }",
        )
        .named_example("disable", "{ status: disabled }");
    let app = Content::answer::<AppDescription<'static>>().example(APP_EXAMPLE);
    Operation::patch(APP, "changeApp", Tag::Apps, "Change an app", body)
        .description(
            "What is left out stays. A new `secret` makes the one in force the one before, which counts for \
             `previous_secret_seconds` more (a day unless said otherwise): tokens made with it are handed out, and it is \
             presented when the platform refuses the new one. `status: disabled` refuses the app everywhere at once, its \
             users' tokens included, and keeps everything that is known of it.",
        )
        .scope(Scope::Admin)
        .parameter(parameters::app_id_in_path())
        .answer(Answer::json(200, "The app as it is now.", app).not_kept())
        .problem(problems::APP_NOT_FOUND)
}

fn delete() -> Operation {
    Operation::delete(APP, "deleteApp", Tag::Apps, "Delete an app")
        .description(
            "Its secret, tokens, ticket and logins are removed; who changed it and when stays.",
        )
        .scope(Scope::Admin)
        .parameter(parameters::app_id_in_path())
        .answer(Answer::empty(204, "It is done.").not_kept())
        .problem(problems::APP_NOT_FOUND)
}

fn changes() -> Operation {
    let page = Content::answer::<Page<Change>>().example(CHANGES_EXAMPLE);
    Operation::get(
        CHANGES,
        "listAppChanges",
        Tag::Apps,
        "Who changed an app, how and when",
    )
    .description(
        "Oldest first, those of a deleted app too; empty for an app that never was. Each is kept for 400 days.",
    )
    .scope(Scope::Admin)
    .parameter(parameters::app_id_in_path())
    .parameters(parameters::page(&PageRules::OURS))
    .answer(Answer::json(200, "A page of changes.", page).not_kept())
}

const NEW_APP_EXAMPLE: &str = r#"
app_id: cli_a1b2c3d4e5f6
secret: Xk9sQm27pLr4tVw8
name: Staff portal
redirect_targets: ["https://portal.example.com/done"]
login_scopes: ["contact:user.base:readonly"]"#;

const APP_EXAMPLE: &str = r#"
app_id: cli_a1b2c3d4e5f6
name: Staff portal
domain: feishu
kind: internal
status: enabled
secret: "********"
secret_fingerprint: 5f2b8c1d9e3a4706
redirect_targets: ["https://portal.example.com/done"]
login_scopes: ["contact:user.base:readonly"]
created_at: "2026-01-31T08:00:00Z"
changed_at: "2026-01-31T08:00:00Z"
version: 1769846400000"#;

const CHANGES_EXAMPLE: &str = r#"
items:
  - { at: "2026-01-31T08:00:00Z", by: "cli:ada@ops-1", action: created, fields: [], version: 1769846400000 }
  - { at: "2026-02-02T09:30:00Z", by: "key:7k2m9p4q8r3s", action: disabled, fields: [status], version: 1770024600000 }
next_page_token: null"#;
