//! Queries over several tenants: the answer is that of each tenant with the label `__tenant_id__` added.

use std::collections::BTreeMap;

use proptest::prelude::*;
use schema::{TenantSet, Timestamp};

use super::codec_tests::shipped;
use super::model_tests::{TICK, assert_close, chunks, log_text};
use super::tests::{Pushed, SECOND, engine_of, entries, samples, spec};
use super::*;

/// What the data looks like when a tenant has used the name of the label itself.
fn with_own_label(chunks: Vec<Vec<Pushed>>) -> Vec<Vec<Pushed>> {
    let renamed = |(labels, timestamp, line, metadata): Pushed| {
        let labels = if labels == r#"{app="y"}"# { r#"{app="y", __tenant_id__="mine"}"# } else { labels };
        (labels, timestamp, line, metadata)
    };
    chunks.into_iter().map(|rows| rows.into_iter().map(renamed).collect()).collect()
}

/// Labels as `name=value,` with the tenant's among them.
fn of_tenant(labels: &str, tenant: &str) -> String {
    let mut labels: BTreeMap<String, String> =
        labels.split(',').filter_map(|label| label.split_once('=')).map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned())).collect();
    if let Some(own) = labels.insert("__tenant_id__".to_owned(), tenant.to_owned()) {
        labels.insert("original___tenant_id__".to_owned(), own);
    }
    labels.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
}

/// Samples with labels in the form of [`of_tenant`].
fn plain(result: &QueryResult) -> BTreeMap<String, Vec<(i64, f64)>> {
    samples(result).into_iter().map(|(labels, samples)| (labels.trim_matches(['{', '}']).replace(['"', ' '], ""), samples)).collect()
}

fn of(query: &QuerySpec, tenants: &str) -> QuerySpec {
    QuerySpec { tenants: TenantSet::parse(tenants).unwrap(), ..query.clone() }
}

