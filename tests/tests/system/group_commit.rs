//! Pushes that arrive together share an object, and none is acknowledged before that object is stored.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use tests::data::{self, Entry, Row, SECOND, T0};
use tests::push;
use tests::query::{PAGE, Range};
use tests::server::{Server, now};
use tests::store::Store;

crate::on_each_store!(many_pushers_few_puts);
crate::on_each_store!(acknowledged_after_the_put);

const PUSHERS: usize = 64;
/// The default of `ingest.flush_interval`.
const FLUSH_INTERVAL: Duration = Duration::from_millis(500);
/// The default of `ingest.flush_bytes`.
const FLUSH_BYTES: usize = 8 << 20;

async fn many_pushers_few_puts(store: Store) -> Result<()> {
    // A compactor makes PUTs of its own.
    let server = Server::start_with(&store, &[("TARN_COMPACTOR_ENABLED", "false")]).await?;
    let before = server.metrics().await?;
    let started = now();
    let limit = Duration::from_secs(10);
    let bytes = AtomicUsize::new(0);
    let pushed = futures::future::try_join_all((0..PUSHERS).map(|pusher| {
        let (server, bytes) = (&server, &bytes);
        async move {
            let mut all = Vec::new();
            for round in 0_i64.. {
                if started.elapsed() > limit {
                    break;
                }
                let entries = data::entries((pusher as u64) << 32 | round as u64, 3, 20, T0 + (pusher as i64 * 1000 + round) * SECOND);
                bytes.fetch_add(entries.iter().map(|entry| entry.line.len()).sum(), Ordering::Relaxed);
                server.push(None, &push::protobuf(&entries)?).await?;
                all.extend(entries);
            }
            anyhow::Ok(all)
        }
    }))
    .await?
    .concat();
    let took = started.elapsed();
    let puts = server.metrics().await?.puts() - before.puts();
    let by_time = took.as_secs_f64() / FLUSH_INTERVAL.as_secs_f64() + 1.0;
    let by_size = (bytes.into_inner() / FLUSH_BYTES) as f64;
    ensure!(puts >= 1.0 && puts <= by_time + by_size, "{puts} PUTs in {took:?}, at most {by_time:.0} by time and {by_size} by size were allowed");
    ensure!(pushed.len() >= PUSHERS * 20 * 5, "only {} entries were acknowledged in {took:?}", pushed.len());
    data::same_rows(pushed.iter().map(Entry::row), server.read_all(None, r#"{env=~".+"}"#, Range::DAY, PAGE).await?)
}

/// At the moment of each acknowledgement the entries are in the store: another process that reads the same store finds them. For the
/// store in memory, the same process stands in.
async fn acknowledged_after_the_put(store: Store) -> Result<()> {
    // A compactor makes PUTs of its own.
    let server = Server::start_with(&store, &[("TARN_COMPACTOR_ENABLED", "false")]).await?;
    let reader = if store.is_durable() { Some(Server::start(&store).await?) } else { None };
    let reader = reader.as_ref().unwrap_or(&server);

    let before = server.metrics().await?;
    server.push(None, &push::json(&[Entry::of_app("alone", T0, "one")])).await?;
    let puts = server.metrics().await?.puts() - before.puts();
    ensure!(puts == 1.0, "{puts} PUTs when the only push was acknowledged");

    futures::future::try_join_all((0..16_i64).map(|n| {
        let server = &server;
        async move {
            let entry = Entry::of_app(&format!("pusher-{n}"), T0 + n * SECOND, format!("line of {n}"));
            tokio::time::sleep(Duration::from_millis(n as u64 * 70)).await;
            server.push(None, &push::json(std::slice::from_ref(&entry))).await?;
            let rows: Vec<Row> = reader.read_all(None, &format!("{{app=\"pusher-{n}\"}}"), Range::DAY, PAGE).await?;
            data::same_rows([entry.row()], rows)
        }
    }))
    .await?;
    Ok(())
}
