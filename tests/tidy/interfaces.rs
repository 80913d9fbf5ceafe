//! Variables, error codes, routes and metrics: the code, template.yaml, openapi.yaml and docs/ name the same ones.

use std::collections::{BTreeMap, BTreeSet};

use lark_service::api_keys::Scope;
use lark_service::config;
use lark_service::error::ErrorCode;
use lark_service::error::LoginEnd;

use crate::project::{Route, files, functions, report, template_variables, text, words, yaml};

fn variables() -> BTreeSet<String> {
    let names = config::VARIABLES.iter().map(|row| row.name);
    names.map(str::to_owned).collect()
}

#[test]
fn every_variable_the_code_reads_is_documented() {
    let documented = text("docs/configuration.md");
    report(
        variables()
            .into_iter()
            .filter(|name| !documented.contains(&format!("`{name}`")))
            .map(|name| {
                format!("docs/configuration.md does not have {name}: run `make generate`; a new part needs its section")
            }),
    );
}

#[test]
fn the_configuration_names_only_variables_of_its_table() {
    let known = variables();
    let sources = files("shared/src", ".rs")
        .into_iter()
        .filter(|path| path.contains("/config"));
    let read: BTreeSet<_> = sources
        .flat_map(|path| words(&text(&path), "LARK_SERVICE_"))
        .collect();
    report(read.difference(&known).map(|name| {
        format!("shared/src/config names {name}, which has no row in shared/src/config/variables.rs: add it, or correct the name")
    }));
}

#[test]
fn the_variables_of_the_local_programs_are_documented() {
    let documented = text("docs/configuration.md") + &text("docs/local.md");
    let sources = ["local/host/src", "local/simulator/src", "cli/src"]
        .into_iter()
        .flat_map(|folder| files(folder, ".rs"));
    report(sources.flat_map(|path| {
        let source = text(&path);
        let literals = source.split('"').filter(|text| words(text, "LARK_").contains(*text));
        let unknown: Vec<_> = literals.filter(|name| !documented.contains(&format!("`{name}`"))).map(str::to_owned).collect();
        unknown.into_iter().map(move |name| format!("{path} reads {name}, which neither docs/configuration.md nor docs/local.md has: describe it"))
    }));
}

#[test]
fn the_template_sets_only_variables_that_the_code_reads() {
    report(template_variables().difference(&variables()).map(|name| {
        format!("template.yaml sets {name}, which the code does not read: remove it, or read it in lark_service::config")
    }));
}

#[test]
fn the_documents_name_only_variables_that_the_code_reads() {
    let known = variables();
    let documents = files("docs", ".md")
        .into_iter()
        .chain(["README.md", "README.zh-CN.md", "ARCHITECTURE.md"].map(str::to_owned));
    report(documents.flat_map(|path| {
        let named = words(&text(&path), "LARK_SERVICE_");
        // `LARK_SERVICE_*` stands for all of them.
        let unknown: Vec<_> = named
            .difference(&known)
            .filter(|name| !name.ends_with('_'))
            .cloned()
            .collect();
        unknown.into_iter().map(move |name| {
            format!("{path} names {name}, which the code does not read: remove or correct it")
        })
    }));
}

/// The sections of docs/errors.md by their heading, which is a code.
fn documented_codes() -> BTreeMap<String, String> {
    let document = text("docs/errors.md");
    let sections = document.split("\n## `").skip(1);
    sections
        .filter_map(|section| section.split_once("`\n"))
        .map(|(code, body)| (code.to_owned(), body.trim().to_owned()))
        .collect()
}

#[test]
fn every_reason_to_log_in_again_is_documented() {
    let documented = documented_codes();
    let section = documented
        .get(ErrorCode::ReauthorizationRequired.as_str())
        .map(String::as_str)
        .unwrap_or_default();
    let missing = LoginEnd::ALL
        .into_iter()
        .filter(|end| !section.contains(&format!("| `{}` |", end.as_str())));
    report(missing.map(|end| {
        let (reason, code) = (end.as_str(), ErrorCode::ReauthorizationRequired.as_str());
        format!("docs/errors.md, section `{code}`: add `{reason}` to the table of reasons")
    }));
}

/// What `values`, the schema of one of the API's lists, may be.
fn listed(values: &serde_yaml_ng::Value) -> BTreeSet<&str> {
    let values = values["enum"].as_sequence().into_iter().flatten();
    values.filter_map(|value| value.as_str()).collect()
}

