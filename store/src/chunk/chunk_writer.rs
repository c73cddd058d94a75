//! Writes level-1 chunks row by row, in memory that does not grow with the rows beyond the file itself.
//! Owns: where pages and row groups of a level-1 chunk end, that rows come in canonical order.
//! Must not know: where the rows come from, names, how the file gets into the store.

use std::cmp::Ordering;
use std::collections::HashMap;

use bytes::Bytes;
use parquet::errors::ParquetError;
use schema::{ChunkManifest, LabelSet, RowBatch, StreamManifest, StreamRun, Timestamp};

use super::layout::{FileLayout, LEVEL1_ROW_GROUP_BYTES, LEVEL1_ZSTD_LEVEL, PAGE_LINE_BYTES, PAGE_ROWS};
use super::order::{OrderedRows, compare_streams};
use super::tally::{begin_stream, compress_manifest, count, count_row, frame_to_text};
use super::write::FileWriter;
use crate::error::StoreError;

/// Sizes and effort of a level-1 chunk. Bytes are those of lines and metadata values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MergeOptions {
    /// zstd level of the pages.
    pub zstd_level: i32,
    /// A page ends before it has more.
    pub page_bytes: usize,
    /// A row group ends before it has more.
    pub row_group_bytes: usize,
}

impl Default for MergeOptions {
    fn default() -> Self {
        Self { zstd_level: LEVEL1_ZSTD_LEVEL, page_bytes: PAGE_LINE_BYTES, row_group_bytes: LEVEL1_ROW_GROUP_BYTES }
    }
}

/// A level-1 chunk that is ready to be named and stored.
#[derive(Clone, Debug)]
pub struct WrittenChunk {
    /// The Parquet file.
    pub bytes: Bytes,
    /// What its footer says.
    pub manifest: ChunkManifest,
    /// The same as the footer has it: one zstd frame of [`ChunkManifest::encode`].
    pub labels_frame: Vec<u8>,
    /// Bytes at the end of the file that opening it takes.
    pub footer_bytes: u64,
    /// First bytes of BLAKE3 over the file.
    pub checksum: [u8; 16],
    /// Earliest timestamp.
    pub min: Timestamp,
    /// Latest timestamp.
    pub max: Timestamp,
}

/// Writes rows that come in canonical order (streams as [`compare_streams`] says, rows of a stream by timestamp) into one level-1 chunk. It holds
/// the file as far as it is written, and one page of rows. Stores what it is given: exact duplicates are for the caller to leave out.
pub struct ChunkWriter {
    options: MergeOptions,
    file: FileWriter,
    page: PageBuffer,
    /// Bytes of the row group's finished pages; `None` before its first.
    group_bytes: Option<usize>,
    streams: Vec<StreamManifest>,
    /// Memory of `streams` but for the minutes of the last.
    streams_bytes: usize,
    rows: u64,
    raw_bytes: u64,
}

impl std::fmt::Debug for ChunkWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChunkWriter").field("options", &self.options).field("rows", &self.rows).field("raw_bytes", &self.raw_bytes).finish_non_exhaustive()
    }
}

impl ChunkWriter {
    /// A file without rows.
    pub fn new(options: &MergeOptions) -> Result<Self, StoreError> {
        let file = FileWriter::new(FileLayout::Level1, options.zstd_level).map_err(refused)?;
        Ok(Self { options: *options, file, page: PageBuffer::default(), group_bytes: None, streams: Vec::new(), streams_bytes: 0, rows: 0, raw_bytes: 0 })
    }

    /// Appends a row; labels other than those of the row before begin a new stream. `metadata` is sorted by name, or will be. Encodes a page
    /// whenever one is full, which takes about ten milliseconds of CPU, and is cheap otherwise.
    /// Errors: [`StoreError::Internal`] for a row that belongs before the last one; the writer is of no use after an error.
    pub fn push(&mut self, labels: &LabelSet, timestamp: i64, line: &[u8], metadata: &[(Box<str>, Box<str>)]) -> Result<(), StoreError> {
        let is_new = self.check_order(labels, timestamp)?;
        let bytes = line.len() + metadata.iter().map(|(_, value)| value.len()).sum::<usize>();
        self.make_room(bytes)?;
        if is_new {
            self.streams_bytes += self.last_stream_bytes() + labels.iter().map(|(name, value)| name.len() + value.len() + 48).sum::<usize>();
            self.streams.push(begin_stream(labels, self.rows, timestamp));
        }
        if let Some(stream) = self.streams.last_mut() {
            count_row(stream, timestamp, line);
        }
        self.page.push(labels, timestamp, line, metadata);
        self.page.bytes += bytes;
        self.rows += 1;
        self.raw_bytes += count(bytes);
        Ok(())
    }

    /// Rows so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes of lines and metadata values so far.
    pub fn raw_bytes(&self) -> u64 {
        self.raw_bytes
    }

    /// Bytes of memory that this takes, roughly: the compressed file so far, one page of rows, the compressor, the manifest.
    pub fn memory_bytes(&mut self) -> usize {
        self.file.memory_bytes() + self.page.memory_bytes() + self.streams_bytes + self.last_stream_bytes()
    }

