//! What reached the platform.

use std::collections::BTreeMap;

use lark_simulator::Control;

/// Calls of the directory's APIs, by endpoint.
pub(crate) fn calls(control: &Control) -> BTreeMap<String, u64> {
    let endpoints = control.counters().endpoints.into_iter();
    endpoints
        .map(|(name, counts)| (name, counts.requests))
        .filter(|(name, requests)| *requests > 0 && name.starts_with("contact."))
        .collect()
}

/// All of them together.
pub(crate) fn all(calls: &BTreeMap<String, u64>) -> u64 {
    calls.values().sum()
}

/// ``8,462 `contact.user.get`, 1 `contact.scope.list` ``.
pub(crate) fn listed(calls: &BTreeMap<String, u64>) -> String {
    let each = calls.iter();
    let each =
        each.map(|(name, requests)| format!("{} `{name}`", super::report::grouped(*requests)));
    each.collect::<Vec<_>>().join(", ")
}
