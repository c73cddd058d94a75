//! Rows of many chunks as one sequence in canonical order, each row once.
//! Owns: the order of rows that come from different chunks, which of them are copies.
//! Must not know: why these chunks, what becomes of the rows, who else writes chunks.

mod cursor;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::ops::Range;

use futures::future::try_join_all;
use schema::{ChunkRef, LabelSet, Timestamp};
use store::ObjectClient;
use store::chunk::{ChunkReader, ChunkWriter, MetadataSet, ReadAhead, compare_streams};

use self::cursor::{Cursor, Position, RankedRows};
use crate::error::CompactError;

/// Raw bytes after which other tasks get their turn.
const BYTES_PER_TURN: u64 = 256 << 10;
/// Rows after which other tasks get their turn, however short.
const ROWS_PER_TURN: u64 = 4096;
/// One decoded page: a mebibyte of lines in the page and once more in arrays, timestamps, offsets and metadata of 32,768 rows.
const DECODED_PAGE_BYTES: u64 = 4 << 20;
/// How much larger a footer is in memory.
const FOOTER_EXPANSION: u64 = 16;
/// Footer of a chunk that does not say how large it is: some hundred streams.
const USUAL_FOOTER_BYTES: u64 = 32 << 10;

/// Rows of one stream of a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSelection {
    /// Position of the stream in [`schema::ChunkManifest::streams`].
    pub index: usize,
    /// Positions in the chunk, all of this stream.
    pub rows: Range<u64>,
}

/// A chunk, and what of it takes part in a merge.
#[derive(Clone, Debug)]
pub struct MergeInput {
    /// The opened chunk.
    pub reader: ChunkReader,
    /// Ascending by stream.
    pub streams: Vec<StreamSelection>,
}

impl MergeInput {
    /// All rows of a chunk.
    pub fn whole(reader: ChunkReader) -> Self {
        let streams = reader.manifest().streams.iter().enumerate();
        let streams = streams.map(|(index, stream)| StreamSelection { index, rows: stream.first_row..stream.first_row + stream.rows }).collect();
        Self { reader, streams }
    }
}

/// Bytes of memory that `chunk` takes while it is merged, roughly and rather too many: what is fetched ahead, one decoded page, the footer.
pub fn input_memory(chunk: &ChunkRef) -> u64 {
    let footer = chunk.footer.unwrap_or(USUAL_FOOTER_BYTES).min(chunk.size);
    ReadAhead::MERGE.memory_bytes(chunk.size) + DECODED_PAGE_BYTES.min(chunk.size.saturating_mul(FOOTER_EXPANSION)) + footer.saturating_mul(FOOTER_EXPANSION)
}

/// What a merge did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MergeStats {
    /// Rows read.
    pub rows_in: u64,
    /// Rows handed on.
    pub rows_out: u64,
    /// Rows left out because they were copies.
    pub duplicates: u64,
    /// Bytes of lines and metadata values of the rows handed on.
    pub bytes: u64,
}

/// Takes the rows of a merge.
pub trait RowSink: Send {
    /// The next row in canonical order. Equal label sets of consecutive rows are the same allocation. An error ends the merge.
    fn row(&mut self, labels: &LabelSet, timestamp: Timestamp, line: &[u8], metadata: &MetadataSet) -> impl Future<Output = Result<(), CompactError>> + Send;
}

/// Writes everything into one chunk.
impl RowSink for ChunkWriter {
    async fn row(&mut self, labels: &LabelSet, timestamp: Timestamp, line: &[u8], metadata: &MetadataSet) -> Result<(), CompactError> {
        Ok(self.push(labels, timestamp.as_nanos(), line, metadata)?)
    }
}

/// Hands every selected row to `sink`: streams in canonical order ([`compare_streams`]), rows of a stream by timestamp, equal timestamps in the order
/// of `inputs`. Of exact copies (stream, timestamp, line, metadata) in different inputs only the first is handed on.
///
/// Memory: [`input_memory`] per input, and 32 bytes per row of one stream and timestamp that several inputs have. Requests: a GET per mebibyte and
/// column of an input, none for a chunk whose object is in its cache.
/// Takes turns with other tasks every few thousand rows; a sink that compresses takes longer between turns, so a merge into chunks belongs on a
/// thread of its own where requests are served.
/// Errors: those of the store and of the sink; [`CompactError::Unordered`] for a chunk that is not in order; then `sink` has got a part.
pub async fn merge<S: RowSink>(client: &ObjectClient, inputs: Vec<MergeInput>, sink: &mut S) -> Result<MergeStats, CompactError> {
    let (streams, ranked) = rank_streams(&inputs)?;
    let mut cursors: Vec<Cursor> = inputs.into_iter().zip(ranked).map(|(input, ranked)| Cursor::open(client, input.reader, ranked)).collect();
    let selected: u64 = cursors.iter().map(Cursor::selected_rows).sum();
    let first = try_join_all(cursors.iter_mut().map(Cursor::next)).await?;
    let mut heads: BinaryHeap<Head> = first.into_iter().enumerate().filter_map(|(input, at)| Some(Reverse((at?, input)))).collect();
    let mut progress = Progress::default();
    while let Some(Reverse((mut at, input))) = heads.pop() {
        let others = heads.peek().map(|Reverse(head)| *head);
        let cursor = cursors.get_mut(input).ok_or_else(|| CompactError::internal("an input beyond the inputs"))?;
        loop {
            let (line, metadata) = cursor.row()?;
            let is_shared = others.is_some_and(|(other, _)| other == at);
            progress.stats.rows_in += 1;
            if progress.copies.is_new(at, is_shared, line, metadata) {
                let labels = streams.get(at.rank()).ok_or_else(|| CompactError::internal("a stream beyond the streams"))?;
                progress.count(line, metadata);
                sink.row(labels, Timestamp(at.timestamp), line, metadata).await?;
            } else {
                progress.stats.duplicates += 1;
            }
            progress.take_turns().await;
            let Some(next) = cursor.next().await? else { break };
            at = next;
            if others.is_some_and(|other| other < (at, input)) {
                heads.push(Reverse((at, input)));
                break;
            }
        }
    }
    if progress.stats.rows_in != selected {
        return Err(CompactError::internal(format!("{} rows were selected and {} were read", selected, progress.stats.rows_in)));
    }
    Ok(progress.stats)
}

