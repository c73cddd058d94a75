//! Log entries made from a seed, and the rows that a query must return for them.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// 2026-11-01T00:00:00Z in ns: where the entries of most tests begin.
pub const T0: i64 = 1_793_491_200_000_000_000;

/// One second in ns.
pub const SECOND: i64 = 1_000_000_000;

/// A label set.
pub type Labels = BTreeMap<String, String>;

/// A log entry as a client knows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Labels of its stream.
    pub labels: Labels,
    /// Timestamp in ns.
    pub timestamp: i64,
    /// The line.
    pub line: String,
    /// Structured metadata.
    pub metadata: Labels,
}

/// An entry as a query returns it: its stream labels and structured metadata are one set.
///
/// `detected_level` is left out on both sides: whether it is guessed right is the business of other tests.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// Labels of the result's stream, without `detected_level`.
    pub labels: Labels,
    /// Timestamp in ns.
    pub timestamp: i64,
    /// The line.
    pub line: String,
}

/// A label set from pairs.
pub fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

impl Entry {
    /// An entry of the stream `{app=...}` without metadata.
    pub fn of_app(app: &str, timestamp: i64, line: impl Into<String>) -> Self {
        Self { labels: labels(&[("app", app)]), timestamp, line: line.into(), metadata: Labels::new() }
    }

    /// What a query must return for it. All labels of these tests have the name `app`, from which Loki takes the `service_name`.
    pub fn row(&self) -> Row {
        let mut all = self.labels.clone();
        let app = all.get("app").cloned().unwrap_or_else(|| "unknown_service".to_owned());
        all.entry("service_name".to_owned()).or_insert(app);
        all.extend(self.metadata.clone());
        all.remove("detected_level");
        Row { labels: all, timestamp: self.timestamp, line: self.line.clone() }
    }
}

/// Entries spread over `streams` streams, in an order that is not theirs by time. Timestamps start at `start` and are a few ms apart,
/// now and then equal; no two entries are equal.
pub fn entries(seed: u64, streams: usize, count: usize, start: i64) -> Vec<Entry> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut timestamp = start;
    let mut made: Vec<Entry> = (0..count)
        .map(|n| {
            if rng.random_range(0..10) > 0 {
                timestamp += rng.random_range(1..5_000_000);
            }
            // The first entries visit every stream once.
            let stream = if n < streams { n } else { rng.random_range(0..streams.max(1)) };
            Entry { labels: stream_labels(stream), timestamp, line: line(&mut rng, n), metadata: metadata(&mut rng) }
        })
        .collect();
    for n in (1..made.len()).rev() {
        made.swap(n, rng.random_range(0..=n));
    }
    made
}

fn stream_labels(stream: usize) -> Labels {
    let mut set = labels(&[("env", if stream.is_multiple_of(3) { "prod" } else { "test" })]);
    set.insert("app".to_owned(), format!("app-{}", stream % 7));
    set.insert("instance".to_owned(), format!("i-{stream:05}"));
    if stream % 11 == 5 {
        set.insert("path".to_owned(), format!("C:\\logs\\\"{stream}\" ünï"));
    }
    set
}

/// Lines after the manner of public sample logs. `n` makes each one of a test unlike the others.
fn line(rng: &mut StdRng, n: usize) -> String {
    let a = rng.random_range(0..10_000_u32);
    let b = rng.random_range(0..100_u32);
    match n % 8 {
        0 => format!("081109 2036{b:02} {a} INFO dfs.DataNode$PacketResponder: PacketResponder 1 for block blk_{n} terminating"),
        1 => format!("Jun 14 15:16:{b:02} combo sshd(pam_unix)[{a}]: authentication failure; logname= uid=0 rhost=218.188.2.4 n={n}"),
        2 => format!("{{\"level\":\"error\",\"msg\":\"db timeout\",\"status\":{a},\"trace_id\":\"{n:032x}\",\"tags\":[\"a\",\"ü\"]}}"),
        3 => format!("level=warn ts=2026-11-01T00:00:{b:02}Z caller=push.go:{a} msg=\"slow \\\"request\\\"\" n={n}"),
        4 => format!("10.0.{b}.7 - - [01/Nov/2026:00:00:{b:02} +0000] \"GET /orders/{n}?q=%20&x=<y> HTTP/1.1\" 200 {a} \"-\" \"curl/8\""),
        5 => format!("\tat com.example.Shop.buy(Shop.java:{a})\n\tat com.example.Main.main(Main.java:{b}) // {n}"),
        6 => format!("日本語のログ 🦀 {n} e\u{301} \u{202e}{a}"),
        _ => format!("{n}{}", " padding".repeat(b as usize)),
    }
}

fn metadata(rng: &mut StdRng) -> Labels {
    match rng.random_range(0..4) {
        0 => labels(&[("trace_id", &format!("{:032x}", rng.random::<u128>())), ("user", "u \"1\"")]),
        1 => labels(&[("pod", &format!("pod-{}", rng.random_range(0..5)))]),
        _ => Labels::new(),
    }
}

/// Fails unless both hold the same rows the same number of times, and says which differ.
pub fn same_rows(expected: impl IntoIterator<Item = Row>, got: impl IntoIterator<Item = Row>) -> Result<()> {
    let mut difference: BTreeMap<Row, i64> = BTreeMap::new();
    let (mut want, mut have) = (0_u64, 0_u64);
    for row in expected {
        *difference.entry(row).or_default() -= 1;
        want += 1;
    }
    for row in got {
        *difference.entry(row).or_default() += 1;
        have += 1;
    }
    difference.retain(|_, count| *count != 0);
    if difference.is_empty() {
        return Ok(());
    }
    let lost: i64 = difference.values().filter(|count| **count < 0).sum();
    let extra: i64 = difference.values().filter(|count| **count > 0).sum();
    let some: Vec<String> = difference.iter().take(5).map(|(row, count)| format!("{count:+} {row:?}")).collect();
    bail!("{have} rows, {want} expected: {} lost, {extra} too many, for example\n  {}", -lost, some.join("\n  "))
}
