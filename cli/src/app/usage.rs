//! `lark-service app usage`: how often an app called the platform.

use lark_service::ids::AppId;
use lark_service::lark::apis::counts_in_quota;
use lark_service::meter::{By, Month};
use serde_json::json;

use crate::failure::Failure;
use crate::output::{Output, pairs};
use crate::session::{Place, soon};

/// Shows the calls of `month`, or of the current one: by API, in total, and by API key those that the platform's quota counts. A
/// deleted app still has its counts.
pub(crate) async fn show(
    app_id: &AppId,
    month: Option<Month>,
    place: &Place,
    output: &Output,
) -> Result<(), Failure> {
    let services = place.store("app usage").await?;
    let month = month.unwrap_or_else(|| services.meter.month());
    let calls = services.meter.usage(app_id, By::Api, &month, soon());
    let calls = calls.await?;
    let keys = services.meter.usage(app_id, By::Key, &month, soon());
    let keys = keys.await?;
    let total: u64 = calls.values().sum();
    let counted = calls.iter().filter(|(api, _)| counts_in_quota(api));
    let counted: u64 = counted.map(|(_, count)| count).sum();
    let of_keys = keys.iter();
    let of_keys = of_keys.map(|(key_id, count)| (format!("of these, by {key_id}"), *count));
    let of_keys: Vec<(String, u64)> = of_keys.collect();
    let rows = calls.iter().map(|(api, count)| (api.as_str(), *count));
    let rows = rows.chain([("total", total), ("in the quota", counted)]);
    let rows = rows.chain(of_keys.iter().map(|(key, count)| (key.as_str(), *count)));
    let rows: Vec<_> = rows
        .map(|(name, count)| (name, count.to_string()))
        .collect();
    let text = format!("calls of {app_id} in {month}, UTC\n{}", pairs(&rows));
    let answer = json!({
        "app_id": app_id,
        "month": month.to_string(),
        "calls": calls,
        "total": total,
        "in_quota": counted,
        "in_quota_by_key": keys,
    });
    output.answer(&answer, &text)
}
