//! Dead letters, by either way.

use lark_service::api_keys::AllowedApps;
use lark_service::delivery::{ActedView, DeadLetterView};
use reqwest::Method;
use serde_json::Value;

use super::{PAGE, Page, Session, remote_page, soon, value};
use crate::failure::Failure;
use crate::remote::Repeat;

const LETTERS: &str = "dead-letters";

/// What is done with a dead letter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Act {
    Redrive,
    Drop,
}

impl Session {
    /// A page of dead letters.
    pub(crate) async fn dead_letters(&self, after: Option<&str>) -> Result<Page, Failure> {
        match self {
            Self::Http(remote) => remote_page(remote, &[LETTERS], after, &[]).await,
            Self::Store(services) => {
                let (all, delivery) = (AllowedApps::All, &services.delivery);
                let page = delivery.dead_letters(&all, after, PAGE, soon()).await?;
                Page::of(page, |letter| value(&DeadLetterView::of(letter)))
            }
        }
    }

    /// A dead letter.
    pub(crate) async fn dead_letter(&self, id: &str) -> Result<Value, Failure> {
        match self {
            Self::Http(remote) => remote.get(&[LETTERS, id], &[]).await,
            Self::Store(services) => {
                let all = AllowedApps::All;
                let letter = services.delivery.dead_letter(&all, id, soon()).await?;
                value(&DeadLetterView::of(&letter))
            }
        }
    }

    /// Has a dead letter tried again, or drops it.
    pub(crate) async fn act(&self, id: &str, act: Act) -> Result<Value, Failure> {
        match self {
            Self::Http(remote) => {
                let call = match act {
                    Act::Redrive => remote.call(Method::POST, &[LETTERS, id, "redrive"]),
                    Act::Drop => remote.call(Method::DELETE, &[LETTERS, id]),
                };
                call.send(Repeat::IfNotSent).await
            }
            Self::Store(services) => {
                let (all, delivery) = (AllowedApps::All, &services.delivery);
                let acted = match act {
                    Act::Redrive => delivery.redrive(&all, id, soon()).await?,
                    Act::Drop => delivery.drop_dead_letter(&all, id, soon()).await?,
                };
                value(&ActedView::of(&acted, services.clock.now()))
            }
        }
    }
}
