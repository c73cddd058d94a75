//! Limits on what a query reads: told apart before a row is read.

use std::num::NonZeroU64;
use std::time::Duration;

use schema::price::Dollars;
use schema::{TenantSet, Timestamp};

use super::tests::{Pushed, SECOND, engine, engine_of, entries, logs, samples, spec, two_chunks};
use super::*;

fn with(engine: &Engine, limits: QueryLimits) -> Engine {
    engine.clone().with_limits(&limits)
}

fn bytes_read(bytes: u64) -> QueryLimits {
    QueryLimits { max_query_bytes_read: NonZeroU64::new(bytes), ..QueryLimits::default() }
}

async fn refused(engine: &Engine, query: &QuerySpec) -> Option<(&'static str, String)> {
    engine.run(query).await.err().map(|error| (error.limit().unwrap_or("none"), error.to_string()))
}

/// 11 + 6 bytes of `a` in the first chunk, 6 + 12 in the second; 11 and 5 of `b`.
#[tokio::test]
async fn the_bytes_of_lines_are_known_before_they_are_read() {
    let engine = engine(&two_chunks(), 1).await;
    let query = logs(r#"{app="a"} |= "error""#, 0, 10 * SECOND);
    assert_eq!(refused(&with(&engine, bytes_read(35)), &query).await, None);
    let (limit, text) = refused(&with(&engine, bytes_read(34)), &query).await.unwrap();
    assert_eq!(limit, "max_query_bytes_read");
    assert!(text.starts_with("the query would read too many bytes (query: 35 B, limit: 34 B); "), "{text}");
    let all = logs(r#"{app=~".+"}"#, 0, 10 * SECOND);
    assert!(refused(&with(&engine, bytes_read(50)), &all).await.is_some());
    assert_eq!(refused(&with(&engine, bytes_read(51)), &all).await, None);
    // Both sides of an operation read.
    let at = Evaluation::Instant { at: Timestamp(10 * SECOND) };
    let twice = spec(r#"sum(count_over_time({app="a"} |= "e" [10s])) / sum(count_over_time({app="a"} |= "e" [10s]))"#, at);
    assert!(refused(&with(&engine, bytes_read(69)), &twice).await.is_some());
    assert_eq!(refused(&with(&engine, bytes_read(70)), &twice).await, None);
}

/// What manifests count, and what reads no line, is no reading.
#[tokio::test]
async fn counts_from_manifests_read_nothing() {
    let rows: Vec<Pushed> = (1..60).map(|at| (r#"{app="a"}"#, at * SECOND, "a line".to_owned(), Vec::new())).collect();
    let engine = with(&engine(&[rows], 1).await, bytes_read(1));
    let at = Evaluation::Instant { at: Timestamp(60 * SECOND) };
    assert_eq!(refused(&engine, &spec(r#"sum(count_over_time({app="a"}[1m]))"#, at)).await, None);
    assert!(refused(&engine, &spec(r#"sum(count_over_time({app="a"} |= "line" [1m]))"#, at)).await.is_some());
}

#[tokio::test]
async fn a_refused_query_has_read_no_row() {
    // 64 bytes of which half are of no use to a compressor.
    let noise = |seed: i64| seed.unsigned_abs().wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let line = |at: i64| (0..4).map(|part| format!("{:016x}", noise(at * 4 + part))).collect::<String>();
    let large: Vec<Pushed> = (0..40_000).map(|at| (r#"{app="a"}"#, at * SECOND, line(at), Vec::new())).collect();
    let engine = engine(&[large], 1).await;
    let query = logs(r#"{app="a"} |= "nothing""#, 0, 40_000 * SECOND);
    let requests = Arc::new(RequestStats::new());
    let counted = Engine { client: engine.client.with_stats(Arc::clone(&requests)), ..engine.clone() };
    let free = with(&counted, QueryLimits { max_query_cost: None, ..QueryLimits::default() });
    let dear = with(&counted, QueryLimits { max_query_cost: Dollars::parse("0.00000001").unwrap(), ..QueryLimits::default() });
    let (limit, text) = refused(&dear, &query).await.unwrap();
    assert_eq!(limit, "max_query_cost");
    assert!(text.contains("and max_query_cost is $0.00000001; narrow the time range"), "{text}");
    let planned = requests.snapshot().bytes_received;
    let (_, statistics, _) = free.run(&query).await.unwrap();
    assert_eq!(statistics.lines_processed, 40_000);
    assert!(requests.snapshot().bytes_received > planned + 100_000, "the refused query had read the footer only");
    // The estimate is what is then read: GETs and bytes.
    let estimate = free.explain(&query).await.unwrap().estimate;
    let gets = statistics.store_requests.iter().find(|(op, _)| op == "get").unwrap().1;
    assert!(estimate.starts_with("at most 2560000 bytes of lines, ") && estimate.contains(&format!(" in {gets} GETs, $")), "{estimate} and {statistics:?}");
}

#[tokio::test]
async fn several_tenants_are_one_query() {
    let rows = |text: &str| vec![vec![(r#"{app="a"}"#, SECOND, text.to_owned(), Vec::new())]];
    let engine = engine_of(&[("t1", &rows("12345")), ("t2", &rows("1234567"))], 1).await;
    let query = QuerySpec { tenants: TenantSet::parse("t1|t2").unwrap(), ..logs(r#"{app="a"}"#, 0, 10 * SECOND) };
    assert!(refused(&with(&engine, bytes_read(11)), &query).await.is_some());
    assert_eq!(refused(&with(&engine, bytes_read(12)), &query).await, None);
}

/// At second 10 with a lookback of 7 seconds, nothing from before second 3 is in any answer.
#[tokio::test]
async fn what_is_older_than_the_lookback_is_not_read() {
    let mut engine = engine(&two_chunks(), 2).await;
    engine.env = Env::fixed(Timestamp(10 * SECOND));
    let engine = with(&engine, QueryLimits { max_query_lookback: Some(Duration::from_secs(7)), ..QueryLimits::default() });
    let (answer, ..) = engine.run(&logs(r#"{app=~".+"}"#, 0, 10 * SECOND)).await.unwrap();
    let lines: Vec<String> = entries(&answer).into_iter().map(|(_, _, line)| line).collect();
    assert_eq!(lines, ["fourth error", "third error", "fifth"]);
    let (answer, ..) = engine.run(&logs(r#"{app=~".+"}"#, 0, 3 * SECOND)).await.unwrap();
    assert_eq!(entries(&answer), []);
    for query in [r#"sum(count_over_time({app=~".+"}[1m]))"#, r#"sum(count_over_time({app=~".+"} |~ ".*" [1m]))"#] {
        let (answer, ..) = engine.run(&spec(query, Evaluation::Instant { at: Timestamp(10 * SECOND) })).await.unwrap();
        assert_eq!(samples(&answer), [("{}".to_owned(), vec![(10_000, 3.0)])], "{query}");
    }
}
