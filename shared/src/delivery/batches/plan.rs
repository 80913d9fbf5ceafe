//! Whom a batch goes to: every receiver looked up, each once.

use std::collections::HashSet;

use super::super::{Delivery, Message};
use super::batch::{Mode, broadcast};
use super::counts::{Unreached, count};
use super::{BROADCAST_FROM, MAX_RECEIVERS};
use crate::apps::AppContext;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorCode, Result};
use crate::lark::batch_messages::MAX_PEOPLE;
use crate::lark::messages::Address;
use crate::messages::{Receiver, ReceiverFields};

/// Whom a batch goes to, and how.
#[derive(Debug)]
pub struct BatchPlan {
    /// The receivers, each once, with the first place in the request that names them.
    pub people: Vec<(u32, Address)>,
    /// How many entries name somebody again.
    pub duplicates: u32,
    /// Those who get nothing.
    pub unreached: Vec<Unreached>,
    /// Whether it goes out in calls for many.
    pub is_broadcast: bool,
}

impl BatchPlan {
    /// How many calls of the platform it takes.
    #[must_use]
    pub const fn calls(&self) -> usize {
        let people = self.people.len();
        if self.is_broadcast {
            people.div_ceil(MAX_PEOPLE)
        } else {
            people
        }
    }
}

/// What look-ups found.
pub(super) struct Found {
    pub(super) plan: BatchPlan,
    /// Why some could not be looked up now; they are among the unreached of the plan.
    pub(super) passing: Option<Error>,
}

/// How a batch is to be sent, as far as it matters for its plan.
#[derive(Clone, Copy)]
pub(super) struct Wish<'m> {
    pub(super) mode: Mode,
    pub(super) needs_message_ids: bool,
    pub(super) message: &'m Message,
}

impl Wish<'_> {
    /// Whether a message to `people` goes out in calls for many.
    fn is_broadcast(self, people: &[(u32, Address)]) -> bool {
        match self.mode {
            Mode::Each => false,
            Mode::Broadcast => !people.is_empty(),
            Mode::Auto => {
                let is_person = |(_, to): &(u32, Address)| matches!(to, Address::OpenId(_));
                !self.needs_message_ids
                    && people.len() >= BROADCAST_FROM
                    && people.iter().all(is_person)
                    && broadcast(self.message).is_some()
            }
        }
    }
}

impl Delivery {
    /// Looks the receivers of a batch up. No failed look-up affects the others.
    pub(super) async fn find_receivers(
        &self,
        context: &AppContext,
        fields: &[ReceiverFields],
        wish: Wish<'_>,
        deadline: Deadline,
    ) -> Result<Found> {
        let receivers: Vec<Receiver> = fields
            .iter()
            .take(MAX_RECEIVERS)
            .map(Receiver::parse)
            .collect::<Result<_>>()?;
        let finder = &self.inner.receivers;
        let outcomes = finder.resolve_all(context, &receivers, deadline).await;
        let mut plan = BatchPlan {
            people: Vec::with_capacity(outcomes.len()),
            duplicates: 0,
            unreached: Vec::new(),
            is_broadcast: false,
        };
        let (mut known, mut passing) = (HashSet::new(), None);
        for (place, outcome) in outcomes.into_iter().enumerate() {
            let entry = count(place);
            match outcome {
                Ok(to) if known.insert((to.kind(), to.id().to_owned())) => {
                    plan.people.push((entry, to));
                }
                Ok(_) => plan.duplicates += 1,
                Err(error) => {
                    plan.unreached.push(Unreached {
                        entry,
                        code: error.code().as_str().to_owned(),
                        detail: told(&error),
                    });
                    if passing.is_none() && may_pass(&error) {
                        passing = Some(error);
                    }
                }
            }
        }
        plan.is_broadcast = wish.is_broadcast(&plan.people);
        Ok(Found { plan, passing })
    }
}

/// What `error` is about, for the caller: details of what is not theirs to mend are in the log.
fn told(error: &Error) -> String {
    if error.code().status() < 500 {
        return error.to_string();
    }
    error.code().title().to_owned()
}

/// Whether the same look-up may succeed later.
fn may_pass(error: &Error) -> bool {
    error.is_outage()
        || matches!(
            error.code(),
            ErrorCode::StoreUnavailable
                | ErrorCode::AppRefused
                | ErrorCode::AppTicketMissing
                | ErrorCode::TenantRefused
                | ErrorCode::Internal
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people(number: usize) -> Vec<(u32, Address)> {
        let person = |n| (count(n), Address::OpenId(format!("ou_{n}")));
        (0..number).map(person).collect()
    }

    fn message(msg_type: &str) -> Message {
        Message {
            msg_type: msg_type.to_owned(),
            content: r#"{"text":"hi"}"#.to_owned(),
        }
    }

    #[test]
    fn auto_broadcasts_to_many_people_what_can_be_broadcast() {
        let chat = vec![(0, Address::ChatId("oc_1".to_owned()))];
        let with_chat = [people(99), chat].concat();
        let rows = [
            ("many", Mode::Auto, false, "text", people(50), true),
            ("few", Mode::Auto, false, "text", people(49), false),
            (
                "a chat among them",
                Mode::Auto,
                false,
                "text",
                with_chat,
                false,
            ),
            (
                "ids are needed",
                Mode::Auto,
                true,
                "text",
                people(50),
                false,
            ),
            (
                "a type it does not take",
                Mode::Auto,
                false,
                "file",
                people(50),
                false,
            ),
            ("each", Mode::Each, false, "text", people(500), false),
            (
                "broadcast to one",
                Mode::Broadcast,
                false,
                "text",
                people(1),
                true,
            ),
            (
                "broadcast to nobody",
                Mode::Broadcast,
                false,
                "text",
                people(0),
                false,
            ),
        ];
        for (what, mode, needs_message_ids, msg_type, people, expected) in rows {
            let message = message(msg_type);
            let wish = Wish {
                mode,
                needs_message_ids,
                message: &message,
            };
            assert_eq!(wish.is_broadcast(&people), expected, "{what}");
        }
    }
}
