//! Each function is stopped at each request that it makes before its answer, and continued 4, 12 and 70 seconds later, while
//! another process goes on. Every combination is a process with an app, a platform and tables of its own;
//! many stand still side by side. `LARK_FROZEN_ONLY="get-user | cache"` selects rows by a part of their names.

mod plain;
mod scenario;
mod verdict;

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use lark_service_tests::cluster::figure;
use lark_service_tests::function::Ended;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use scenario::{Scenario, Shared};
use verdict::{Row, violations};

/// What becomes of the request, and for how many seconds the process stands still: shorter than a time-out, longer than one,
/// longer than every lease and every request. The longest freezes begin first.
const FREEZES: [(Request, u64); 6] = [
    (Request::Answered, 70),
    (Request::Held, 70),
    (Request::Answered, 12),
    (Request::Held, 12),
    (Request::Answered, 4),
    (Request::Held, 4),
];
/// How many processes start at a time. More would compete for the processor and time out.
const STARTING: usize = 2;
/// How many stand still at a time. More would need more of the store that they share than it has.
const AT_ONCE: usize = 60;
/// How long a cell may take, the wait for other processes to start included.
const PATIENCE: Duration = Duration::from_secs(600);
/// What happens to the request at which a process is stopped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Request {
    /// Its server answers during the freeze: the answer lies in the socket.
    Answered,
    /// It leaves only at the thaw, as from the send buffer of a machine that stands still.
    Held,
}

/// A request at which a process is stopped.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Point {
    /// The request's name, with `*` for what differs from site to site.
    name: String,
    /// Which of the requests with this name, from 1.
    nth: u64,
}

/// A process to stop.
#[derive(Clone, Debug)]
struct Cell {
    scenario: Scenario,
    point: Point,
    request: Request,
    freeze: Duration,
}

