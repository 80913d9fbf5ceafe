//! Dead letters under `/v1/dead-letters`: list, show, redrive, drop. For keys with the scope `admin`, within the apps that the key may
//! act for.

use std::convert::Infallible;

use lambda_http::http::Method;
use lambda_http::{Body, Request, Response};
use lark_service::api_keys::Caller;
use lark_service::clock::{Clock, SystemClock};
use lark_service::delivery::{Acted, ActedView, DeadLetterView, Delivery, page_of_dead_letters};
use lark_service::error::Result;
use lark_service::http::{self, Admission, Call, Reply};
use lark_service::page::PageRules;

mod openapi;

/// The scope of a redrive's `Idempotency-Key`.
const REDRIVE_ROUTE: &str = "POST /v1/dead-letters/{letter_id}/redrive";

pub use openapi::operations;

/// Answers one request.
///
/// # Errors
/// Never: every failure is an answer.
pub async fn handle(
    admission: &Admission,
    delivery: &Delivery,
    request: Request,
) -> std::result::Result<Response<Body>, Infallible> {
    Ok(http::serve("manage-dead-letters", &request, async |call| {
        let caller = admission.administrator(call).await?;
        manage(admission, &caller, delivery, call).await
    })
    .await)
}

async fn manage(
    admission: &Admission,
    caller: &Caller,
    delivery: &Delivery,
    call: &Call<'_>,
) -> Result<Reply> {
    let id = call.path_parameter("letter_id");
    let (apps, deadline) = (&caller.apps, call.deadline());
    if id.is_empty() {
        call.only_query(&["page_size", "page_token"])?;
        let page = call.page(&PageRules::OURS)?;
        let found = delivery
            .dead_letters(apps, page.after(), page.limit(), deadline)
            .await?;
        return Reply::json(&page_of_dead_letters(found));
    }
    call.only_query(&[])?;
    match *call.request().method() {
        Method::POST => {
            let redrive = async |_| acted(&delivery.redrive(apps, id, deadline).await?);
            admission
                .once(call, &caller.key_id, REDRIVE_ROUTE, redrive)
                .await
        }
        Method::DELETE => acted(&delivery.drop_dead_letter(apps, id, deadline).await?),
        _ => {
            let letter = delivery.dead_letter(apps, id, deadline).await?;
            Reply::json(&DeadLetterView::of(&letter))
        }
    }
}

fn acted(acted: &Acted) -> Result<Reply> {
    Reply::json(&ActedView::of(acted, SystemClock.now()))
}