    /// The finished file; `None` without rows.
    pub fn finish(mut self) -> Result<Option<WrittenChunk>, StoreError> {
        self.end_page()?;
        let manifest = ChunkManifest { streams: self.streams, pushes: Vec::new() };
        let Some((min, max)) = manifest.time_bounds() else { return Ok(None) };
        manifest.validate().map_err(|error| StoreError::internal(format!("a chunk was written whose {error}")))?;
        let labels_frame = compress_manifest(&manifest)?;
        let file = self.file.finish(frame_to_text(&labels_frame)).map_err(refused)?;
        let mut checksum = [0; 16];
        blake3::Hasher::new().update(&file.bytes).finalize_xof().fill(&mut checksum);
        Ok(Some(WrittenChunk { bytes: Bytes::from(file.bytes), manifest, labels_frame, footer_bytes: count(file.footer_bytes), checksum, min, max }))
    }

    /// Whether a row of `labels` begins a new stream.
    fn check_order(&self, labels: &LabelSet, timestamp: i64) -> Result<bool, StoreError> {
        let Some(last) = self.streams.last() else { return Ok(true) };
        match compare_streams(&last.labels, labels) {
            Ordering::Less => Ok(true),
            Ordering::Equal if last.max.as_nanos() <= timestamp => Ok(false),
            Ordering::Equal => Err(StoreError::internal(format!("a row of {labels} at {timestamp} came after one at {}", last.max))),
            Ordering::Greater => Err(StoreError::internal(format!("a row of {labels} came after one of {}", last.labels))),
        }
    }

    /// Ends the page, or the row group, that has no room for `bytes` more.
    fn make_room(&mut self, bytes: usize) -> Result<(), StoreError> {
        let rows = self.page.batch.len();
        let group_bytes = self.group_bytes.unwrap_or(0) + self.page.bytes;
        let group_full = (rows > 0 || self.group_bytes.is_some()) && group_bytes + bytes > self.options.row_group_bytes;
        let page_full = rows > 0 && (self.page.bytes + bytes > self.options.page_bytes || rows >= PAGE_ROWS);
        if page_full || group_full {
            self.end_page()?;
        }
        if group_full {
            self.file.end_group().map_err(refused)?;
            self.group_bytes = None;
        }
        Ok(())
    }

    fn end_page(&mut self) -> Result<(), StoreError> {
        let rows = self.page.batch.len();
        if rows == 0 {
            return Ok(());
        }
        if self.group_bytes.is_none() {
            self.file.begin_group(0);
        }
        self.file.push_page(&OrderedRows::in_order(&self.page.batch), 0..rows).map_err(refused)?;
        self.group_bytes = Some(self.group_bytes.unwrap_or(0) + self.page.bytes);
        self.page = PageBuffer::default();
        Ok(())
    }

    fn last_stream_bytes(&self) -> usize {
        self.streams.last().map_or(0, |stream| 128 + stream.minutes.capacity() * 24)
    }
}

fn refused(error: ParquetError) -> StoreError {
    StoreError::argument(format!("the rows cannot be stored as Parquet: {error}"))
}

/// The rows of the page that is not full yet.
#[derive(Default)]
struct PageBuffer {
    batch: RowBatch,
    bytes: usize,
    name_ids: HashMap<Box<str>, u32>,
    /// Names at each place of the row before, which are mostly those of the next.
    last_names: Vec<(Box<str>, u32)>,
}

impl PageBuffer {
    fn push(&mut self, labels: &LabelSet, timestamp: i64, line: &[u8], metadata: &[(Box<str>, Box<str>)]) {
        let row = self.batch.len();
        match self.batch.runs.last_mut() {
            Some(run) if run.labels == *labels => run.rows.end = row + 1,
            _ => self.batch.runs.push(StreamRun { labels: labels.clone(), rows: row..row + 1 }),
        }
        self.batch.timestamps.push(timestamp);
        self.batch.lines.push(line);
        for (position, (name, value)) in metadata.iter().enumerate() {
            let id = self.name_id(position, name);
            self.batch.metadata.push_pair(id, value.as_bytes());
        }
        self.batch.metadata.finish_row();
    }

    fn name_id(&mut self, position: usize, name: &str) -> u32 {
        if let Some((last, id)) = self.last_names.get(position)
            && **last == *name
        {
            return *id;
        }
        let id = match self.name_ids.get(name) {
            Some(id) => *id,
            None => {
                let id = self.batch.metadata.add_name(name);
                self.name_ids.insert(name.into(), id);
                id
            }
        };
        match self.last_names.get_mut(position) {
            Some(slot) => *slot = (name.into(), id),
            None => self.last_names.push((name.into(), id)),
        }
        id
    }

    fn memory_bytes(&self) -> usize {
        let (rows, bytes) = (self.batch.len(), self.batch.raw_bytes());
        // Columns grow by doubling: timestamps, ends of lines, ends of metadata, and a pair or two.
        2 * (bytes + rows * 64) + self.batch.runs.len() * 64 + self.name_ids.len() * 128
    }
}
