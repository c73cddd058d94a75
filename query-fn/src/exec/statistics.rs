//! What the operators of one query did, counted while they run.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::result::QueryStatistics;

/// Counters shared by the operators of one query.
#[derive(Debug, Default)]
pub struct ScanStatistics {
    pub(super) line_bytes: AtomicU64,
    pub(super) rows: AtomicU64,
    pub(super) rows_after_filters: AtomicU64,
    pub(super) metadata_bytes: AtomicU64,
    pub(super) duplicates: AtomicU64,
    pub(super) units_read: AtomicU64,
    pub(super) counted: AtomicU64,
}

impl ScanStatistics {
    pub(super) fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Adds the counts so far to an answer's statistics.
    pub fn fill(&self, out: &mut QueryStatistics) {
        out.bytes_processed += self.line_bytes.load(Ordering::Relaxed);
        out.lines_processed += self.rows.load(Ordering::Relaxed);
        out.post_filter_lines += self.rows_after_filters.load(Ordering::Relaxed);
        out.metadata_bytes_processed += self.metadata_bytes.load(Ordering::Relaxed);
        out.duplicates += self.duplicates.load(Ordering::Relaxed);
        out.lines_counted += self.counted.load(Ordering::Relaxed);
        out.chunks_read += self.units_read.load(Ordering::Relaxed);
    }
}
