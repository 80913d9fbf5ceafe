use std::path::Path;

use lark_local_host::{Host, Options};

use crate::world::{World, options, template};

async fn check(options: Options, expected: &str) {
    let error = Host::start(options, |_| None)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains(expected), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

fn with_template(folder: &Path, text: &str) -> Options {
    let path = folder.join("t.yaml");
    std::fs::write(&path, text).unwrap();
    Options {
        template: path,
        ..options(folder)
    }
}

#[tokio::test]
async fn a_data_folder_in_use_is_named() {
    let world = World::start().await;
    check(
        options(world.folder.path()),
        "simulated/store.redb is in use by another Lark Service process",
    )
    .await;
    world.host.shutdown().await;
}

#[tokio::test]
async fn a_port_in_use_is_named_with_the_remedy() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let taken = Options {
        listen: world.host.addr(),
        ..options(folder.path())
    };
    check(taken, "choose another with --port").await;
    world.host.shutdown().await;
}

#[tokio::test]
async fn a_template_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Options {
        template: folder.path().join("none.yaml"),
        ..options(folder.path())
    };
    check(missing, "none.yaml cannot be read").await;
    let broken = "Resources:\n  A:\n    Type: x\n   Properties: {}\n";
    check(with_template(folder.path(), broken), "t.yaml: ").await;
    check(with_template(folder.path(), broken), "line 4").await;
    let text = std::fs::read_to_string(template()).unwrap();
    let unknown = text.replace("target/lambda/health/", "target/lambda/wealth/");
    check(
        with_template(folder.path(), &unknown),
        "the template's function wealth is not in the local host's table",
    )
    .await;
}

#[tokio::test]
async fn a_bad_variable_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let environment = |name| (name == "LARK_SERVICE_USER_TTL_SECONDS").then(|| "soon".to_owned());
    let error = Host::start(options(folder.path()), environment).await;
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("LARK_SERVICE_USER_TTL_SECONDS must be"),
        "{error}"
    );
}
