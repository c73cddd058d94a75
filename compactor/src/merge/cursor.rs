//! One input of a merge, row after row.
//! Owns: which stream a row belongs to, that rows come in order.
//! Must not know: the other inputs.

use std::ops::Range;

use futures::stream::{BoxStream, TryStreamExt as _};
use store::chunk::{ChunkColumns, ChunkReader, ChunkRows, MetadataSet, ReadAhead};
use store::{ObjectClient, StoreError};

use crate::error::CompactError;

/// Place of a row in canonical order, as far as rows of different inputs can differ in it: its stream's rank among the streams of the merge, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    rank: u32,
    pub(super) timestamp: i64,
}

impl Position {
    pub(super) fn rank(self) -> usize {
        usize::try_from(self.rank).unwrap_or(usize::MAX)
    }
}

/// Selected rows of one stream, at least one.
#[derive(Clone, Debug)]
pub(super) struct RankedRows {
    pub(super) rank: u32,
    pub(super) rows: Range<u64>,
}

/// Stands on a row of one input, or before the first, or behind the last.
pub(super) struct Cursor {
    reader: ChunkReader,
    batches: BoxStream<'static, Result<ChunkRows, StoreError>>,
    batch: Option<ChunkRows>,
    /// Rows of `batch` that were stood on, the current one included.
    taken: usize,
    streams: Vec<RankedRows>,
    stream: usize,
    at: Option<Position>,
}

impl Cursor {
    pub(super) fn open(client: &ObjectClient, reader: ChunkReader, streams: Vec<RankedRows>) -> Self {
        let mut selection: Vec<Range<u64>> = Vec::new();
        for stream in &streams {
            match selection.last_mut() {
                Some(last) if last.end == stream.rows.start => last.end = stream.rows.end,
                _ => selection.push(stream.rows.clone()),
            }
        }
        let batches = reader.read_with(client, selection, ChunkColumns::ALL, ReadAhead::MERGE);
        Self { reader, batches, batch: None, taken: 0, streams, stream: 0, at: None }
    }

    pub(super) fn selected_rows(&self) -> u64 {
        self.streams.iter().map(|stream| stream.rows.end - stream.rows.start).sum()
    }

    /// Moves to the next row; `None` behind the last.
    pub(super) async fn next(&mut self) -> Result<Option<Position>, CompactError> {
        while self.batch.as_ref().is_none_or(|batch| self.taken >= batch.rows) {
            // Gone before the next is decoded, so that there is one at a time.
            self.batch = None;
            self.batch = self.batches.try_next().await?;
            self.taken = 0;
            if self.batch.is_none() {
                return Ok(None);
            }
        }
        let at = self.position()?;
        if let Some(before) = self.at.filter(|before| *before > at) {
            let what = format!("a row at {} follows one at {}", at.timestamp, before.timestamp);
            return Err(CompactError::Unordered { key: self.reader.chunk().name.to_string(), what });
        }
        self.taken += 1;
        self.at = Some(at);
        Ok(Some(at))
    }

    /// The place of row `taken` of the batch.
    fn position(&mut self) -> Result<Position, CompactError> {
        let batch = self.batch.as_ref().ok_or_else(missing)?;
        let row = batch.first_row + u64::try_from(self.taken).unwrap_or(u64::MAX);
        while self.streams.get(self.stream).is_some_and(|stream| stream.rows.end <= row) {
            self.stream += 1;
        }
        let stream = self.streams.get(self.stream).filter(|stream| stream.rows.start <= row).ok_or_else(missing)?;
        let timestamps = batch.timestamps.as_ref().ok_or_else(missing)?;
        Ok(Position { rank: stream.rank, timestamp: timestamps.value(self.taken) })
    }

    /// Line and metadata of the row that this stands on.
    pub(super) fn row(&self) -> Result<(&[u8], &MetadataSet), CompactError> {
        let row = self.taken.checked_sub(1).ok_or_else(missing)?;
        let batch = self.batch.as_ref().ok_or_else(missing)?;
        let (lines, metadata) = (batch.lines.as_ref().ok_or_else(missing)?, batch.metadata.as_ref().ok_or_else(missing)?);
        Ok((lines.value(row), metadata.get(row).ok_or_else(missing)?))
    }
}

fn missing() -> CompactError {
    CompactError::internal("a chunk was read and rows that were not selected came, or columns are missing")
}
