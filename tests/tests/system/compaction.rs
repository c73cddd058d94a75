//! Many writers while two compactors work, and everything is killed again and again: nothing is lost, nothing is doubled, every query meanwhile is complete.
//!
//! How much: `TARN_CHAOS_PUSHES` per writer and `TARN_CHAOS_KILLS` in all; by default what a CI run has time for.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tests::data::{self, Entry, Row, SECOND, T0};
use tests::push::{self, Body};
use tests::query::{PAGE, Range};
use tests::server::{Server, now};
use tests::store::Store;

crate::on_each_durable_store!(killed_while_compacting);

const WRITERS: usize = 64;
const ENTRIES: usize = 4;
/// Seconds of the log's time that belong to one writer.
const WRITER_SECONDS: i64 = 1200;
/// Longest that a writer tries to deliver one push.
const PATIENCE: Duration = Duration::from_secs(120);

/// Compactors that find something to do all the time and delete as soon as no query of this test can still read it.
const COMPACTOR: [(&str, &str); 4] = [("TARN_ROLE", "compactor"), ("TARN_COMPACTOR_INTERVAL", "200ms"), ("TARN_COMPACTOR_GRACE", "10s"), ("TARN_LOG", "warn")];

fn setting(name: &str, default: usize) -> Result<usize> {
    std::env::var(name).map_or(Ok(default), |text| text.parse().with_context(|| format!("{name}={text} should be a number")))
}

/// A server that may be replaced by its next incarnation at any moment.
struct Replaceable {
    url: RwLock<String>,
    server: tokio::sync::Mutex<Option<Server>>,
}

impl Replaceable {
    fn new(server: Server) -> Arc<Self> {
        Arc::new(Self { url: RwLock::new(server.url.clone()), server: tokio::sync::Mutex::new(Some(server)) })
    }

    fn url(&self) -> String {
        self.url.read().unwrap().clone()
    }

    /// Kills the process and starts another.
    async fn replace(&self) -> Result<()> {
        let mut place = self.server.lock().await;
        let next = place.take().context("a server that is gone")?.restart().await?;
        *self.url.write().unwrap() = next.url.clone();
        *place = Some(next);
        Ok(())
    }
}

/// What each writer has been told is stored.
type Acknowledged = Arc<Mutex<Vec<Vec<Entry>>>>;

#[expect(clippy::print_stdout, reason = "how much of it happened is worth knowing")]
async fn killed_while_compacting(store: Store) -> Result<()> {
    // Requests to S3 take milliseconds.
    let (pushes, kills) = if store.folder().is_some() { (24, 12) } else { (12, 8) };
    let (pushes, kills) = (setting("TARN_CHAOS_PUSHES", pushes)?, setting("TARN_CHAOS_KILLS", kills)?);
    let ingest = Replaceable::new(
        Server::start_with(&store, &[("TARN_ROLE", "ingest"), ("TARN_INGEST_FLUSH_INTERVAL", "50ms"), ("TARN_COMPACTOR_ENABLED", "false")]).await?,
    );
    let compactors = [Replaceable::new(Server::start_with(&store, &COMPACTOR).await?), Replaceable::new(Server::start_with(&store, &COMPACTOR).await?)];
    let query = Arc::new(Server::start_with(&store, &[("TARN_ROLE", "query"), ("TARN_COMPACTOR_ENABLED", "false")]).await?);
    let acknowledged: Acknowledged = Arc::new(Mutex::new(vec![Vec::new(); WRITERS]));
    let (done, queries) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));

    let readers: Vec<_> =
        (0..2).map(|n| tokio::spawn(read(Arc::clone(&query), Arc::clone(&acknowledged), Arc::clone(&done), Arc::clone(&queries), n))).collect();
    let killer = tokio::spawn(kill([Arc::clone(&ingest), Arc::clone(&compactors[0]), Arc::clone(&compactors[1])], kills, Arc::clone(&done)));
    let writers: Vec<_> = (0..WRITERS).map(|writer| tokio::spawn(write(Arc::clone(&ingest), Arc::clone(&acknowledged), writer, pushes))).collect();
    for writer in writers {
        writer.await??;
    }
    let killed = killer.await??;
    done.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await??;
    }
    let queries = queries.load(Ordering::Relaxed);
    println!("{} pushes by {WRITERS} writers, {killed} kills, {queries} queries meanwhile", WRITERS * pushes);
    ensure!(killed == kills, "{killed} of {kills} kills happened");
    ensure!(queries > 0, "no query was asked meanwhile");

    let sent: Vec<Entry> = acknowledged.lock().unwrap().concat();
    ensure!(sent.len() == WRITERS * pushes * ENTRIES);
    check_all(&query, &sent).await?;
    // What level 0 is left is compacted, what was replaced is deleted, and the answer is the same.
    let started = now();
    loop {
        let left = level0_left(&compactors[0]).await?;
        if left == Some(0) {
            break;
        }
        ensure!(started.elapsed() < Duration::from_secs(120), "{left:?} level-0 chunks are left after two minutes");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    check_all(&query, &sent).await
}

