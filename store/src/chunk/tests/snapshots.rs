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
    let kept: Vec<String> = only.streams.iter().map(|i| only.manifest().streams[*i].labels.to_string()).collect();
    assert_eq!(kept, [r#"{app="a", level="y", service_name="a"}"#]);
    let want = PruneCounts {
        listed: 3,
        level0: 3,
        backlog: 2,
        after_time: 2,
        after_bloom: 1,
        opened: 1,
        streams_total: 2,
        streams_kept: 1,
        rows_total: 10,
        rows_kept: 2,
    };
    assert_eq!(snapshot.pruned, want);
    assert_eq!(want.to_string(), "chunks: 3 listed (3 of level 0), 2 in time range, 1 after label bloom, 1 opened; streams: 1 of 2; rows: 2 of 10");
}

#[tokio::test]
async fn the_range_is_half_open_and_chunks_come_in_time_order() {
    let client = filled().await;
    let mins = |snapshot: &Snapshot| snapshot.chunks.iter().map(|c| c.chunk.min.0).collect::<Vec<_>>();
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
    assert_eq!(faults.requests().iter().filter(|(op, key)| *op == Op::List && key.ends_with("/l0/")).count(), 5);
    faults.weaken(None);
    let snapshot = Snapshot::load(&client, &tenant(), &range(0, 1000), &[], &ChunkCache::new(0)).await.unwrap();
    assert_eq!(snapshot.chunks.len(), 2);
}

/// Compacted chunks and the days that they replace.
mod days {
    use schema::{ChunkEntry, Consumed, Day, DayManifest, DeleteRequest, Level1Key, Partition, Replaced};

    use super::*;
    use crate::day::{CommitOutcome, DayState, commit as commit_day, load as load_day};
    use crate::env::Env;
    use crate::testing::Fault;
    use crate::{chunk, deletes};

    const DAY: i64 = schema::day::NANOS_PER_DAY;

    /// As if `chunk` had been compacted alone: its file under a level-1 name. The labels are in the entry if `inline`.
    async fn compacted(client: &ObjectClient, chunk: &BuiltChunk, id: u128, inline: bool) -> ChunkEntry {
        let key = Level1Key { tenant: tenant(), day: Day::of(chunk.key.min), hour: None, partition: Partition::of_value("a"), id: ulid::Ulid(id) };
        client.create(&key.to_string(), chunk.bytes.clone()).await.unwrap();
        let size = u64::try_from(chunk.bytes.len()).unwrap();
        let labels = zstd::bulk::compress(&chunk.manifest.encode(), 3).unwrap();
        ChunkEntry {
            key,
            size,
            checksum: [0; 16],
            rows: chunk.key.rows,
            bytes: chunk.manifest.bytes(),
            min: chunk.key.min,
            max: chunk.key.max,
            streams: 2,
            footer: size,
            bloom: chunk.key.bloom.clone(),
            labels: inline.then(|| labels.into()),
        }
    }

    async fn edit(client: &ObjectClient, day: Day, edit: impl FnOnce(&mut DayManifest)) {
        let base = load_day(client, &tenant(), day).await.unwrap();
        let mut edited = base.manifest.clone();
        edit(&mut edited);
        let outcome = commit_day(client, &Env::seeded(Timestamp(0), base.manifest.generation), &tenant(), &base, edited).await.unwrap();
        assert!(matches!(outcome, CommitOutcome::Committed(_)), "{outcome:?}");
    }

    fn day(number: i32) -> Day {
        Day::from_number(number).unwrap()
    }

    async fn visible(client: &ObjectClient, range: TimeRange) -> Vec<(bool, Vec<(i64, i64)>)> {
        let snapshot = load(client, range, &[]).await;
        let ranges = |c: &crate::snapshot::SnapshotChunk| c.ranges.iter().map(|r| (r.start.0, r.end.0)).collect();
        snapshot.chunks.iter().map(|c| (matches!(c.chunk.name, schema::ChunkName::Level1(_)), ranges(c))).collect()
    }

    #[tokio::test]
    async fn a_chunk_that_spans_days_counts_for_the_days_that_did_not_consume_it() {
        let client = memory();
        let wide = chunk("a", &[5, DAY + 5, 2 * DAY + 5]);
        chunk::commit(&client, &wide).await.unwrap();
        let all = range(-DAY, 9 * DAY);
        assert_eq!(visible(&client, all).await, [(false, vec![(-DAY, 9 * DAY)])]);
        let consumed = Consumed { hash: wide.key.hash, at: Timestamp(0) };
        edit(&client, day(1), |m| m.consumed.push(consumed)).await;
        assert_eq!(visible(&client, all).await, [(false, vec![(-DAY, DAY), (2 * DAY, 9 * DAY)])]);
        assert_eq!(visible(&client, range(DAY, 2 * DAY)).await, []);
        edit(&client, day(0), |m| m.consumed.push(consumed)).await;
        assert_eq!(visible(&client, all).await, [(false, vec![(2 * DAY, 9 * DAY)])]);
        edit(&client, day(2), |m| m.consumed.push(consumed)).await;
        assert_eq!(visible(&client, all).await, []);
    }

    /// The client's retry of a push whose chunk was compacted and deleted.
    #[tokio::test]
    async fn a_retry_that_brings_a_compacted_chunk_back_is_not_seen() {
        let client = memory();
        let pushed = chunk("a", &[5]);
        chunk::commit(&client, &pushed).await.unwrap();
        let entry = compacted(&client, &pushed, 1, true).await;
        edit(&client, day(0), |m| {
            m.chunks.push(entry);
            m.consumed.push(Consumed { hash: pushed.key.hash, at: Timestamp(0) });
        })
        .await;
        client.delete(&pushed.key.to_string()).await.unwrap();
        chunk::commit(&client, &pushed).await.unwrap();
        assert_eq!(visible(&client, range(0, DAY)).await, [(true, vec![(0, DAY)])]);
    }

    #[tokio::test]
    async fn a_compacted_chunk_is_pruned_without_a_request_for_it() {
        let client = memory();
        for (n, inline) in [(1, true), (2, false)] {
            let entry = compacted(&client, &chunk("a", &[n * 100]), n.unsigned_abs().into(), inline).await;
            edit(&client, day(0), |m| m.chunks.push(entry)).await;
        }
        let (client, faults) = FaultyStore::wrap(&client);
        let cache = ChunkCache::new(1 << 20);
        let requests = || faults.requests().iter().map(|(op, _)| *op).collect::<Vec<_>>();
        let ask = async |range: TimeRange, matcher: (&str, MatchOp, &str)| {
            let before = requests().len();
            let snapshot = Snapshot::load(&client, &tenant(), &range, &matchers(&[matcher]), &cache).await.unwrap();
            (snapshot.chunks.len(), requests()[before..].to_vec())
        };
        // Both LISTs, and the manifest; the second chunk's labels are in its footer.
        assert_eq!(ask(range(0, 150), ("app", MatchOp::Equal, "a")).await, (1, vec![Op::List, Op::List, Op::Get]));
        assert_eq!(ask(range(0, 150), ("app", MatchOp::Equal, "a")).await, (1, vec![Op::List, Op::List]));
        assert_eq!(ask(range(0, DAY), ("app", MatchOp::Equal, "absent")).await, (0, vec![Op::List, Op::List]));
        assert_eq!(ask(range(0, DAY), ("app", MatchOp::Equal, "a")).await, (2, vec![Op::List, Op::List, Op::Get]));
        assert_eq!(ask(range(DAY, 2 * DAY), ("app", MatchOp::Equal, "a")).await, (0, vec![Op::List, Op::List]));
    }

    #[tokio::test]
    async fn an_entry_that_contradicts_its_labels_is_an_error() {
        let client = memory();
        let mut entry = compacted(&client, &chunk("a", &[5, 6]), 1, true).await;
        entry.rows -= 1;
        let name = entry.key.to_string();
        edit(&client, day(0), |m| m.chunks.push(entry)).await;
        let error = Snapshot::load(&client, &tenant(), &range(0, DAY), &[], &ChunkCache::new(0)).await.unwrap_err();
        assert_eq!((error.kind(), error.key()), (ErrorKind::Corrupt, Some(name.as_str())));
    }

    #[tokio::test]
    async fn what_lies_among_manifests_and_is_none_is_an_error() {
        for (name, body) in [("t=team-a/m/2026-13-01", "x"), ("t=team-a/m/1970-01-01", "x"), ("t=team-a/m/deletes", "{}"), ("t=team-a/m/later/x", "")] {
            let client = memory();
            client.create(name, Bytes::from(body)).await.unwrap();
            let error = Snapshot::load(&client, &tenant(), &range(0, 1), &[], &ChunkCache::new(0)).await.unwrap_err();
            assert_eq!((error.kind(), error.key()), (ErrorKind::Corrupt, Some(name)));
        }
    }

    #[tokio::test]
    async fn deletes_that_overlap_the_query_come_with_the_snapshot() {
        let client = memory();
        let env = Env::fixed(Timestamp(0));
        let entry = compacted(&client, &chunk("a", &[5]), 1, true).await;
        edit(&client, day(0), |m| {
            m.chunks.push(entry);
            m.deletes_done.push("b".into());
        })
        .await;
        for (id, start, end) in [("a", 0, 5), ("b", 3, 9), ("c", 50, 60)] {
            let request = DeleteRequest { id: id.into(), query: "{}".into(), start, end, created: 0, processed: None, receipt: Vec::new() };
            let add = |list: &mut schema::DeleteRequests| {
                list.requests.push(request.clone());
                Some(())
            };
            deletes::update(&client, &env, &tenant(), add).await.unwrap();
        }
        let snapshot = load(&client, range(5, 50), &[]).await;
        assert_eq!(snapshot.deletes.iter().map(|d| &*d.id).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(snapshot.chunks[0].deletes_done, ["b".into()]);
    }

    /// What was acknowledged to the compactor, and what was not, is found out from the manifest.
    #[tokio::test]
    async fn a_lost_acknowledgement_of_a_commit_is_resolved() {
        let plain = memory();
        for (fault, wins) in [(Fault::FailAfter, true), (Fault::RefusedAfter, true), (Fault::FailBefore, true), (Fault::Conflict409, true)] {
            let (client, faults) = FaultyStore::wrap(&plain);
            let base = load_day(&client, &tenant(), day(7)).await.unwrap();
            faults.script([(Op::Put, fault)]);
            let outcome = commit_day(&client, &Env::system(), &tenant(), &base, base.manifest.clone()).await.unwrap();
            assert_eq!(matches!(outcome, CommitOutcome::Committed(_)), wins, "{fault:?}");
            assert_eq!(load_day(&client, &tenant(), day(7)).await.unwrap().manifest.generation, base.manifest.generation + 1, "{fault:?}");
        }
    }

    #[tokio::test]
    async fn of_two_commits_on_one_base_one_wins() {
        let client = memory();
        let base = load_day(&client, &tenant(), day(0)).await.unwrap();
        let commit = |n| {
            let (client, base) = (client.clone(), base.clone());
            async move { commit_day(&client, &Env::seeded(Timestamp(0), n), &tenant(), &base, base.manifest.clone()).await.unwrap() }
        };
        let (a, b) = tokio::join!(commit(1), commit(2));
        assert_eq!([&a, &b].into_iter().filter(|outcome| matches!(outcome, CommitOutcome::Committed(_))).count(), 1, "{a:?} {b:?}");
        // A zombie with the old base cannot win later either.
        assert_eq!(commit(3).await, CommitOutcome::Conflict);
    }

    #[tokio::test]
    async fn an_edit_that_breaks_a_rule_is_not_written() {
        let client = memory();
        let base = DayState { manifest: DayManifest::empty(day(0)), version: None };
        let mut broken = base.manifest.clone();
        let key = Level1Key { tenant: tenant(), day: day(1), hour: None, partition: Partition::shared(), id: ulid::Ulid(1) };
        broken.replaced.push(Replaced { key, at: Timestamp(0) });
        let error = commit_day(&client, &Env::system(), &tenant(), &base, broken).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert!(client.list("").await.unwrap().is_empty());
    }
}
