//! A push costs exactly one PUT and no other request to the store, however many streams it has.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use tests::data::{self, T0};
use tests::push;
use tests::server::Server;
use tests::store::Store;

crate::on_each_store!(one_put_per_push);

async fn one_put_per_push(store: Store) -> Result<()> {
    // A compactor makes requests of its own.
    let server = Server::start_with(&store, &[("TARN_COMPACTOR_ENABLED", "false")]).await?;
    for (n, streams) in [1, 10, 500].into_iter().enumerate() {
        // Over several days, so that neither hours nor days split it.
        let mut entries = data::entries(n as u64, streams, streams.max(20), T0);
        for (day, entry) in entries.iter_mut().enumerate() {
            entry.timestamp += (day as i64 % 3) * 86_400 * data::SECOND;
        }
        let body = push::protobuf(&entries)?;
        let before = server.metrics().await?;
        server.push(None, &body).await?;
        let requests = server.metrics().await?.store_requests_since(&before);
        let puts: f64 = requests.iter().filter(|(labels, _)| labels.contains("op=\"put\"")).map(|(_, count)| count).sum();
        let all: f64 = requests.values().sum();
        ensure!(puts == 1.0 && all == 1.0, "{streams} streams cost {requests:?}");

        // A client that did not see the answer sends the same again: stored once, and no more than the PUT and one question about it.
        let before = server.metrics().await?;
        server.push(None, &body).await?;
        let requests: BTreeMap<String, f64> = server.metrics().await?.store_requests_since(&before);
        ensure!(requests.values().sum::<f64>() <= 2.0, "sending it again cost {requests:?}");
    }
    Ok(())
}
