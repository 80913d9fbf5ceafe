//! Tickets of marketplace apps: the platform issues tokens only with the latest one. It sends one every hour, and at once on
//! request ("Resend app_ticket").

use secrecy::SecretString;

use super::{AppKind, Apps};
use crate::clock::Timestamp;
use crate::deadline::Deadline;
use crate::error::{Error, FieldError, Result};
use crate::ids::AppId;
use crate::store::{Expect, Key, Record, Table, Value};

/// The sort key of a ticket's record.
const SORT: &str = "ticket";
/// What its partition begins with; the app's id follows.
pub(super) const PARTITION_PREFIX: &str = "ticket#";
/// The longest accepted ticket.
const MAX_BYTES: usize = 1_024;

/// The ticket that the platform sent last.
#[derive(Clone, Debug)]
pub struct AppTicket {
    /// The ticket.
    pub value: SecretString,
    /// When it arrived.
    pub received_at: Timestamp,
}

impl Apps {
    /// Stores the ticket that the platform sent for the app.
    ///
    /// # Errors
    /// [`Error::AppNotFound`], [`Error::InvalidArgument`] when the app is not a marketplace app or the ticket is empty or too
    /// long, [`Error::Store`], [`Error::Seal`].
    pub async fn keep_ticket(
        &self,
        app_id: &AppId,
        ticket: &SecretString,
        deadline: Deadline,
    ) -> Result<()> {
        let wrong = |field: &str, message: &str| {
            Error::InvalidArgument(vec![FieldError {
                field: field.to_owned(),
                message: message.to_owned(),
            }])
        };
        let bytes = secrecy::ExposeSecret::expose_secret(ticket).len();
        if bytes == 0 || bytes > MAX_BYTES {
            return Err(wrong("app_ticket", "must be 1 to 1,024 bytes of text"));
        }
        if self.read(app_id, deadline).await?.kind != AppKind::Marketplace {
            return Err(wrong(
                "app_id",
                "must be a marketplace app: others have no tickets",
            ));
        }
        let sealed = self
            .sealer
            .seal(&seal_context(app_id), ticket, deadline)
            .await?;
        let record = Record::new(key(app_id), self.version_after(0))
            .with("ticket", Value::Bytes(sealed))
            .with("received_at", Value::Number(self.clock.now().as_millis()));
        Ok(self
            .storage()
            .put(Table::Apps, &record, Expect::Anything, deadline)
            .await?)
    }

    /// The ticket that the platform sent last for the app, if any.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Seal`].
    pub async fn ticket(&self, app_id: &AppId, deadline: Deadline) -> Result<Option<AppTicket>> {
        let record = self
            .storage()
            .get(Table::Apps, &key(app_id), deadline)
            .await?;
        let Some(record) = record else {
            return Ok(None);
        };
        let (Some(sealed), Some(received_at)) =
            (record.bytes("ticket"), record.number("received_at"))
        else {
            return Ok(None);
        };
        let value = self
            .sealer
            .open(&seal_context(app_id), sealed, deadline)
            .await?;
        Ok(Some(AppTicket {
            value,
            received_at: Timestamp::from_millis(received_at),
        }))
    }

    pub(super) async fn forget_ticket(&self, app_id: &AppId, deadline: Deadline) -> Result<()> {
        Ok(self
            .storage()
            .delete(Table::Apps, &key(app_id), Expect::Anything, deadline)
            .await?)
    }
}

/// In a partition of its own: who keeps tickets may not write the app's record.
pub(super) fn key(app_id: &AppId) -> Key {
    Key::new(format!("{PARTITION_PREFIX}{app_id}"), SORT)
}

pub(super) fn seal_context(app_id: &AppId) -> String {
    format!("apps/{app_id}/ticket")
}
