//! Looks for the new chunks of one tenant, for all of its tails together.
//! Owns: which chunks were seen, that a new one is read once, what happens when the store fails.
//! Must not know: how a tail sends its lines, HTTP.
//!
//! A chunk of level 0 appears once and is deleted only after it was compacted and a grace period has passed, so its name alone says whether it is new: compaction makes
//! no chunk of level 0, and can therefore show nothing twice.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::StreamExt as _;
use parking_lot::Mutex;
use schema::key::level0_prefix;
use schema::{ChunkHash, ChunkKey, ChunkManifest, ChunkRef, TenantId};
use store::chunk::{ChunkCache, ChunkColumns, ChunkReader, ChunkRows, MetadataSet};
use store::snapshot::DEDUPE_WINDOW;
use store::{Env, ErrorKind, ObjectClient, StoreError};
use tokio::sync::OnceCell;

use super::TailEnded;
use super::queue::{Found, Queue};
use super::rows::{RowId, Shown, StoredRow, TailQuery};
use crate::QueryError;

/// Time between two looks at the bucket, while anybody tails.
pub const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// For so long the store may fail before the tails are told.
const PATIENCE: Duration = Duration::from_secs(60);
/// Chunks that are read at the same time.
const READS_IN_FLIGHT: usize = 4;
/// Rows that are looked at before others have their turn.
const STRIDE: usize = 256;

/// Where chunks are.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) client: ObjectClient,
    pub(super) cache: ChunkCache,
    pub(super) env: Env,
}

/// The tails of one tenant, and what they have seen.
#[derive(Debug)]
pub(super) struct Feed {
    tenant: TenantId,
    source: Source,
    /// Done once what is there at the start is known.
    started: OnceCell<()>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Chunks that were seen, and when they were last listed.
    known: HashMap<ChunkHash, Duration>,
    /// How often level 0 was listed.
    lists: u64,
    /// Chunks that are still to be read.
    unread: Vec<NewChunk>,
    tails: Vec<Arc<Subscriber>>,
}

#[derive(Clone, Debug)]
struct NewChunk {
    key: ChunkKey,
    size: u64,
    /// The LIST that showed it.
    list: u64,
}

/// One tail as the feed sees it.
#[derive(Debug)]
pub(super) struct Subscriber {
    query: TailQuery,
    queue: Arc<Queue>,
    shown: Mutex<Shown>,
    /// Chunks of this LIST and of earlier ones were there before the tail.
    after: u64,
}

/// What one chunk holds for each tail.
type Shares = HashMap<usize, Found<RowId>>;

impl Feed {
    pub(super) fn new(tenant: TenantId, source: Source) -> Self {
        Self { tenant, source, started: OnceCell::new(), state: Mutex::default() }
    }

    /// Learns what is there already and begins to look for more, unless that was done before. The looking ends when nobody holds the feed any more.
    pub(super) async fn start(self: &Arc<Self>) -> Result<(), QueryError> {
        self.started
            .get_or_try_init(|| async {
                let listed = self.list().await?;
                self.state.lock().learn(listed, self.source.env.monotonic());
                tokio::spawn(look(Arc::downgrade(self), self.source.env.clone()));
                Ok(())
            })
            .await
            .copied()
    }

    /// From now on `queue` gets the rows of every chunk that is not in the set returned.
    pub(super) fn subscribe(&self, query: TailQuery, queue: Arc<Queue>) -> (Arc<Subscriber>, Arc<HashSet<ChunkHash>>) {
        let mut state = self.state.lock();
        let tail = Arc::new(Subscriber { query, queue, shown: Mutex::default(), after: state.lists });
        state.tails.push(Arc::clone(&tail));
        // What is new and not read yet is shown live to those who wait for it, and as history to this one.
        (tail, Arc::new(state.known.keys().copied().collect()))
    }

    pub(super) fn unsubscribe(&self, tail: &Arc<Subscriber>) {
        self.state.lock().tails.retain(|other| !Arc::ptr_eq(other, tail));
    }

