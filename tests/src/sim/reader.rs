//! Readers: ask for rows by a snapshot, as queries do, and check every answer. Owns: how rows of chunks become an answer.

use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt as _;
use rand::Rng;
use schema::{MatchOp, Matcher, TenantId, TimeRange, Timestamp};
use store::chunk::{ChunkCache, ChunkColumns, ChunkReader};
use store::object::ObjectClient;
use store::snapshot::{Snapshot, SnapshotChunk};
use store::{ErrorKind, StoreError};

use super::deleter;
use super::model::{Answer, Question};
use super::rows::name_of;
use super::scenario::{a_time, between, mortal, rng};
use super::world::World;

/// How often a query starts over because chunks were merged away while it ran, as in `query-fn`.
const MAX_ATTEMPTS: u32 = 3;

/// Everything that a tenant has, but for the last instant of time, which no range holds.
pub fn all_time() -> TimeRange {
    TimeRange::new(Timestamp::MIN, Timestamp::MAX)
}

/// The rows of `tenant`, each with the number of copies that were found.
pub async fn ask(client: &ObjectClient, tenant: &TenantId, question: &Question, cache: &ChunkCache) -> Result<Answer, StoreError> {
    let app = question.app.as_ref().and_then(|app| Matcher::new("app", MatchOp::Equal, app.as_str()).ok());
    let matchers: Vec<Matcher> = app.into_iter().collect();
    let mut attempt = 1;
    loop {
        match ask_once(client, tenant, question, &matchers, cache).await {
            Err(error) if error.kind() == ErrorKind::NotFound && attempt < MAX_ATTEMPTS => attempt += 1,
            result => return result,
        }
    }
}

async fn ask_once(client: &ObjectClient, tenant: &TenantId, question: &Question, matchers: &[Matcher], cache: &ChunkCache) -> Result<Answer, StoreError> {
    let snapshot = Snapshot::load(client, tenant, &question.range, matchers, cache).await?;
    let mut answer = Answer::new();
    for chunk in &snapshot.chunks {
        read_chunk(client, question.tenant, &snapshot, chunk, cache, &mut answer).await?;
    }
    Ok(answer)
}

async fn read_chunk(
    client: &ObjectClient,
    tenant: usize,
    snapshot: &Snapshot,
    chunk: &SnapshotChunk,
    cache: &ChunkCache,
    answer: &mut Answer,
) -> Result<(), StoreError> {
    let reader = match &chunk.reader {
        Some(reader) => reader.clone(),
        None => ChunkReader::open(client, &chunk.chunk, cache).await?,
    };
    let hides = |request: &&schema::DeleteRequest| chunk.deletes_done.binary_search(&request.id).is_err();
    let deletes: Vec<&schema::DeleteRequest> = snapshot.deletes.iter().filter(hides).collect();
    for stream in chunk.streams.iter().filter_map(|index| chunk.manifest().streams.get(*index)) {
        let selection = stream.first_row..stream.first_row + stream.rows;
        let mut rows = reader.read(client, vec![selection], ChunkColumns::ALL);
        while let Some(batch) = rows.try_next().await? {
            let (Some(times), Some(lines), Some(metadata)) = (&batch.timestamps, &batch.lines, &batch.metadata) else { continue };
            for row in 0..batch.rows {
                let (at, line) = (times.value(row), lines.value(row));
                let hidden = deletes.iter().any(|request| deleter::means(request, &stream.labels, at, line));
                if hidden || !chunk.ranges.iter().any(|range| range.contains(Timestamp(at))) {
                    continue;
                }
                let pairs = metadata.get(row).into_iter().flat_map(|set| set.iter()).map(|(name, value)| (&**name, &**value));
                *answer.entry(name_of(tenant, stream.labels.iter(), at, line, pairs)).or_default() += 1;
            }
        }
    }
    Ok(())
}

/// A reader's life: asks until there is nothing left to do.
pub async fn live(world: Arc<World>, name: String, incarnation: u32) {
    let process = world.process(&name, incarnation);
    let mut rng = rng(world.scenario.seed, &format!("{name} {incarnation}"));
    // Some keep what they read, some fetch every page.
    let cache = ChunkCache::new(if rng.random() { 1 << 20 } else { 0 });
    let pause = world.scenario.length / u32::try_from(world.scenario.queries).unwrap_or(1);
    while !world.is_over() {
        world.time.sleep(between(&mut rng, Duration::ZERO, 2 * pause)).await;
        let tenant = rng.random_range(0..world.scenario.tenants.len());
        let now = process.env.now().as_nanos();
        let range = if rng.random_bool(0.4) {
            all_time()
        } else {
            let (one, other) = (a_time(&mut rng, now), a_time(&mut rng, now));
            TimeRange::new(Timestamp(one.min(other)), Timestamp(one.max(other).saturating_add(rng.random_range(0..=1))))
        };
        let app = rng.random_bool(0.3).then(|| format!("app-{}", rng.random_range(0..4u32)));
        let Some(id) = world.scenario.tenants.get(tenant) else { continue };
        let question = Question { tenant, range, app, asked: world.with(|state| state.model.moment()), since: world.time.elapsed() };
        process.held.take();
        let Some(answer) = mortal(&world, &mut rng, 12, ask(&process.client, id, &question, &cache)).await else { continue };
        match answer {
            Ok(answer) => {
                world.note(format!("{name} has {} rows of {id} in {range:?}", answer.len()));
                world.with(|state| state.tally.queries += 1);
                world.check(&name, world.with(|state| state.model.check(&question, &answer)));
            }
            // A query that outlasts the grace period again and again fails in the end; only one that is held does.
            Err(error) if error.is_retryable() || (error.kind() == ErrorKind::NotFound && process.held.take()) => {
                world.note(format!("{name} got no answer: {error}"))
            }
            Err(error) => world.fail(format!("{name}: {}", error.chain())),
        }
    }
}

/// Asks for everything at this very instant, again and again.
pub async fn audit(world: Arc<World>) {
    let mut rng = rng(world.scenario.seed, "audit");
    while !world.is_over() {
        world.time.sleep(between(&mut rng, Duration::ZERO, world.scenario.length / 6)).await;
        audit_once(&world).await;
    }
}

/// Asks for everything at this very instant.
pub async fn audit_once(world: &World) {
    let client = world.network.direct();
    for (tenant, id) in world.scenario.tenants.iter().enumerate() {
        let question = Question { tenant, range: all_time(), app: None, asked: world.with(|state| state.model.moment()), since: world.time.elapsed() };
        match ask(&client, id, &question, &ChunkCache::new(1 << 20)).await {
            Ok(answer) => world.check("audit", world.with(|state| state.model.check(&question, &answer))),
            Err(error) => world.fail(format!("audit: {}", error.chain())),
        }
    }
}
