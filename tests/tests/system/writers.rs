//! Many writers whose connections break and who send again: nothing is lost, nothing is doubled.

use std::time::Duration;

use anyhow::{Result, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tests::data::{self, Entry, Row, SECOND, T0};
use tests::push::{self, Body};
use tests::query::{PAGE, Range};
use tests::server::Server;
use tests::store::{Kind, Store};

crate::on_each_store!(nothing_lost_nothing_doubled);

const WRITERS: usize = 64;
const PUSHES: usize = 200;
const ENTRIES: usize = 4;

async fn nothing_lost_nothing_doubled(store: Store) -> Result<()> {
    // A short interval makes many objects, so that copies of a push land in different ones.
    let server = Server::start_with(&store, &[("TARN_INGEST_FLUSH_INTERVAL", "50ms")]).await?;
    // SeaweedFS bears all of it, and is the S3 server that this is promised on.
    let pushes = if store.kind == Kind::Seaweedfs { PUSHES } else { crate::scaled(store.kind, PUSHES) };
    let sent = futures::future::try_join_all((0..WRITERS).map(|writer| write(&server, writer, pushes))).await?.concat();
    ensure!(sent.len() == WRITERS * pushes * ENTRIES);
    check(&server, &sent).await?;
    if store.is_durable() {
        check(&server.restart().await?, &sent).await?;
    }
    Ok(())
}

/// What the entries cost to read is also checked: by lines, and by counts that need no line.
async fn check(server: &Server, sent: &[Entry]) -> Result<()> {
    let rows: Vec<Row> = server.read_all(None, r#"{env=~".+"}"#, Range::DAY, PAGE).await?;
    data::same_rows(sent.iter().map(Entry::row), rows)?;
    let count = server.number(None, r#"sum(count_over_time({env=~".+"}[1d]))"#, Range::DAY.end - 1).await?;
    ensure!(count == sent.len() as f64, "count_over_time says {count}, {} entries were sent", sent.len());
    Ok(())
}

async fn write(server: &Server, writer: usize, pushes: usize) -> Result<Vec<Entry>> {
    let mut rng = StdRng::seed_from_u64(writer as u64);
    let mut sent = Vec::new();
    for n in 0..pushes {
        // Each push has its own second of the day, and four writers share their streams.
        let second = (writer * PUSHES + n) as i64;
        let mut entries = data::entries(rng.random(), 3, ENTRIES, T0 + second * SECOND);
        for entry in &mut entries {
            entry.labels.insert("shard".to_owned(), (writer / 4).to_string());
        }
        let body = if rng.random() { push::json(&entries) } else { push::protobuf(&entries)? };
        deliver(server, &body, &mut rng).await?;
        sent.extend(entries);
    }
    Ok(sent)
}

/// Sends a body until it is acknowledged, as clients do that meet a bad network.
async fn deliver(server: &Server, body: &Body, rng: &mut StdRng) -> Result<()> {
    match rng.random_range(0..20) {
        // The answer is lost, soon or late.
        0..3 => {
            server.push_and_hang_up(body, 1.0).await?;
            tokio::time::sleep(Duration::from_millis(rng.random_range(0..120))).await;
        }
        // The request is cut.
        3..5 => server.push_and_hang_up(body, rng.random()).await?,
        // The client acts as if it had seen no answer.
        5..7 => {
            server.push(None, body).await?;
            tokio::time::sleep(Duration::from_millis(rng.random_range(0..120))).await;
        }
        // A proxy sends it twice.
        7..9 => {
            futures::future::try_join(server.push(None, body), server.push(None, body)).await?;
        }
        _ => {}
    }
    server.push(None, body).await
}
