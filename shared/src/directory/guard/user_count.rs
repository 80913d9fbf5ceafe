//! How many users the directory has now: it shows whether a user was created.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use crate::apps::AppContext;
use crate::clock::Clock;
use crate::coalesce::Flights;
use crate::deadline::Deadline;
use crate::directory::tiers::AppTenant;
use crate::lark::departments;
use crate::lark::departments::DepartmentId;
use crate::platform::Platform;

/// The shortest time between two calls to Lark for one app and tenant. Requests in between wait for the next call.
const PACE: Duration = Duration::from_millis(300);
/// The time for one call.
const TIMEOUT: Duration = Duration::from_secs(5);
/// For how many apps and tenants the pace is kept.
const MAX_PACED: usize = 10_000;

/// Counts the users of directories. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct UserCount {
    platform: Platform,
    clock: Arc<dyn Clock>,
    /// The count that new requests wait for. The number tells one count from the next.
    flights: Arc<Flights<(AppTenant, u64), Option<u64>>>,
    rounds: Arc<Mutex<HashMap<AppTenant, Round>>>,
}

/// The counts of one app and tenant so far.
#[derive(Clone, Copy, Debug)]
struct Round {
    number: u64,
    begins_at: Instant,
}

impl UserCount {
    /// A user count by the root department.
    #[must_use]
    pub fn new(platform: Platform, clock: Arc<dyn Clock>) -> Self {
        Self {
            platform,
            clock,
            flights: Arc::default(),
            rounds: Arc::default(),
        }
    }

    /// How many users the directory has, by a count that begins after this call; `None` when the count fails, or the app may
    /// not see the whole directory.
    pub async fn members(&self, context: &AppContext, deadline: Deadline) -> Option<u64> {
        let app_tenant = AppTenant::of(context);
        let round = self.next_round(&app_tenant);
        let work = || {
            let (user_count, context) = (self.clone(), context.clone());
            async move {
                // Until then every new request joins this count; it begins after all of them.
                tokio::time::sleep_until(round.begins_at).await;
                user_count.count(&context).await
            }
        };
        let key = (app_tenant, round.number);
        let flight = self.flights.join(key, PACE + TIMEOUT, &*self.clock, work);
        deadline.run(flight).await.ok()?.ok()?
    }

    /// The count that begins next.
    fn next_round(&self, app_tenant: &AppTenant) -> Round {
        let mut rounds = self.rounds.lock().expect("no panic while counting");
        if rounds.len() >= MAX_PACED && !rounds.contains_key(app_tenant) {
            rounds.clear();
        }
        let now = Instant::now();
        let round = rounds.entry(app_tenant.clone()).or_insert(Round {
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
    pub(super) async fn count(&self, context: &AppContext) -> Option<u64> {
        let deadline = Deadline::after(TIMEOUT);
        let request = departments::get_department(&DepartmentId::root());
        let answer = self.platform.send(context, &request, deadline).await;
        let department = answer.ok()?;
        u64::try_from(department.member_count?).ok()
    }
}
