//! Every fault against create and swap: the outcome that is told is never a false success and never a false loss.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use bytes::Bytes;
use store::object::{Op, OpResult, Version};
use store::testing::{Fault, FaultyStore, swap_counter};
use store::{CreateOutcome, Env, ErrorKind, ObjectClient, PutOutcome, SwapOutcome};

const OURS: &[u8] = b"ours, write id 1";
const OTHERS: &[u8] = b"others, write id 2";

fn store() -> (ObjectClient, ObjectClient, FaultyStore) {
    let honest = ObjectClient::open("memory:", &Env::system()).unwrap();
    let (client, faults) = FaultyStore::wrap(&honest);
    (honest, client, faults)
}

/// What one put of a missing key tells after the faults, and how many puts and heads it takes. The object must be there afterwards.
#[tokio::test]
async fn create_of_a_new_key() {
    use Fault::*;
    use PutOutcome::*;
    let cases: &[(&[Fault], PutOutcome, u64, u64)] = &[
        (&[], Created, 1, 0),
        (&[FailBefore], Created, 2, 1),
        (&[SlowDown503], Created, 2, 1),
        (&[Conflict409], Created, 2, 1),
        (&[Refused], Created, 2, 1),
        (&[FailAfter], AlreadyExists, 1, 1),
        (&[RefusedAfter], AlreadyExists, 1, 1),
        (&[FailBefore, FailAfter], AlreadyExists, 2, 2),
        (&[Conflict409, Conflict409, Conflict409], Created, 4, 3),
        (&[SlowDown503, Refused, RefusedAfter], AlreadyExists, 3, 3),
    ];
    for (faults, outcome, puts, heads) in cases {
        let (honest, client, handle) = store();
        handle.script(faults.iter().map(|fault| (Op::Put, *fault)));
        assert_eq!(client.create("k", Bytes::from_static(OURS)).await.unwrap(), *outcome, "{faults:?}");
        assert!(handle.script_is_done());
        assert_eq!(honest.get("k").await.unwrap(), OURS, "{faults:?}: told {outcome:?}");
        let counts = client.stats().snapshot();
        assert_eq!((counts.of(Op::Put), counts.of(Op::Head)), (*puts, *heads), "{faults:?}");
    }
}

#[tokio::test]
async fn create_of_a_taken_key_never_says_created() {
    use Fault::*;
    for fault in [FailBefore, FailAfter, Refused, RefusedAfter, Conflict409, SlowDown503] {
        let (honest, client, handle) = store();
        honest.create("k", Bytes::from_static(OTHERS)).await.unwrap();
        handle.script([(Op::Put, fault)]);
        let outcome = client.create_or_head("k", Bytes::from_static(OURS)).await.unwrap();
        assert!(matches!(&outcome, CreateOutcome::Existing(info) if info.size == OTHERS.len() as u64), "{fault:?}: {outcome:?}");
        assert_eq!(honest.get("k").await.unwrap(), OTHERS);
    }
}

#[tokio::test]
async fn create_gives_up_with_unavailable_and_can_be_repeated() {
    let (honest, client, handle) = store();
    handle.script([(Op::Put, Fault::SlowDown503); 4]);
    let error = client.create("k", Bytes::from_static(OURS)).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable(), error.key()), (ErrorKind::Unavailable, true, Some("k")));
    assert_eq!(error.chain(), "put of 'k' failed after 4 attempts: 503 SlowDown");
    assert_eq!(honest.head("k").await.unwrap(), None);
    assert_eq!(client.create("k", Bytes::from_static(OURS)).await.unwrap(), PutOutcome::Created);
    // The put was carried out, but neither its answer nor a HEAD came through: not a success.
    handle.script([(Op::Put, Fault::FailAfter)]);
    handle.script([(Op::Head, Fault::FailBefore); 4]);
    assert_eq!(client.create("k2", Bytes::from_static(OURS)).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(client.create("k2", Bytes::from_static(OURS)).await.unwrap(), PutOutcome::AlreadyExists);
    handle.script([(Op::Put, Fault::Denied403)]);
    let denied = client.create("k3", Bytes::from_static(OURS)).await.unwrap_err();
    assert_eq!((denied.kind(), denied.is_retryable()), (ErrorKind::Denied, false));
}

async fn current(honest: &ObjectClient) -> Option<(Bytes, Version)> {
    honest.get_versioned("m").await.unwrap()
}

/// A swap whose condition holds, under every fault, for a first write and for a replacement.
#[tokio::test]
async fn swap_that_should_commit() {
    use Fault::*;
    for first_write in [true, false] {
        for faults in [
            vec![],
            vec![FailBefore],
            vec![FailAfter],
            vec![Refused],
            vec![RefusedAfter],
            vec![Conflict409],
            vec![SlowDown503, FailAfter],
            vec![Conflict409, FailBefore, RefusedAfter],
        ] {
            let (honest, client, handle) = store();
            let expected = if first_write {
                None
            } else {
                honest.create("m", Bytes::from_static(b"old")).await.unwrap();
                current(&honest).await.map(|(_, version)| version)
            };
            handle.script(faults.iter().map(|fault| (Op::Put, *fault)));
            let outcome = client.swap("m", Bytes::from_static(OURS), expected.as_ref()).await.unwrap();
            let (body, version) = current(&honest).await.unwrap();
            assert_eq!((outcome, body.as_ref()), (SwapOutcome::Committed(version), OURS), "first write {first_write}, {faults:?}");
            assert!(handle.script_is_done());
        }
    }
}

