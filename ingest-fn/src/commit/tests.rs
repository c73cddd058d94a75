//! Group commit against the in-memory store, with requests counted and made to fail.

use schema::{ChunkKey, Timestamp};
use store::object::Op;
use store::testing::{Fault, FaultyStore};

use super::*;
use crate::testkit::{decode_proto, entry, stream};

struct Bed {
    ingester: Ingester,
    plain: ObjectClient,
    faults: FaultyStore,
}

fn settings() -> GroupCommitSettings {
    GroupCommitSettings { flush_interval: Duration::from_millis(200), ..GroupCommitSettings::default() }
}

fn bed(settings: GroupCommitSettings) -> Bed {
    let env = Env::fixed(Timestamp(1_700_000_000_000_000_000));
    let plain = ObjectClient::open("memory:", &env).unwrap();
    let (client, faults) = FaultyStore::wrap(&plain);
    Bed { ingester: Ingester::new(client, env, IngestLimits::default(), settings), plain, faults }
}

impl Bed {
    async fn push(&self, id: i64, streams: usize) -> Result<(), CommitError> {
        self.ingester.push(&tenant(), batch(id, streams)).await
    }

    fn puts(&self) -> usize {
        let requests = self.faults.requests();
        assert!(requests.iter().all(|(op, _)| *op == Op::Put), "{requests:?}");
        requests.len()
    }

    /// Rows per object of the tenant.
    async fn objects(&self, tenant: &TenantId) -> Vec<u64> {
        let objects = self.plain.list(&schema::key::level0_prefix(tenant)).await.unwrap();
        objects.iter().map(|object| ChunkKey::parse(tenant, &object.key).unwrap().rows).collect()
    }
}

fn tenant() -> TenantId {
    TenantId::parse("t1").unwrap()
}

/// A push of `streams` streams with one row each; different for every `id`.
fn batch(id: i64, streams: usize) -> RowBatch {
    decode_proto((0..streams).map(|i| stream(&format!("{{app=\"a{i}\"}}"), vec![entry(id, &format!("row {id} of {i}"), &[])])).collect()).unwrap().batch
}

#[tokio::test]
async fn one_push_is_one_put_whatever_its_streams() {
    for streams in [1, 10, 500] {
        let bed = bed(settings());
        bed.push(1, streams).await.unwrap();
        assert_eq!(bed.puts(), 1, "{streams}");
        assert_eq!(bed.objects(&tenant()).await, [u64::try_from(streams).unwrap()]);
    }
}

