//! Stops and continues a child process, as Lambda does with a function between two invocations.

use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::process::Child;

/// How long the kernel may take to stop a process.
const PATIENCE: Duration = Duration::from_secs(5);

/// Stops `child` (SIGSTOP) and returns when it stands still: its timers and sockets go on without it.
pub(crate) async fn freeze(child: &Child) {
    let pid = pid(child);
    kill_process(pid, Signal::STOP).expect("a child that runs");
    let stands_still = async {
        // Without taking the report, so that a process that stands still already is found to.
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        while waitid(WaitId::Pid(pid), options)
            .expect("a child of this process")
            .is_none()
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, stands_still)
        .await
        .expect("a process that stops when it is told to");
}

/// Continues `child` (SIGCONT).
pub(crate) fn thaw(child: &Child) {
    kill_process(pid(child), Signal::CONT).expect("a child that was not waited for");
}

fn pid(child: &Child) -> Pid {
    let id = child.id().expect("it was not waited for");
    Pid::from_raw(i32::try_from(id).expect("a process id")).expect("no process has the id 0")
}
