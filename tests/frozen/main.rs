//! Whole function processes, stopped and continued as Lambda stops and continues them, behind proxies that lose, delay and
//! throttle. The programs must be built first: `cargo build --locked --workspace --bins`.

mod after_answer;
mod apps;
mod clock_steps;
mod costs;
mod dead_sockets;
mod hangs;
mod limits;
mod logins;
mod messages;
mod proxies;