    async fn list(&self) -> Result<Vec<NewChunk>, StoreError> {
        let objects = self.source.client.list(&level0_prefix(&self.tenant)).await?;
        let chunk = |object: store::ObjectInfo| match ChunkKey::parse(&self.tenant, &object.key) {
            Ok(key) => Ok(NewChunk { key, size: object.size, list: 0 }),
            Err(error) => Err(StoreError::corrupt_by(&object.key, "it lies among the chunks but is none", error)),
        };
        objects.into_iter().map(chunk).collect()
    }

    /// One look: one LIST, and for each new chunk that may hold something a GET.
    async fn poll(&self) -> Result<(), QueryError> {
        let listed = self.list().await?;
        let (tails, chunks) = {
            let mut state = self.state.lock();
            let new = state.learn(listed, self.source.env.monotonic());
            state.unread.extend(new);
            (state.tails.clone(), std::mem::take(&mut state.unread))
        };
        let now = self.source.env.now().as_nanos();
        let fresh = tails.iter().map(|tail| tail.query.at(now)).collect::<Result<Vec<_>, _>>()?;
        let queries: Vec<&TailQuery> = tails.iter().zip(&fresh).map(|(tail, fresh)| fresh.as_ref().unwrap_or(&tail.query)).collect();

        let mut found: Vec<Found> = tails.iter().map(|_| Found::default()).collect();
        let mut left = Vec::new();
        let mut failure = None;
        let reads = chunks.into_iter().map(|chunk| {
            let wanted = |(number, tail): (usize, &Arc<Subscriber>)| {
                (tail.after < chunk.list && queries.get(number).is_some_and(|query| query.may_be_in(&chunk.key))).then_some(number)
            };
            let wanted: Vec<usize> = tails.iter().enumerate().filter_map(wanted).collect();
            let queries = &queries;
            async move {
                let shares = self.read(&chunk, &wanted, queries).await;
                (chunk, shares)
            }
        });
        let reads: Vec<_> = reads.collect();
        let mut reads = futures::stream::iter(reads).buffered(READS_IN_FLIGHT);
        while let Some((chunk, shares)) = reads.next().await {
            match shares {
                Ok(shares) => take_new(&tails, &mut found, shares),
                // What was not read now is read at the next look.
                Err(error) => {
                    left.push(chunk);
                    failure.get_or_insert(error);
                }
            }
        }
        let at = self.source.env.monotonic();
        for (tail, found) in tails.iter().zip(found) {
            tail.queue.add_live(found, at);
        }
        self.state.lock().unread.extend(left);
        failure.map_or(Ok(()), Err)
    }

    /// What `chunk` holds for each of the tails `wanted`. All or nothing.
    async fn read(&self, chunk: &NewChunk, wanted: &[usize], queries: &[&TailQuery]) -> Result<Shares, QueryError> {
        let mut shares = Shares::new();
        if wanted.is_empty() {
            return Ok(shares);
        }
        let Source { client, cache, .. } = &self.source;
        let reader = ChunkReader::open(client, &ChunkRef::level0(chunk.key.clone(), chunk.size), cache).await?;
        let manifest = reader.shared_manifest();
        let wanted: Vec<(usize, &TailQuery)> = wanted.iter().filter_map(|number| Some((*number, *queries.get(*number)?))).collect();
        let per_stream: Vec<Vec<(usize, &TailQuery)>> =
            manifest.streams.iter().map(|stream| wanted.iter().filter(|(_, query)| query.selects(stream)).copied().collect()).collect();
        let selection = selection(&manifest, &per_stream);
        if selection.is_empty() {
            return Ok(shares);
        }
        let mut rows = reader.read(client, selection, ChunkColumns::ALL);
        while let Some(rows) = rows.next().await {
            show_rows(&rows?, &manifest, &per_stream, &mut shares).await?;
        }
        Ok(shares)
    }

