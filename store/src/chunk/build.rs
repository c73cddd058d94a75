//! Batches to a named, encoded chunk. CPU only.
//! Owns: which pushes a manifest names, the chunk's name.
//! Must not know: how the object gets into the store.

use bytes::Bytes;
use schema::{ChunkHash, ChunkKey, ChunkManifest, ChunkRef, LabelBloom, RowBatch, StreamManifest, TenantId};

use super::hash::{chunk_hash, hash_rows, push_hash};
use super::order::{OrderedRows, OrderedStream, check_batch};
use super::tally::{begin_stream, compress_manifest, count, count_row, frame_to_text};
use super::write::{WriteOptions, write};
use crate::error::StoreError;

/// A chunk that is ready to be committed.
#[derive(Clone, Debug)]
pub struct BuiltChunk {
    /// Its name.
    pub key: ChunkKey,
    /// The Parquet file.
    pub bytes: Bytes,
    /// What its footer says.
    pub manifest: ChunkManifest,
}

impl BuiltChunk {
    /// How readers refer to it.
    pub fn reference(&self) -> ChunkRef {
        ChunkRef::level0(self.key.clone(), count(self.bytes.len()))
    }
}

/// Merges the accepted rows of one or more pushes of `tenant` into one chunk: sorted by (service name, labels, timestamp), rows of equal
/// timestamp in order of arrival (`batches` first to last), exact duplicates stored once. Lines must be UTF-8: decoders see to it.
/// The same push alone always gives the same key; a group's key depends on its pushes but not on their order.
///
/// Errors: [`StoreError::Argument`] when there are no rows, or when metadata is not UTF-8; [`StoreError::Internal`] when a batch contradicts itself.
/// Takes about a second per raw gigabyte and core plus compression: call it where it does not block a reactor.
pub fn build(tenant: &TenantId, batches: &[RowBatch]) -> Result<BuiltChunk, StoreError> {
    build_with(tenant, batches, &WriteOptions::default())
}

pub(crate) fn build_with(tenant: &TenantId, batches: &[RowBatch], options: &WriteOptions) -> Result<BuiltChunk, StoreError> {
    for batch in batches {
        check_batch(batch).map_err(|error| StoreError::internal(error.to_string()))?;
    }
    let ordered = OrderedRows::of(batches);
    let pushes = push_hashes(batches, &ordered);
    let streams = ordered.streams.iter().map(|stream| describe_stream(&ordered, stream)).collect();
    let manifest = ChunkManifest { streams, pushes };
    manifest.validate().map_err(|error| StoreError::internal(format!("a chunk was built whose {error}")))?;
    let Some((min, max)) = manifest.time_bounds() else {
        return Err(StoreError::argument("a chunk needs at least one row"));
    };
    let manifest_text = frame_to_text(&compress_manifest(&manifest)?);
    let bytes = write(&ordered, manifest_text, options).map_err(|error| StoreError::argument(format!("the rows cannot be stored as Parquet: {error}")))?;
    let key = ChunkKey {
        tenant: tenant.clone(),
        min,
        max,
        rows: manifest.rows(),
        bloom: LabelBloom::of_streams(manifest.streams.iter().map(|stream| &stream.labels)),
        hash: chunk_hash(&manifest.pushes),
    };
    Ok(BuiltChunk { key, bytes: Bytes::from(bytes), manifest })
}

/// The hash of every push that brought rows, in commit order; a push that is in the group twice counts once, as its rows do.
fn push_hashes(batches: &[RowBatch], ordered: &OrderedRows<'_>) -> Vec<ChunkHash> {
    if batches.len() == 1 {
        return vec![hash_rows(ordered)];
    }
    let mut hashes: Vec<ChunkHash> = Vec::with_capacity(batches.len());
    let mut seen = std::collections::HashSet::new();
    for batch in batches.iter().filter(|batch| !batch.is_empty()) {
        let hash = push_hash(batch);
        if seen.insert(hash) {
            hashes.push(hash);
        }
    }
    hashes
}

fn describe_stream(ordered: &OrderedRows<'_>, stream: &OrderedStream<'_>) -> StreamManifest {
    let rows = ordered.rows.get(stream.rows.clone()).unwrap_or(&[]);
    let mut described = begin_stream(stream.labels, count(stream.rows.start), rows.first().map_or(0, |row| row.timestamp));
    rows.iter().for_each(|row| count_row(&mut described, row.timestamp, ordered.line(*row)));
    described
}
