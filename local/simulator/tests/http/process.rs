use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use lark_simulator::open_id;
use serde_json::json;

use crate::client::{TENANT_TOKEN, USERS, call_at};

#[tokio::test]
async fn the_binary_prints_its_address_and_serves_its_apps() {
    let mut process = Command::new(env!("CARGO_BIN_EXE_lark-simulator"))
        .args(["--listen", "127.0.0.1:0", "--users", "5", "--apps", "3"])
        .args(["--app", "cli_mine:se:cret", "--token-lifetime", "60"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let addr = line.trim_end().parse().unwrap();

    for (app_id, secret) in [
        ("cli_mine", "se:cret"),
        ("cli_sim000003", "secret-cli_sim000003"),
    ] {
        let body = json!({ "app_id": app_id, "app_secret": secret }).to_string();
        let answer = call_at(addr, "POST", TENANT_TOKEN, "", &body)
            .await
            .unwrap();
        assert_eq!(answer.body["expire"], 60, "{app_id}");
        let token = answer.body["tenant_access_token"].as_str().unwrap();
        for (n, status) in [(5, 200), (6, 400)] {
            let path = format!("{USERS}/{}", open_id(app_id, n));
            let answer = call_at(addr, "GET", &path, token, "").await.unwrap();
            assert_eq!(answer.status, status);
        }
    }
    process.kill().unwrap();
    process.wait().unwrap();
}

#[tokio::test]
async fn a_marketplace_app_on_the_command_line_has_tickets_and_tenants() {
    let mut process = Command::new(env!("CARGO_BIN_EXE_lark-simulator"))
        .arg("--marketplace-app=cli_m:s:http://127.0.0.1:9/events/{app_id}:one,two")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let addr = line.trim_end().parse().unwrap();
    let ask = async |method: &str, path: &str, body: String| {
        call_at(addr, method, path, "", &body).await.unwrap().body
    };
    let ticket = ask("GET", "/_sim/apps/cli_m/ticket", String::new()).await;
    let body = json!({ "app_id": "cli_m", "app_secret": "s", "app_ticket": ticket["app_ticket"] });
    let path = "/open-apis/auth/v3/app_access_token";
    let token = ask("POST", path, body.to_string()).await;
    for tenant_key in ["one", "two"] {
        let token = &token["app_access_token"];
        let body = json!({ "app_access_token": token, "tenant_key": tenant_key });
        let path = "/open-apis/auth/v3/tenant_access_token";
        assert_eq!(ask("POST", path, body.to_string()).await["expire"], 7200);
    }
    process.kill().unwrap();
    process.wait().unwrap();
}

#[test]
fn a_bad_argument_is_refused_and_named() {
    let cases = [
        ("--app", "no-secret"),
        ("--marketplace-app", "cli_x:secret:http://127.0.0.1:9/x"),
        ("--marketplace-app", "cli_x:secret:http://127.0.0.1:9/x:"),
        ("--listen", "0.0.0.0:0"),
        ("--users", "-1"),
        ("--token-lifetime", "0"),
    ];
    for (flag, value) in cases {
        let output = Command::new(env!("CARGO_BIN_EXE_lark-simulator"))
            .arg(format!("{flag}={value}"))
            .output()
            .unwrap();
        assert!(!output.status.success(), "{flag}={value}");
        let named = flag.trim_start_matches('-').replace('-', "_");
        let errors = String::from_utf8(output.stderr).unwrap().replace('-', "_");
        assert!(
            errors.contains(&named) || errors.contains("0.0.0.0:0"),
            "{errors}"
        );
    }
}