/// Where an input stands, and which one; the least is next.
type Head = Reverse<(Position, usize)>;

/// All label sets in canonical order, and for each input its selected rows with the places of their streams among them.
fn rank_streams(inputs: &[MergeInput]) -> Result<(Vec<LabelSet>, Vec<Vec<RankedRows>>), CompactError> {
    let mut all: Vec<(&LabelSet, usize, &StreamSelection)> = Vec::new();
    for (number, input) in inputs.iter().enumerate() {
        let name = || input.reader.chunk().name.to_string();
        let mut previous: Option<&LabelSet> = None;
        for selection in &input.streams {
            let stream = input.reader.manifest().streams.get(selection.index);
            let stream =
                stream.ok_or_else(|| CompactError::internal(format!("stream {} of '{}' was selected, which it does not have", selection.index, name())))?;
            if let Some(previous) = previous.filter(|previous| compare_streams(previous, &stream.labels).is_ge()) {
                return Err(CompactError::Unordered { key: name(), what: format!("stream {previous} stands before {}", stream.labels) });
            }
            let rows = stream.first_row..stream.first_row + stream.rows;
            if selection.rows.start < rows.start || selection.rows.end > rows.end || selection.rows.start > selection.rows.end {
                return Err(CompactError::internal(format!("rows {:?} of '{}' were selected in a stream of rows {rows:?}", selection.rows, name())));
            }
            previous = Some(&stream.labels);
            all.push((&stream.labels, number, selection));
        }
    }
    // Stable: what an input has stays in its order.
    all.sort_by(|a, b| compare_streams(a.0, b.0));
    let mut streams: Vec<LabelSet> = Vec::new();
    let mut ranked: Vec<Vec<RankedRows>> = vec![Vec::new(); inputs.len()];
    for (labels, number, selection) in all {
        if streams.last() != Some(labels) {
            streams.push(labels.clone());
        }
        let rank = u32::try_from(streams.len() - 1).map_err(|_| CompactError::internal("more streams than can be counted"))?;
        if let Some(rows) = ranked.get_mut(number).filter(|_| !selection.rows.is_empty()) {
            rows.push(RankedRows { rank, rows: selection.rows.clone() });
        }
    }
    Ok((streams, ranked))
}

#[derive(Default)]
struct Progress {
    stats: MergeStats,
    copies: Copies,
    turn_bytes: u64,
    turn_rows: u64,
}

impl Progress {
    fn count(&mut self, line: &[u8], metadata: &MetadataSet) {
        let bytes = line.len() + metadata.iter().map(|(_, value)| value.len()).sum::<usize>();
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.stats.rows_out += 1;
        self.stats.bytes += bytes;
        self.turn_bytes += bytes;
    }

    async fn take_turns(&mut self) {
        self.turn_rows += 1;
        if self.turn_rows >= ROWS_PER_TURN || self.turn_bytes >= BYTES_PER_TURN {
            (self.turn_rows, self.turn_bytes) = (0, 0);
            tokio::task::yield_now().await;
        }
    }
}

/// Finds copies among the rows of one stream and timestamp.
#[derive(Default)]
struct Copies {
    at: Option<Position>,
    /// BLAKE3 of the rows that may meet a copy: the rows themselves may be too many to keep.
    seen: HashSet<[u8; 32]>,
}

/// A set that has grown beyond this is not used again, since clearing it takes as long as it is large.
const REUSED_SET_ROWS: usize = 1024;

impl Copies {
    /// Whether the row is the first of its kind. `is_shared` says that another input has rows of the same stream and timestamp still to come; rows of one
    /// input are not compared with one another.
    fn is_new(&mut self, at: Position, is_shared: bool, line: &[u8], metadata: &MetadataSet) -> bool {
        if self.at != Some(at) {
            self.at = Some(at);
            if self.seen.capacity() > 2 * REUSED_SET_ROWS {
                self.seen = HashSet::new();
            }
            self.seen.clear();
        }
        if !is_shared && self.seen.is_empty() {
            return true;
        }
        self.seen.insert(digest(line, metadata))
    }
}

fn digest(line: &[u8], metadata: &MetadataSet) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    let mut text = |bytes: &[u8]| {
        hasher.update(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes()).update(bytes);
    };
    text(line);
    for (name, value) in metadata.iter() {
        text(name.as_bytes());
        text(value.as_bytes());
    }
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests;
