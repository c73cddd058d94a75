use schema::{LabelSet, RowBatch, StreamRun, TenantId, Timestamp};
use store::chunk::{build, commit};

use super::*;
use crate::result::{Series, StreamResult};

pub(super) const SECOND: i64 = 1_000_000_000;

/// One row as it was pushed: stream, timestamp, line, metadata.
pub(super) type Pushed = (&'static str, i64, String, Vec<(&'static str, String)>);

pub(super) fn batch(rows: &[Pushed]) -> RowBatch {
    let mut batch = RowBatch::default();
    for (at, (labels, timestamp, line, metadata)) in rows.iter().enumerate() {
        let labels = LabelSet::parse(labels).unwrap();
        match batch.runs.last_mut().filter(|run| run.labels == labels) {
            Some(run) => run.rows.end = at + 1,
            None => batch.runs.push(StreamRun { labels, rows: at..at + 1 }),
        }
        batch.timestamps.push(*timestamp);
        batch.lines.push(line.as_bytes());
        for (name, value) in metadata {
            let id = batch.metadata.intern(name);
            batch.metadata.push_pair(id, value.as_bytes());
        }
        batch.metadata.finish_row();
    }
    batch
}

/// An engine over a store with one chunk for each list of rows.
pub(super) async fn engine(chunks: &[Vec<Pushed>], partitions: usize) -> Engine {
    engine_of(&[(TenantId::default_tenant().as_str(), chunks)], partitions).await
}

/// As [`engine`], with chunks of several tenants.
pub(super) async fn engine_of(tenants: &[(&str, &[Vec<Pushed>])], partitions: usize) -> Engine {
    let env = Env::fixed(Timestamp(0));
    let client = ObjectClient::open("memory:", &env).unwrap();
    for (tenant, chunks) in tenants {
        for rows in chunks.iter().filter(|rows| !rows.is_empty()) {
            let chunk = build(&TenantId::parse(tenant).unwrap(), &[batch(rows)]).unwrap();
            commit(&client, &chunk).await.unwrap();
        }
    }
    Engine::new(client, env, QueryLimits::default(), ChunkCache::new(1 << 20)).with_partitions(partitions)
}

pub(super) fn spec(query: &str, evaluation: Evaluation) -> QuerySpec {
    QuerySpec {
        tenants: TenantId::default_tenant().into(),
        expr: logql::parse(query).unwrap(),
        evaluation,
        limit: 100,
        direction: Direction::Backward,
        interval_ns: 0,
    }
}

pub(super) fn logs(query: &str, start: i64, end: i64) -> QuerySpec {
    spec(query, Evaluation::Range { start: Timestamp(start), end: Timestamp(end), step_ns: SECOND })
}

fn row(labels: &'static str, timestamp: i64, line: &str) -> Pushed {
    (labels, timestamp, line.to_owned(), Vec::new())
}

/// (labels, timestamp, line) of every entry, stream by stream.
pub(super) fn entries(result: &QueryResult) -> Vec<(String, i64, String)> {
    let QueryResult::Streams(streams) = result else { panic!("{result:?}") };
    let text = |stream: &StreamResult| stream.labels.merged().iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(",");
    streams.iter().flat_map(|stream| stream.entries.iter().map(move |e| (text(stream), e.timestamp, String::from_utf8_lossy(&e.line).into_owned()))).collect()
}

pub(super) fn samples(result: &QueryResult) -> Vec<(String, Vec<(i64, f64)>)> {
    let (QueryResult::Matrix(series) | QueryResult::Vector(series)) = result else { panic!("{result:?}") };
    series.iter().map(|Series { labels, samples }| (labels.to_string(), samples.clone())).collect()
}

async fn run(engine: &Engine, spec: &QuerySpec) -> QueryResult {
    engine.run(spec).await.unwrap().0
}

