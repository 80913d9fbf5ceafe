//! Deletes an app and everything that was stored for it.

use futures_util::{StreamExt, TryStreamExt, stream};
use lark_service::error::Error;
use lark_service::ids::AppId;
use lark_service::tokens::{TokenKey, TokenKind};
use lark_service::wiring::Services;
use reqwest::Method;
use serde_json::json;

use crate::failure::Failure;
use crate::output::Output;
use crate::remote::Repeat;
use crate::secret_input;
use crate::session::{PAGE, Place, Session, actor, soon};

/// How many tokens and logins are removed at a time.
const CONCURRENCY: usize = 8;

/// The service says only that it is done; on the store the tokens are counted.
pub(super) async fn delete(
    app_id: &AppId,
    is_sure: bool,
    place: &Place,
    output: &Output,
) -> Result<(), Failure> {
    if !is_sure && output.is_json() {
        let detail = "with --json nobody is asked: confirm with --yes".to_owned();
        return Err(Failure::Usage(detail));
    }
    if !is_sure {
        let question = format!(
            "This deletes the app {app_id} with all its tokens; its users must log in again."
        );
        secret_input::confirmed(&question, app_id.as_str())?;
    }
    let services = match place.open().await? {
        Session::Store(services) => services,
        Session::Http(remote) => {
            let delete = remote.call(Method::DELETE, &["apps", app_id.as_str()]);
            delete.send(Repeat::IfNotSent).await?;
            return output.answer(
                &json!({ "app_id": app_id, "deleted": true }),
                &format!("deleted the app {app_id} with its tokens and logins"),
            );
        }
    };
    let was_there = match services.apps.delete(app_id, &actor(), soon()).await {
        Ok(()) => true,
        Err(Error::AppNotFound(_)) => false,
        Err(error) => return Err(error.into()),
    };
    let forgotten = forget(&services, app_id, output).await?;
    if !was_there && forgotten == 0 {
        return Err(Error::AppNotFound(app_id.clone()).into());
    }
    output.answer(
        &json!({ "app_id": app_id, "deleted": true, "tokens": forgotten }),
        &format!("deleted the app {app_id} and {forgotten} tokens and logins"),
    )
}

/// Removes the app's tokens and logins and returns how many there were.
async fn forget(services: &Services, app_id: &AppId, output: &Output) -> Result<u64, Failure> {
    let (mut forgotten, mut after) = (0_u64, None::<String>);
    let mut kinds = TokenKind::ALL.into_iter();
    let mut kind = kinds.next();
    while let Some(of_kind) = kind {
        let page = services
            .tokens
            .list(app_id, of_kind, after.as_deref(), PAGE, soon())
            .await?;
        let keys = page.items.iter().map(|info| TokenKey {
            app_id: app_id.clone(),
            kind: of_kind,
            subject: info.subject.clone(),
        });
        let keys: Vec<_> = keys.collect();
        stream::iter(&keys)
            .map(|key| services.tokens.forget(key, soon()))
            .buffer_unordered(CONCURRENCY)
            .try_for_each(|_| std::future::ready(Ok(())))
            .await?;
        forgotten += keys.len() as u64;
        output.progress(&format!("removed {forgotten} tokens and logins"));
        after = page.next_page_token;
        if after.is_none() {
            kind = kinds.next();
        }
    }
    output.progressed();
    Ok(forgotten)
}