    /// Tells every tail that there is nothing more to come.
    fn fail(&self, message: &str) {
        for tail in &self.state.lock().tails {
            tail.queue.end(TailEnded::Failed { message: message.to_owned() });
        }
    }
}

impl State {
    /// Remembers what was listed at `now`, and returns what is new.
    fn learn(&mut self, listed: Vec<NewChunk>, now: Duration) -> Vec<NewChunk> {
        self.lists += 1;
        let mut new = Vec::new();
        for mut chunk in listed {
            if self.known.insert(chunk.key.hash, now).is_none() {
                chunk.list = self.lists;
                new.push(chunk);
            }
        }
        // A retry can bring a chunk back that was compacted and deleted: for as long as readers know it as a copy, it is one here.
        self.known.retain(|_, listed| now.saturating_sub(*listed) <= DEDUPE_WINDOW);
        new
    }
}

/// Looks for new chunks until nobody is left who wants them.
async fn look(feed: Weak<Feed>, env: Env) {
    let mut failing_since = None;
    loop {
        env.sleep(POLL_INTERVAL).await;
        let Some(feed) = feed.upgrade() else { return };
        let Err(error) = feed.poll().await else {
            failing_since = None;
            continue;
        };
        let now = env.monotonic();
        let since = *failing_since.get_or_insert(now);
        let can_recover = matches!(&error, QueryError::Store { source } if source.is_retryable() && source.kind() != ErrorKind::NotFound);
        tracing::warn!(tenant = %feed.tenant, %error, "looking for new lines failed");
        if !can_recover || now.saturating_sub(since) >= PATIENCE {
            feed.fail(&error.to_string());
            // Whoever asks anew begins anew.
            feed.state.lock().unread.clear();
            failing_since = None;
        }
    }
}

/// The rows of streams that somebody wants, ascending, neighbours as one range.
fn selection<T>(manifest: &ChunkManifest, per_stream: &[Vec<T>]) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for (stream, _) in manifest.streams.iter().zip(per_stream).filter(|(_, wanted)| !wanted.is_empty()) {
        let rows = stream.first_row..stream.first_row.saturating_add(stream.rows);
        match ranges.last_mut() {
            Some(last) if last.end == rows.start => last.end = rows.end,
            _ => ranges.push(rows),
        }
    }
    ranges
}

async fn show_rows(rows: &ChunkRows, manifest: &ChunkManifest, per_stream: &[Vec<(usize, &TailQuery)>], shares: &mut Shares) -> Result<(), QueryError> {
    let (Some(timestamps), Some(lines), Some(metadata)) = (&rows.timestamps, &rows.lines, &rows.metadata) else {
        return Err(QueryError::Internal { invariant: "a read brings the columns that it was asked for".to_owned() });
    };
    let none: MetadataSet = Arc::from(Vec::new());
    for (row, (&timestamp, line)) in timestamps.values().iter().zip(lines.iter()).enumerate() {
        if row.is_multiple_of(STRIDE) {
            tokio::task::yield_now().await;
        }
        let position = rows.first_row.saturating_add(u64::try_from(row).unwrap_or(u64::MAX));
        let number = manifest.streams.partition_point(|stream| stream.first_row <= position).saturating_sub(1);
        let (Some(stream), Some(wanted), Some(line)) = (manifest.streams.get(number), per_stream.get(number), line) else { continue };
        let row = StoredRow { stream: &stream.labels, timestamp, line, metadata: metadata.get(row).unwrap_or(&none) };
        for (tail, query) in wanted {
            if let Some(line) = query.show(&row)? {
                shares.entry(*tail).or_default().add(row.id(), line);
            }
        }
    }
    Ok(())
}

/// Adds to each tail's lines those of its share that it was not shown before.
fn take_new(tails: &[Arc<Subscriber>], found: &mut [Found], shares: Shares) {
    for (number, share) in shares {
        let (Some(tail), Some(found)) = (tails.get(number), found.get_mut(number)) else { continue };
        let mut shown = tail.shown.lock();
        found.append(share, |id| shown.is_new(*id).then_some(()));
    }
}
