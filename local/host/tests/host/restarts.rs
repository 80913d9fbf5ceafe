use std::time::Duration;

use lark_simulator::{Fault, FaultAction};
use reqwest::StatusCode;
use secrecy::ExposeSecret;

use crate::world::{World, answer, client, user};

const TOKEN: &str = "auth.tenant_access_token.internal";

#[tokio::test]
async fn a_restart_keeps_the_token_and_the_api_key() {
    let world = World::start().await;
    let before = world.get("/v1/tokens/tenant").await;
    assert_eq!(before.status, StatusCode::OK, "{before:?}");
    let key = world.host.api_key().clone();
    world.host.shutdown().await;

    let world = World::start_in(world.folder).await;
    assert_eq!(world.host.api_key().expose_secret(), key.expose_secret());
    let after = world.get("/v1/tokens/tenant").await;
    assert_eq!(after.body["token"], before.body["token"]);
    let found = world.get(&user(7)).await;
    assert_eq!(found.status, StatusCode::OK, "{found:?}");
    assert_eq!(world.calls(TOKEN), 0);

    let simulator = world.host.simulator().unwrap();
    let open_id = lark_simulator::open_id(crate::world::APP, 8);
    let url = format!(
        "{}/open-apis/contact/v3/users/{open_id}",
        simulator.base_url()
    );
    let token = after.body["token"].as_str().unwrap();
    let asked = answer(client().get(url).bearer_auth(token)).await;
    assert_eq!(asked.body["code"], 0, "{asked:?}");
    world.host.shutdown().await;
}

#[tokio::test]
async fn a_stop_lets_a_request_under_way_finish() {
    let world = World::start().await;
    let control = world.host.simulator().unwrap().control().clone();
    control
        .add_fault(Fault {
            delay_ms: 300,
            ..Fault::new("contact.user.get", FaultAction::Continue)
        })
        .unwrap();
    let path = user(9);
    let under_way = answer(world.request(reqwest::Method::GET, &path));
    let addr = world.host.addr();
    let World { host, folder, .. } = world;
    let stop = async {
        control.arrived("contact.user.get", 1).await;
        host.shutdown().await;
    };
    let (answered, ()) = tokio::join!(under_way, stop);
    assert_eq!(answered.status, StatusCode::OK, "{answered:?}");
    let refused = tokio::net::TcpStream::connect(addr).await;
    assert!(refused.is_err());
    drop(folder);
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_a_stop_up() {
    let world = World::start().await;
    world.get(&user(1)).await;
    let stopped = tokio::time::timeout(Duration::from_secs(5), world.host.shutdown());
    stopped.await.unwrap();
}
