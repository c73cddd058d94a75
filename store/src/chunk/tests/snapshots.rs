//! Which chunks and streams a query gets.

use bytes::Bytes;
use schema::{MatchOp, Matcher, TimeRange, Timestamp};

use super::model::{batch, entry};
use super::{memory, tenant};
use crate::chunk::{BuiltChunk, ChunkCache, build, commit};
use crate::error::ErrorKind;
use crate::object::{ObjectClient, Op};
use crate::snapshot::{PruneCounts, Snapshot};
use crate::testing::{FaultyStore, Weakness};

fn chunk(app: &str, times: &[i64]) -> BuiltChunk {
    let rows: Vec<_> = times
        .iter()
        .flat_map(|t| {
            [
                entry(&format!(r#"{{app="{app}", level="x", service_name="{app}"}}"#), *t, "line", &[]),
                entry(&format!(r#"{{app="{app}", level="y", service_name="{app}"}}"#), *t, "line", &[]),
            ]
        })
        .collect();
    build(&tenant(), &[batch(&rows)]).unwrap()
}

fn matchers(list: &[(&str, MatchOp, &str)]) -> Vec<Matcher> {
    list.iter().map(|(name, op, value)| Matcher::new(*name, *op, *value).unwrap()).collect()
}

fn range(start: i64, end: i64) -> TimeRange {
    TimeRange::new(Timestamp(start), Timestamp(end))
}

async fn filled() -> ObjectClient {
    let client = memory();
    for chunk in [chunk("a", &[10, 20]), chunk("b", &[10, 20]), chunk("a", &[100])] {
        commit(&client, &chunk).await.unwrap();
    }
    client
}

async fn load(client: &ObjectClient, range: TimeRange, list: &[(&str, MatchOp, &str)]) -> Snapshot {
    Snapshot::load(client, &tenant(), &range, &matchers(list), &ChunkCache::new(1 << 20)).await.unwrap()
}

#[tokio::test]
async fn nothing_stored_is_an_empty_snapshot() {
    let snapshot = load(&memory(), range(0, 1), &[]).await;
    assert!(snapshot.chunks.is_empty());
    assert_eq!(snapshot.pruned, PruneCounts::default());
}

#[tokio::test]
async fn prunes_by_time_then_bloom_then_manifest() {
    let client = filled().await;
    let snapshot = load(&client, range(20, 100), &[("app", MatchOp::Equal, "a"), ("level", MatchOp::NotEqual, "x")]).await;
    assert_eq!(snapshot.chunks.len(), 1);
    let only = &snapshot.chunks[0];
    let kept: Vec<String> = only.streams.iter().map(|i| only.reader.manifest().streams[*i].labels.to_string()).collect();
    assert_eq!(kept, [r#"{app="a", level="y", service_name="a"}"#]);
    let want = PruneCounts { listed: 3, after_time: 2, after_bloom: 1, opened: 1, streams_total: 2, streams_kept: 1, rows_total: 10, rows_kept: 2 };
    assert_eq!(snapshot.pruned, want);
    assert_eq!(want.to_string(), "chunks: 3 listed, 2 in time range, 1 after label bloom, 1 opened; streams: 1 of 2; rows: 2 of 10");
}

#[tokio::test]
async fn the_range_is_half_open_and_chunks_come_in_time_order() {
    let client = filled().await;
    let mins = |snapshot: &Snapshot| snapshot.chunks.iter().map(|c| c.reader.key().min.0).collect::<Vec<_>>();
    assert_eq!(mins(&load(&client, range(20, 101), &[]).await), [10, 10, 100]);
    assert_eq!(mins(&load(&client, range(20, 100), &[]).await), [10, 10]);
    assert_eq!(mins(&load(&client, range(21, 100), &[]).await), Vec::<i64>::new());
    assert_eq!(mins(&load(&client, range(0, 1000), &[("app", MatchOp::Regex, "a|c")]).await), [10, 100]);
    // An empty value asks for streams without the label, which a filter of the labels there are says nothing of.
    assert_eq!(mins(&load(&client, range(0, 1000), &[("pod", MatchOp::Equal, "")]).await), [10, 10, 100]);
    assert_eq!(mins(&load(&client, range(0, 1000), &[("app", MatchOp::Equal, "absent")]).await), Vec::<i64>::new());
}

#[tokio::test]
async fn other_tenants_are_out_of_reach() {
    let client = filled().await;
    let other = schema::TenantId::parse("team").unwrap();
    let snapshot = Snapshot::load(&client, &other, &range(i64::MIN, i64::MAX), &[], &ChunkCache::new(0)).await.unwrap();
    assert_eq!(snapshot.pruned.listed, 0);
}

#[tokio::test]
async fn an_object_that_is_no_chunk_is_an_error() {
    for name in ["t=team-a/l0/a/README.txt", "t=team-a/l0/x.parquet"] {
        let client = filled().await;
        client.create(name, Bytes::from_static(b"x")).await.unwrap();
        let error = Snapshot::load(&client, &tenant(), &range(0, 1), &[], &ChunkCache::new(0)).await.unwrap_err();
        assert_eq!((error.kind(), error.key()), (ErrorKind::Corrupt, Some(name)));
    }
}

#[tokio::test]
async fn a_chunk_that_stays_listed_but_is_gone_fails_the_query() {
    let plain = filled().await;
    let (client, faults) = FaultyStore::wrap(&plain);
    faults.weaken(Some(Weakness::DeletedInList));
    client.delete(&chunk("b", &[10, 20]).key.to_string()).await.unwrap();
    let error = Snapshot::load(&client, &tenant(), &range(0, 1000), &[], &ChunkCache::new(0)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    // It was tried anew, and not for ever.
    assert_eq!(faults.requests().iter().filter(|(op, _)| *op == Op::List).count(), 5);
    faults.weaken(None);
    let snapshot = Snapshot::load(&client, &tenant(), &range(0, 1000), &[], &ChunkCache::new(0)).await.unwrap();
    assert_eq!(snapshot.chunks.len(), 2);
}
