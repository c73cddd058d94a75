//! How many requests an open and a read make, and what happens when they fail.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use schema::RowBatch;

use super::model::{Entry, all_rows, batch, entry};
use super::{memory, tenant};
use crate::chunk::read::{SMALL_OBJECT_BYTES, TAIL_BYTES};
use crate::chunk::{BuiltChunk, ChunkCache, ChunkColumns, ChunkReader, CommitOutcome, DiskCache, build, commit};
use crate::error::{ErrorKind, StoreError};
use crate::object::{ObjectClient, Op, RequestStats};
use crate::testing::{Fault, FaultyStore};

fn counted(client: &ObjectClient) -> (ObjectClient, Arc<RequestStats>) {
    let stats = Arc::new(RequestStats::new());
    (client.with_stats(Arc::clone(&stats)), stats)
}

fn size(chunk: &BuiltChunk) -> u64 {
    u64::try_from(chunk.bytes.len()).unwrap()
}

fn small() -> BuiltChunk {
    build(&tenant(), &[batch(&[entry(r#"{service_name="a"}"#, 1, "x", &[])])]).unwrap()
}

/// About `megabytes` of lines that do not compress, of 2 streams.
fn incompressible(megabytes: usize) -> RowBatch {
    let mut random = 0x9E37_79B9_7F4A_7C15u64;
    let rows: Vec<Entry> = (0..megabytes * 1000)
        .map(|i| {
            let line: String = std::iter::repeat_with(|| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                format!("{random:016x}")
            })
            .take(125)
            .collect();
            entry(if i % 2 == 0 { r#"{service_name="a"}"# } else { r#"{service_name="b"}"# }, i64::try_from(i).unwrap(), &line, &[("k", "v")])
        })
        .collect();
    batch(&rows)
}

async fn open(client: &ObjectClient, chunk: &BuiltChunk, cache: &ChunkCache) -> Result<ChunkReader, StoreError> {
    ChunkReader::open(client, &chunk.reference(), cache).await
}

#[tokio::test]
async fn a_commit_is_one_put_and_nothing_else() {
    let (client, stats) = counted(&memory());
    let chunk = small();
    assert_eq!(commit(&client, &chunk).await.unwrap(), CommitOutcome::Created);
    assert_eq!((stats.snapshot().of(Op::Put), stats.snapshot().total()), (1, 1));
    // A retry meets the stored chunk, which one HEAD confirms.
    assert_eq!(commit(&client, &chunk).await.unwrap(), CommitOutcome::AlreadyStored);
    assert_eq!((stats.snapshot().of(Op::Put), stats.snapshot().of(Op::Head), stats.snapshot().total()), (2, 1, 3));
}

#[tokio::test]
async fn a_lost_acknowledgement_is_not_a_lost_commit() {
    let plain = memory();
    let (client, faults) = FaultyStore::wrap(&plain);
    faults.script([(Op::Put, Fault::FailAfter)]);
    let chunk = small();
    commit(&client, &chunk).await.unwrap();
    assert!(faults.script_is_done());
    assert_eq!(plain.get(&chunk.key.to_string()).await.unwrap(), chunk.bytes);
}

#[tokio::test]
async fn a_small_chunk_is_one_get_whole() {
    let (client, stats) = counted(&memory());
    let (chunk, cache) = (small(), ChunkCache::new(1 << 20));
    commit(&client, &chunk).await.unwrap();
    let reader = open(&client, &chunk, &cache).await.unwrap();
    let rows: Vec<_> = reader.read(&client, all_rows(&reader), ChunkColumns::ALL).try_collect().await.unwrap();
    assert_eq!((rows.len(), stats.snapshot().of(Op::Get)), (1, 1));
    let again = open(&client, &chunk, &cache).await.unwrap();
    let _: Vec<_> = again.read(&client, all_rows(&again), ChunkColumns::ALL).try_collect().await.unwrap();
    assert_eq!(stats.snapshot().of(Op::Get), 1);
}

#[tokio::test]
async fn concurrent_opens_get_once() {
    let (client, stats) = counted(&memory());
    let (chunk, cache) = (small(), ChunkCache::new(1 << 20));
    commit(&client, &chunk).await.unwrap();
    let opens = futures::future::join_all((0..20).map(|_| open(&client, &chunk, &cache))).await;
    assert!(opens.iter().all(Result::is_ok));
    assert_eq!(stats.snapshot().of(Op::Get), 1);
}

#[tokio::test]
async fn a_failed_open_is_tried_anew_by_the_next() {
    let (client, cache, chunk) = (memory(), ChunkCache::new(1 << 20), small());
    assert_eq!(open(&client, &chunk, &cache).await.unwrap_err().kind(), ErrorKind::NotFound);
    commit(&client, &chunk).await.unwrap();
    open(&client, &chunk, &cache).await.unwrap();
}

#[tokio::test]
async fn a_large_chunk_is_read_by_pages() {
    let (client, stats) = counted(&memory());
    let chunk = build(&tenant(), &[incompressible(6)]).unwrap();
    assert!(size(&chunk) > SMALL_OBJECT_BYTES);
    commit(&client, &chunk).await.unwrap();
    let reader = open(&client, &chunk, &ChunkCache::new(1 << 20)).await.unwrap();
    let counts = stats.snapshot();
    assert_eq!((counts.of(Op::Get), counts.bytes_received), (1, TAIL_BYTES));

    // Ten rows: a page of lines of a megabyte raw, one of each other column, in as few requests as lie close together.
    let before = stats.snapshot();
    let rows: Vec<_> = reader.read(&client, one(3000..3010), ChunkColumns::ALL).try_collect().await.unwrap();
    assert_eq!(rows.iter().map(|r| (r.first_row, r.rows)).collect::<Vec<_>>(), [(3000, 10)]);
    let counts = stats.snapshot().since(&before);
    assert!(counts.of(Op::Get) <= 3, "{}", counts.of(Op::Get));
    assert!(counts.bytes_received < size(&chunk) / 3, "{} of {}", counts.bytes_received, size(&chunk));

    let before = stats.snapshot();
    let lines = ChunkColumns { lines: true, ..ChunkColumns::default() };
    let rows: Vec<_> = reader.read(&client, all_rows(&reader), lines).try_collect().await.unwrap();
    assert_eq!(rows.iter().map(|r| r.rows).sum::<usize>(), 6000);
    let counts = stats.snapshot().since(&before);
    assert!(counts.of(Op::Get) <= 4, "{}", counts.of(Op::Get));
    assert!(counts.bytes_received <= size(&chunk));

    // Whoever stops early has read little.
    let before = stats.snapshot();
    let mut rows = reader.read(&client, all_rows(&reader), lines);
    rows.next().await.unwrap().unwrap();
    drop(rows);
    let counts = stats.snapshot().since(&before);
    assert!(counts.bytes_received <= 4 << 20 && counts.of(Op::Get) <= 2, "{} bytes", counts.bytes_received);
}

#[tokio::test]
async fn a_footer_beyond_the_first_request_takes_more_of_the_tail() {
    let rows: Vec<Entry> =
        (0..12_000).map(|i| entry(&format!(r#"{{service_name="a", pod="{:032x}"}}"#, u128::MAX / (i + 1)), 1, &"z".repeat(200), &[])).collect();
    let noise = incompressible(1);
    let chunk = build(&tenant(), &[batch(&rows), noise]).unwrap();
    let (client, stats) = counted(&memory());
    commit(&client, &chunk).await.unwrap();
    let reader = open(&client, &chunk, &ChunkCache::new(0)).await.unwrap();
    assert_eq!(reader.manifest(), &chunk.manifest);
    assert!((2..=3).contains(&stats.snapshot().of(Op::Get)), "{}", stats.snapshot().of(Op::Get));
}

#[tokio::test]
async fn a_chunk_deleted_under_the_reader_is_not_found() {
    let client = memory();
    let chunk = build(&tenant(), &[incompressible(1)]).unwrap();
    commit(&client, &chunk).await.unwrap();
    let reader = open(&client, &chunk, &ChunkCache::new(1 << 20)).await.unwrap();
    client.delete(&chunk.key.to_string()).await.unwrap();
    let result: Result<Vec<_>, _> = reader.read(&client, all_rows(&reader), ChunkColumns::ALL).try_collect().await;
    assert_eq!(result.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_damaged_page_names_its_object() {
    let client = memory();
    let chunk = build(&tenant(), &[incompressible(1)]).unwrap();
    let mut bytes = chunk.bytes.to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    client.create(&chunk.key.to_string(), Bytes::from(bytes)).await.unwrap();
    let reader = open(&client, &chunk, &ChunkCache::new(0)).await.unwrap();
    let result: Result<Vec<_>, _> = reader.read(&client, all_rows(&reader), ChunkColumns::ALL).try_collect().await;
    let error = result.unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::Corrupt, Some(chunk.key.to_string().as_str())));
}

#[tokio::test]
async fn a_bad_selection_is_an_error() {
    let client = memory();
    let chunk = small();
    commit(&client, &chunk).await.unwrap();
    let reader = open(&client, &chunk, &ChunkCache::new(0)).await.unwrap();
    for selection in [one(0..2), vec![1..1, 0..1], one(u64::MAX - 1..u64::MAX)] {
        let result: Result<Vec<_>, _> = reader.read(&client, selection, ChunkColumns::ALL).try_collect().await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Invalid);
    }
}

fn one(range: Range<u64>) -> Vec<Range<u64>> {
    std::iter::once(range).collect()
}

#[tokio::test]
async fn what_is_on_disk_is_opened_without_a_request() {
    let folder = tempfile::tempdir().unwrap();
    let (client, stats) = counted(&memory());
    for chunk in [small(), build(&tenant(), &[incompressible(2)]).unwrap()] {
        commit(&client, &chunk).await.unwrap();
        let opened = || async {
            // Nothing in memory is left of an earlier process.
            let cache = ChunkCache::new(8 << 20).with_disk(DiskCache::open(folder.path(), "memory:", 64 << 20).unwrap());
            let before = stats.snapshot().total();
            let reader = open(&client, &chunk, &cache).await.unwrap();
            (reader.manifest().clone(), stats.snapshot().total() - before, cache.body(&chunk.key.to_string()).is_some())
        };
        let (manifest, requests, body) = opened().await;
        assert!(requests >= 1);
        assert_eq!(opened().await, (manifest, 0, body));
        assert_eq!(body, size(&chunk) <= SMALL_OBJECT_BYTES);
    }
}