#[test]
fn the_api_description_lists_codes_reasons_and_scopes() {
    let description = yaml("openapi.yaml");
    let schemas = &description["components"]["schemas"];
    let differing = |place: &str, listed: BTreeSet<&str>, known: BTreeSet<&str>| {
        let differing = listed.symmetric_difference(&known);
        let say = |value| {
            format!("openapi.yaml, schema {place}: add {value} if the code has it, else remove it")
        };
        differing.map(say).collect::<Vec<_>>()
    };
    let codes = listed(&schemas["Problem"]["properties"]["code"]);
    let problems = [
        differing(
            "Problem",
            codes,
            ErrorCode::ALL.map(ErrorCode::as_str).into(),
        ),
        differing(
            "LoginEnd",
            listed(&schemas["LoginEnd"]),
            LoginEnd::ALL.map(LoginEnd::as_str).into(),
        ),
        differing(
            "Scope",
            listed(&schemas["Scope"]),
            Scope::ALL.map(Scope::as_str).into(),
        ),
    ];
    report(problems.into_iter().flatten());
}

fn described_routes() -> BTreeSet<Route> {
    let description = yaml("openapi.yaml");
    let mut routes = BTreeSet::new();
    for (path, methods) in description["paths"]
        .as_mapping()
        .expect("openapi.yaml has paths")
    {
        for (method, operation) in methods.as_mapping().into_iter().flatten() {
            let method = method.as_str().unwrap_or_default();
            if !["get", "put", "post", "delete", "patch"].contains(&method) {
                continue;
            }
            let is_public = operation
                .get("security")
                .and_then(|all| all.as_sequence())
                .is_some_and(Vec::is_empty);
            let path = path.as_str().unwrap_or_default().to_owned();
            routes.insert(Route {
                method: method.to_owned(),
                path,
                is_public,
            });
        }
    }
    routes
}

#[test]
fn the_api_description_has_the_routes_of_the_template() {
    let deployed: BTreeSet<_> = functions()
        .into_iter()
        .flat_map(|function| function.routes)
        .collect();
    let described = described_routes();
    let say = |route: &Route, what: &str| {
        let who = if route.is_public {
            "without a key"
        } else {
            "with a key"
        };
        format!(
            "{} {} ({who}) {what}",
            route.method.to_uppercase(),
            route.path
        )
    };
    let missing = deployed
        .difference(&described)
        .map(|route| say(route, "is not in openapi.yaml: describe it there"));
    let extra = described
        .difference(&deployed)
        .map(|route| say(route, "is in openapi.yaml alone: add it to template.yaml"));
    report(missing.chain(extra));
}

#[test]
fn the_api_description_has_the_version_of_the_workspace() {
    let described = yaml("openapi.yaml")["info"]["version"]
        .as_str()
        .map(str::to_owned);
    assert_eq!(
        described.as_deref(),
        Some(env!("CARGO_PKG_VERSION")),
        "openapi.yaml: set info.version"
    );
}

/// The fields of the struct `name` in `source`.
fn fields(source: &str, name: &str) -> BTreeSet<String> {
    let start = source
        .find(&format!("struct {name} {{"))
        .unwrap_or_else(|| panic!("there is no struct {name}"));
    let body = source[start..].split("\n}").next().unwrap_or_default();
    let lines = body
        .lines()
        .skip(1)
        .map(|line| line.trim().trim_start_matches("pub "));
    let named = lines
        .filter(|line| !line.starts_with("//") && !line.starts_with('#'))
        .filter_map(|line| line.split_once(": "));
    named.map(|(field, _)| field.to_owned()).collect()
}

const API_KEY_BODIES: &str = "functions/manage-api-keys/src/body.rs";
const DEPARTMENT: &str = "shared/src/lark/departments/department.rs";

