use std::net::TcpListener;
use std::process::{Output, Stdio};

use reqwest::header::AUTHORIZATION;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::world::{answer, client, template};

pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lark-local-host"));
    command
        .args(arguments)
        .env_remove("LARK_APP_SECRET")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// The process's output until the banner's last line.
pub(crate) async fn banner(process: &mut Child) -> Vec<String> {
    let mut lines = BufReader::new(process.stdout.as_mut().unwrap()).lines();
    let mut said = Vec::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        let is_last = line.starts_with("Stop with");
        said.push(line);
        if is_last {
            break;
        }
    }
    said
}

/// Sends the request of a line such as `curl -i -H 'Authorization: …' http://…`.
async fn paste(line: &str) -> crate::world::Answer {
    let url = line.rsplit(' ').next().unwrap();
    let request = client().get(url);
    answer(match line.split('\'').nth(1) {
        Some(header) => {
            let (_, value) = header.split_once(": ").unwrap();
            request.header(AUTHORIZATION, value)
        }
        None => request,
    })
    .await
}

async fn signal(process: &Child, name: &str) {
    let id = process.id().unwrap().to_string();
    let sent = Command::new("kill").args([name, &id]).status().await;
    assert!(sent.unwrap().success());
}

#[tokio::test]
async fn the_banners_lines_work_and_sigterm_ends_it_well() {
    let folder = tempfile::tempdir().unwrap();
    let (data, template) = (folder.path().to_str().unwrap(), template());
    let template = template.to_str().unwrap();
    for stop in ["-TERM", "-INT"] {
        let arguments = ["--port", "0", "--data-dir", data, "--template", template];
        let mut process = command(&arguments).spawn().unwrap();
        let said = banner(&mut process).await;
        let lines: Vec<_> = said
            .iter()
            .filter(|line| line.starts_with("curl"))
            .collect();
        assert_eq!(lines.len(), 5, "{said:?}");
        for line in lines {
            assert_eq!(paste(line).await.status.as_u16(), 200, "{line}");
        }
        signal(&process, stop).await;
        let output = process.wait_with_output().await.unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    }
}

fn check(output: &Output, code: i32, expected: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(expected), "{said}");
    assert!(output.stdout.is_empty());
    if code == 1 {
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[tokio::test]
async fn a_start_that_fails_says_why_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let (data, template) = (file.to_str().unwrap(), template());
    let template = template.to_str().unwrap();
    let run = async |arguments: &[&str]| command(arguments).output().await.unwrap();

    let missing = run(&["--port", "0", "--template", "none.yaml"]).await;
    check(&missing, 1, "none.yaml cannot be read");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let in_use = run(&["--port", &port, "--template", template]).await;
    check(&in_use, 1, "the port is in use");
    let bad_data = run(&["--port", "0", "--template", template, "--data-dir", data]).await;
    check(&bad_data, 1, "the data folder cannot be made");
}

#[tokio::test]
async fn a_wrong_command_line_is_a_usage_error() {
    let run = async |arguments: &[&str]| command(arguments).output().await.unwrap();
    check(&run(&["--port", "high"]).await, 2, "--port");
    check(&run(&["--log", "loud"]).await, 2, "--log");
    check(
        &run(&["--app-id", "cli_a"]).await,
        2,
        "LARK_APP_SECRET or --app-secret-file",
    );
    check(
        &run(&["--app-id", "cli_a", "--users", "5"]).await,
        2,
        "--users",
    );
    check(&run(&["--domain", "lark"]).await, 2, "--app-id");
}
