//! Calls of the platform for many: each is made once, whatever is lost.

use super::*;

const SEND: &str = "message.batch_send";

fn broadcast(people: std::ops::RangeInclusive<u32>) -> NewBatch {
    NewBatch {
        mode: Mode::Broadcast,
        ..to_people(people)
    }
}

/// The people of the platform's batch messages.
fn reached(world: &World) -> Vec<BTreeSet<u32>> {
    let batches = world.control().batch_messages().into_iter();
    batches
        .map(|it| it.people.iter().copied().collect())
        .collect()
}

#[tokio::test]
async fn a_broadcast_reaches_two_hundred_people_a_call_and_says_how_far_it_is() {
    let world = World::begin().await;
    let process = world.process();
    let mut new = broadcast(1..=450);
    new.receivers.push(fields(json!({"open_id": "ou_nobody"})));
    let batch = accept(&process, new).await;
    drain(&world, &process).await;
    let reached = reached(&world);
    let sizes: Vec<usize> = reached.iter().map(BTreeSet::len).collect();
    assert_eq!(sizes, [200, 200, 50]);
    assert_eq!(reached.iter().flatten().collect::<BTreeSet<_>>().len(), 450);
    assert_eq!((deliveries(&world).len(), world.requests(SEND)), (0, 3));
    let sent = view(&process, &batch).await;
    assert_eq!(
        (sent.state(), sent.counts().sending),
        (BatchState::Sending, 450)
    );
    assert_eq!(sent.unreached()[0].entry, 450);
    look(&world, &process, MINUTE * 2).await;
    let ended = view(&process, &batch).await;
    assert_eq!(
        (ended.state(), ended.counts().delivered),
        (BatchState::Ended, 450)
    );
    assert_eq!(ended.counts().unreached, 1);
    // Who sent it is known, for clicks and receipts.
    let shown = serde_json::to_value(&ended).unwrap();
    let message_id = shown["calls"][0]["message_id"].as_str().unwrap();
    let sender = Key::new(format!("sent#{message_id}"), "sent");
    let sender = world.shared_store().get(Table::MessageJobs, &sender).await;
    let sender = sender.unwrap().unwrap();
    assert_eq!(sender.text("job_id"), Some(batch.key.batch_id.as_str()));
}

#[tokio::test]
async fn auto_broadcasts_to_many_and_sends_to_each_of_few() {
    let world = World::begin().await;
    let process = world.process();
    let auto = |people| NewBatch {
        mode: Mode::Auto,
        ..to_people(people)
    };
    accept(&process, auto(1..=49)).await;
    drain(&world, &process).await;
    assert_eq!((deliveries(&world).len(), world.requests(SEND)), (49, 0));
    accept(&process, auto(1..=50)).await;
    drain(&world, &process).await;
    assert_eq!((deliveries(&world).len(), world.requests(SEND)), (49, 1));
}

#[tokio::test]
async fn a_broadcast_call_whose_answer_is_lost_is_uncertain_and_never_made_twice() {
    let world = World::begin().await;
    let process = world.process();
    let lost = Fault {
        count: Some(1),
        stage: FaultStage::After,
        ..Fault::new(SEND, FaultAction::Reset)
    };
    world.control().add_fault(lost).unwrap();
    let batch = accept(&process, broadcast(1..=250)).await;
    drain(&world, &process).await;
    for _ in 0..3 {
        look(&world, &process, MINUTE * 20).await;
    }
    let sizes: Vec<usize> = reached(&world).iter().map(BTreeSet::len).collect();
    assert_eq!((sizes, world.requests(SEND)), (vec![200, 50], 2));
    let ended = view(&process, &batch).await;
    let counts = ended.counts();
    assert_eq!((counts.uncertain, counts.delivered), (200, 50));
    assert_eq!(ended.state(), BatchState::Ended);
}

/// A worker that dies before, between and after the writes around its call.
#[tokio::test]
async fn a_worker_that_dies_around_a_broadcast_call_doubles_nothing() {
    // The plan, the write ahead, who sent it, the outcome, the end of the calls.
    for dies_at in 0..6 {
        let world = World::begin().await;
        let process = world.process();
        let batch = accept(&process, broadcast(1..=20)).await;
        let dying = over(&world, &Writes::failing_from(dies_at));
        work(&world, &dying).await;
        for _ in 0..4 {
            look(&world, &process, MINUTE * 20).await;
        }
        assert_eq!(reached(&world).len(), 1, "died at write {dies_at}");
        let ended = view(&process, &batch).await;
        let counts = ended.counts();
        assert_eq!(ended.state(), BatchState::Ended, "{dies_at}: {ended:?}");
        assert_eq!(
            counts.delivered + counts.uncertain,
            20,
            "{dies_at}: {counts:?}"
        );
    }
}

#[tokio::test]
async fn what_passes_is_repeated_and_a_refusal_is_final() {
    let rows = [
        ("a limit", FaultAction::answer(429, 99_991_400), 20, 0),
        (
            "a refusal with status 200",
            FaultAction::answer(200, 11_247),
            0,
            20,
        ),
        ("a wrong parameter", FaultAction::answer(200, 10_003), 0, 20),
    ];
    for (what, action, delivered, refused) in rows {
        let world = World::begin().await;
        let process = world.process();
        let fault = Fault {
            count: Some(1),
            ..Fault::new(SEND, action)
        };
        world.control().add_fault(fault).unwrap();
        let batch = accept(&process, broadcast(1..=20)).await;
        drain(&world, &process).await;
        for _ in 0..3 {
            look(&world, &process, MINUTE * 5).await;
        }
        let counts = view(&process, &batch).await.counts();
        assert_eq!(
            (counts.delivered, counts.refused),
            (delivered, refused),
            "{what}: {counts:?}"
        );
    }
}

#[tokio::test]
async fn a_broadcast_that_is_taken_back_is_recalled() {
    let world = World::begin().await;
    let process = world.process();
    let batch = accept(&process, broadcast(1..=250)).await;
    drain(&world, &process).await;
    let id = batch.key.batch_id.as_str();
    let cancelled = process.0.delivery.cancel_batch(KEY, id, soon()).await;
    assert_eq!(cancelled.unwrap().state(), BatchState::Cancelled);
    drain(&world, &process).await;
    let batches = world.control().batch_messages();
    assert!(batches.iter().all(|it| it.is_recalled), "{batches:?}");
    let ended = view(&process, &batch).await;
    let counts = ended.counts();
    assert_eq!(counts.open(), 0, "{counts:?}");
    assert_eq!(counts.cancelled + counts.delivered, 250);
    // One that nobody began with is never sent.
    let other = accept(&process, broadcast(251..=260)).await;
    let id = other.key.batch_id.as_str();
    let cancelled = process.0.delivery.cancel_batch(KEY, id, soon()).await;
    assert_eq!(cancelled.unwrap().counts().cancelled, 10);
    drain(&world, &process).await;
    assert_eq!(reached(&world).len(), 2);
}
