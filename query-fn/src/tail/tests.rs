use futures::FutureExt as _;
use schema::{LabelSet, QueryLimits, RowBatch, StreamRun};
use store::RequestStats;
use store::chunk::{build, commit};
use store::env::VirtualTime;
use store::object::Op;

use super::*;

const MAX_CONCURRENT: usize = 10;

const SECOND: i64 = 1_000_000_000;
/// When the world begins.
const NOW: i64 = 1_000_000 * SECOND;

struct World {
    time: VirtualTime,
    client: ObjectClient,
    stats: Arc<RequestStats>,
    tails: Tails,
}

impl World {
    fn new() -> Self {
        let time = VirtualTime::starting_at(Timestamp(NOW));
        let env = Env::simulated(&time, 0, 1);
        let stats = Arc::new(RequestStats::new());
        let client = ObjectClient::open("memory:", &env).unwrap();
        let counted = client.with_stats(Arc::clone(&stats));
        let cache = ChunkCache::new(64 << 20);
        let engine = Engine::new(counted.clone(), env.clone(), QueryLimits::default(), cache.clone()).with_partitions(1);
        Self { tails: Tails::new(counted, env, cache, engine), time, client, stats }
    }

    /// One push, acknowledged when this returns.
    async fn push(&self, labels: &str, lines: &[(i64, &str)]) {
        self.push_with(labels, lines, &[]).await;
    }

    async fn push_with(&self, labels: &str, lines: &[(i64, &str)], metadata: &[(&str, &str)]) {
        let mut batch = RowBatch::default();
        batch.runs.push(StreamRun { labels: LabelSet::parse(labels).unwrap(), rows: 0..lines.len() });
        for (timestamp, line) in lines {
            batch.timestamps.push(*timestamp);
            batch.lines.push(line.as_bytes());
            for (name, value) in metadata {
                let id = batch.metadata.intern(name);
                batch.metadata.push_pair(id, value.as_bytes());
            }
            batch.metadata.finish_row();
        }
        commit(&self.client, &build(&TenantId::default_tenant(), &[batch]).unwrap()).await.unwrap();
    }

    async fn open(&self, query: &str) -> Tail {
        self.tails.open(request(query)).await.unwrap()
    }

    /// Lets everybody work until all of them sleep.
    async fn settle(&self) {
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
    }

    /// Lets `seconds` pass.
    async fn pass(&self, seconds: u64) {
        // A little more, so that whoever is due at the end of the last second has its turn.
        let wait = Duration::from_secs(seconds) + Duration::from_millis(1);
        let until = self.time.elapsed() + wait;
        let end = self.time.sleep(wait);
        tokio::pin!(end);
        assert!(futures::poll!(end.as_mut()).is_pending());
        self.settle().await;
        while self.time.elapsed() < until {
            assert!(self.time.advance());
            self.settle().await;
        }
        self.settle().await;
    }

    /// Everything that can be sent now.
    async fn sent(&self, tail: &mut Tail) -> Vec<(i64, String)> {
        self.settle().await;
        let mut out = Vec::new();
        while let Some(frame) = tail.next().now_or_never() {
            let frame: serde_json::Value = serde_json::from_str(&frame.unwrap()).unwrap();
            for stream in frame["streams"].as_array().unwrap() {
                for value in stream["values"].as_array().unwrap() {
                    out.push((value[0].as_str().unwrap().parse().unwrap(), value[1].as_str().unwrap().to_owned()));
                }
            }
        }
        out
    }
}

fn request(query: &str) -> TailRequest {
    TailRequest {
        tenant: TenantId::default_tenant(),
        expr: logql::parse(query).unwrap(),
        start: Timestamp(NOW - 3600 * SECOND),
        limit: 100,
        delay: Duration::ZERO,
        encoding: LabelEncoding::Merged,
        legacy: false,
        most: MAX_CONCURRENT,
    }
}

fn lines(sent: &[(i64, String)]) -> Vec<&str> {
    sent.iter().map(|(_, line)| line.as_str()).collect()
}

