//! Tickets of marketplace apps.

use super::Control;
use crate::invalid::Invalid;
use crate::marketplace::push;

impl Control {
    /// The app's current ticket. A new one is made each simulated hour; the one before stays good for an hour.
    ///
    /// # Errors
    /// When there is no such app, or it is no marketplace app.
    pub fn app_ticket(&self, app_id: &str) -> Result<String, Invalid> {
        self.0.marketplace_app(app_id)?;
        let now_ms = self.now_ms();
        Ok(self.0.tickets.current(app_id, now_ms, &self.0.values))
    }

    /// A new ticket now; it is not pushed. After two of these, no earlier ticket is good.
    ///
    /// # Errors
    /// When there is no such app, or it is no marketplace app.
    pub fn rotate_app_ticket(&self, app_id: &str) -> Result<String, Invalid> {
        self.0.marketplace_app(app_id)?;
        let now_ms = self.now_ms();
        Ok(self.0.tickets.rotate(app_id, now_ms, &self.0.values))
    }

    /// Pushes the current ticket to the app's [`event_url`](crate::App::event_url) and tells the HTTP status of the answer:
    /// at most three attempts of three seconds each, until one is answered with 2xx.
    ///
    /// # Errors
    /// When there is no such app, it is no marketplace app, it has no `event_url`, or nobody answered there.
    pub async fn push_app_ticket(&self, app_id: &str) -> Result<u16, Invalid> {
        push::push(&self.0, app_id).await
    }
}
