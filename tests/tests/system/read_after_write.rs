//! What was acknowledged is in the answer to the next query, also while others write and query.

use anyhow::{Result, ensure};
use tests::data::{self, Entry, SECOND, T0};
use tests::push;
use tests::query::{PAGE, Range};
use tests::server::Server;
use tests::store::Store;

crate::on_each_store!(visible_at_once);

const CLIENTS: i64 = 8;
const ROUNDS: usize = 30;

async fn visible_at_once(store: Store) -> Result<()> {
    let server = Server::start_with(&store, &[("TARN_INGEST_FLUSH_INTERVAL", "20ms")]).await?;
    let rounds = crate::scaled(store.kind, ROUNDS) as i64;
    futures::future::try_join_all((0..CLIENTS).map(|client| {
        let server = &server;
        async move {
            let app = format!("client-{client}");
            let query = format!("{{app=\"{app}\"}}");
            let mut written = Vec::new();
            for round in 0..rounds {
                let entry = Entry::of_app(&app, T0 + round * SECOND, format!("round {round}"));
                server.push(None, &push::json(std::slice::from_ref(&entry))).await?;
                written.push(entry);
                data::same_rows(written.iter().map(Entry::row), server.read_all(None, &query, Range::DAY, PAGE).await?)?;
                let count = server.number(None, &format!("sum(count_over_time({query}[1d]))"), Range::DAY.end - 1).await?;
                ensure!(count == written.len() as f64, "count {count} after {} pushes", written.len());
                let values = server.strings(None, "/loki/api/v1/label/app/values", Range::DAY).await?;
                ensure!(values.contains(&app), "label values after the push: {values:?}");
            }
            anyhow::Ok(())
        }
    }))
    .await?;
    Ok(())
}
