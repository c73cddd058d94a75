//! A query holds what it is working on, not what it has read: a hundred times the lines take the same memory.

use anyhow::{Result, ensure};
use tests::data::{Entry, SECOND, T0};
use tests::push;
use tests::query::Range;
use tests::server::Server;
use tests::store::Store;

crate::on_each_durable_store!(many_lines_into_one_series);

const FEW: usize = 10_000;
const MANY: usize = 1_000_000;
const A_PUSH: usize = 25_000;
/// What a hundred times as many lines may take beyond the few: footers of more chunks, and batches of full size in flight.
const MORE: u64 = 64 << 20;

async fn many_lines_into_one_series(store: Store) -> Result<()> {
    let many = crate::scaled(store.kind, MANY);
    let server = Server::start(&store).await?;
    for (tenant, lines) in [("few", FEW), ("many", many)] {
        for first in (0..lines).step_by(A_PUSH) {
            // A day holds them all: 86 ms apart.
            let entry = |n: usize| {
                Entry::of_app("a", T0 + n as i64 * SECOND * 86 / 1000, format!("level=info n={n} msg=\"a line like the others\" took={}ms", n % 977))
            };
            let entries: Vec<Entry> = (first..lines.min(first + A_PUSH)).map(entry).collect();
            server.push(Some(tenant), &push::protobuf(&entries)?).await?;
        }
    }
    // Pushing took memory too, so a new process answers.
    let server = server.restart().await?;
    // The first needs no line, the others read, filter, parse and unwrap every one.
    let queries = [
        "sum(count_over_time({app=\"a\"}[1d]))",
        "sum(count_over_time({app=\"a\"} |= \"like\" | logfmt | level=\"info\" [1d]))",
        "sum(count_over_time({app=\"a\"} | logfmt | line_format `{{.n}}` [1d]))",
    ];
    let mut peaks = Vec::new();
    for (tenant, lines) in [("few", FEW), ("many", many)] {
        for query in queries {
            let count = server.number(Some(tenant), query, Range::DAY.end - 1).await?;
            ensure!(count == lines as f64, "{query} counts {count} of {lines} lines");
        }
        let largest = server.number(Some(tenant), "max(max_over_time({app=\"a\"} | logfmt | unwrap n [1d]) by (app))", Range::DAY.end - 1).await?;
        ensure!(largest == (lines - 1) as f64, "the largest of {lines} lines is {largest}");
        peaks.push(server.peak_memory()?);
    }
    let grown = peaks[1].saturating_sub(peaks[0]);
    ensure!(grown <= MORE, "{many} lines took {} MB more than {FEW}", grown >> 20);
    Ok(())
}