impl Cell {
    /// The function and the request, without what becomes of it.
    fn place(&self) -> String {
        let Point { name, nth } = &self.point;
        format!("{:?} | {name} #{nth}", self.scenario)
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            scenario,
            point,
            request,
            freeze,
        } = self;
        let (name, nth, seconds) = (&point.name, point.nth, freeze.as_secs());
        write!(
            f,
            "{scenario:?} | {name} #{nth} | {request:?} | {seconds} s"
        )
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_is_frozen_at_any_of_its_requests_harms_nobody() {
    allow_many_sockets();
    let starting = Semaphore::new(STARTING);
    let recorded = join_all(Scenario::ALL.map(|scenario| points(scenario, &starting))).await;
    let mut cells = Vec::new();
    for (request, seconds) in FREEZES {
        for (scenario, points) in Scenario::ALL.into_iter().zip(&recorded) {
            cells.extend(points.iter().map(|point| Cell {
                scenario,
                point: point.clone(),
                request,
                freeze: Duration::from_secs(seconds),
            }));
        }
    }
    let shared = Shared::start().await;
    for (scenario, points) in Scenario::ALL.into_iter().zip(&recorded) {
        figure(format!("{scenario:?}: {} points", points.len())).await;
    }
    let only = std::env::var("LARK_FROZEN_ONLY").unwrap_or_default();
    let cells = cells
        .into_iter()
        .filter(|it| it.to_string().contains(&only));
    let cells = cells.map(|cell| shown(cell, &shared, &starting));
    let rows: Vec<_> = stream::iter(cells)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let mut wrong = Vec::new();
    for row in &rows {
        match row {
            Ok(row) => wrong.extend(violations(row).into_iter().map(|it| format!("{it}: {row}"))),
            Err(silent) => wrong.push(silent.clone()),
        }
    }
    wrong.extend(never_reached(&rows));
    assert!(
        wrong.is_empty(),
        "{} of {} cells:\n{}",
        wrong.len(),
        rows.len(),
        wrong.join("\n")
    );
}

/// The points at which no process was stopped: a point is no promise, for a process may go another way the next time, but the table
/// must not be silent about it.
fn never_reached(rows: &[Result<Row, String>]) -> Vec<String> {
    let all = rows.iter().flatten();
    let reached: HashSet<String> = all
        .clone()
        .filter(|row| row.was_reached())
        .map(|row| row.cell.place())
        .collect();
    let places: BTreeSet<String> = all.map(|row| row.cell.place()).collect();
    let never = places.into_iter().filter(|place| !reached.contains(place));
    never
        .map(|place| format!("never reached: {place}"))
        .collect()
}

/// The requests that `scenario` makes. Of many with one name, which are parallel reads, the first and the last.
async fn points(scenario: Scenario, starting: &Semaphore) -> Vec<Point> {
    let _starting = starting.acquire().await;
    let site = scenario.new_site().await;
    scenario.prepare(&site).await;
    scenario.ripen().await;
    let mut function = site.function(scenario.function()).await;
    let event = scenario.event(&site).await;
    let first = function.network.traffic.seen().len();
    let ended = function.invoke(&event).await;
    assert!(
        scenario.is_right(&ended),
        "{scenario:?} without a freeze: {ended:?}"
    );
    let names = function.network.traffic.names_from(first);
    let mut points: Vec<Point> = Vec::new();
    // Whether a script has to be sent is not up to the function.
    let names = names.iter().filter(|name| !name.starts_with("cache EVAL "));
    for name in names.map(|name| site.pattern(name)) {
        let last = points.iter_mut().rev().find(|point| point.name == name);
        match last {
            Some(last) if last.nth > 2 => last.nth += 1,
            Some(Point { nth, .. }) => {
                let nth = *nth + 1;
                points.push(Point { name, nth });
            }
            None => points.push(Point { name, nth: 1 }),
        }
    }
    points
}

/// The row of a cell, printed at once; or that it never ends.
async fn shown(cell: Cell, shared: &Shared, starting: &Semaphore) -> Result<Row, String> {
    let name = cell.to_string();
    let permit = starting.acquire().await.expect("it stays open");
    let row = run(cell, shared, starting, permit);
    let row = tokio::time::timeout(PATIENCE, Box::pin(row)).await;
    let row = row.map_err(|_| format!("it never ends: {name}"));
    match &row {
        Ok(row) => figure(row.to_string()).await,
        Err(silent) => figure(silent.clone()).await,
    }
    row
}

async fn run(
    cell: Cell,
    shared: &Shared,
    starting: &Semaphore,
    permit: SemaphorePermit<'_>,
) -> Row {
    let scenario = cell.scenario;
    let site = scenario.site(shared).await;
    scenario.prepare(&site).await;
    drop(permit);
    scenario.ripen().await;
    let permit = starting.acquire().await;
    let mut function = site.function(scenario.function()).await;
    let event = scenario.event(&site).await;
    let traffic = &function.network.traffic;
    let held = traffic.hold_nth(cell.point.nth, &cell.point.name);
    function.begin(&event);
    let early = tokio::select! {
        () = held.arrived() => None,
        ended = function.end() => Some(ended),
    };
    if let Some(ended) = early {
        return Row::of(cell, &site, ended);
    }
    function.freeze().await;
    let frozen_at = Instant::now();
    if cell.request == Request::Answered {
        held.release();
        held.answered().await;
    }
    let other = site.process().await;
    drop(permit);
    scenario.meanwhile(&site);
    let others = scenario.other(&site, &other, cell.freeze);
    let thaw = async {
        tokio::time::sleep_until(frozen_at + cell.freeze).await;
        held.release();
        function.thaw();
        function.end().await
    };
    let (others, ended): (_, Ended) = tokio::join!(others, thaw);
    let mut row = Row::of(cell, &site, ended);
    row.other = others;
    let event = scenario.event(&site).await;
    let next = function.invoke(&event).await;
    row.finish(&site, next, scenario.after(&site).await);
    row
}

/// A socket is a file: the table has thousands.
fn allow_many_sockets() {
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // Without it the table may still fit.
    let _ = setrlimit(Resource::Nofile, most);
}
