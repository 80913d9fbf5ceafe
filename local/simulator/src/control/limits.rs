//! Limits of the APIs, and how close clients come to them.

use std::collections::BTreeMap;

use super::Control;
use crate::counters::PeakInWindow;
use crate::endpoint;
use crate::invalid::Invalid;
use crate::rate_limit::Tier;

impl Control {
    /// The tier in force for each endpoint.
    pub fn tiers(&self) -> BTreeMap<String, Tier> {
        endpoint::all()
            .map(|endpoint| {
                let tier = self.0.limits.tier(endpoint.name, endpoint.tier);
                (endpoint.name.to_owned(), tier)
            })
            .collect()
    }

    /// Gives an endpoint another tier than the documented one; `None` goes back to that.
    ///
    /// # Errors
    /// When no endpoint has the name.
    pub fn set_tier(&self, endpoint: &str, tier: Option<Tier>) -> Result<(), Invalid> {
        let known = endpoint::all().find(|known| known.name == endpoint);
        let known = known
            .ok_or_else(|| Invalid::new("endpoint", format!("no endpoint is called {endpoint}")))?;
        self.0.limits.set_tier(known.name, tier);
        Ok(())
    }

    /// The most calls of the app that arrived at the endpoint within any window of its limits, by the window's length in
    /// simulated milliseconds, since the start or the last reset of the counters; of a marketplace app's tenants the one
    /// with the most. Limits need not be on.
    pub fn peak_in_window(&self, app_id: &str, endpoint: &str) -> PeakInWindow {
        self.0.counters.peak(app_id, endpoint)
    }

    /// The same for every app that has called, by app id and endpoint.
    pub fn peaks_by_app(&self) -> BTreeMap<String, BTreeMap<String, PeakInWindow>> {
        self.0.counters.peaks_by_app()
    }
}
