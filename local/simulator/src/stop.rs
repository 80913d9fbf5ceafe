//! The signal that ends every connection.

use std::time::Duration;

use tokio::sync::watch;

/// Tells every connection when to end.
#[derive(Clone)]
pub(crate) struct StopSignal(pub(crate) watch::Receiver<bool>);

impl StopSignal {
    pub(crate) async fn stopped(&mut self) {
        // An error means that the simulator was dropped, which is a stop as well.
        let _gone = self.0.wait_for(|stopped| *stopped).await;
    }

    /// Sleeps, but not beyond the stop.
    pub(crate) async fn sleep(&mut self, time: Duration) {
        if !time.is_zero() {
            let _cut_short = tokio::time::timeout(time, self.stopped()).await;
        }
    }
}
