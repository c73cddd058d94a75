//! SIGTERM under load: the process flushes, answers, ends in time, and loses nothing that it acknowledged.

use std::time::Duration;

use anyhow::{Result, ensure};
use tests::data::{self, Entry, Row, SECOND, T0};
use tests::push;
use tests::query::{PAGE, Range};
use tests::server::Server;
use tests::store::Store;

crate::on_each_durable_store!(terminated_under_load);

const PUSHERS: i64 = 32;
/// How long a stop may take.
const LIMIT: Duration = Duration::from_secs(10);

async fn terminated_under_load(store: Store) -> Result<()> {
    let mut server = Server::start(&store).await?;
    let mut pushers = tokio::task::JoinSet::new();
    for pusher in 0..PUSHERS {
        let (http, url) = (server.http.clone(), server.url.clone());
        pushers.spawn(async move {
            let (mut acknowledged, mut unknown) = (Vec::new(), Vec::new());
            for n in 0..1000 {
                let entries = data::entries((pusher * 1000 + n) as u64, 2, 10, T0 + (pusher * 1000 + n) * SECOND);
                let body = push::json(&entries);
                let answer = http.post(format!("{url}/loki/api/v1/push")).header("Content-Type", body.content_type).body(body.bytes).send().await;
                match answer {
                    Ok(answer) if answer.status().as_u16() == 204 => acknowledged.extend(entries),
                    // Turned away or cut off: the client would send it again elsewhere.
                    _ => {
                        unknown.extend(entries);
                        break;
                    }
                }
            }
            (acknowledged, unknown)
        });
    }
    tokio::time::sleep(Duration::from_millis(1700)).await;
    let (status, took) = server.terminate(LIMIT).await?;
    ensure!(status.success(), "ended with {status} after {took:?}");
    let (mut acknowledged, mut unknown) = (Vec::new(), Vec::new());
    for (a, u) in pushers.join_all().await {
        acknowledged.extend(a);
        unknown.extend(u);
    }
    ensure!(acknowledged.len() >= PUSHERS as usize * 10, "only {} entries were acknowledged", acknowledged.len());

    let server = server.restart().await?;
    let rows = server.read_all(None, r#"{env=~".+"}"#, Range::DAY, PAGE).await?;
    // What got no answer may be stored or not, but it is not counted against the rest.
    let uncertain: std::collections::BTreeSet<Row> = unknown.iter().map(Entry::row).collect();
    data::same_rows(acknowledged.iter().map(Entry::row), rows.into_iter().filter(|row| !uncertain.contains(row)))
}
