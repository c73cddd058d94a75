//! Rows of a chunk as a reader hands them out.

use std::sync::Arc;

use arrow::array::{BinaryArray, TimestampNanosecondArray};

/// The pairs of one row's structured metadata, sorted by name.
pub type MetadataSet = Arc<[(Box<str>, Box<str>)]>;

/// Which columns to fetch and decode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ChunkColumns {
    /// Timestamps.
    pub timestamps: bool,
    /// Lines.
    pub lines: bool,
    /// Structured metadata.
    pub metadata: bool,
}

impl ChunkColumns {
    /// Every column.
    pub const ALL: Self = Self { timestamps: true, lines: true, metadata: true };
}

/// Consecutive rows of a chunk, in chunk order. Never spans a gap of the selection; at most [`super::MAX_BATCH_ROWS`] rows and one page of lines.
#[derive(Clone, Debug)]
pub struct ChunkRows {
    /// Position of the first row in the chunk.
    pub first_row: u64,
    /// Number of rows, at least 1.
    pub rows: usize,
    /// Timestamps in UTC; `None` when not asked for.
    pub timestamps: Option<TimestampNanosecondArray>,
    /// Lines, their bytes one after the other in one buffer, not checked to be UTF-8; `None` when not asked for.
    pub lines: Option<BinaryArray>,
    /// Structured metadata; `None` when not asked for.
    pub metadata: Option<MetadataRows>,
}

/// Structured metadata of consecutive rows, equal sets stored once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetadataRows {
    /// The distinct sets.
    pub sets: Vec<MetadataSet>,
    /// One per row: an index into `sets`.
    pub ids: Vec<u32>,
}

impl MetadataRows {
    /// The set of row `row` of the batch; `None` past the end.
    pub fn get(&self, row: usize) -> Option<&MetadataSet> {
        self.sets.get(usize::try_from(*self.ids.get(row)?).ok()?)
    }
}
