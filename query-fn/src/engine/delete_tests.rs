//! Deletes: an answer is the one over the data without the deleted rows, wherever the others lie, compacted or not.

use proptest::prelude::*;
use schema::{ChunkEntry, Day, DayManifest, DeleteRequest, Level1Key, TenantId, Timestamp};
use store::{chunk, day, deletes};

use super::codec_tests::shipped;
use super::tests::{Pushed, SECOND, batch, engine, entries, logs, samples, spec};
use super::*;

/// A request: its query, and which rows it means.
type Condition = (&'static str, fn(&Pushed) -> bool);

fn has_trace(row: &Pushed, value: &str) -> bool {
    row.3.iter().any(|(name, trace)| *name == "trace" && trace == value)
}

const CONDITIONS: [Condition; 8] = [
    (r#"{app="x"}"#, |row| row.0.contains(r#"app="x""#)),
    (r#"{a=~".*"}"#, |_| true),
    (r#"{pod="1"}"#, |row| row.0.contains("pod")),
    (r#"{app="y"} |= "ab""#, |row| row.0.contains(r#"app="y""#) && row.2.contains("ab")),
    (r#"{app=~"x|y"} != "a""#, |row| !row.2.contains('a')),
    (r#"{app="x"} | trace="t1""#, |row| row.0.contains(r#"app="x""#) && has_trace(row, "t1")),
    (r#"{app=~".+"} | trace!="t1" |~ "^b""#, |row| !has_trace(row, "t1") && row.2.starts_with('b')),
    (r#"{app="absent"}"#, |_| false),
];

/// Seconds of `[start, end]`, and whether the compacted chunks were rewritten without the rows.
#[derive(Clone, Debug)]
struct Delete {
    condition: usize,
    start: i64,
    end: i64,
    done: bool,
}

impl Delete {
    fn means(&self, row: &Pushed) -> bool {
        (self.start * SECOND..=self.end * SECOND).contains(&row.1) && CONDITIONS[self.condition].1(row)
    }
}

fn without(rows: &[Pushed], deletes: &[Delete], which: impl Fn(&Delete) -> bool) -> Vec<Pushed> {
    rows.iter().filter(|row| !deletes.iter().any(|delete| which(delete) && delete.means(row))).cloned().collect()
}

/// As if the rows had been compacted: their file under a level-1 name.
async fn compacted(engine: &Engine, rows: &[Pushed], number: usize) -> ChunkEntry {
    let tenant = TenantId::default_tenant();
    let built = chunk::build(&tenant, &[batch(rows)]).unwrap();
    let name = format!("t={tenant}/l1/date=1970-01-01/p=a/{number:026}.parquet");
    engine.client.create(&name, built.bytes.clone()).await.unwrap();
    let size = u64::try_from(built.bytes.len()).unwrap();
    ChunkEntry {
        key: Level1Key::parse(&tenant, &name).unwrap(),
        size,
        checksum: [0; 16],
        rows: built.key.rows,
        bytes: built.manifest.bytes(),
        min: built.key.min,
        max: built.key.max,
        streams: u64::try_from(built.manifest.streams.len()).unwrap(),
        footer: size,
        bloom: built.key.bloom.clone(),
        labels: None,
    }
}

async fn edit_day(engine: &Engine, edit: impl FnOnce(&mut DayManifest)) {
    let tenant = TenantId::default_tenant();
    let base = day::load(&engine.client, &tenant, Day::from_number(0).unwrap()).await.unwrap();
    let mut edited = base.manifest.clone();
    edit(&mut edited);
    assert!(matches!(day::commit(&engine.client, &engine.env, &tenant, &base, edited).await.unwrap(), day::CommitOutcome::Committed(_)));
}

pub(super) async fn ask_for(engine: &Engine, id: &str, query: &str, start: i64, end: i64) {
    let request = DeleteRequest { id: id.into(), query: query.to_owned(), start, end, created: 0, processed: None, receipt: Vec::new() };
    let add = |list: &mut schema::DeleteRequests| {
        list.requests.push(request.clone());
        Some(())
    };
    deletes::update(&engine.client, &engine.env, &TenantId::default_tenant(), add).await.unwrap();
}

/// A store in which some chunks were compacted, and the rows of some requests rewritten away there.
async fn deleted(chunks: &[(bool, Vec<Pushed>)], deletes: &[Delete]) -> Engine {
    let level0: Vec<Vec<Pushed>> = chunks.iter().filter(|(compacted, _)| !compacted).map(|(_, rows)| rows.clone()).collect();
    let engine = engine(&level0, 3).await;
    let mut entries = Vec::new();
    for (number, (_, rows)) in chunks.iter().filter(|(compacted, _)| *compacted).enumerate() {
        let left = without(rows, deletes, |delete| delete.done);
        if !left.is_empty() {
            entries.push(compacted(&engine, &left, number).await);
        }
    }
    // Ids descend, as random ones may.
    let id = |place: usize| format!("{:08x}", 9 - place);
    edit_day(&engine, |day| {
        day.chunks = entries;
        let done = deletes.iter().enumerate().filter(|(_, delete)| delete.done);
        day.deletes_done = done.map(|(place, _)| id(place).into()).rev().collect();
    })
    .await;
    for (place, delete) in deletes.iter().enumerate() {
        ask_for(&engine, &id(place), CONDITIONS[delete.condition].0, delete.start * SECOND, delete.end * SECOND).await;
    }
    engine
}

async fn run(engine: &Engine, spec: &QuerySpec) -> QueryResult {
    engine.run(spec).await.unwrap().0
}

/// What both sides can agree on: of a log query that is cut off, only the times, since which of several rows at one instant are cut is not said.
fn comparable(result: &QueryResult, limit: usize) -> String {
    if !matches!(result, QueryResult::Streams(_)) {
        return format!("{:?}", samples(result));
    }
    let mut rows = entries(result);
    rows.sort();
    if rows.len() < limit {
        return format!("{rows:?}");
    }
    let mut times: Vec<i64> = rows.iter().map(|row| row.1).collect();
    times.sort_unstable();
    format!("{times:?}")
}

fn chunks() -> impl Strategy<Value = Vec<(bool, Vec<Pushed>)>> {
    let stream = prop::sample::select(vec![r#"{app="x"}"#, r#"{app="x", pod="1"}"#, r#"{app="y"}"#]);
    let metadata = prop::sample::select(vec![vec![], vec![("trace", "t1".to_owned())], vec![("trace", "t2".to_owned())]]);
    let row = (stream, 0i64..200, "[ab]{0,3}", metadata).prop_map(|(stream, second, line, metadata)| (stream, second * SECOND, line, metadata));
    prop::collection::vec((any::<bool>(), prop::collection::vec(row, 1..24)), 1..5).prop_map(|mut chunks| {
        // A push that was retried lies in two chunks.
        if let [first, .., last] = chunks.as_mut_slice() {
            last.1.extend(first.1.iter().take(3).cloned());
        }
        chunks
    })
}

fn requests() -> impl Strategy<Value = Vec<Delete>> {
    let delete = (0..CONDITIONS.len(), -10i64..200, 0i64..220, any::<bool>());
    let delete = delete.prop_map(|(condition, start, length, done)| Delete { condition, start, end: start + length, done });
    prop::collection::vec(delete, 0..4)
}

const QUERIES: [&str; 8] = [
    r#"{app=~".+"}"#,
    r#"{app="x"} |= "a""#,
    r#"{app=~".+"} | trace="t1""#,
    r#"count_over_time({app="x"}[1m])"#,
    r#"sum by (app) (count_over_time({app=~".+"}[2m]))"#,
    r#"sum(bytes_over_time({app=~".+"}[37s]))"#,
    r#"sum by (trace) (count_over_time({app=~".+"} != "b" [1m]))"#,
    r#"sum by (app) (count_over_time({app=~".+"}[1h]))"#,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn an_answer_is_the_one_without_the_deleted_rows(
        chunks in chunks(), requests in requests(), query in prop::sample::select(QUERIES.to_vec()),
        start in 0i64..120, length in 1i64..200, limit in prop::sample::select(vec![1usize, 3, 1000]), forward: bool,
    ) {
        let evaluation = Evaluation::Range { start: Timestamp(start * SECOND), end: Timestamp((start + length) * SECOND), step_ns: 30 * SECOND };
        let mut query = spec(query, evaluation);
        (query.limit, query.direction) = (limit, if forward { Direction::Forward } else { Direction::Backward });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let left: Vec<Vec<Pushed>> = chunks.iter().map(|(_, rows)| without(rows, &requests, |_| true)).collect();
            let expected = comparable(&run(&engine(&left, 1).await, &query).await, limit);
            let many = deleted(&chunks, &requests).await;
            let one = many.clone().with_partitions(1);
            let mut plain = one.clone();
            plain.optimize = false;
            for (engine, which) in [(&many, "three partitions"), (&one, "one partition"), (&plain, "without the optimizer")] {
                assert_eq!(comparable(&run(engine, &query).await, limit), expected, "{which}");
            }
            shipped(&many, &query).await.1.unwrap();
        });
    }
}

fn row(labels: &'static str, second: i64, line: &str) -> Pushed {
    (labels, second * SECOND, line.to_owned(), Vec::new())
}

/// Ten rows of one stream, one a second.
fn ten() -> Vec<Pushed> {
    (0..10).map(|second| row(r#"{app="x"}"#, second, if second < 5 { "old" } else { "new" })).collect()
}

fn seconds(result: &QueryResult) -> Vec<i64> {
    entries(result).iter().map(|entry| entry.1 / SECOND).collect()
}

#[tokio::test]
async fn a_stream_that_was_deleted_whole_is_not_read() {
    let engine = engine(&[ten(), vec![row(r#"{app="y"}"#, 3, "other")]], 1).await;
    ask_for(&engine, "00000001", r#"{app="x"}"#, 0, 9 * SECOND).await;
    let (result, statistics, _) = engine.run(&logs(r#"{app=~".+"}"#, 0, 60 * SECOND)).await.unwrap();
    assert_eq!((seconds(&result), statistics.chunks_read), (vec![3], 1));
    let plan = engine.explain(&logs(r#"{app="x"}"#, 0, 60 * SECOND)).await.unwrap().physical;
    assert!(plan.contains("chunks=0, units=0, rows<=0"), "{plan}");
}

/// The limit is not reached by rows that nobody may see.
#[tokio::test]
async fn a_limit_counts_only_rows_that_are_shown() {
    let engine = engine(&[ten()], 1).await;
    ask_for(&engine, "00000001", r#"{app="x"} |= "new""#, 0, 8 * SECOND).await;
    // The minute lies inside as a whole, so that its rows would be known to be enough.
    let mut query = logs(r#"{app="x"}"#, -60 * SECOND, 120 * SECOND);
    query.limit = 3;
    assert_eq!(seconds(&run(&engine, &query).await), [9, 4, 3]);
    query.direction = Direction::Forward;
    query.limit = 6;
    assert_eq!(seconds(&run(&engine, &query).await), [0, 1, 2, 3, 4, 9]);
}

#[tokio::test]
async fn a_chunk_is_not_searched_for_rows_that_it_no_longer_holds() {
    let engine = engine(&[], 1).await;
    let entry = compacted(&engine, &ten(), 1).await;
    edit_day(&engine, |day| {
        day.chunks.push(entry);
        day.deletes_done = vec!["00000001".into(), "00000002".into()];
    })
    .await;
    let query = logs(r#"{app="x"}"#, 0, 60 * SECOND);
    // In the other order than the ids.
    ask_for(&engine, "00000002", r#"{app="x"} |= "gone""#, 0, 9 * SECOND).await;
    ask_for(&engine, "00000001", r#"{app="x"} |= "too""#, 0, 9 * SECOND).await;
    assert!(!engine.explain(&query).await.unwrap().physical.contains("deletes"));
    ask_for(&engine, "00000000", r#"{app="x"} |= "old""#, 0, 9 * SECOND).await;
    assert!(engine.explain(&query).await.unwrap().physical.contains(", deletes"));
    assert_eq!(seconds(&run(&engine, &query).await), [9, 8, 7, 6, 5]);
}

/// Rather no answer than one with rows that must not be shown.
#[tokio::test]
async fn a_request_that_cannot_be_read_fails_the_query() {
    let engine = engine(&[ten()], 1).await;
    ask_for(&engine, "00000001", "{", 0, SECOND).await;
    let error = engine.run(&logs(r#"{app="x"}"#, 0, 60 * SECOND)).await.unwrap_err();
    assert!(matches!(error, QueryError::Internal { .. }) && error.to_string().contains("00000001"), "{error}");
    // Outside of its time, and where there is nothing to hide, it does not matter.
    assert_eq!(seconds(&run(&engine, &logs(r#"{app="x"}"#, 5 * SECOND, 60 * SECOND)).await).len(), 5);
    assert!(seconds(&run(&engine, &logs(r#"{app="y"}"#, 0, 60 * SECOND)).await).is_empty());
}
