//! Which bytes of a chunk a selection of rows needs, and getting them with few requests.
//! Owns: the split of a read into windows, the merging of byte ranges, overlap of fetching and decoding.
//! Must not know: what is in a page.

use std::ops::Range;

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader as ParquetChunkReader, Length};
use tokio::task::JoinHandle;

use super::footer::{ChunkFooter, Span};
use super::layout::Leaf;
use crate::error::StoreError;
use crate::object::ObjectClient;

/// Ranges closer than this become one request: a request costs as much time as this many bytes.
const COALESCE_GAP: u64 = 512 << 10;
/// Largest request.
const MAX_REQUEST: u64 = 8 << 20;
/// How far a read runs ahead of what is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadAhead {
    /// Stored bytes of the first window; each further window is twice as large, up to `window_bytes`.
    pub first_window_bytes: u64,
    /// Stored bytes of the largest window. A page that is larger is a window of its own.
    pub window_bytes: u64,
    /// Windows that are in memory, at least 1: one that is decoded, the others on their way.
    pub windows: usize,
}

impl ReadAhead {
    /// For a query: it may stop early and should then have read little; if it does not, few requests read much.
    pub const QUERY: Self = Self { first_window_bytes: 1 << 20, window_bytes: 8 << 20, windows: 2 };
    /// For one of many inputs that are read at the same time, each slowly.
    pub const MERGE: Self = Self { first_window_bytes: 1 << 20, window_bytes: 1 << 20, windows: 2 };

    /// Ranges closer than this become one request.
    fn gap(&self) -> u64 {
        COALESCE_GAP.min(self.window_bytes / 8)
    }

    /// Bytes that a read of an object of `size` bytes holds before they are decoded: windows, and what lies between the columns that became one request.
    /// A selection with many small gaps fetches these, too.
    pub fn memory_bytes(&self, size: u64) -> u64 {
        let gaps = self.gap().saturating_mul(u64::try_from(Leaf::ALL.len()).unwrap_or(u64::MAX));
        let windows = u64::try_from(self.windows).unwrap_or(u64::MAX);
        self.window_bytes.saturating_add(gaps).saturating_mul(windows).min(size)
    }
}

/// A page of a row group and the rows wanted from it, counted from the page's first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PagePick {
    pub(crate) page: usize,
    pub(crate) rows: Vec<Range<usize>>,
}

/// Pages of one row group that are fetched together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) group: usize,
    pub(crate) picks: Vec<PagePick>,
}

/// Splits the selected rows into windows. `selection` is ascending and disjoint; rows past the end of the chunk are an error.
pub(crate) fn plan(footer: &ChunkFooter, selection: &[Range<u64>], leaves: &[Leaf], ahead: &ReadAhead) -> Result<Vec<Window>, StoreError> {
    check_selection(footer, selection)?;
    let mut windows: Vec<Window> = Vec::new();
    let (mut budget, mut used) = (ahead.first_window_bytes, 0u64);
    for (group_index, group) in footer.groups.iter().enumerate() {
        let mut open = false;
        for (page, borders) in group.borders.windows(2).enumerate() {
            let [start, end] = borders else { continue };
            let rows = overlaps(selection, *start, *end);
            if rows.is_empty() {
                continue;
            }
            let bytes: u64 = leaves.iter().filter_map(|leaf| group.columns.get(leaf.index())?.pages.get(page)).map(|span| span.length).sum();
            if open && used + bytes > budget {
                open = false;
                budget = budget.saturating_mul(2).min(ahead.window_bytes);
            }
            if !open {
                windows.push(Window { group: group_index, picks: Vec::new() });
                (open, used) = (true, 0);
            }
            used += bytes;
            if let Some(window) = windows.last_mut() {
                window.picks.push(PagePick { page, rows });
            }
        }
    }
    Ok(windows)
}