/// What goes over the wire: a file, a struct in it, and the schema that describes it.
const BODIES: [(&str, &str, &str); 32] = [
    ("shared/src/lark/contacts/user.rs", "User", "User"),
    ("shared/src/lark/contacts/user.rs", "Avatar", "Avatar"),
    (
        "shared/src/lark/contacts/user.rs",
        "UserStatus",
        "UserStatus",
    ),
    (DEPARTMENT, "Department", "Department"),
    (DEPARTMENT, "I18nName", "I18nName"),
    (DEPARTMENT, "DepartmentStatus", "DepartmentStatus"),
    ("shared/src/lark/chats/chat.rs", "Chat", "Chat"),
    ("shared/src/lark/chats/chat.rs", "ChatMember", "ChatMember"),
    ("shared/src/page.rs", "Page<T>", "UserPage"),
    ("shared/src/page.rs", "Page<T>", "ChatPage"),
    ("shared/src/page.rs", "Page<T>", "ChatMemberPage"),
    (
        "functions/batch-get-users/src/body.rs",
        "BatchBody",
        "UserBatchRequest",
    ),
    ("shared/src/readiness.rs", "Readiness", "Readiness"),
    ("shared/src/readiness.rs", "Dependency", "Dependency"),
    ("shared/src/error.rs", "FieldError", "FieldError"),
    ("shared/src/changes.rs", "Change", "Change"),
    ("shared/src/changes.rs", "ChangePage", "ChangePage"),
    ("shared/src/tokens/info.rs", "TokenInfo", "TokenInfo"),
    ("shared/src/tokens/info.rs", "FailureInfo", "FailureInfo"),
    ("shared/src/tokens/info.rs", "LoginInfo", "LoginInfo"),
    ("functions/get-token/src/lib.rs", "TokenAnswer<'t>", "Token"),
    (
        "functions/get-token/src/lib.rs",
        "LoginAnswer",
        "TokenLogin",
    ),
    ("functions/health/src/lib.rs", "Alive", "Health"),
    ("functions/manage-apps/src/body.rs", "CreateBody", "NewApp"),
    (
        "functions/manage-apps/src/body.rs",
        "ChangeBody",
        "AppChange",
    ),
    ("functions/manage-apps/src/body.rs", "AppAnswer<'a>", "App"),
    (
        "functions/manage-apps/src/body.rs",
        "AppList<'a>",
        "AppList",
    ),
    (API_KEY_BODIES, "CreateBody", "NewApiKey"),
    (API_KEY_BODIES, "ChangeBody", "ApiKeyChange"),
    (API_KEY_BODIES, "LimitBody", "RateLimit"),
    (API_KEY_BODIES, "KeyAnswer<'k>", "ApiKey"),
    (API_KEY_BODIES, "KeyList<'k>", "ApiKeyList"),
];

#[test]
fn the_api_description_has_the_fields_of_bodies_and_answers() {
    let description = yaml("openapi.yaml");
    report(BODIES.into_iter().flat_map(|(path, name, schema)| {
        let sent = fields(&text(path), name);
        let properties = &description["components"]["schemas"][schema]["properties"];
        let keys = properties.as_mapping().into_iter().flat_map(|all| all.keys());
        let described: BTreeSet<_> = keys.filter_map(|key| Some(key.as_str()?.to_owned())).collect();
        let differing: Vec<_> = sent.symmetric_difference(&described).cloned().collect();
        differing.into_iter().map(move |field| {
            format!("openapi.yaml, schema {schema}: add {field} if {name} in {path} has it, else remove it")
        })
    }));
}

/// The names that metrics.rs declares: its text constants.
fn metrics() -> BTreeSet<String> {
    let metrics = text("shared/src/telemetry/metrics.rs");
    let names = metrics
        .split('"')
        .skip(1)
        .step_by(2)
        .filter(|name| name.starts_with("lark_service_"));
    names.map(str::to_owned).collect()
}

fn metrics_in(path: &str) -> BTreeSet<String> {
    // The crate has the same prefix.
    let is_metric = |name: &String| name.ends_with("_total") || name.ends_with("_seconds");
    words(&text(path), "lark_service_")
        .into_iter()
        .filter(is_metric)
        .collect()
}

#[test]
fn every_metric_is_documented_and_every_documented_metric_exists() {
    let (known, documented) = (metrics(), metrics_in("docs/observability.md"));
    let missing = known.difference(&documented).map(|name| {
        format!("docs/observability.md does not have {name}: say what it counts and its labels")
    });
    let extra = documented.difference(&known).map(|name| {
        format!("docs/observability.md has {name}, which metrics.rs has not: remove it")
    });
    report(missing.chain(extra));
}

#[test]
fn alarms_and_the_dashboard_watch_metrics_that_exist() {
    report(metrics_in("template.yaml").difference(&metrics()).map(|name| {
        format!("template.yaml watches {name}, which nothing writes: use a name of shared/src/telemetry/metrics.rs")
    }));
}