#[tokio::test]
async fn a_push_without_rows_is_no_request() {
    let bed = bed(settings());
    bed.ingester.push(&tenant(), RowBatch::default()).await.unwrap();
    assert_eq!(bed.puts(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_pushers_share_objects() {
    let bed = bed(settings());
    let started = bed_clock();
    let pushers: Vec<_> = (0..64)
        .map(|pusher| {
            let ingester = bed.ingester.clone();
            tokio::spawn(async move {
                for i in 0..10 {
                    ingester.push(&tenant(), batch(pusher * 1000 + i, 3)).await.unwrap();
                }
            })
        })
        .collect();
    for pusher in pushers {
        pusher.await.unwrap();
    }
    let intervals = started.elapsed().as_millis() / 200;
    assert!(bed.puts() <= usize::try_from(intervals).unwrap() + 2, "{} PUTs in {intervals} intervals", bed.puts());
    assert_eq!(bed.objects(&tenant()).await.iter().sum::<u64>(), 64 * 10 * 3);
}

fn bed_clock() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

#[tokio::test]
async fn the_first_push_goes_at_once_and_the_next_waits_for_the_interval() {
    let bed = bed(GroupCommitSettings { flush_interval: Duration::from_millis(400), ..settings() });
    let started = bed_clock();
    bed.push(1, 1).await.unwrap();
    let first = started.elapsed();
    let (a, b) = tokio::join!(bed.push(2, 1), bed.push(3, 1));
    a.unwrap();
    b.unwrap();
    assert!(first < Duration::from_millis(300), "{first:?}");
    assert!(started.elapsed() >= Duration::from_millis(400), "{:?}", started.elapsed());
    assert_eq!(bed.puts(), 2);
    // Another tenant does not wait, and shares nothing.
    let other = TenantId::parse("t2").unwrap();
    bed.ingester.push(&other, batch(2, 1)).await.unwrap();
    assert_eq!((bed.puts(), bed.objects(&other).await), (3, vec![1]));
}

#[tokio::test]
async fn enough_bytes_are_not_kept_waiting() {
    let two_pushes = 2 * batch(10, 10).raw_bytes();
    let bed = bed(GroupCommitSettings { flush_interval: Duration::from_secs(3600), flush_bytes: two_pushes, ..settings() });
    bed.push(1, 1).await.unwrap();
    for result in futures::future::join_all((10..20).map(|id| bed.push(id, 10))).await {
        result.unwrap();
    }
    assert_eq!(bed.puts(), 1 + 5);
    let mut rows = bed.objects(&tenant()).await;
    rows.sort_unstable();
    assert_eq!(rows, [1, 20, 20, 20, 20, 20]);
}

#[tokio::test]
async fn direct_pushes_share_nothing_and_do_not_wait() {
    let bed = bed(GroupCommitSettings { direct: true, flush_interval: Duration::from_secs(3600), ..settings() });
    for id in 1..=3 {
        bed.push(id, 2).await.unwrap();
    }
    assert_eq!((bed.puts(), bed.objects(&tenant()).await.len()), (3, 3));
    // A retry of the same rows finds its object.
    bed.push(3, 2).await.unwrap();
    assert_eq!(bed.objects(&tenant()).await.len(), 3);
}

#[tokio::test]
async fn a_push_and_its_retry_in_one_flush_are_stored_once() {
    let bed = bed(settings());
    let (a, b, c) = tokio::join!(bed.push(1, 5), bed.push(1, 5), bed.push(2, 5));
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!((bed.puts(), bed.objects(&tenant()).await), (1, vec![10]));
    let mut metrics = String::new();
    bed.ingester.metrics().render_prometheus(&mut metrics);
    assert!(metrics.contains("tarn_ingest_flushed_pushes_total 2\n") && metrics.contains("tarn_ingest_repeated_pushes_total 1\n"), "{metrics}");
}

#[tokio::test]
async fn a_put_that_fails_fails_every_push_in_it_and_a_retry_stores_them() {
    let bed = bed(settings());
    bed.faults.halt_after(Some(0));
    let results = futures::future::join_all((0..5).map(|id| bed.push(id, 1))).await;
    assert!(results.iter().all(|result| matches!(result, Err(CommitError::Store { .. }))), "{results:?}");
    assert!(bed.objects(&tenant()).await.is_empty());
    bed.faults.halt_after(None);
    for result in futures::future::join_all((0..5).map(|id| bed.push(id, 1))).await {
        result.unwrap();
    }
    assert_eq!(bed.objects(&tenant()).await, [5]);
}

#[tokio::test]
async fn a_lost_answer_to_a_put_is_still_an_acknowledgement() {
    for fault in [Fault::FailAfter, Fault::RefusedAfter, Fault::SlowDown503, Fault::Conflict409, Fault::FailBefore] {
        let bed = bed(settings());
        bed.faults.script([(Op::Put, fault)]);
        bed.push(1, 1).await.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        assert_eq!(bed.objects(&tenant()).await, [1], "{fault:?}");
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_takes_nothing_with_it() {
    let bed = bed(settings());
    bed.push(1, 1).await.unwrap();
    let gone = tokio::spawn({
        let ingester = bed.ingester.clone();
        async move { ingester.push(&tenant(), batch(2, 1)).await }
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    bed.push(3, 1).await.unwrap();
    let mut rows = bed.objects(&tenant()).await;
    rows.sort_unstable();
    assert_eq!(rows, [1, 2]);
}

#[tokio::test]
async fn a_full_house_is_refused_after_a_while_and_open_again_later() {
    let bed = bed(GroupCommitSettings { max_waiting_bytes: 100, admission_timeout: Duration::from_millis(100), ..settings() });
    bed.faults.script([(Op::Put, Fault::Delay(Duration::from_millis(700)))]);
    let slow = bed.ingester.clone();
    let first = tokio::spawn(async move { slow.push(&tenant(), batch(1, 100)).await });
    tokio::time::sleep(Duration::from_millis(30)).await;
    let refused = bed.push(2, 1).await.unwrap_err();
    assert_eq!((refused.to_string(), refused.status().as_u16()), ("push refused, retry it: 100 bytes are already waiting to be written".to_owned(), 503));
    first.await.unwrap().unwrap();
    bed.push(2, 1).await.unwrap();
}

#[tokio::test]
async fn a_store_that_hangs_is_not_waited_for_for_ever() {
    let bed = bed(GroupCommitSettings { ack_timeout: Duration::from_millis(100), ..settings() });
    bed.faults.script([(Op::Put, Fault::Delay(Duration::from_millis(600)))]);
    let error = bed.push(1, 1).await.unwrap_err();
    assert_eq!(error.to_string(), "push not confirmed, retry it: the store did not answer within 100 ms");
}

#[tokio::test]
async fn shutdown_writes_what_waits_and_refuses_what_comes() {
    let bed = bed(GroupCommitSettings { flush_interval: Duration::from_secs(3600), ..settings() });
    bed.push(1, 1).await.unwrap();
    let waiting: Vec<_> = (2..5)
        .map(|id| {
            let ingester = bed.ingester.clone();
            tokio::spawn(async move { ingester.push(&tenant(), batch(id, 1)).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    bed.ingester.shutdown().await;
    assert_eq!(bed.objects(&tenant()).await.iter().sum::<u64>(), 4);
    for push in waiting {
        push.await.unwrap().unwrap();
    }
    assert!(matches!(bed.push(9, 1).await, Err(CommitError::ShuttingDown)));
    assert_eq!(bed.puts(), 2);
}

#[tokio::test]
async fn quiet_tenants_are_forgotten() {
    let bed = bed(GroupCommitSettings { flush_interval: Duration::from_millis(1), ..settings() });
    for i in 0..600 {
        bed.ingester.push(&TenantId::parse(&format!("t{i}")).unwrap(), batch(1, 1)).await.unwrap();
    }
    let remembered = bed.ingester.shared.queues.lock().tenants.len();
    assert!(remembered <= REMEMBERED_TENANTS, "{remembered}");
}
