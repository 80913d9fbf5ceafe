//! `lark-service app usage`: how often an app called the platform.

use lark_service::ids::AppId;
use lark_service::meter::Month;
use serde_json::json;

use crate::failure::Failure;
use crate::output::{Output, pairs};
use crate::session::{self, soon};

/// Shows the calls of `month`, or of the current one, by API and in total. A deleted app still has its counts.
pub(crate) async fn show(
    app_id: &AppId,
    month: Option<Month>,
    output: &Output,
) -> Result<(), Failure> {
    let services = session::open().await?;
    let month = month.unwrap_or_else(|| services.meter.month());
    let calls = services.meter.usage(app_id, &month, soon()).await?;
    let total: u64 = calls.values().sum();
    let rows = calls.iter();
    let rows = rows.map(|(api, count)| (api.as_str(), count.to_string()));
    let rows: Vec<_> = rows.chain([("total", total.to_string())]).collect();
    let text = format!("calls of {app_id} in {month}, UTC\n{}", pairs(&rows));
    let answer = json!({
        "app_id": app_id,
        "month": month.to_string(),
        "calls": calls,
        "total": total,
    });
    output.answer(&answer, &text)
}