fn check_selection(footer: &ChunkFooter, selection: &[Range<u64>]) -> Result<(), StoreError> {
    let ascending = selection.iter().all(|range| range.start <= range.end) && selection.is_sorted_by(|a, b| a.end <= b.start);
    let inside = selection.last().is_none_or(|range| range.end <= footer.manifest.rows());
    if ascending && inside {
        return Ok(());
    }
    Err(StoreError::argument(format!("a selection of rows must be ascending, disjoint and within the chunk's {} rows", footer.manifest.rows())))
}

/// What of `selection` lies in `[start, end)`, counted from `start`.
fn overlaps(selection: &[Range<u64>], start: u64, end: u64) -> Vec<Range<usize>> {
    let first = selection.partition_point(|range| range.end <= start);
    selection
        .iter()
        .skip(first)
        .take_while(|range| range.start < end)
        .filter_map(|range| {
            let from = usize::try_from(range.start.max(start) - start).ok()?;
            let to = usize::try_from(range.end.min(end) - start).ok()?;
            (from < to).then_some(from..to)
        })
        .collect()
}

/// The bytes that a window needs: its pages, and the dictionaries of their columns.
pub(crate) fn window_spans(footer: &ChunkFooter, window: &Window, leaves: &[Leaf]) -> Vec<Span> {
    let Some(group) = footer.groups.get(window.group) else { return Vec::new() };
    let mut spans: Vec<Span> = Vec::new();
    for column in leaves.iter().filter_map(|leaf| group.columns.get(leaf.index())) {
        spans.extend(column.dictionary);
        spans.extend(window.picks.iter().filter_map(|pick| column.pages.get(pick.page)));
    }
    spans.sort_by_key(|span| span.start);
    spans
}

/// Merges sorted spans that are close to each other.
pub(crate) fn coalesce(spans: &[Span], ahead: &ReadAhead) -> Vec<Range<u64>> {
    let mut merged: Vec<Range<u64>> = Vec::new();
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.start.saturating_sub(last.end) <= ahead.gap() && span.end().max(last.end) - last.start <= MAX_REQUEST => {
                last.end = last.end.max(span.end());
            }
            _ => merged.push(span.start..span.end()),
        }
    }
    merged
}

/// Parts of a file by position, as the page reader wants them.
#[derive(Clone, Debug)]
pub(crate) struct FileParts {
    /// Ascending, disjoint.
    parts: Vec<(u64, Bytes)>,
}

impl FileParts {
    pub(crate) fn whole(file: Bytes) -> Self {
        Self { parts: vec![(0, file)] }
    }

    fn slice(&self, start: u64, length: usize) -> Option<Bytes> {
        let after = self.parts.partition_point(|(at, _)| *at <= start);
        let (at, bytes) = self.parts.get(after.checked_sub(1)?)?;
        let from = usize::try_from(start - at).ok()?;
        let to = from.checked_add(length)?;
        (to <= bytes.len()).then(|| bytes.slice(from..to))
    }
}

impl Length for FileParts {
    fn len(&self) -> u64 {
        self.parts.last().map_or(0, |(at, bytes)| at + u64::try_from(bytes.len()).unwrap_or(0))
    }
}

impl ParquetChunkReader for FileParts {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Err(ParquetError::General(format!("a read of unknown length at byte {start}")))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        self.slice(start, length).ok_or_else(|| ParquetError::EOF(format!("bytes {start}+{length} were not fetched")))
    }
}

/// A fetch that goes on while the caller decodes what came before, and ends when it is dropped.
pub(crate) struct Fetch {
    task: JoinHandle<Result<FileParts, StoreError>>,
}

impl Fetch {
    /// Begins to fetch `ranges` of object `key`.
    pub(crate) fn start(client: ObjectClient, key: String, ranges: Vec<Range<u64>>) -> Self {
        let task = tokio::spawn(async move {
            let bodies = client.get_ranges(&key, &ranges).await?;
            Ok(FileParts { parts: ranges.iter().map(|range| range.start).zip(bodies).collect() })
        });
        Self { task }
    }

    /// Waits for the bytes.
    pub(crate) async fn finish(mut self) -> Result<FileParts, StoreError> {
        (&mut self.task).await.map_err(|error| StoreError::internal(format!("a fetch task ended by itself: {error}")))?
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        self.task.abort();
    }
}
