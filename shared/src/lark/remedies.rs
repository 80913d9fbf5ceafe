//! What to do about a refusal of the platform, and who must do it: the one table, by the platform's code.
//!
//! Sources: the error tables of "Send message", "Reply message", "Edit message", "Update the message card", "Recall message" and "Get
//! chat history"; "Generic error codes".

use serde::{Deserialize, Serialize};

use crate::schema::{describe, one_of};

mod cards;
mod messages;

pub use cards::CARDS;
pub use messages::REMEDIES;

/// Who can do something about a refusal.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// Whoever sent the request.
    Caller,
    /// Whoever looks after the app in the developer console, and after this service.
    Operator,
    /// An administrator of the tenant.
    PlatformAdministrator,
    /// The owner or an administrator of the group.
    GroupOwner,
    /// The person who is to get the message.
    Receiver,
    /// Nobody: it passes, or it is as it should be.
    Nobody,
}

describe!(
    Actor,
    "Actor",
    one_of(
        "Who can do something about it.",
        Actor::ALL.map(Actor::as_str),
    )
);

impl Actor {
    /// Everybody.
    pub const ALL: [Self; 6] = [
        Self::Caller,
        Self::Operator,
        Self::PlatformAdministrator,
        Self::GroupOwner,
        Self::Receiver,
        Self::Nobody,
    ];

    /// Their name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Operator => "operator",
            Self::PlatformAdministrator => "platform_administrator",
            Self::GroupOwner => "group_owner",
            Self::Receiver => "receiver",
            Self::Nobody => "nobody",
        }
    }
}

/// What to do about a refusal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Remedy {
    /// The platform's code.
    pub code: i64,
    /// What it means.
    pub meaning: &'static str,
    /// Who must act.
    pub who: Actor,
    /// What they do.
    pub action: &'static str,
}

const fn row(code: i64, meaning: &'static str, who: Actor, action: &'static str) -> Remedy {
    Remedy {
        code,
        meaning,
        who,
        action,
    }
}

/// What to do about `code`, which came with `msg`. The code of a card that was refused stands in the words.
#[must_use]
pub fn remedy(code: i64, msg: &str) -> Option<&'static Remedy> {
    let find = |table: &'static [Remedy], code| table.iter().find(|row| row.code == code);
    let of_card = || find(CARDS, nested_code(msg)?);
    let nested = if code == CARD_REFUSED {
        of_card()
    } else {
        None
    };
    nested.or_else(|| find(REMEDIES, code))
}

/// The code of a refused card, whose own code stands in the words: `…, ext=ErrCode: 200621; ErrMsg: …`.
const CARD_REFUSED: i64 = 230_099;

fn nested_code(msg: &str) -> Option<i64> {
    let (_, rest) = msg.split_once("ErrCode:")?;
    let rest = rest.trim_start();
    let end = rest.find(|c: char| !c.is_ascii_digit());
    rest[..end.unwrap_or(rest.len())].parse().ok()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_code_has_one_row_that_says_what_to_do() {
        for table in [REMEDIES, CARDS] {
            let codes: HashSet<_> = table.iter().map(|row| row.code).collect();
            assert_eq!(codes.len(), table.len());
            for row in table {
                assert!(
                    !row.meaning.is_empty() && row.action.ends_with('.'),
                    "{}",
                    row.code
                );
            }
        }
    }

    #[test]
    fn the_code_of_a_refused_card_is_in_its_words() {
        let who = |code, msg| remedy(code, msg).map(|it| (it.code, it.who));
        let msg =
            "Failed to create card content, ext=ErrCode: 200381; ErrMsg: template; ErrorValue: x";
        assert_eq!(who(230_099, msg), Some((200_381, Actor::Operator)));
        for msg in [
            "",
            "ErrCode: 1;",
            "ErrCode: x",
            "ErrCode:",
            "ErrCode: 99999999999999999999",
        ] {
            assert_eq!(who(230_099, msg), Some((230_099, Actor::Caller)), "{msg}");
        }
        // Of another refusal the words are only words.
        assert_eq!(who(230_002, msg), Some((230_002, Actor::GroupOwner)));
        assert_eq!(who(0, ""), None);
    }
}