/// The answer for all of the tenants, by all variants of the engine, and those for each of them.
async fn answers(tenants: &[(&str, Vec<Vec<Pushed>>)], query: &QuerySpec) -> (QueryResult, Vec<(String, QueryResult)>) {
    let stored: Vec<(&str, &[Vec<Pushed>])> = tenants.iter().map(|(tenant, chunks)| (*tenant, chunks.as_slice())).collect();
    let one = engine_of(&stored, 1).await;
    let names: Vec<&str> = tenants.iter().map(|(tenant, _)| *tenant).collect();
    let all = of(query, &names.join("|"));
    let answer = one.run(&all).await.unwrap().0;
    assert_eq!(answer, one.clone().with_partitions(4).run(&all).await.unwrap().0, "several partitions");
    let mut plain = one.clone();
    plain.optimize = false;
    let unoptimized = plain.run(&all).await.unwrap().0;
    match &answer {
        QueryResult::Streams(_) => assert_eq!(answer, unoptimized, "without the optimizer"),
        _ => assert_close(&samples(&answer), &samples(&unoptimized)),
    }
    shipped(&one, &all).await.1.unwrap();
    let mut each = Vec::new();
    for tenant in names {
        each.push((tenant.to_owned(), one.run(&of(query, tenant)).await.unwrap().0));
    }
    (answer, each)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Metric queries whose series are each one tenant's: that of the tenant's own answer with the label.
const SEPARATE: [(&str, &str); 8] = [
    ("count_over_time(LOG [2s])", "count_over_time(LOG [2s])"),
    ("bytes_rate(LOG [3s] offset 1s)", "bytes_rate(LOG [3s] offset 1s)"),
    ("sum by (__tenant_id__) (count_over_time(LOG [2s]))", "sum(count_over_time(LOG [2s]))"),
    ("sum by (app, __tenant_id__) (rate(LOG [2s]))", "sum by (app) (rate(LOG [2s]))"),
    ("max without (app, pod) (bytes_over_time(LOG [2s]))", "max without (app, pod) (bytes_over_time(LOG [2s]))"),
    ("count by (__tenant_id__) (count_over_time(LOG [2s]))", "count(count_over_time(LOG [2s]))"),
    ("max_over_time(LOG | label_format n=`2` | unwrap n [2s]) by (app)", "max_over_time(LOG | label_format n=`2` | unwrap n [2s]) by (app)"),
    (
        "avg_over_time(LOG | label_format n=`2` | unwrap n [2s]) without (trace, __tenant_id__)",
        "avg_over_time(LOG | label_format n=`2` | unwrap n [2s]) without (trace)",
    ),
];

/// Aggregations in which tenants meet, and how their values come together.
type Meet = (&'static str, fn(f64, f64) -> f64);

const TOGETHER: [Meet; 5] = [
    ("sum(count_over_time(LOG [2s]))", |a, b| a + b),
    ("sum by (app) (rate(LOG [3s]))", |a, b| a + b),
    ("sum by (trace, pod) (bytes_over_time(LOG [2s]))", |a, b| a + b),
    ("max by (app) (count_over_time(LOG [2s]))", f64::max),
    ("count by (app) (count_over_time(LOG [2s]))", |a, b| a + b),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn log_queries_of_several_tenants_are_the_union(
        a in chunks(TICK, 0..=0), b in chunks(TICK, 0..=0), c in chunks(TICK, 0..=0), selector in 0usize..3, stages in prop::collection::vec(0usize..10, 0..3),
        limit in prop::sample::select(vec![1usize, 3, 10, 1000]), forward: bool,
    ) {
        // A template of `app` gives equal lines in every tenant, and the second tenant is the first one again.
        let tenants = [("t1", a.clone()), ("t2", a), ("t3", with_own_label(b)), ("t4", c)];
        let mut query = spec(&log_text(selector, &stages), Evaluation::Range { start: Timestamp(0), end: Timestamp(40 * TICK), step_ns: SECOND });
        (query.limit, query.direction) = (1000, if forward { Direction::Forward } else { Direction::Backward });
        let (_, each) = block_on(answers(&tenants, &query));
        let mut expected: Vec<(String, i64, String)> = Vec::new();
        for (tenant, answer) in &each {
            expected.extend(entries(answer).into_iter().map(|(labels, timestamp, line)| (of_tenant(&labels, tenant), timestamp, line)));
        }
        query.limit = limit;
        let (all, _) = block_on(answers(&tenants, &query));
        let mut got = entries(&all);
        expected.sort_by_key(|(_, timestamp, _)| if forward { *timestamp } else { -timestamp });
        let times = |entries: &[(String, i64, String)]| { let mut t: Vec<i64> = entries.iter().map(|e| e.1).collect(); t.sort_unstable(); t };
        prop_assert_eq!(times(&got), times(&expected[..expected.len().min(limit)]), "the limit is that of all tenants together");
        if expected.len() <= limit {
            got.sort();
            expected.sort();
            prop_assert_eq!(got, expected);
        } else {
            for entry in &got {
                let at = expected.iter().position(|known| known == entry);
                prop_assert!(at.is_some(), "{:?} is no tenant's", entry);
                expected.remove(at.unwrap());
            }
        }
    }

    #[test]
    fn metric_queries_of_several_tenants_are_the_union(
        a in chunks(15 * SECOND / 2, -1..=1), b in chunks(TICK, 0..=0), selector in 0usize..3, stages in prop::collection::vec(0usize..8, 0..2),
        which in 0usize..SEPARATE.len(), step in prop::sample::select(vec![1i64, 2, 60]), instant: bool,
    ) {
        let tenants = [("t1", a.clone()), ("t2", with_own_label(b)), ("t3", a)];
        let evaluation = if instant { Evaluation::Instant { at: Timestamp(6 * SECOND) } } else { Evaluation::Range { start: Timestamp(0), end: Timestamp(120 * SECOND), step_ns: step * SECOND } };
        let (of_all, of_one) = SEPARATE[which];
        let log = log_text(selector, &stages);
        let one = spec(&of_one.replace("LOG", &log), evaluation);
        let (_, each) = block_on(answers(&tenants, &one));
        let mut expected: BTreeMap<String, Vec<(i64, f64)>> = BTreeMap::new();
        for (tenant, answer) in &each {
            expected.extend(plain(answer).into_iter().map(|(labels, samples)| (of_tenant(&labels, tenant), samples)));
        }
        let (all, _) = block_on(answers(&tenants, &spec(&of_all.replace("LOG", &log), evaluation)));
        assert_close(&plain(&all).into_iter().collect::<Vec<_>>(), &expected.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn aggregations_take_the_series_of_all_tenants(
        a in chunks(15 * SECOND / 2, -1..=1), b in chunks(TICK, 0..=0), selector in 0usize..3, stages in prop::collection::vec(0usize..8, 0..2),
        which in 0usize..TOGETHER.len(), step in prop::sample::select(vec![1i64, 60]),
    ) {
        let tenants = [("t1", a.clone()), ("t2", b), ("t3", a)];
        let evaluation = Evaluation::Range { start: Timestamp(0), end: Timestamp(120 * SECOND), step_ns: step * SECOND };
        let (text, together) = TOGETHER[which];
        let (all, each) = block_on(answers(&tenants, &spec(&text.replace("LOG", &log_text(selector, &stages)), evaluation)));
        let mut expected: BTreeMap<String, BTreeMap<i64, f64>> = BTreeMap::new();
        for (labels, samples) in each.iter().flat_map(|(_, answer)| plain(answer)) {
            let series = expected.entry(labels).or_default();
            for (at, value) in samples {
                series.entry(at).and_modify(|known| *known = together(*known, value)).or_insert(value);
            }
        }
        let expected: Vec<(String, Vec<(i64, f64)>)> = expected.into_iter().map(|(labels, samples)| (labels, samples.into_iter().collect())).collect();
        assert_close(&plain(&all).into_iter().collect::<Vec<_>>(), &expected);
    }
}

fn row(labels: &'static str, seconds: i64, line: &str) -> Pushed {
    (labels, seconds * SECOND, line.to_owned(), Vec::new())
}

/// Tenant `a` with three rows in two minutes, `b` with two, one of them equal to one of `a`'s.
async fn two_tenants() -> Engine {
    let a = vec![row(r#"{app="x"}"#, 1, "one"), row(r#"{app="x"}"#, 2, "same"), row(r#"{app="x"}"#, 70, "late")];
    let b = vec![row(r#"{app="x"}"#, 2, "same"), row(r#"{app="y"}"#, 3, "three")];
    engine_of(&[("a", &[a]), ("b", &[b])], 2).await
}

async fn lines(query: &str, tenants: &str) -> Vec<(String, i64, String)> {
    let query = spec(query, Evaluation::Range { start: Timestamp(0), end: Timestamp(100 * SECOND), step_ns: SECOND });
    entries(&two_tenants().await.run(&of(&query, tenants)).await.unwrap().0)
}

fn entry(labels: &str, seconds: i64, line: &str) -> (String, i64, String) {
    (labels.to_owned(), seconds * SECOND, line.to_owned())
}

#[tokio::test]
async fn matchers_choose_tenants() {
    let (a, b) = ("__tenant_id__=a,app=x", "__tenant_id__=b,app=x");
    assert_eq!(lines(r#"{app="x"}"#, "b|a").await, [entry(a, 70, "late"), entry(a, 2, "same"), entry(a, 1, "one"), entry(b, 2, "same")]);
    assert_eq!(lines(r#"{app="x", __tenant_id__="b"}"#, "a|b").await, [entry(b, 2, "same")]);
    assert_eq!(lines(r#"{__tenant_id__=~"b|c"}"#, "a|b").await, [entry(b, 2, "same"), entry("__tenant_id__=b,app=y", 3, "three")]);
    assert_eq!(lines(r#"{app="x", __tenant_id__!~"a|b"}"#, "a|b").await, []);
    // A single tenant has no such label, whichever way it is named.
    assert_eq!(lines(r#"{app="y"}"#, "b|b").await, [entry("app=y", 3, "three")]);
    assert_eq!(lines(r#"{app="y", __tenant_id__="b"}"#, "b").await, []);
    // As in Loki the label comes after the pipeline, which therefore neither sees it nor takes it away.
    assert_eq!(lines(r#"{app="y"} | keep nothing | line_format "<{{.__tenant_id__}}>""#, "a|b").await, [entry("__tenant_id__=b", 3, "<>")]);
}

#[tokio::test]
async fn absence_is_that_of_all_tenants_together() {
    let at = Evaluation::Instant { at: Timestamp(80 * SECOND) };
    for (query, absent) in [
        (r#"absent_over_time({app="y"}[2m])"#, None),
        (r#"absent_over_time({app="y", __tenant_id__="a"}[2m])"#, Some(r#"{__tenant_id__="a", app="y"}"#)),
        (r#"absent_over_time({app="z"}[2m])"#, Some(r#"{app="z"}"#)),
        (r#"absent_over_time({app="x", __tenant_id__="c"}[2m])"#, Some(r#"{__tenant_id__="c", app="x"}"#)),
    ] {
        let answer = two_tenants().await.run(&of(&spec(query, at), "a|b")).await.unwrap().0;
        let expected: Vec<(String, Vec<(i64, f64)>)> = absent.map(|labels| (labels.to_owned(), vec![(80_000, 1.0)])).into_iter().collect();
        assert_eq!(samples(&answer), expected, "{query}");
    }
}

/// The counts of manifests are used for each tenant, and are right.
#[tokio::test]
async fn minutes_of_several_tenants_are_counted_without_being_read() {
    let engine = two_tenants().await;
    let at = Evaluation::Instant { at: Timestamp(120 * SECOND) };
    for (query, expected) in [
        ("sum by (__tenant_id__) (count_over_time({app=~`.+`}[2m]))", vec![(r#"{__tenant_id__="a"}"#, 3.0), (r#"{__tenant_id__="b"}"#, 2.0)]),
        ("sum(count_over_time({app=~`.+`}[2m]))", vec![("{}", 5.0)]),
        ("sum by (app) (bytes_over_time({app=~`.+`}[2m]))", vec![(r#"{app="x"}"#, 15.0), (r#"{app="y"}"#, 5.0)]),
    ] {
        let (answer, statistics, _) = engine.run(&of(&spec(query, at), "a|b")).await.unwrap();
        let expected: Vec<(String, Vec<(i64, f64)>)> = expected.into_iter().map(|(labels, value)| (labels.to_owned(), vec![(120_000, value)])).collect();
        assert_eq!(samples(&answer), expected, "{query}");
        assert_eq!((statistics.lines_processed, statistics.lines_counted), (0, 5), "{query}");
    }
}

/// With a limit that the newest rows of one tenant fill, the older rows of the others are not read.
#[tokio::test]
async fn a_limit_stops_the_scans_of_all_tenants() {
    let many = |from: i64| (from..from + 50).map(|at| row(r#"{app="x"}"#, at * 60, "line")).collect::<Vec<_>>();
    let older: Vec<Vec<Pushed>> = (0..30).map(|chunk| many(chunk * 50)).collect();
    let engine = engine_of(&[("a", &[many(1900)]), ("b", &older)], 1).await;
    let mut query = spec(r#"{app="x"}"#, Evaluation::Range { start: Timestamp(0), end: Timestamp(2000 * 60 * SECOND), step_ns: SECOND });
    query.limit = 10;
    let (answer, statistics, _) = engine.run(&of(&query, "a|b")).await.unwrap();
    assert!(entries(&answer).iter().all(|(labels, ..)| labels == "__tenant_id__=a,app=x") && entries(&answer).len() == 10);
    assert!(statistics.chunks_read < 15, "{} of 31", statistics.chunks_read);
}

/// A plan that came as bytes cannot say that one tenant's chunks are another's.
#[tokio::test]
async fn a_shipped_plan_keeps_tenants_apart() {
    let engine = two_tenants().await;
    let query = of(&spec(r#"{app="x"}"#, Evaluation::Range { start: Timestamp(0), end: Timestamp(100 * SECOND), step_ns: SECOND }), "a|b");
    let (text, answer) = shipped(&engine, &query).await;
    assert!(text.contains("TenantLabelExec: a") && text.contains("TenantLabelExec: b") && answer.is_ok(), "{text}");
}
