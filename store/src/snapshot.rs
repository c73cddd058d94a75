//! What a query sees: the chunks of a tenant at one moment, without those that cannot hold an answer.
//! Owns: the order LIST then open (the other order loses rows), pruning by name and by manifest, starting over when a chunk vanishes in between.
//! Must not know: LogQL beyond label matchers, how rows are stored.

use std::fmt;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use schema::key::level0_prefix;
use schema::{ChunkKey, MatchOp, Matcher, TenantId, TimeRange};

use crate::chunk::{ChunkCache, ChunkReader};
use crate::error::{ErrorKind, StoreError};
use crate::object::ObjectClient;

/// Chunks that are opened at the same time.
const OPENS_IN_FLIGHT: usize = 16;
/// How often a snapshot is taken anew because chunks were deleted while it was taken.
const MAX_ATTEMPTS: u32 = 5;

/// The chunks of one tenant that may hold rows of a query.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// By earliest timestamp, then by name.
    pub chunks: Vec<SnapshotChunk>,
    /// What was left out, and why.
    pub pruned: PruneCounts,
}

/// A chunk with at least one stream that passes.
#[derive(Clone, Debug)]
pub struct SnapshotChunk {
    /// The opened chunk.
    pub reader: ChunkReader,
    /// Ascending indices into `manifest().streams`: those that pass time range and matchers.
    pub streams: Vec<usize>,
}

/// How far each pruning step narrowed the chunks and streams down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct PruneCounts {
    /// Chunks that the tenant has.
    pub listed: u64,
    /// Of these, chunks whose name allows a row in the time range.
    pub after_time: u64,
    /// Of these, chunks whose name allows every label that must be equal to something.
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
            "chunks: {} listed, {} in time range, {} after label bloom, {} opened; streams: {} of {}; rows: {} of {}",
            self.listed, self.after_time, self.after_bloom, self.opened, self.streams_kept, self.streams_total, self.rows_kept, self.rows_total
        )
    }
}

impl Snapshot {
    /// Takes the snapshot: everything acknowledged before the call is in it. Requests: one LIST of level 0 (a page per 1,000 chunks) and one GET per
    /// chunk that passes the pruning by name and is not in `cache`.
    /// A chunk that was deleted between LIST and GET means that the LIST is out of date: the snapshot is taken anew, up to five times.
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
        let mut pruned = PruneCounts::default();
        let mut wanted = Vec::new();
        for object in client.list(&level0_prefix(tenant)).await? {
            let key =
                ChunkKey::parse(tenant, &object.key).map_err(|error| StoreError::corrupt_by(&object.key, "it lies among the chunks but is none", error))?;
            pruned.listed += 1;
            pruned.rows_total += key.rows;
            if !key.overlaps(range) {
                continue;
            }
            pruned.after_time += 1;
            if !matchers.iter().all(|matcher| name_may_match(&key, matcher)) {
                continue;
            }
            pruned.after_bloom += 1;
            wanted.push((key, object.size));
        }
        wanted.sort_by_key(|(key, _): &(ChunkKey, u64)| (key.min, key.max, key.hash));
        let opens = stream::iter(wanted).map(|(key, size)| async move {
            let reader = ChunkReader::open(client, &key, size, cache).await?;
            let streams = passing_streams(&reader, range, matchers);
            Ok::<_, StoreError>(SnapshotChunk { reader, streams })
        });
        let mut opens = opens.buffered(OPENS_IN_FLIGHT);
        let mut chunks = Vec::new();
        while let Some(chunk) = opens.try_next().await? {
            let manifest = chunk.reader.manifest();
            pruned.opened += 1;
            pruned.streams_total += count(manifest.streams.len());
            pruned.streams_kept += count(chunk.streams.len());
            pruned.rows_kept += chunk.streams.iter().filter_map(|index| manifest.streams.get(*index)).map(|stream| stream.rows).sum::<u64>();
            if !chunk.streams.is_empty() {
                chunks.push(chunk);
            }
        }
        Ok(Self { chunks, pruned })
    }
}

/// Whether the label filter in the chunk's name allows a stream that passes `matcher`. Only a label that must have one certain value can be looked up.
fn name_may_match(key: &ChunkKey, matcher: &Matcher) -> bool {
    matcher.op() != MatchOp::Equal || matcher.value().is_empty() || key.bloom.may_contain(matcher.name(), matcher.value())
}

fn passing_streams(reader: &ChunkReader, range: &TimeRange, matchers: &[Matcher]) -> Vec<usize> {
    let passes = |stream: &schema::StreamManifest| {
        range.overlaps_closed(stream.min, stream.max) && matchers.iter().all(|matcher| matcher.matches_labels(&stream.labels))
    };
    reader.manifest().streams.iter().enumerate().filter(|(_, stream)| passes(stream)).map(|(index, _)| index).collect()
}

/// Lengths in memory fit 64 bits.
fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
