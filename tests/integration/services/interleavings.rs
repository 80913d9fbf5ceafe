//! Processes that refresh the same login, in random order: one store operation at a time, by a random schedule, with
//! processes that freeze and come back minutes later or never, and with lost answers. In every case the store only moves on
//! to a later pair, and a login ends only where an answer was lost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lark_service::error::Error;
use lark_service::error::LoginEnd;
use lark_service::ids::{AppId, OpenId};
use lark_service::store::Table;
use lark_service::tokens::TokenKey;
use lark_service_tests::gated::{Waiting, gated};
use lark_service_tests::world::{APP, World};
use lark_simulator::{Fault, FaultAction, FaultStage, Settings};
use proptest::prelude::*;
use secrecy::ExposeSecret;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

/// How many processes take part.
const PROCESSES: usize = 3;
/// How long to wait for the next operation of a process that was let through; after that it is between two operations.
const PATIENCE: Duration = Duration::from_millis(30);

/// How long the remaining processes may take to end.
const GRACE: Duration = Duration::from_millis(400);

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// This process is let through once.
    Run(usize),
    /// This process freezes, and a minute passes.
    Freeze(usize),
    /// This process continues.
    Thaw(usize),
    /// The answer to the next refresh is lost.
    LoseAnswer,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..PROCESSES).prop_map(Step::Run),
        1 => (0..PROCESSES).prop_map(Step::Freeze),
        2 => (0..PROCESSES).prop_map(Step::Thaw),
        1 => Just(Step::LoseAnswer),
    ]
}

/// The processes, as the schedule sees them.
struct Stage {
    arrivals: mpsc::UnboundedReceiver<Waiting>,
    waiting: BTreeMap<usize, Vec<oneshot::Sender<()>>>,
    frozen: [bool; PROCESSES],
    /// Which processes have answered their caller.
    done: [Arc<AtomicBool>; PROCESSES],
}

impl Stage {
    /// Lets `process` through once, if it comes to an operation and is not frozen.
    async fn run(&mut self, process: usize) {
        while !self.frozen[process]
            && !self.done[process].load(Ordering::SeqCst)
            && self.waiting.get(&process).is_none_or(Vec::is_empty)
        {
            match tokio::time::timeout(PATIENCE, self.arrivals.recv()).await {
                Ok(Some((arrived, go))) => self.waiting.entry(arrived).or_default().push(go),
                Ok(None) | Err(_) => return,
            }
        }
        if !self.frozen[process]
            && let Some(waiting) = self.waiting.get_mut(&process)
        {
            // The caller of a process that no longer waits has given up.
            while let Some(go) = waiting.pop() {
                if go.send(()).is_ok() {
                    return;
                }
            }
        }
    }

    /// Lets everybody through who is not frozen, until `callers` have their answers.
    async fn finish(&mut self, callers: &mut JoinSet<lark_service::error::Result<()>>) {
        while !callers.is_empty() {
            for process in 0..PROCESSES {
                if !self.frozen[process] {
                    for go in self.waiting.remove(&process).unwrap_or_default() {
                        let _ = go.send(());
                    }
                }
            }
            tokio::select! {
                _answer = callers.join_next() => {}
                Some((arrived, go)) = self.arrivals.recv() => {
                    self.waiting.entry(arrived).or_default().push(go);
                }
                () = tokio::time::sleep(GRACE) => return,
            }
        }
    }
}

/// What the store says of the login.
async fn stored(world: &World, open_id: &OpenId) -> (u64, i64, bool) {
    let key = TokenKey::user(AppId::parse(APP).unwrap(), open_id).store_key();
    let record = world.shared_store().get(Table::Tokens, &key).await;
    let record = record.unwrap();
    let record = record.expect("a login never vanishes by itself");
    let generation = record.number("generation").unwrap();
    (record.version, generation, record.text("ended").is_some())
}

/// A stage with one caller in each process.
fn begin(world: &World, open_id: &OpenId) -> (Stage, JoinSet<lark_service::error::Result<()>>) {
    let (gate, arrivals) = mpsc::unbounded_channel();
    let stage = Stage {
        arrivals,
        waiting: BTreeMap::new(),
        frozen: [false; PROCESSES],
        done: Default::default(),
    };
    let mut callers = JoinSet::new();
    for number in 0..PROCESSES {
        let process = world.process_over(gated(world.shared_store(), number, gate.clone()));
        let open_id = open_id.clone();
        let done = Arc::clone(&stage.done[number]);
        callers.spawn(async move {
            let outcome = process.user_token(&open_id).await.map(drop);
            done.store(true, Ordering::SeqCst);
            outcome
        });
    }
    (stage, callers)
}

