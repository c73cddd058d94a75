//! Rows to what the manifest says of their stream, and a manifest to what the footer holds.
//! Owns: counting per minute, the compressed form of a manifest.
//! Must not know: where the rows are stored.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use schema::{ChunkManifest, LabelSet, MinuteCount, StreamManifest, Timestamp};

use crate::error::StoreError;

/// zstd level of the manifest: it is small, and every query that looks at the chunk fetches it.
const MANIFEST_ZSTD_LEVEL: i32 = 6;

/// A stream whose first row, at `timestamp`, is still to be counted.
pub(crate) fn begin_stream(labels: &LabelSet, first_row: u64, timestamp: i64) -> StreamManifest {
    let at = Timestamp(timestamp);
    StreamManifest { labels: labels.clone(), first_row, rows: 0, min: at, max: at, bytes: 0, minutes: Vec::new() }
}

/// Counts one row of `stream`. Rows come in the order of their timestamps.
#[inline]
pub(crate) fn count_row(stream: &mut StreamManifest, timestamp: i64, line: &[u8]) {
    let (at, bytes) = (Timestamp(timestamp), count(line.len()));
    stream.rows += 1;
    stream.bytes += bytes;
    stream.max = at;
    let minute = at.minute_bucket();
    match stream.minutes.last_mut() {
        Some(last) if last.minute == minute => {
            last.rows += 1;
            last.bytes += bytes;
        }
        _ => stream.minutes.push(MinuteCount { minute, rows: 1, bytes }),
    }
}

/// Lengths in memory fit 64 bits.
#[inline]
pub(crate) fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// The manifest as one zstd frame, with checksum and content size.
pub(crate) fn compress_manifest(manifest: &ChunkManifest) -> Result<Vec<u8>, StoreError> {
    let failed = |error: std::io::Error| StoreError::internal(format!("zstd refused a manifest: {error}"));
    let mut compressor = zstd::bulk::Compressor::new(MANIFEST_ZSTD_LEVEL).map_err(failed)?;
    compressor.include_checksum(true).map_err(failed)?;
    compressor.compress(&manifest.encode()).map_err(failed)
}

/// The footer's text of a compressed manifest.
pub(crate) fn frame_to_text(frame: &[u8]) -> String {
    BASE64.encode(frame)
}
