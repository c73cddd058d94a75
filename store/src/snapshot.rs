//! What a query sees: the chunks of a tenant at one moment, without those that cannot hold an answer.
//! Owns: the order of requests (level 0 before manifests: the other order loses rows), which days of a level-0 chunk still count, pruning by name and by manifest,
//! starting over when a chunk vanishes in between.
//! Must not know: LogQL beyond label matchers, how rows are stored.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use schema::key::level0_prefix;
use schema::{
    ChunkKey, ChunkManifest, ChunkRef, Day, DayManifest, DeleteRequest, DeleteRequests, LabelBloom, MatchOp, Matcher, TenantId, TimeRange, Timestamp,
};

use crate::chunk::{ChunkCache, ChunkReader};
use crate::day::{self, Listed};
use crate::deletes;
use crate::error::{ErrorKind, StoreError};
use crate::object::{ObjectClient, ObjectInfo};
use crate::testing::rules::{Rule, broken};

/// For how long a consumed level-0 chunk is remembered, and a processed delete still hides rows: a client's retry that comes later is stored anew.
pub const DEDUPE_WINDOW: Duration = Duration::from_secs(3 * 3600);
/// So many level-0 chunks in a query's time range mean that compaction is behind.
pub const LEVEL0_BACKLOG: u64 = 2000;
/// Chunks that are opened at the same time.
const OPENS_IN_FLIGHT: usize = 16;
/// How often a snapshot is taken anew because chunks were deleted while it was taken.
const MAX_ATTEMPTS: u32 = 5;

/// The chunks of one tenant that may hold rows of a query.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// By earliest timestamp, then level 1 before level 0, then by name.
    pub chunks: Vec<SnapshotChunk>,
    /// Delete requests whose rows must be hidden, those that overlap the query's range.
    pub deletes: Vec<DeleteRequest>,
    /// What was left out, and why.
    pub pruned: PruneCounts,
}

/// A chunk with at least one stream that passes.
#[derive(Clone, Debug)]
pub struct SnapshotChunk {
    /// Which chunk it is.
    pub chunk: ChunkRef,
    /// The chunk, where it had to be opened to be pruned; a compacted chunk mostly need not.
    pub reader: Option<ChunkReader>,
    manifest: Arc<ChunkManifest>,
    /// Ascending indices into `manifest().streams`: those that pass time range and matchers.
    pub streams: Vec<usize>,
    /// The parts of the query's range in which rows of this chunk count, ascending and disjoint. The days between were compacted into other chunks.
    pub ranges: Vec<TimeRange>,
    /// Ids of the deletes of [`Snapshot::deletes`] whose rows this chunk no longer holds, ascending.
    pub deletes_done: Vec<Box<str>>,
}

impl SnapshotChunk {
    /// What the chunk holds.
    pub fn manifest(&self) -> &ChunkManifest {
        &self.manifest
    }
}

/// How far each pruning step narrowed the chunks and streams down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct PruneCounts {
    /// Chunks that the tenant has: those of level 0, and the compacted ones of the days in the query's range.
    pub listed: u64,
    /// Of these, chunks of level 0.
    pub level0: u64,
    /// Of those, chunks that lie in the time range and that no manifest has consumed.
    pub backlog: u64,
    /// Chunks whose name or entry allows a row in the time range.
    pub after_time: u64,
    /// Of these, chunks whose name or entry allows every label that must be equal to something.
    pub after_bloom: u64,
    /// Chunks whose manifest was looked at.
    pub opened: u64,
    /// Streams in the opened chunks; a stream counts once per chunk.
    pub streams_total: u64,
    /// Of these, streams that pass time range and matchers.
    pub streams_kept: u64,
    /// Rows in all listed chunks.
    pub rows_total: u64,
    /// Rows of the streams kept.
    pub rows_kept: u64,
}

impl fmt::Display for PruneCounts {
    /// One line for `explain`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "chunks: {} listed ({} of level 0), {} in time range, {} after label bloom, {} opened; streams: {} of {}; rows: {} of {}",
            self.listed, self.level0, self.after_time, self.after_bloom, self.opened, self.streams_kept, self.streams_total, self.rows_kept, self.rows_total
        )
    }
}

impl PruneCounts {
    /// A text for the client when so many chunks wait for compaction that queries are slower than they should be.
    pub fn warning(&self) -> Option<String> {
        (self.backlog >= LEVEL0_BACKLOG).then(|| {
            format!("{} small chunks in this time range are not compacted yet, so the query is slower than it will be: is the compactor running?", self.backlog)
        })
    }
}

/// A chunk that its name or entry does not rule out.
struct Candidate {
    chunk: ChunkRef,
    labels: Labels,
    ranges: Vec<TimeRange>,
    deletes_done: Vec<Box<str>>,
}

/// Where the label manifest of a candidate is.
enum Labels {
    /// In the day manifest: the chunk's index there.
    Entry(Arc<DayManifest>, usize),
    /// In the chunk's footer.
    Footer,
}

