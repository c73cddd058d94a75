//! Random data and queries: the answer must be that of a model that looks at every row, with and without the optimizer, on
//! one partition and on several.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use schema::{LabelSet, Timestamp};

use super::tests::{Pushed, SECOND, engine, entries, samples, spec};
use super::*;

/// Rows lie on multiples of this, so that many share an instant or the edge of a window.
pub(super) const TICK: i64 = SECOND / 4;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    labels: BTreeMap<String, String>,
    timestamp: i64,
    line: String,
}

/// What is stored: one row for each distinct one that was pushed.
fn stored(chunks: &[Vec<Pushed>]) -> BTreeSet<Row> {
    let row = |(stream, timestamp, line, metadata): &Pushed| {
        let mut labels: BTreeMap<String, String> = LabelSet::parse(stream).unwrap().iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        labels.extend(metadata.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        Row { labels, timestamp: *timestamp, line: line.clone() }
    };
    chunks.iter().flatten().map(row).collect()
}

/// A stage: its text, and what it does to a row (`None`: dropped).
type Stage = (&'static str, fn(Row) -> Option<Row>);

const STAGES: [Stage; 10] = [
    (r#"|= "ab""#, |row| row.line.contains("ab").then_some(row)),
    (r#"|= "aab" or "bb""#, |row| (row.line.contains("aab") || row.line.contains("bb")).then_some(row)),
    (r#"!= "aa""#, |row| (!row.line.contains("aa")).then_some(row)),
    (r#"|~ "a.b""#, |row| row.line.as_bytes().windows(3).any(|w| w[0] == b'a' && w[2] == b'b').then_some(row)),
    (r#"!~ "^a" or "b$""#, |row| (!row.line.starts_with('a') && !row.line.ends_with('b')).then_some(row)),
    (r#"|> "<_>b""#, |row| (row.line.find('b').is_some_and(|at| at > 0 && at + 1 == row.line.len())).then_some(row)),
    (r#"| trace="t1""#, |row| (row.labels.get("trace").is_some_and(|trace| trace == "t1")).then_some(row)),
    (r#"| trace!="t1""#, |row| (row.labels.get("trace").is_none_or(|trace| trace != "t1")).then_some(row)),
    // The second operand keeps a line filter behind it from being read as a matcher of the first.
    (r#"| drop trace, pod="never""#, |mut row| {
        row.labels.remove("trace");
        Some(row)
    }),
    (r#"| line_format "a{{.app}}b""#, |mut row| {
        row.line = format!("a{}b", row.labels.get("app").cloned().unwrap_or_default());
        Some(row)
    }),
];

/// A selector: its text, and which `app` it takes.
type Selector = (&'static str, fn(&str) -> bool);

const SELECTORS: [Selector; 3] = [(r#"{app=~".+"}"#, |_| true), (r#"{app="x"}"#, |app| app == "x"), (r#"{app!="x", app!=""}"#, |app| app != "x")];

fn passed(rows: &BTreeSet<Row>, selector: usize, stages: &[usize]) -> Vec<Row> {
    let selected = rows.iter().filter(|row| SELECTORS[selector].1(&row.labels["app"])).cloned();
    selected.filter_map(|row| stages.iter().try_fold(row, |row, stage| STAGES[*stage].1(row))).collect()
}

pub(super) fn log_text(selector: usize, stages: &[usize]) -> String {
    let stages: Vec<&str> = stages.iter().map(|stage| STAGES[*stage].0).collect();
    format!("{} {}", SELECTORS[selector].0, stages.join(" "))
}

/// Rows on multiples of `tick`, moved by some nanoseconds of `beside`.
pub(super) fn chunks(tick: i64, beside: std::ops::RangeInclusive<i64>) -> impl Strategy<Value = Vec<Vec<Pushed>>> {
    let stream = prop::sample::select(vec![r#"{app="x"}"#, r#"{app="x", pod="1"}"#, r#"{app="y"}"#]);
    let metadata = prop::sample::select(vec![vec![], vec![("trace", "t1".to_owned())], vec![("trace", "t2".to_owned())]]);
    let row = (stream, 0i64..48, beside, "[ab]{0,5}", metadata);
    let row = row.prop_map(move |(stream, at, beside, line, metadata)| (stream, at * tick + beside, line, metadata));
    let chunk = prop::collection::vec(row, 0..24);
    (prop::collection::vec(chunk, 1..5), prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..8)).prop_map(
        |(mut chunks, copies)| {
            // Some rows are pushed twice, as after a retry.
            for (from, to) in copies {
                let (from, to) = (from.index(chunks.len()), to.index(chunks.len()));
                let copy = chunks[from].first().cloned();
                chunks[to].extend(copy);
            }
            chunks
        },
    )
}

/// The answers of all variants of the engine; they must be equal.
fn answer(chunks: &[Vec<Pushed>], spec: &QuerySpec) -> QueryResult {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let one = engine(chunks, 1).await;
        let many = one.clone().with_partitions(3);
        let mut plain = one.clone();
        plain.optimize = false;
        let answer = many.run(spec).await.unwrap().0;
        assert_eq!(answer, one.run(spec).await.unwrap().0, "one partition");
        let unoptimized = plain.run(spec).await.unwrap().0;
        match (&answer, &unoptimized) {
            (QueryResult::Streams(_), _) => assert_eq!(answer, unoptimized, "without the optimizer"),
            _ => assert_close(&samples(&answer), &samples(&unoptimized)),
        }
        answer
    })
}

pub(super) fn assert_close(a: &[(String, Vec<(i64, f64)>)], b: &[(String, Vec<(i64, f64)>)]) {
    let shape =
        |series: &[(String, Vec<(i64, f64)>)]| series.iter().map(|(l, s)| (l.clone(), s.iter().map(|(t, _)| *t).collect::<Vec<_>>())).collect::<Vec<_>>();
    assert_eq!(shape(a), shape(b));
    for ((labels, a), (_, b)) in a.iter().zip(b) {
        for ((time, a), (_, b)) in a.iter().zip(b) {
            assert!((a - b).abs() <= 1e-9 * a.abs().max(1.0), "{labels} at {time}: {a} and {b}");
        }
    }
}

fn text(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(",")
}

proptest! {
    #[test]
    fn log_queries(
        chunks in chunks(TICK, 0..=0), selector in 0usize..3, stages in prop::collection::vec(0usize..STAGES.len(), 0..4),
        start in 0i64..40, length in 1i64..48, limit in prop::sample::select(vec![1usize, 3, 10, 1000]), forward: bool,
    ) {
        let (start, end) = (start * TICK, (start + length) * TICK);
        let mut query = spec(&log_text(selector, &stages), Evaluation::Range { start: Timestamp(start), end: Timestamp(end), step_ns: SECOND });
        (query.limit, query.direction) = (limit, if forward { Direction::Forward } else { Direction::Backward });
        let got = entries(&answer(&chunks, &query));
        let in_time: BTreeSet<Row> = stored(&chunks).into_iter().filter(|row| start <= row.timestamp && row.timestamp < end).collect();
        let mut expected: Vec<(String, i64, String)> = passed(&in_time, selector, &stages).into_iter().map(|row| (text(&row.labels), row.timestamp, row.line)).collect();
        expected.sort_by_key(|(_, timestamp, _)| if forward { *timestamp } else { -timestamp });
        let times = |entries: &[(String, i64, String)]| { let mut t: Vec<i64> = entries.iter().map(|e| e.1).collect(); t.sort_unstable(); t };
        // Which of the rows at the last instant are cut off is not the model's to say.
        prop_assert_eq!(times(&got), times(&expected[..expected.len().min(limit)]));
        let (mut all, mut left) = (got.clone(), expected.clone());
        if expected.len() <= limit {
            all.sort();
            left.sort();
            prop_assert_eq!(all, left);
        } else {
            for entry in &got {
                let at = left.iter().position(|known| known == entry);
                prop_assert!(at.is_some(), "{:?} is no row", entry);
                left.remove(at.unwrap());
            }
        }
        for pair in got.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
            let (earlier, later) = if forward { (pair[0].1, pair[1].1) } else { (pair[1].1, pair[0].1) };
            prop_assert!(earlier <= later);
        }
    }

    #[test]
    fn metric_queries(
        chunks in chunks(TICK, 0..=0), selector in 0usize..3, stages in prop::collection::vec(0usize..STAGES.len(), 0..3),
        op in 0usize..4, range in 1i64..5, offset in -2i64..3, start in 0i64..12, length in 0i64..12, step in 1i64..4, outer in 0usize..WRAPS.len(), instant: bool,
    ) {
        let (start, step) = (start * SECOND, step * SECOND);
        let evaluation = if instant { Evaluation::Instant { at: Timestamp(start) } } else { Evaluation::Range { start: Timestamp(start), end: Timestamp(start + length * SECOND), step_ns: step } };
        let metric = Metric { selector, stages, op, range: range * SECOND, offset: offset * SECOND, outer, evaluation };
        assert_close(&samples(&answer(&chunks, &metric.query())), &metric.expected(&stored(&chunks)));
    }

    /// Minutes are counted without being read where no window begins or ends inside: rows and windows lie on whole minutes, just
    /// beside them and in between.
    #[test]
    fn metric_queries_over_minutes(
        chunks in chunks(15 * SECOND / 2, -1..=1), selector in 0usize..3, stages in prop::collection::vec(0usize..STAGES.len(), 0..2), op in 0usize..4,
        unit in prop::sample::select(vec![15i64, 20, 30, 60]), range in 1i64..6, offset in -2i64..3, start in 0i64..14, length in 0i64..14, step in 1i64..4,
        shift in -1i64..=1, outer in prop::sample::select(vec![1usize, 2, 7, 8, 0, 3]), instant: bool,
    ) {
        let unit = unit * SECOND;
        let (start, end) = (Timestamp(start * unit + shift), Timestamp((start + length) * unit));
        let evaluation = if instant { Evaluation::Instant { at: start } } else { Evaluation::Range { start, end, step_ns: step * unit } };
        let metric = Metric { selector, stages, op, range: range * unit, offset: offset * unit, outer, evaluation };
        assert_close(&samples(&answer(&chunks, &metric.query())), &metric.expected(&stored(&chunks)));
    }
}

/// A vector aggregation: its text, and the labels that are left of a series.
type Wrap = (&'static str, Option<&'static [&'static str]>);

const WRAPS: [Wrap; 9] = [
    ("", None),
    ("sum by (app)", Some(&["app"])),
    ("sum", Some(&[])),
    ("sum without (trace)", Some(&["app", "pod"])),
    ("max by (trace)", Some(&["trace"])),
    ("avg by (app, nope)", Some(&["app"])),
    ("count", Some(&[])),
    ("sum by (pod)", Some(&["pod"])),
    ("sum by (trace, app)", Some(&["app", "trace"])),
];

/// A metric query; times in nanoseconds.
#[derive(Debug)]
struct Metric {
    selector: usize,
    stages: Vec<usize>,
    op: usize,
    range: i64,
    offset: i64,
    outer: usize,
    evaluation: Evaluation,
}

impl Metric {
    fn query(&self) -> QuerySpec {
        let name = ["count_over_time", "rate", "bytes_over_time", "bytes_rate"][self.op];
        let (range, offset) = (self.range / 1_000_000, self.offset / 1_000_000);
        let inner = format!("{name}({} [{range}ms] offset {offset}ms)", log_text(self.selector, &self.stages));
        let wrap = WRAPS[self.outer].0;
        spec(&if wrap.is_empty() { inner } else { format!("{wrap}({inner})") }, self.evaluation)
    }

    fn times(&self) -> Vec<i64> {
        match self.evaluation {
            Evaluation::Instant { at } => vec![at.0],
            Evaluation::Range { start, end, step_ns } => {
                let first = start.0.div_euclid(step_ns);
                let last = (end.0 + step_ns - 1).div_euclid(step_ns).max(first);
                (first..=last).map(|k| k * step_ns).collect()
            }
        }
    }

    fn expected(&self, rows: &BTreeSet<Row>) -> Vec<(String, Vec<(i64, f64)>)> {
        let (range, offset, by) = (self.range, self.offset, WRAPS[self.outer].1);
        let rows = passed(rows, self.selector, &self.stages);
        let mut expected: BTreeMap<LabelSet, Vec<(i64, f64)>> = BTreeMap::new();
        for t in self.times() {
            let mut series: BTreeMap<BTreeMap<String, String>, f64> = BTreeMap::new();
            for row in rows.iter().filter(|row| t - offset - range < row.timestamp && row.timestamp <= t - offset) {
                let weight = if self.op < 2 { 1.0 } else { row.line.len() as f64 };
                *series.entry(row.labels.clone()).or_default() += if self.op.is_multiple_of(2) { weight } else { weight / (range as f64 / 1e9) };
            }
            let mut groups: BTreeMap<BTreeMap<String, String>, Vec<f64>> = BTreeMap::new();
            for (labels, value) in series {
                let kept = labels.into_iter().filter(|(name, _)| by.is_none_or(|by| by.contains(&name.as_str()))).collect();
                groups.entry(kept).or_default().push(value);
            }
            for (labels, values) in groups {
                let sum: f64 = values.iter().sum();
                let value = match WRAPS[self.outer].0.split(' ').next() {
                    Some("max") => values.iter().copied().fold(f64::MIN, f64::max),
                    Some("avg") => sum / values.len() as f64,
                    Some("count") => values.len() as f64,
                    _ => sum,
                };
                expected.entry(LabelSet::from_pairs(labels).unwrap()).or_default().push((t.div_euclid(1_000_000), value));
            }
        }
        expected.into_iter().map(|(labels, samples)| (labels.to_string(), samples)).collect()
    }
}
