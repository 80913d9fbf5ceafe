//! Tiers of the endpoints.

use std::collections::BTreeMap;

use serde_json::json;

use super::{ControlCall, ok};
use crate::answer::Answer;
use crate::control::Control;
use crate::invalid::Invalid;
use crate::rate_limit::Tier;

pub(super) fn tiers(control: &Control, _: &ControlCall<'_>) -> Result<Answer, Invalid> {
    Ok(ok(&json!({ "tiers": control.tiers() })))
}

/// All or none; `null` goes back to the documented one.
pub(super) fn change_tiers(control: &Control, call: &ControlCall<'_>) -> Result<Answer, Invalid> {
    let changes: BTreeMap<String, Option<Tier>> = call.body()?;
    let known = control.tiers();
    if let Some(unknown) = changes.keys().find(|name| !known.contains_key(*name)) {
        let problem = format!("no endpoint is called {unknown}");
        return Err(Invalid::new(unknown, problem));
    }
    for (endpoint, tier) in changes {
        control.set_tier(&endpoint, tier)?;
    }
    tiers(control, call)
}