/// The backlog that the last whole run of a compactor saw.
async fn level0_left(compactor: &Replaceable) -> Result<Option<u64>> {
    let place = compactor.server.lock().await;
    let metrics = place.as_ref().context("a server that is gone")?.metrics().await?;
    let runs = metrics.sum("tarn_compactor_runs_total", &["result=\"ok\""]);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
    Ok((runs > 0.0).then(|| metrics.sum("tarn_compactor_level0_backlog", &[]) as u64))
}

async fn check_all(server: &Server, sent: &[Entry]) -> Result<()> {
    let rows = server.read_all(None, r#"{env=~".+"}"#, Range::DAY, PAGE).await?;
    data::same_rows(sent.iter().map(Entry::row), rows)?;
    let count = server.number(None, r#"sum(count_over_time({env=~".+"}[1d]))"#, Range::DAY.end - 1).await?;
    #[expect(clippy::cast_precision_loss, reason = "a small count")]
    let wanted = sent.len() as f64;
    ensure!(count == wanted, "count_over_time says {count}, {wanted} entries were sent");
    Ok(())
}

/// Kills one of the servers after the other, at random moments.
async fn kill(servers: [Arc<Replaceable>; 3], kills: usize, done: Arc<AtomicBool>) -> Result<usize> {
    let mut rng = StdRng::seed_from_u64(21);
    let mut killed = 0;
    while killed < kills && !done.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(rng.random_range(50..700))).await;
        servers[rng.random_range(0..servers.len())].replace().await?;
        killed += 1;
    }
    Ok(killed)
}

fn range_of(writer: usize) -> Range {
    let start = T0 + i64::try_from(writer).unwrap_or(0) * WRITER_SECONDS * SECOND;
    Range { start, end: start + WRITER_SECONDS * SECOND }
}

async fn write(ingest: Arc<Replaceable>, acknowledged: Acknowledged, writer: usize, pushes: usize) -> Result<()> {
    let mut rng = StdRng::seed_from_u64(writer as u64);
    let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build()?;
    for n in 0..pushes {
        let start = range_of(writer).start + i64::try_from(n)? * SECOND;
        let mut entries = data::entries(rng.random(), 3, ENTRIES, start);
        for entry in &mut entries {
            entry.labels.insert("shard".to_owned(), (writer / 4).to_string());
        }
        let body = if rng.random() { push::json(&entries) } else { push::protobuf(&entries)? };
        deliver(&http, &ingest, &body).await?;
        acknowledged.lock().unwrap()[writer].extend(entries);
        // Now and then a client repeats what was acknowledged long ago.
        if rng.random_range(0..10) == 0 {
            deliver(&http, &ingest, &body).await?;
        }
    }
    Ok(())
}

/// Sends until it is acknowledged, as agents do: again after 5xx and broken connections.
async fn deliver(http: &reqwest::Client, ingest: &Replaceable, body: &Body) -> Result<()> {
    let started = now();
    loop {
        let request = http.post(format!("{}/loki/api/v1/push", ingest.url())).header("Content-Type", body.content_type).body(body.bytes.clone());
        match request.send().await {
            Ok(answer) if answer.status().as_u16() == 204 => return Ok(()),
            Ok(answer) if answer.status().is_client_error() => bail!("a push was refused: {}", answer.text().await?),
            Ok(_) | Err(_) => {}
        }
        ensure!(started.elapsed() < PATIENCE, "a push was not acknowledged in {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Asks for what one writer wrote: everything that was acknowledged before the question must be in the answer, once.
async fn read(query: Arc<Server>, acknowledged: Acknowledged, done: Arc<AtomicBool>, asked: Arc<AtomicUsize>, seed: u64) -> Result<()> {
    let mut rng = StdRng::seed_from_u64(seed);
    while !done.load(Ordering::Relaxed) {
        let writer = rng.random_range(0..WRITERS);
        let before: Vec<Row> = acknowledged.lock().unwrap()[writer].iter().map(Entry::row).collect();
        let mut found: BTreeMap<Row, usize> = BTreeMap::new();
        for row in query.read_all(None, r#"{env=~".+"}"#, range_of(writer), PAGE).await? {
            *found.entry(row).or_default() += 1;
        }
        if let Some((row, count)) = found.iter().find(|(_, count)| **count > 1) {
            bail!("an answer has a row {count} times: {row:?}");
        }
        let missing = before.iter().filter(|row| !found.contains_key(row)).count();
        ensure!(missing == 0, "an answer lacks {missing} of {} acknowledged rows of writer {writer}", before.len());
        asked.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