async fn play(steps: Vec<Step>, is_harsh: bool) {
    let world = World::begin().await;
    let settings = Settings {
        refresh_reuse_revokes: is_harsh,
        ..world.control().settings()
    };
    world.control().set_settings(settings).unwrap();
    let open_id = world.process().log_in(world.control(), 7).await.unwrap();
    world.advance(Duration::from_secs(7_200));

    let (mut stage, mut callers) = begin(&world, &open_id);
    let (mut troubled, mut before) = (false, stored(&world, &open_id).await);
    for step in steps {
        match step {
            Step::Run(process) => stage.run(process).await,
            Step::Freeze(process) => {
                stage.frozen[process] = true;
                troubled = true;
                world.advance(Duration::from_secs(60));
            }
            Step::Thaw(process) => stage.frozen[process] = false,
            Step::LoseAnswer => {
                troubled = true;
                let lost = Fault {
                    stage: FaultStage::After,
                    count: Some(1),
                    ..Fault::new("authen.oauth_token", FaultAction::Reset)
                };
                world.control().add_fault(lost).unwrap();
            }
        }
        let now = stored(&world, &open_id).await;
        assert!(
            now.0 >= before.0 && now.1 >= before.1,
            "went back: {before:?} {now:?}"
        );
        assert!(
            now.1 > before.1 || before.2 <= now.2,
            "an end was taken back by nothing new"
        );
        before = now;
    }
    world.advance(Duration::from_secs(120));
    // A minute later every process that is alive gets an answer, and then a new one.
    stage.finish(&mut callers).await;
    check_the_end(&world, &open_id, troubled).await;
}

/// The login is alive, or it ended because an answer was lost; it never ends on a guess.
async fn check_the_end(world: &World, open_id: &OpenId, troubled: bool) {
    world.control().clear_faults();
    world.advance(Duration::from_secs(900));
    let outcome = world.process().user_token(open_id).await;
    let counters = world.control().counters();
    match outcome {
        Ok(_) => {}
        Err(Error::ReauthorizationRequired {
            end: LoginEnd::OutcomeLost,
            ..
        }) if troubled => {
            assert!(
                counters.refresh_rejected >= 1,
                "ended on a guess: {counters:?}"
            );
        }
        Err(error) => panic!("troubled: {troubled}, {counters:?}: {error}"),
    }
    if !troubled {
        assert_eq!((counters.refresh_grants, counters.refresh_rejected), (1, 0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_order_a_later_pair_stays(
        steps in proptest::collection::vec(step(), 1..40),
        is_harsh in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(play(steps, is_harsh));
    }
}

/// The most important case: the holder of the lease freezes after it received the platform's answer, another process
/// declares the login lost, and then the holder continues.
#[test]
fn a_holder_that_thaws_with_a_later_pair_brings_the_login_back() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut steps = vec![Step::Run(0); 2];
        steps.push(Step::Freeze(0));
        steps.extend([Step::Run(1); 8]);
        steps.push(Step::Thaw(0));
        steps.extend([Step::Run(0); 8]);
        play(steps, false).await;
    });
}

/// A user logs in anew while an older login is being refreshed: the new one stays, whoever writes last.
#[tokio::test]
async fn a_new_login_is_not_replaced_by_the_refresh_of_the_old_one() {
    let world = World::begin().await;
    let process = world.process();
    let open_id = process.log_in(world.control(), 7).await.unwrap();
    world.advance(Duration::from_secs(7_200));
    let (mut stage, mut callers) = begin(&world, &open_id);
    // It has read and taken the lease; it then asks the platform, and its write of the answer waits.
    for _ in 0..2 {
        stage.run(0).await;
    }
    let asked = world.control().arrived("authen.oauth_token", 2);
    let asked = tokio::time::timeout(Duration::from_secs(10), asked).await;
    asked.expect("the platform is asked before the write");
    process.log_in(world.control(), 7).await.unwrap();
    let new = process.user_token(&open_id).await.unwrap();
    stage.finish(&mut callers).await;
    assert!(callers.is_empty(), "everybody is answered");
    let found = world.process().user_token(&open_id).await.unwrap();
    assert_eq!(found.value.expose_secret(), new.value.expose_secret());
}

/// Frozen between lease and call: when the lease ends before the call could, the refresh token is presented under another one.
#[tokio::test]
async fn a_lease_that_is_too_old_presents_nothing() {
    // A read, a lease, the outcome; or the lease given back, and all three again.
    for (frozen, expected) in [(0, 3), (4, 3), (6, 6), (12, 6), (70, 6)] {
        let world = World::begin().await;
        let open_id = world.process().log_in(world.control(), 7).await.unwrap();
        world.advance(Duration::from_secs(7_200));
        let (gate, mut arrivals) = mpsc::unbounded_channel();
        let process = world.process_over(gated(world.shared_store(), 0, gate));
        let caller = open_id.clone();
        let mut callers = JoinSet::new();
        callers.spawn(async move { process.user_token(&caller).await.map(drop) });
        let mut operations = 0;
        let answer = loop {
            tokio::select! {
                Some(answer) = callers.join_next() => break answer,
                Some((_, go)) = arrivals.recv() => {
                    operations += 1;
                    if operations == 2 {
                        // Its lease is on its way.
                        world.advance(Duration::from_secs(frozen));
                    }
                    go.send(()).unwrap();
                }
            }
        };
        answer.unwrap().unwrap();
        assert_eq!(operations, expected, "frozen for {frozen} s");
        world.advance(Duration::from_secs(120));
        world.process().user_token(&open_id).await.unwrap();
        let counters = world.control().counters();
        assert_eq!((counters.refresh_grants, counters.refresh_rejected), (1, 0));
    }
}