impl Snapshot {
    /// Takes the snapshot: everything acknowledged before the call is in it. Requests: one LIST of level 0 and one of manifests (a page per 1,000 objects), one GET per
    /// day manifest in the range that is not in `cache` in its current version, and one per chunk that passes the pruning by name, is not in `cache`, and is not
    /// described whole in its day manifest.
    /// A chunk that was deleted in between means that the LIST is out of date: the snapshot is taken anew, up to five times.
    /// Errors: those of the store; [`StoreError::Corrupt`] for an object that is no chunk or does not have a chunk's name, since it may hold
    /// acknowledged rows; never a snapshot with a chunk left out.
    pub async fn load(client: &ObjectClient, tenant: &TenantId, range: &TimeRange, matchers: &[Matcher], cache: &ChunkCache) -> Result<Self, StoreError> {
        let mut attempt = 1;
        loop {
            match Self::load_once(client, tenant, range, matchers, cache).await {
                Err(error) if error.kind() == ErrorKind::NotFound && attempt < MAX_ATTEMPTS => attempt += 1,
                result => return result,
            }
        }
    }

    async fn load_once(client: &ObjectClient, tenant: &TenantId, range: &TimeRange, matchers: &[Matcher], cache: &ChunkCache) -> Result<Self, StoreError> {
        // This order: a compaction that is committed in between then shows as consumed chunks, never as missing rows.
        let early = if broken(Rule::ManifestsBeforeList) { Some(read_days(client, tenant, range, cache).await?) } else { None };
        let level0 = client.list(&level0_prefix(tenant)).await?;
        let (listed, days) = match early {
            Some(early) => early,
            None => read_days(client, tenant, range, cache).await?,
        };
        let deletes = read_deletes(client, &listed, cache).await?;
        let now = client.now();
        let deletes: Vec<DeleteRequest> = deletes.active(now, window_nanos()).filter(|request| overlaps(request, range)).cloned().collect();
        let mut pruned = PruneCounts::default();
        let mut candidates = level0_candidates(tenant, level0, &days, range, matchers, &mut pruned)?;
        candidates.extend(level1_candidates(&days, &deletes, range, matchers, &mut pruned));
        candidates.sort_by(|a, b| a.chunk.order().cmp(&b.chunk.order()));
        let opens = stream::iter(candidates).map(|candidate| async move { candidate.open(client, matchers, cache).await });
        let mut opens = opens.buffered(OPENS_IN_FLIGHT);
        let mut chunks = Vec::new();
        while let Some(chunk) = opens.next().await {
            if broken(Rule::VanishedChunkSkipped) && chunk.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
                continue;
            }
            let chunk = chunk?;
            pruned.opened += 1;
            pruned.streams_total += count(chunk.manifest.streams.len());
            pruned.streams_kept += count(chunk.streams.len());
            pruned.rows_kept += chunk.streams.iter().filter_map(|index| chunk.manifest.streams.get(*index)).map(|stream| stream.rows).sum::<u64>();
            if !chunk.streams.is_empty() {
                chunks.push(chunk);
            }
        }
        Ok(Self { chunks, deletes, pruned })
    }
}

/// The manifests of the days in `range`.
async fn read_days(
    client: &ObjectClient,
    tenant: &TenantId,
    range: &TimeRange,
    cache: &ChunkCache,
) -> Result<(Listed, BTreeMap<Day, Arc<DayManifest>>), StoreError> {
    let listed = day::list(client, tenant).await?;
    let wanted = listed.days.keys().copied().filter(|day| range.overlaps_closed(day.start(), day.last())).collect();
    let days = day::read(client, tenant, &listed, wanted, cache).await?;
    Ok((listed, days))
}

async fn read_deletes(client: &ObjectClient, listed: &Listed, cache: &ChunkCache) -> Result<Arc<DeleteRequests>, StoreError> {
    let Some(info) = &listed.deletes else { return Ok(Arc::default()) };
    if let Some(known) = cache.deletes(&info.key, &info.version) {
        return Ok(known);
    }
    let Some((bytes, version)) = client.get_versioned(&info.key).await? else {
        return Err(StoreError::corrupt(&*info.key, "the delete requests were deleted, which Tarn never does"));
    };
    let requests = Arc::new(deletes::decode(&info.key, &bytes)?);
    cache.keep_deletes(&info.key, version, Arc::clone(&requests), bytes.len());
    Ok(requests)
}

fn overlaps(request: &DeleteRequest, range: &TimeRange) -> bool {
    !range.is_empty() && request.overlaps(range.start, Timestamp(range.end.as_nanos().saturating_sub(1)))
}

fn window_nanos() -> i64 {
    i64::try_from(DEDUPE_WINDOW.as_nanos()).unwrap_or(i64::MAX)
}

