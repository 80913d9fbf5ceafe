//! The baseline for benchmarks: axum's hello-world, called the same way as the host.
//!
//! `cargo run --profile local -p lark-local-host --example hello -- 9001`

use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok());
    let addr = SocketAddr::from(([127, 0, 0, 1], port.unwrap_or(9001)));
    let app = Router::new().route("/", get(async || "Hello, World!"));
    axum::serve(TcpListener::bind(addr).await?, app).await
}