/// A swap that lost the race, under every fault: never committed, and never changes the object.
#[tokio::test]
async fn swap_that_lost() {
    use Fault::*;
    for (fault, outcome) in [
        (None, SwapOutcome::Conflict),
        (Some(Refused), SwapOutcome::Conflict),
        (Some(Conflict409), SwapOutcome::Conflict),
        // Nobody can tell whether the lost request was carried out before the other writer's.
        (Some(FailBefore), SwapOutcome::Unknown),
        (Some(SlowDown503), SwapOutcome::Unknown),
    ] {
        for first_write in [true, false] {
            let (honest, client, handle) = store();
            let mut expected = None;
            if !first_write {
                honest.create("m", Bytes::from_static(b"old")).await.unwrap();
                expected = current(&honest).await.map(|(_, version)| version);
            }
            assert!(matches!(honest.swap("m", Bytes::from_static(OTHERS), expected.as_ref()).await.unwrap(), SwapOutcome::Committed(_)));
            handle.script(fault.map(|fault| (Op::Put, fault)));
            assert_eq!(client.swap("m", Bytes::from_static(OURS), expected.as_ref()).await.unwrap(), outcome, "first write {first_write}, {fault:?}");
            assert_eq!(current(&honest).await.unwrap().0, OTHERS);
        }
    }
}

#[tokio::test]
async fn swap_that_cannot_be_read_back_is_unknown() {
    let (honest, client, handle) = store();
    handle.script([(Op::Put, Fault::FailAfter)]);
    handle.script([(Op::Get, Fault::SlowDown503); 4]);
    assert_eq!(client.swap("m", Bytes::from_static(OURS), None).await.unwrap(), SwapOutcome::Unknown);
    assert_eq!(current(&honest).await.unwrap().0, OURS, "it was committed, and nobody said otherwise");
    handle.script([(Op::Put, Fault::FailBefore); 4]);
    let version = current(&honest).await.unwrap().1;
    assert_eq!(client.swap("m", Bytes::from_static(b"next"), Some(&version)).await.unwrap(), SwapOutcome::Unknown, "the request may still be under way");
    handle.script([(Op::Put, Fault::Conflict409); 4]);
    assert_eq!(client.swap("m", Bytes::from_static(b"next"), Some(&version)).await.unwrap(), SwapOutcome::Conflict, "refused four times, nothing written");
    handle.script([(Op::Put, Fault::Denied403)]);
    assert_eq!(client.swap("m", Bytes::from_static(b"next"), Some(&version)).await.unwrap_err().kind(), ErrorKind::Denied);
}

/// A committed swap whose acknowledgement is lost and that another writer builds upon is unknown; the object's history answers.
#[tokio::test]
async fn lost_acknowledgements_with_successors_lose_and_double_nothing() {
    for seed in 0..30 {
        let (_, client, handle) = store();
        handle.seeded(seed, 3);
        swap_counter(&client, "m/counter", 4, 6).await;
        assert!(client.stats().snapshot().requests(Op::Put, OpResult::Error) > 0, "seed {seed} injected nothing");
    }
}

/// Creates under random faults: told created or exists means that the object is there and whole; a failed one may be repeated until it is.
#[tokio::test]
async fn seeded_faults_never_make_a_create_a_false_success() {
    for seed in 0..50 {
        let (honest, client, handle) = store();
        handle.seeded(seed, 2);
        for number in 0..20 {
            let (key, body) = (format!("c/{number}"), Bytes::from(format!("body {number}")));
            loop {
                match client.create(&key, body.clone()).await {
                    Ok(_) => break,
                    Err(error) => assert!(error.is_retryable(), "{}", error.chain()),
                }
            }
            assert_eq!(honest.get(&key).await.unwrap(), body, "seed {seed}");
        }
        assert_eq!(honest.list("c").await.unwrap().len(), 20);
    }
}

#[tokio::test]
async fn reads_lists_and_deletes_are_tried_again_and_counted() {
    let (honest, client, handle) = store();
    honest.create("a/b", Bytes::from_static(OURS)).await.unwrap();
    for op in [Op::Get, Op::Head, Op::List, Op::Delete] {
        handle.script([(op, Fault::SlowDown503), (op, Fault::FailAfter)]);
    }
    assert_eq!(client.get("a/b").await.unwrap(), OURS);
    assert!(client.head("a/b").await.unwrap().is_some());
    assert_eq!(client.list("a").await.unwrap().len(), 1);
    client.delete("a/b").await.unwrap();
    assert_eq!(honest.head("a/b").await.unwrap(), None);
    let counts = client.stats().snapshot();
    for op in [Op::Get, Op::Head, Op::List, Op::Delete] {
        assert_eq!((counts.requests(op, OpResult::Error), counts.requests(op, OpResult::Ok)), (2, 1), "{op:?}");
    }
    handle.halt_after(Some(1));
    assert_eq!(client.head("a/b").await.unwrap(), None);
    assert_eq!(client.list("a").await.unwrap_err().kind(), ErrorKind::Unavailable, "nothing gets through after the halt");
    handle.halt_after(None);
    assert!(client.list("a").await.unwrap().is_empty());
}
