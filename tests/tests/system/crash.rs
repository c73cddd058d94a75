//! The process is killed at any moment: what was acknowledged is there after the restart, and what the client sends again is there once.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tests::data::{self, Entry, Row, SECOND, T0};
use tests::push::{self, Body};
use tests::query::{PAGE, Range};
use tests::server::Server;
use tests::store::Store;

crate::on_each_durable_store!(killed_after_an_acknowledgement);

const CRASHES: usize = 50;
const PUSHERS: usize = 8;
/// Seconds of the log's time that belong to one run of the server.
const RUN_SECONDS: i64 = 1000;

struct Push {
    entries: Vec<Entry>,
    body: Body,
    acknowledged: bool,
}

async fn killed_after_an_acknowledgement(store: Store) -> Result<()> {
    let mut server = Server::start_with(&store, &[("TARN_INGEST_FLUSH_INTERVAL", "30ms")]).await?;
    let mut rng = StdRng::seed_from_u64(7);
    let mut all = Vec::new();
    for run in 0..crate::scaled(store.kind, CRASHES) as i64 {
        let start = T0 + run * RUN_SECONDS * SECOND;
        let pushes = push_until_killed(&mut server, start, Duration::from_millis(rng.random_range(0..60))).await?;
        server = server.restart().await?;

        let range = Range { start, end: start + RUN_SECONDS * SECOND };
        let mut found: BTreeMap<Row, usize> = BTreeMap::new();
        for row in server.read_all(None, r#"{env=~".+"}"#, range, PAGE).await? {
            *found.entry(row).or_default() += 1;
        }
        ensure!(found.values().all(|count| *count == 1), "run {run}: doubled after the restart");
        ensure!(pushes.iter().any(|push| push.acknowledged), "run {run}: nothing was acknowledged before the kill");
        for push in &pushes {
            let stored = push.entries.iter().filter(|entry| found.contains_key(&entry.row())).count();
            ensure!(stored == push.entries.len() || !push.acknowledged, "run {run}: {stored} of {} acknowledged entries are left", push.entries.len());
            ensure!(stored == 0 || stored == push.entries.len(), "run {run}: {stored} of {} entries of one push are stored", push.entries.len());
        }
        // The client sends again what it saw no answer to, and now and then what it did.
        for push in pushes.iter().filter(|push| !push.acknowledged) {
            server.push(None, &push.body).await?;
        }
        if run % 10 == 0 {
            futures::future::try_join_all(pushes.iter().map(|push| server.push(None, &push.body))).await?;
        }
        let expected: Vec<Row> = pushes.iter().flat_map(|push| push.entries.iter().map(Entry::row)).collect();
        data::same_rows(expected.iter().cloned(), server.read_all(None, r#"{env=~".+"}"#, range, PAGE).await?)?;
        all.extend(expected);
    }
    data::same_rows(all, server.read_all(None, r#"{env=~".+"}"#, Range::DAY, PAGE).await?)
}

/// Pushers run until one is acknowledged and `delay` has passed; then the process is killed under them. Every push that was begun.
async fn push_until_killed(server: &mut Server, start: i64, delay: Duration) -> Result<Vec<Push>> {
    let (acknowledged, mut first) = tokio::sync::mpsc::channel(1);
    let mut pushers = tokio::task::JoinSet::new();
    for pusher in 0..PUSHERS as i64 {
        let (http, url, acknowledged) = (server.http.clone(), server.url.clone(), acknowledged.clone());
        pushers.spawn(async move {
            let mut pushes = Vec::new();
            for n in 0..(RUN_SECONDS / PUSHERS as i64 - 2) {
                let second = pusher * (RUN_SECONDS / PUSHERS as i64) + n;
                let entries = data::entries((start as u64) ^ second as u64, 2, 5, start + second * SECOND);
                let body = push::json(&entries);
                let answer = http.post(format!("{url}/loki/api/v1/push")).header("Content-Type", body.content_type).body(body.bytes.clone()).send().await;
                let done = answer.is_ok_and(|answer| answer.status().as_u16() == 204);
                pushes.push(Push { entries, body, acknowledged: done });
                if !done {
                    break;
                }
                // Only the first counts; the channel being full or closed says that it came.
                let _ = acknowledged.try_send(());
            }
            pushes
        });
    }
    drop(acknowledged);
    first.recv().await;
    tokio::time::sleep(delay).await;
    server.kill()?;
    Ok(pushers.join_all().await.into_iter().flatten().collect())
}