fn level0_candidates(
    tenant: &TenantId,
    listed: Vec<ObjectInfo>,
    days: &BTreeMap<Day, Arc<DayManifest>>,
    range: &TimeRange,
    matchers: &[Matcher],
    pruned: &mut PruneCounts,
) -> Result<Vec<Candidate>, StoreError> {
    let mut candidates = Vec::new();
    for object in listed {
        let key = ChunkKey::parse(tenant, &object.key).map_err(|error| StoreError::corrupt_by(&object.key, "it lies among the chunks but is none", error))?;
        pruned.listed += 1;
        pruned.level0 += 1;
        pruned.rows_total += key.rows;
        if !key.overlaps(range) {
            continue;
        }
        let ranges = ranges_left(&key, range, days);
        if ranges.is_empty() {
            continue;
        }
        pruned.backlog += 1;
        pruned.after_time += 1;
        if !matchers.iter().all(|matcher| filter_may_match(&key.bloom, matcher)) {
            continue;
        }
        pruned.after_bloom += 1;
        candidates.push(Candidate { chunk: ChunkRef::level0(key, object.size), labels: Labels::Footer, ranges, deletes_done: Vec::new() });
    }
    Ok(candidates)
}

/// `range` without the days whose rows of the chunk lie in compacted chunks.
fn ranges_left(key: &ChunkKey, range: &TimeRange, days: &BTreeMap<Day, Arc<DayManifest>>) -> Vec<TimeRange> {
    let mut left = vec![*range];
    for (day, manifest) in days.range(Day::of(key.min)..=Day::of(key.max)) {
        if !manifest.has_consumed(&key.hash) {
            continue;
        }
        if broken(Rule::ConsumedForAllDays) {
            return Vec::new();
        }
        let Some(last) = left.pop() else { break };
        let consumed = day.range();
        let before = TimeRange::new(last.start, last.end.min(consumed.start));
        let after = TimeRange::new(last.start.max(consumed.end), last.end);
        left.extend([before, after].into_iter().filter(|part| !part.is_empty()));
    }
    left.retain(|part| part.overlaps_closed(key.min, key.max));
    left
}

fn level1_candidates(
    days: &BTreeMap<Day, Arc<DayManifest>>,
    deletes: &[DeleteRequest],
    range: &TimeRange,
    matchers: &[Matcher],
    pruned: &mut PruneCounts,
) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    for manifest in days.values() {
        let mut deletes_done: Vec<Box<str>> =
            deletes.iter().filter(|request| manifest.deletes_done.binary_search(&request.id).is_ok()).map(|request| request.id.clone()).collect();
        // Requests come in the order in which they were made.
        deletes_done.sort_unstable();
        for (index, entry) in manifest.chunks.iter().enumerate() {
            pruned.listed += 1;
            pruned.rows_total += entry.rows;
            if !range.overlaps_closed(entry.min, entry.max) {
                continue;
            }
            pruned.after_time += 1;
            if !matchers.iter().all(|matcher| filter_may_match(&entry.bloom, matcher)) {
                continue;
            }
            pruned.after_bloom += 1;
            candidates.push(Candidate {
                chunk: ChunkRef::level1(entry),
                labels: if entry.labels.is_some() { Labels::Entry(Arc::clone(manifest), index) } else { Labels::Footer },
                ranges: vec![*range],
                deletes_done: deletes_done.clone(),
            });
        }
    }
    candidates
}

impl Candidate {
    async fn open(self, client: &ObjectClient, matchers: &[Matcher], cache: &ChunkCache) -> Result<SnapshotChunk, StoreError> {
        let (manifest, reader) = match &self.labels {
            Labels::Entry(day, index) => {
                let frame = day.chunks.get(*index).and_then(|entry| entry.labels.as_deref()).unwrap_or_default();
                (ChunkReader::labels(client, &self.chunk, Some(frame), cache).await?, None)
            }
            Labels::Footer => {
                let reader = ChunkReader::open(client, &self.chunk, cache).await?;
                (reader.shared_manifest(), Some(reader))
            }
        };
        let streams = passing_streams(&manifest, &self.ranges, matchers);
        Ok(SnapshotChunk { chunk: self.chunk, reader, manifest, streams, ranges: self.ranges, deletes_done: self.deletes_done })
    }
}

/// Whether the label filter of a chunk allows a stream that passes `matcher`. Only a label that must have one certain value can be looked up.
pub fn filter_may_match(bloom: &LabelBloom, matcher: &Matcher) -> bool {
    matcher.op() != MatchOp::Equal || matcher.value().is_empty() || bloom.may_contain(matcher.name(), matcher.value())
}

fn passing_streams(manifest: &ChunkManifest, ranges: &[TimeRange], matchers: &[Matcher]) -> Vec<usize> {
    let passes = |stream: &schema::StreamManifest| {
        ranges.iter().any(|range| range.overlaps_closed(stream.min, stream.max)) && matchers.iter().all(|matcher| matcher.matches_labels(&stream.labels))
    };
    manifest.streams.iter().enumerate().filter(|(_, stream)| passes(stream)).map(|(index, _)| index).collect()
}

/// Lengths in memory fit 64 bits.
fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
