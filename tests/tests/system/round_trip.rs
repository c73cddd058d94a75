//! What is pushed comes back: every entry once, under its labels, in order, by pages, and as counted.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use tests::data::{self, Entry, Labels, Row, T0};
use tests::push;
use tests::query::{PAGE, Range};
use tests::server::Server;
use tests::store::Store;

crate::on_each_store!(entries_come_back_by_pages);
crate::on_each_store!(order_and_limit);
crate::on_each_store!(labels_and_series);
crate::on_each_store!(counts_agree);

const STREAMS: usize = 300;
const ENTRIES: usize = 20_000;

async fn pushed(store: &Store) -> Result<(Server, Vec<Entry>)> {
    let server = Server::start(store).await?;
    let entries = data::entries(1, STREAMS, ENTRIES, T0);
    // All at once, so that pushes share objects, in both encodings.
    let mut pushes = Vec::new();
    for (n, part) in entries.chunks(1000).enumerate() {
        pushes.push(if n % 2 == 0 { push::protobuf(part)? } else { push::json(part) });
    }
    futures::future::try_join_all(pushes.iter().map(|body| server.push(None, body))).await?;
    Ok((server, entries))
}

async fn entries_come_back_by_pages(store: Store) -> Result<()> {
    let (mut server, entries) = pushed(&store).await?;
    let expected: Vec<Row> = entries.iter().map(Entry::row).collect();
    for page in [PAGE, 777] {
        let got = server.read_all(None, r#"{env=~".+"}"#, Range::DAY, page).await?;
        data::same_rows(expected.iter().cloned(), got)?;
    }
    if store.is_durable() {
        server = server.restart().await?;
        data::same_rows(expected.iter().cloned(), server.read_all(None, r#"{env=~".+"}"#, Range::DAY, PAGE).await?)?;
    }
    let some = expected.iter().filter(|row| row.labels["app"] == "app-3" && row.line.contains("INFO")).cloned();
    data::same_rows(some, server.read_all(None, r#"{app="app-3"} |= "INFO""#, Range::DAY, PAGE).await?)
}

async fn order_and_limit(store: Store) -> Result<()> {
    let (server, entries) = pushed(&store).await?;
    let mut times: Vec<i64> = entries.iter().map(|entry| entry.timestamp).collect();
    times.sort_unstable();
    for limit in [1, 100, 1000] {
        for direction in ["forward", "backward"] {
            let rows = server.query_range(None, r#"{env=~".+"}"#, Range::DAY, limit, direction).await?;
            let mut got: Vec<i64> = rows.iter().map(|row| row.timestamp).collect();
            got.sort_unstable();
            let expected = if direction == "forward" { &times[..limit] } else { &times[times.len() - limit..] };
            ensure!(got == expected, "{limit} {direction}: not the {limit} entries at that end");
            // Inside each stream the entries stand in the direction that was asked for.
            for pair in rows.windows(2).filter(|pair| pair[0].labels == pair[1].labels) {
                let ordered = if direction == "forward" { pair[0].timestamp <= pair[1].timestamp } else { pair[0].timestamp >= pair[1].timestamp };
                ensure!(ordered, "{limit} {direction}: {pair:?}");
            }
        }
    }
    // The start is in the range, the end is not.
    let (first, last) = (times[0], times[times.len() - 1]);
    let inner = server.read_all(None, r#"{env=~".+"}"#, Range { start: first, end: last }, PAGE).await?;
    ensure!(inner.len() == times.iter().filter(|t| **t < last).count(), "{} entries before the last timestamp", inner.len());
    Ok(())
}

async fn labels_and_series(store: Store) -> Result<()> {
    let (server, entries) = pushed(&store).await?;
    let streams: BTreeSet<Labels> = entries.iter().map(|entry| Entry { metadata: Labels::new(), ..entry.clone() }.row().labels).collect();
    ensure!(streams.len() == STREAMS);

    let names: BTreeSet<String> = streams.iter().flat_map(|labels| labels.keys().cloned()).collect();
    ensure!(server.strings(None, "/loki/api/v1/labels", Range::DAY).await? == Vec::from_iter(names.clone()), "label names");
    for name in &names {
        let expected: BTreeSet<String> = streams.iter().filter_map(|labels| labels.get(name).cloned()).collect();
        let got = server.strings(None, &format!("/loki/api/v1/label/{name}/values"), Range::DAY).await?;
        ensure!(got == Vec::from_iter(expected), "values of {name}: {got:?}");
    }
    let got = server.series(None, r#"{env="prod", app!="app-1"}"#, Range::DAY).await?;
    let expected: BTreeSet<Labels> = streams.into_iter().filter(|labels| labels["env"] == "prod" && labels["app"] != "app-1").collect();
    ensure!(got.len() == expected.len() && BTreeSet::from_iter(got) == expected, "series");
    let before = Range { start: T0 - 20 * data::SECOND, end: T0 - 10 * data::SECOND };
    ensure!(server.series(None, r#"{env=~".+"}"#, before).await?.is_empty(), "series before the first entry");
    Ok(())
}

async fn counts_agree(store: Store) -> Result<()> {
    let (server, entries) = pushed(&store).await?;
    // The window of a range aggregation leaves its start out and its end in: (T0-1ns, T0-1ns+1d].
    let end = Range::DAY.end - 1;
    let count = server.number(None, r#"sum(count_over_time({env=~".+"}[1d]))"#, end).await?;
    ensure!(count == entries.len() as f64, "count_over_time {count}");
    let bytes: usize = entries.iter().map(|entry| entry.line.len()).sum();
    let counted = server.number(None, r#"sum(bytes_over_time({env=~".+"}[1d]))"#, end).await?;
    ensure!(counted == bytes as f64, "bytes_over_time {counted}, lines have {bytes}");
    let errors = entries.iter().filter(|entry| entry.line.contains("timeout")).count();
    let counted = server.number(None, r#"sum(count_over_time({env=~".+"} |= "timeout" [1d]))"#, end).await?;
    ensure!(counted == errors as f64, "filtered count {counted}, expected {errors}");
    Ok(())
}