pub(super) fn two_chunks() -> Vec<Vec<Pushed>> {
    let meta = |labels, timestamp, line: &str, trace: &str| (labels, timestamp, line.to_owned(), vec![("trace", trace.to_owned())]);
    vec![
        vec![row(r#"{app="a"}"#, SECOND, "first error"), row(r#"{app="a"}"#, 2 * SECOND, "second"), meta(r#"{app="b"}"#, 3 * SECOND, "third error", "t1")],
        vec![row(r#"{app="a"}"#, 2 * SECOND, "second"), row(r#"{app="a"}"#, 4 * SECOND, "fourth error"), meta(r#"{app="b"}"#, 5 * SECOND, "fifth", "t2")],
    ]
}

fn entry(labels: &str, seconds: i64, line: &str) -> (String, i64, String) {
    (labels.to_owned(), seconds * SECOND, line.to_owned())
}

#[tokio::test]
async fn a_log_query_reads_all_chunks_and_drops_copies() {
    let engine = engine(&two_chunks(), 2).await;
    let all = run(&engine, &logs(r#"{app=~".+"}"#, 0, 10 * SECOND)).await;
    assert_eq!(
        entries(&all),
        [
            entry("app=a", 4, "fourth error"),
            entry("app=a", 2, "second"),
            entry("app=a", 1, "first error"),
            entry("app=b,trace=t1", 3, "third error"),
            entry("app=b,trace=t2", 5, "fifth")
        ]
    );
    let errors = run(&engine, &logs(r#"{app="a"} |= "error""#, 0, 4 * SECOND)).await;
    assert_eq!(entries(&errors), [entry("app=a", 1, "first error")]);
    let (_, statistics, _) = engine.run(&logs(r#"{app="a"}"#, 0, 10 * SECOND)).await.unwrap();
    assert_eq!((statistics.duplicates, statistics.entries_returned, statistics.chunks_read), (1, 3, 2));
}

#[tokio::test]
async fn limit_direction_and_interval() {
    let engine = engine(&two_chunks(), 2).await;
    let mut query = logs(r#"{app=~".+"}"#, 0, 10 * SECOND);
    query.limit = 2;
    assert_eq!(entries(&run(&engine, &query).await), [entry("app=a", 4, "fourth error"), entry("app=b,trace=t2", 5, "fifth")]);
    query.direction = Direction::Forward;
    assert_eq!(entries(&run(&engine, &query).await), [entry("app=a", 1, "first error"), entry("app=a", 2, "second")]);
    query.limit = 100;
    query.interval_ns = 2 * SECOND;
    assert_eq!(
        entries(&run(&engine, &query).await),
        [entry("app=a", 1, "first error"), entry("app=b,trace=t1", 3, "third error"), entry("app=b,trace=t2", 5, "fifth")]
    );
}

/// Rows of one stream at one instant, whose structured metadata sorts otherwise than they lie.
#[tokio::test]
async fn a_limit_cuts_rows_of_one_instant_alike_with_and_without_the_optimizer() {
    let row = |line: &str, trace: &[&str]| {
        let metadata = trace.iter().map(|trace| ("trace", (*trace).to_owned())).collect();
        (r#"{app="a"}"#, SECOND, line.to_owned(), metadata)
    };
    let optimized = engine(&[vec![row("1", &["z"]), row("2", &[]), row("3", &["a"])]], 1).await;
    let plain = Engine { optimize: false, ..optimized.clone() };
    for engine in [optimized, plain] {
        for (direction, limit, expected) in [
            (Direction::Forward, 1, vec!["1"]),
            (Direction::Forward, 2, vec!["1", "2"]),
            (Direction::Backward, 1, vec!["3"]),
            (Direction::Backward, 2, vec!["2", "3"]),
            (Direction::Backward, 3, vec!["1", "2", "3"]),
        ] {
            let query = QuerySpec { direction, limit, ..logs(r#"{app="a"}"#, 0, 60 * SECOND) };
            let answer = run(&engine, &query).await;
            let mut lines: Vec<String> = entries(&answer).into_iter().map(|(_, _, line)| line).collect();
            lines.sort_unstable();
            assert_eq!(lines, expected, "{direction:?} {limit}, optimizer: {}", engine.optimize);
        }
    }
}

#[tokio::test]
async fn counts_over_steps() {
    let engine = engine(&two_chunks(), 2).await;
    let range = |query: &str| spec(query, Evaluation::Range { start: Timestamp(2 * SECOND), end: Timestamp(6 * SECOND), step_ns: 2 * SECOND });
    let counted = run(&engine, &range(r#"sum by (app) (count_over_time({app=~".+"}[2s]))"#)).await;
    assert_eq!(samples(&counted), [(r#"{app="a"}"#.to_owned(), vec![(2000, 2.0), (4000, 1.0)]), (r#"{app="b"}"#.to_owned(), vec![(4000, 1.0), (6000, 1.0)])]);
    let bytes = run(&engine, &spec(r#"bytes_over_time({app="a"}[10s])"#, Evaluation::Instant { at: Timestamp(10 * SECOND) })).await;
    assert_eq!(samples(&bytes), [(r#"{app="a"}"#.to_owned(), vec![(10_000, 29.0)])]);
    let series = run(&engine, &range(r#"count_over_time({app="b"}[2s])"#)).await;
    assert_eq!(samples(&series), [(r#"{app="b", trace="t1"}"#.to_owned(), vec![(4000, 1.0)]), (r#"{app="b", trace="t2"}"#.to_owned(), vec![(6000, 1.0)])]);
}

/// Two streams with a row every 20 seconds from just after the start to the end of minute 10, on whole minutes among them.
fn ten_minutes() -> Vec<Pushed> {
    let rows = |labels: &'static str| (1..=30).map(move |at| (labels, at * 20 * SECOND, "ten bytes!".to_owned(), vec![("trace", at.to_string())]));
    rows(r#"{app="a"}"#).chain(rows(r#"{app="b"}"#)).collect()
}

#[tokio::test]
async fn whole_minutes_are_counted_without_being_read() {
    let minutes = |from: i64, to: i64| Evaluation::Range { start: Timestamp(from * 60 * SECOND), end: Timestamp(to * 60 * SECOND), step_ns: 60 * SECOND };
    let engine = engine(&[ten_minutes()], 2).await;
    let (counts, statistics, _) = engine.run(&spec(r#"sum by (app) (count_over_time({app="a"}[2m]))"#, minutes(1, 12))).await.unwrap();
    let steady = (2..=10).map(|minute| (minute * 60_000, 6.0));
    let expected: Vec<(i64, f64)> = [(60_000, 3.0)].into_iter().chain(steady).chain([(660_000, 3.0)]).collect();
    assert_eq!(samples(&counts), [(r#"{app="a"}"#.to_owned(), expected)]);
    assert_eq!((statistics.lines_processed, statistics.lines_counted, statistics.chunks_read), (0, 30, 0));
    let (bytes, statistics, _) = engine.run(&spec(r#"sum(bytes_rate({app=~".+"}[1m]))"#, minutes(5, 6))).await.unwrap();
    assert_eq!(samples(&bytes), [("{}".to_owned(), vec![(300_000, 1.0), (360_000, 1.0)])]);
    assert_eq!((statistics.lines_processed, statistics.bytes_processed, statistics.lines_counted), (0, 0, 12));
}

#[tokio::test]
async fn minutes_that_a_window_cuts_are_read() {
    let engine = engine(&[ten_minutes()], 1).await;
    let at = |seconds: i64| Evaluation::Instant { at: Timestamp(seconds * SECOND) };
    // (150 s, 450 s]: of minutes 3 and 8 the later and the earlier half, and minutes 4 to 7 whole.
    let (counts, statistics, _) = engine.run(&spec(r#"sum(count_over_time({app="b"}[5m]))"#, at(450))).await.unwrap();
    assert_eq!(samples(&counts), [("{}".to_owned(), vec![(450_000, 15.0)])]);
    assert_eq!(statistics.lines_counted, 12);
    assert!(statistics.lines_processed > 0 && statistics.bytes_processed == 0);
    let unread = engine.explain(&spec(r#"sum(count_over_time({app="b"}[5m]))"#, at(420))).await.unwrap();
    assert!(unread.physical.contains("MinuteCountExec") && !unread.physical.contains("ChunkScanExec"), "{}", unread.physical);
}

#[tokio::test]
async fn rows_are_read_where_counts_do_not_know_the_answer() {
    let engine = engine(&[ten_minutes(), ten_minutes().into_iter().take(3).collect()], 1).await;
    let at = Evaluation::Instant { at: Timestamp(600 * SECOND) };
    for (query, read, counted) in [
        (r#"count_over_time({app="a"}[10m])"#, true, 0),
        (r#"sum by (trace) (count_over_time({app="b"}[10m]))"#, true, 0),
        (r#"sum(count_over_time({app="b"} |= "ten" [10m]))"#, true, 0),
        (r#"sum(count_over_time({app="b"} | trace="1" [10m]))"#, true, 0),
        (r#"sum(rate({app="b"} | json [10m]))"#, false, 30),
        (r#"sum(absent_over_time({app="b"}[10m]))"#, true, 0),
        // The first minute lies in two chunks.
        (r#"sum(count_over_time({app="a"}[10m]))"#, true, 27),
    ] {
        let (_, statistics, _) = engine.run(&spec(query, at)).await.unwrap();
        assert_eq!((statistics.lines_processed > 0, statistics.lines_counted), (read, counted), "{query}");
    }
    let sum = run(&engine, &spec(r#"sum(count_over_time({app="a"}[10m]))"#, at)).await;
    assert_eq!(samples(&sum), [("{}".to_owned(), vec![(600_000, 30.0)])]);
}

#[tokio::test]
async fn a_bad_pattern_is_noticed_on_the_first_stream() {
    let engine = engine(&two_chunks(), 1).await;
    assert!(logql::parse(r#"{app="a"} |~ "(""#).is_err() || engine.run(&logs(r#"{app="a"} |~ "(""#, 0, 10 * SECOND)).await.is_err());
}

#[tokio::test]
async fn memory_is_bounded() {
    let mut small = engine(&two_chunks(), 1).await;
    small.limits.max_query_memory_bytes = 100;
    let error = small.run(&logs(r#"{app=~".+"}"#, 0, 10 * SECOND)).await.unwrap_err();
    assert!(matches!(error, QueryError::Memory { .. }), "{error}");
}

/// So many chunks that wait for compaction are worth a word, and the answer is whole all the same.
#[tokio::test]
async fn a_backlog_is_said() {
    let few: Vec<Vec<Pushed>> = (0..3).map(|n| vec![row(r#"{app="a"}"#, n, "x")]).collect();
    let (_, _, warnings) = engine(&few, 1).await.run(&logs(r#"{app="a"}"#, 0, SECOND)).await.unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    let many: Vec<Vec<Pushed>> = (0..i64::try_from(store::snapshot::LEVEL0_BACKLOG).unwrap()).map(|n| vec![row(r#"{app="a"}"#, n, "x")]).collect();
    let (result, _, warnings) = engine(&many, 1).await.run(&logs(r#"{app="a"}"#, 0, SECOND)).await.unwrap();
    assert_eq!(entries(&result).len(), 100);
    assert!(matches!(warnings.as_slice(), [only] if only.contains("2000 small chunks") && only.contains("compactor")), "{warnings:?}");
}
