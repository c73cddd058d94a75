//! A tenant with very many streams in a day: pushed, asked and compacted in bounded memory, and every answer is the same afterwards.

use anyhow::{Result, ensure};
use tests::data::{Entry, SECOND, T0};
use tests::metrics::Metrics;
use tests::push;
use tests::query::Range;
use tests::server::{Server, now};
use tests::store::Store;

crate::on_each_durable_store!(a_hundred_thousand_streams);

const STREAMS: usize = 100_000;
const LINES_OF_EACH: usize = 2;
const A_PUSH: usize = 5_000;
/// What one process may take that pushes, answers and compacts them.
const MEMORY: u64 = 512 << 20;

async fn a_hundred_thousand_streams(store: Store) -> Result<()> {
    let streams = crate::scaled(store.kind, STREAMS);
    let compacts = [("TARN_COMPACTOR_INTERVAL", "500ms"), ("TARN_COMPACTOR_GRACE", "2s")];
    let quiet = [("TARN_COMPACTOR_ENABLED", "false")];
    let server = Server::start_with(&store, &quiet).await?;
    let entry = |n: usize| {
        let labels = [("app", format!("app-{}", n % 50)), ("pod", format!("pod-{:06}", n % streams)), ("service_name", format!("service-{}", n % 50))];
        Entry {
            labels: labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            timestamp: T0 + n as i64 * SECOND / 4,
            line: format!("line {n} of a pod"),
            metadata: std::collections::BTreeMap::new(),
        }
    };
    for first in (0..streams * LINES_OF_EACH).step_by(A_PUSH) {
        let entries: Vec<Entry> = (first..(streams * LINES_OF_EACH).min(first + A_PUSH)).map(entry).collect();
        server.push(None, &push::protobuf(&entries)?).await?;
    }
    let pushed = server.peak_memory()?;
    check(&server, streams).await?;
    let asked = server.peak_memory()?;
    drop(server);

    let server = Server::start_with(&store, &compacts).await?;
    let started = now();
    while !settled(&server.metrics().await?) {
        ensure!(started.elapsed().as_secs() < 200, "level-0 chunks are left after 200 s");
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    let compacted = server.peak_memory()?;
    check(&server, streams).await?;
    let peaks = [pushed, asked, compacted, server.peak_memory()?];
    ensure!(peaks.iter().all(|peak| *peak < MEMORY), "peaks in bytes when pushed, asked, compacted, asked again: {peaks:?}");
    Ok(())
}

fn settled(metrics: &Metrics) -> bool {
    metrics.sum("tarn_compactor_runs_total", &["result=\"ok\""]) > 0.0 && metrics.sum("tarn_compactor_level0_backlog", &[]) == 0.0
}

/// Every way to ask for many streams and for one.
async fn check(server: &Server, streams: usize) -> Result<()> {
    let end = Range::DAY.end - 1;
    let all = server.number(None, r#"sum(count_over_time({app=~".+"}[1d]))"#, end).await?;
    ensure!(all == (streams * LINES_OF_EACH) as f64, "{all} lines of {streams} streams");
    let filtered = server.number(None, r#"sum(count_over_time({app=~"app-1.*"} |= "of a pod" [1d]))"#, end).await?;
    // Of 0 to 49, eleven begin with a 1: 1 and 10 to 19.
    ensure!(filtered == (streams / 50 * 11 * LINES_OF_EACH) as f64, "{filtered} lines of eleven apps of {streams} streams");
    let one = server.query_range(None, r#"{pod="pod-000077"}"#, Range::DAY, 100, "forward").await?;
    let lines: Vec<&str> = one.iter().map(|row| row.line.as_str()).collect();
    let expected: Vec<String> = (0..LINES_OF_EACH).map(|n| format!("line {} of a pod", 77 + n * streams)).collect();
    ensure!(lines == expected, "lines of one pod: {lines:?}");
    let pods = server.strings(None, "/loki/api/v1/label/pod/values", Range::DAY).await?;
    ensure!(pods.len() == streams && pods.first().is_some_and(|pod| pod == "pod-000000"), "{} values of a label, {streams} expected", pods.len());
    let names = server.strings(None, "/loki/api/v1/labels", Range::DAY).await?;
    ensure!(names == ["app", "pod", "service_name"], "label names {names:?}");
    let series = server.series(None, r#"{app="app-7"}"#, Range::DAY).await?;
    ensure!(series.len() == streams / 50, "{} series of one app", series.len());
    Ok(())
}
