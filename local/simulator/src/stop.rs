//! The signal that ends every connection.

use std::time::Duration;

use tokio::sync::watch;

/// Tells every connection when to end.
#[derive(Clone)]
pub(crate) struct Stop(pub(crate) watch::Receiver<bool>);

impl Stop {
    pub(crate) async fn stopped(&mut self) {
        // An error means that the simulator is gone, which is a stop as well.
        let _gone = self.0.wait_for(|stopped| *stopped).await;
    }

    /// Cut short by a stop.
    pub(crate) async fn sleep(&mut self, time: Duration) {
        if !time.is_zero() {
            let _cut_short = tokio::time::timeout(time, self.stopped()).await;
        }
    }
}
