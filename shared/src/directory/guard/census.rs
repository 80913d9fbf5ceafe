//! How many users the directory has now: what shows that somebody was created.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use crate::apps::Acting;
use crate::coalesce::Flights;
use crate::deadline::Deadline;
use crate::directory::tiers::Whose;
use crate::lark::LarkClient;
use crate::lark::departments::DepartmentId;
use crate::tokens::{SharedToken, TokenKey, TokenService};

/// The shortest time between two calls to Lark for one app and tenant. Whoever asks meanwhile waits for the next.
const PACE: Duration = Duration::from_millis(300);
/// The time for one call.
const TIMEOUT: Duration = Duration::from_secs(5);
/// For how many apps and tenants the pace is kept.
const MAX_PACED: usize = 10_000;

/// Counts the users of directories. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct Census {
    lark: LarkClient,
    tokens: TokenService,
    /// The count that those who come now wait for. The number tells one count from the next.
    flights: Arc<Flights<(Whose, u64), Option<u64>>>,
    rounds: Arc<Mutex<HashMap<Whose, Round>>>,
}

/// The counts of one app and tenant so far.
#[derive(Clone, Copy, Debug)]
struct Round {
    number: u64,
    begins_at: Instant,
}

impl Census {
    /// A census by the root department.
    #[must_use]
    pub fn new(lark: LarkClient, tokens: TokenService) -> Self {
        Self {
            lark,
            tokens,
            flights: Arc::default(),
            rounds: Arc::default(),
        }
    }

    /// How many users the directory has, by a count that begins after this call; `None` when that cannot be had, or the app
    /// may not see the whole directory.
    pub async fn members(&self, acting: &Acting, deadline: Deadline) -> Option<u64> {
        let whose = Whose::of(acting);
        let round = self.next_round(&whose);
        let work = || {
            let (census, acting) = (self.clone(), acting.clone());
            async move {
                // Until then everybody who comes joins this count; it has not begun for any of them.
                tokio::time::sleep_until(round.begins_at).await;
                census.count(&acting).await
            }
        };
        let flight = self.flights.join((whose, round.number), work);
        deadline.run(flight).await.ok()?.ok()?
    }

    /// The count that begins next.
    fn next_round(&self, whose: &Whose) -> Round {
        let mut rounds = self.rounds.lock().expect("no panic while counting");
        if rounds.len() >= MAX_PACED && !rounds.contains_key(whose) {
            rounds.clear();
        }
        let now = Instant::now();
        let round = rounds.entry(whose.clone()).or_insert(Round {
            number: 0,
            begins_at: now,
        });
        if round.begins_at <= now {
            let paced = round.begins_at + PACE;
            *round = Round {
                number: round.number + 1,
                begins_at: paced.max(now),
            };
        }
        *round
    }

    /// The count itself.
    pub(super) async fn count(&self, acting: &Acting) -> Option<u64> {
        let deadline = Deadline::after(TIMEOUT);
        let call = |token: SharedToken| {
            let (lark, installation) = (&self.lark, acting.installation());
            async move {
                let root = DepartmentId::root();
                lark.fetch_department(installation, &token.value, &root, deadline)
                    .await
            }
        };
        let key = TokenKey::acting(acting);
        let answer = self.tokens.call(acting.app(), &key, deadline, call).await;
        let department = answer.ok()?.ok()?;
        u64::try_from(department.member_count?).ok()
    }
}
