//! What the operators of one query did, counted while they run.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use schema::ChunkName;

use crate::result::QueryStatistics;

/// Counters shared by the operators of one query.
#[derive(Debug, Default)]
pub struct ScanStatistics {
    pub(super) line_bytes: AtomicU64,
    pub(super) rows: AtomicU64,
    pub(super) rows_after_filters: AtomicU64,
    pub(super) metadata_bytes: AtomicU64,
    pub(super) duplicates: AtomicU64,
    /// A chunk may be read in several pieces, and by several scans.
    chunks_read: Mutex<HashSet<ChunkName>>,
    chunks_matched: AtomicU64,
    pub(super) counted: AtomicU64,
}

impl ScanStatistics {
    pub(super) fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Notes that rows of a chunk are about to be read.
    pub(super) fn reads(&self, chunk: &ChunkName) {
        let mut chunks = self.chunks_read.lock();
        if !chunks.contains(chunk) {
            chunks.insert(chunk.clone());
        }
    }

    /// Notes that a scan found so many chunks with streams that it wants.
    pub fn matched(&self, chunks: usize) {
        Self::add(&self.chunks_matched, chunks);
    }

    /// Adds the counts so far to an answer's statistics.
    pub fn fill(&self, out: &mut QueryStatistics) {
        out.bytes_processed += self.line_bytes.load(Ordering::Relaxed);
        out.lines_processed += self.rows.load(Ordering::Relaxed);
        out.post_filter_lines += self.rows_after_filters.load(Ordering::Relaxed);
        out.metadata_bytes_processed += self.metadata_bytes.load(Ordering::Relaxed);
        out.duplicates += self.duplicates.load(Ordering::Relaxed);
        out.lines_counted += self.counted.load(Ordering::Relaxed);
        out.chunks_matched += self.chunks_matched.load(Ordering::Relaxed);
        out.chunks_read += u64::try_from(self.chunks_read.lock().len()).unwrap_or(u64::MAX);
    }
}