#[tokio::test]
async fn history_first_then_what_comes_and_nothing_twice() {
    let world = World::new();
    world.push(r#"{app="x"}"#, &[(NOW - 20 * SECOND, "old 1"), (NOW - 10 * SECOND, "old 2"), (NOW - 5000 * SECOND, "too old")]).await;
    world.push(r#"{app="y"}"#, &[(NOW - 10 * SECOND, "another stream")]).await;
    let mut tail = world.open(r#"{app="x"}"#).await;
    assert_eq!(lines(&world.sent(&mut tail).await), ["old 1", "old 2"]);
    world.push(r#"{app="x"}"#, &[(NOW + SECOND, "new 1"), (NOW - 3000 * SECOND, "late"), (NOW - 5000 * SECOND, "too late")]).await;
    world.push(r#"{app="y"}"#, &[(NOW, "another stream")]).await;
    assert!(world.sent(&mut tail).await.is_empty());
    world.pass(1).await;
    assert_eq!(lines(&world.sent(&mut tail).await), ["late", "new 1"]);
    world.pass(5).await;
    assert!(world.sent(&mut tail).await.is_empty());
    world.push(r#"{app="x"}"#, &[(NOW + 8 * SECOND, "new 2")]).await;
    world.pass(1).await;
    assert_eq!(lines(&world.sent(&mut tail).await), ["new 2"]);
}

#[tokio::test]
async fn the_history_is_the_newest_lines_in_order() {
    let world = World::new();
    world.push(r#"{app="x"}"#, &[(NOW - 30, "a"), (NOW - 20, "b"), (NOW - 10, "c")]).await;
    let mut tail = world.tails.open(TailRequest { limit: 2, ..request(r#"{app="x"}"#) }).await.unwrap();
    assert_eq!(lines(&world.sent(&mut tail).await), ["b", "c"]);
}

/// What is acknowledged after the tail began and before its history was read is sent once.
#[tokio::test]
async fn history_and_new_lines_do_not_overlap() {
    let world = World::new();
    world.push(r#"{app="x"}"#, &[(NOW - 10, "before")]).await;
    let mut tail = world.open(r#"{app="x"}"#).await;
    // The history's task has not run yet: nothing has given it the thread.
    world.push(r#"{app="x"}"#, &[(NOW - 5, "between")]).await;
    world.pass(3).await;
    assert_eq!(lines(&world.sent(&mut tail).await), ["before", "between"]);
}

/// An agent's retry that was grouped with other pushes is another chunk with the same rows.
#[tokio::test]
async fn a_row_that_was_pushed_again_is_sent_once() {
    let world = World::new();
    let mut tail = world.open(r#"{app="x"}"#).await;
    world.push(r#"{app="x"}"#, &[(NOW, "one")]).await;
    world.pass(2).await;
    world.push(r#"{app="x"}"#, &[(NOW, "one"), (NOW, "two")]).await;
    world.pass(2).await;
    assert_eq!(lines(&world.sent(&mut tail).await), ["one", "two"]);
}

#[tokio::test]
async fn the_pipeline_runs_on_lines_that_come() {
    let world = World::new();
    let query = r#"{app="x"} |= "status" | json | status >= 500 | line_format "{{.status}} {{.path}}""#;
    let mut tail = world.tails.open(TailRequest { encoding: LabelEncoding::Categorized, ..request(query) }).await.unwrap();
    let rows = [(NOW, r#"{"status":200,"path":"/a"}"#), (NOW + 1, r#"{"status":503,"path":"/b"}"#), (NOW + 2, r#"{"other":503}"#)];
    world.push_with(r#"{app="x"}"#, &rows, &[("trace", "t1")]).await;
    world.pass(1).await;
    let frame: serde_json::Value = serde_json::from_str(&tail.next().await.unwrap()).unwrap();
    let others = serde_json::json!({"structuredMetadata": {"trace": "t1"}, "parsed": {"path": "/b", "status": "503"}});
    let streams = serde_json::json!([{"stream": {"app": "x"}, "values": [[(NOW + 1).to_string(), "503 /b", others]]}]);
    assert_eq!(frame, serde_json::json!({"streams": streams, "encodingFlags": ["categorize-labels"]}));
}

/// The bill: one LIST a second for all tails of a tenant, one GET for a chunk that may match, nothing once nobody tails.
#[tokio::test]
async fn tails_of_a_tenant_share_their_requests() {
    let world = World::new();
    let mut tails = Vec::new();
    for _ in 0..5 {
        tails.push(world.open(r#"{app="x"}"#).await);
    }
    world.settle().await;
    let before = world.stats.snapshot();
    world.pass(10).await;
    let idle = world.stats.snapshot().since(&before);
    assert_eq!((idle.of(Op::List), idle.total()), (10, 10));
    world.push(r#"{app="x"}"#, &[(NOW, "one")]).await;
    world.push(r#"{app="unrelated"}"#, &[(NOW, "two")]).await;
    let before = world.stats.snapshot();
    world.pass(2).await;
    let busy = world.stats.snapshot().since(&before);
    assert_eq!((busy.of(Op::List), busy.of(Op::Get)), (2, 1));
    for tail in &mut tails {
        assert_eq!(lines(&world.sent(tail).await), ["one"]);
    }
    drop(tails);
    world.pass(2).await;
    let before = world.stats.snapshot();
    world.pass(10).await;
    assert_eq!(world.stats.snapshot().since(&before).total(), 0);
}

#[tokio::test]
async fn a_tenant_has_so_many_tails_and_another_has_its_own() {
    let world = World::new();
    let mut tails = Vec::new();
    for _ in 0..MAX_CONCURRENT {
        tails.push(world.open(r#"{app="x"}"#).await);
    }
    let refused = world.tails.open(request(r#"{app="x"}"#)).await.unwrap_err();
    assert_eq!(refused.to_string(), "max concurrent tail requests limit exceeded, count > limit (11 > 10)");
    let other = TailRequest { tenant: TenantId::parse("other").unwrap(), ..request(r#"{app="x"}"#) };
    assert!(world.tails.open(other).await.is_ok());
    tails.pop();
    assert!(world.tails.open(request(r#"{app="x"}"#)).await.is_ok());
}

#[tokio::test]
async fn a_metric_query_cannot_be_followed() {
    let refused = World::new().tails.open(request(r#"rate({app="x"}[1m])"#)).await.unwrap_err();
    assert_eq!(refused.to_string(), "only log selector is supported");
}

#[tokio::test]
async fn another_tenants_lines_are_not_shown() {
    let world = World::new();
    let mut other = world.tails.open(TailRequest { tenant: TenantId::parse("other").unwrap(), ..request(r#"{app="x"}"#) }).await.unwrap();
    world.push(r#"{app="x"}"#, &[(NOW, "mine")]).await;
    world.pass(3).await;
    assert!(world.sent(&mut other).await.is_empty());
}

#[tokio::test]
async fn a_tail_ends_after_an_hour() {
    let world = World::new();
    let mut tail = world.open(r#"{app="x"}"#).await;
    world.pass(3599).await;
    assert!(tail.next().now_or_never().is_none());
    world.pass(1).await;
    assert_eq!(tail.next().await, Err(TailEnded::Expired));
}

/// Compaction deletes a chunk of level 0 once it is consumed, and a client's late retry can bring it back.
#[tokio::test]
async fn a_chunk_that_goes_and_comes_back_is_sent_once() {
    let world = World::new();
    let mut tail = world.open(r#"{app="x"}"#).await;
    world.push(r#"{app="x"}"#, &[(NOW, "one")]).await;
    world.pass(2).await;
    assert_eq!(lines(&world.sent(&mut tail).await), ["one"]);
    for object in world.client.list("t=fake/l0").await.unwrap() {
        world.client.delete(&object.key).await.unwrap();
    }
    world.pass(3600 - 100).await;
    world.push(r#"{app="x"}"#, &[(NOW, "one")]).await;
    world.push(r#"{app="x"}"#, &[(NOW, "two")]).await;
    world.pass(2).await;
    assert_eq!(lines(&world.sent(&mut tail).await), ["two"]);
}

/// It may hold acknowledged rows, so the tail must not go on as if nothing were there.
#[tokio::test]
async fn a_name_that_cannot_be_read_ends_the_tail() {
    let world = World::new();
    let mut tail = world.open(r#"{app="x"}"#).await;
    world.settle().await;
    world.client.create("t=fake/l0/0/nonsense", bytes::Bytes::from_static(b"?")).await.unwrap();
    world.pass(1).await;
    let ended = tail.next().await.unwrap_err();
    assert!(ended.to_string().contains("t=fake/l0/0/nonsense"), "{ended}");
}

#[tokio::test]
async fn a_history_that_cannot_be_read_ends_the_tail() {
    let world = World::new();
    world.push(r#"{app="x"}"#, &[(NOW, "one")]).await;
    let key = world.client.list("t=fake/l0").await.unwrap().remove(0).key;
    world.client.delete(&key).await.unwrap();
    world.client.create(&key, bytes::Bytes::from_static(b"no chunk")).await.unwrap();
    let mut tail = world.open(r#"{app="x"}"#).await;
    world.settle().await;
    let ended = tail.next().await.unwrap_err();
    assert!(ended.to_string().contains(&key), "{ended}");
}
