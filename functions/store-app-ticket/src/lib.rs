//! Keeps the ticket that the platform pushed for a marketplace app. Invoked within the account by whoever received the push
//! and checked where it came from; it has no route.

use lambda_runtime::{Error, LambdaEvent};
use lark_service::apps::Apps;
use lark_service::error::{self, FieldError};
use lark_service::ids::AppId;
use lark_service::invocation;
use lark_service::tokens::TokenService;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

/// The platform's event `app_ticket`, version 1.0.
#[derive(Debug, Deserialize)]
pub struct TicketEvent {
    event: Ticket,
}

#[derive(Debug, Deserialize)]
struct Ticket {
    #[serde(rename = "type")]
    kind: String,
    app_id: String,
    app_ticket: SecretString,
}

/// What was done.
#[derive(Debug, Serialize)]
pub struct Kept {
    app_id: String,
}

/// Keeps one ticket.
///
/// # Errors
/// When the event is none of a ticket, the app is none of the marketplace, or the store fails.
pub async fn handle(
    apps: &Apps,
    tokens: &TokenService,
    event: LambdaEvent<TicketEvent>,
) -> Result<Kept, Error> {
    let LambdaEvent { payload, context } = event;
    let kept = invocation::run("store-app-ticket", &context, None, async |deadline| {
        let Ticket {
            kind,
            app_id,
            app_ticket,
        } = payload.event;
        if kind != "app_ticket" {
            return Err(wrong("event.type", "must be app_ticket"));
        }
        let app_id =
            AppId::parse(&app_id).ok_or_else(|| wrong("event.app_id", "must be an app id"))?;
        apps.keep_ticket(&app_id, &app_ticket, deadline).await?;
        tokens.ticket_came(&app_id, deadline).await?;
        Ok(Kept {
            app_id: app_id.to_string(),
        })
    });
    Ok(kept.await?)
}

fn wrong(field: &str, message: &str) -> error::Error {
    error::Error::InvalidArgument(vec![FieldError {
        field: field.to_owned(),
        message: message.to_owned(),
    }])
}
