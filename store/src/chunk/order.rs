//! The canonical order of rows: what makes a chunk, and a push's hash, independent of how the rows arrived.
//! Owns: grouping by stream, the order of streams, the stable order by timestamp, what an exact duplicate is.
//! Must not know: Parquet, hashing, object keys.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher};
use std::ops::Range;

use hashbrown::DefaultHashBuilder;
use schema::labels::is_label_name;
use schema::{LabelSet, RowBatch};

/// Up to this many rows of one timestamp are compared pair by pair, more by hash.
const PAIRWISE_LIMIT: usize = 8;

/// Where a row lies, and when it happened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) timestamp: i64,
    batch: u32,
    row: u32,
}

/// A batch's position, and rows of it.
type BatchRun = (usize, Range<usize>);

/// A stream and the positions of its rows in [`OrderedRows::rows`].
#[derive(Debug)]
pub(crate) struct OrderedStream<'a> {
    pub(crate) labels: &'a LabelSet,
    pub(crate) rows: Range<usize>,
}

/// All rows of some batches: streams by (service name, label text), rows of a stream by timestamp, equal timestamps in order of arrival
/// (batch by batch), exact duplicates left out.
#[derive(Debug)]
pub(crate) struct OrderedRows<'a> {
    batches: &'a [RowBatch],
    pub(crate) rows: Vec<Row>,
    pub(crate) streams: Vec<OrderedStream<'a>>,
}

/// A batch that contradicts itself: a bug of whoever made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BatchError {
    #[error("the batch has {timestamps} timestamps, {lines} lines and {metadata} metadata sets")]
    Columns { timestamps: usize, lines: usize, metadata: usize },
    #[error("the runs of the batch do not cover its {rows} rows in order")]
    Runs { rows: usize },
    #[error("{rows} rows are more than one chunk can hold")]
    TooMany { rows: usize },
}

/// Whether columns are of one length and runs cover every row once.
pub(crate) fn check_batch(batch: &RowBatch) -> Result<(), BatchError> {
    let rows = batch.timestamps.len();
    if batch.lines.len() != rows || batch.metadata.len() != rows {
        return Err(BatchError::Columns { timestamps: rows, lines: batch.lines.len(), metadata: batch.metadata.len() });
    }
    let mut next = 0;
    for run in &batch.runs {
        if run.rows.start != next || run.rows.end < next {
            return Err(BatchError::Runs { rows });
        }
        next = run.rows.end;
    }
    if next != rows {
        return Err(BatchError::Runs { rows });
    }
    if u32::try_from(rows).is_err() {
        return Err(BatchError::TooMany { rows });
    }
    Ok(())
}

impl<'a> OrderedRows<'a> {
    /// Orders the rows of `batches`. Rows that a faulty batch (see [`check_batch`]) lacks count as empty lines.
    pub(crate) fn of(batches: &'a [RowBatch]) -> Self {
        let mut by_labels: HashMap<&LabelSet, Vec<BatchRun>> = HashMap::new();
        for (index, batch) in batches.iter().enumerate() {
            for run in batch.runs.iter().filter(|run| !run.rows.is_empty()) {
                by_labels.entry(&run.labels).or_default().push((index, run.rows.clone()));
            }
        }
        let mut groups: Vec<(&LabelSet, Vec<BatchRun>)> = by_labels.into_iter().collect();
        groups.sort_by_cached_key(|(labels, _)| stream_sort_key(labels));
        let total = batches.iter().map(RowBatch::len).sum();
        let mut ordered = Self { batches, rows: Vec::with_capacity(total), streams: Vec::with_capacity(groups.len()) };
        let mut duplicates = Duplicates::default();
        for (labels, runs) in groups {
            ordered.push_stream(labels, runs, &mut duplicates);
        }
        ordered
    }

    /// The rows of `batch` as they are: in canonical order already, without copies, one run per stream.
    pub(crate) fn in_order(batch: &'a RowBatch) -> Self {
        let rows = batch.timestamps.iter().zip(0u32..).map(|(timestamp, row)| Row { timestamp: *timestamp, batch: 0, row }).collect();
        let streams = batch.runs.iter().map(|run| OrderedStream { labels: &run.labels, rows: run.rows.clone() }).collect();
        Self { batches: std::slice::from_ref(batch), rows, streams }
    }

    /// The streams that have rows in `range`, and how many.
    pub(crate) fn streams_in(&self, range: Range<usize>) -> impl Iterator<Item = (&'a LabelSet, usize)> {
        let first = self.streams.partition_point(|stream| stream.rows.end <= range.start);
        let streams = self.streams.get(first..).unwrap_or(&[]);
        streams
            .iter()
            .take_while(move |stream| stream.rows.start < range.end)
            .map(move |stream| (stream.labels, stream.rows.end.min(range.end) - stream.rows.start.max(range.start)))
    }

    fn push_stream(&mut self, labels: &'a LabelSet, runs: Vec<BatchRun>, duplicates: &mut Duplicates) {
        let start = self.rows.len();
        for (index, range) in runs {
            let Some(batch) = self.batches.get(index) else { continue };
            let batch_number = u32::try_from(index).unwrap_or(u32::MAX);
            let timestamps = batch.timestamps.get(range.clone()).unwrap_or(&[]);
            let first = u32::try_from(range.start).unwrap_or(u32::MAX);
            self.rows.extend(timestamps.iter().zip(first..).map(|(timestamp, row)| Row { timestamp: *timestamp, batch: batch_number, row }));
        }
        let Some(added) = self.rows.get_mut(start..) else { return };
        if !added.is_sorted_by_key(|row| row.timestamp) {
            added.sort_by_key(|row| row.timestamp);
        }
        self.collapse(start, duplicates);
        if self.rows.len() > start {
            self.streams.push(OrderedStream { labels, rows: start..self.rows.len() });
        }
    }

    /// Removes every row from `start` on that repeats an earlier one; the first of equal rows stays.
    fn collapse(&mut self, start: usize, duplicates: &mut Duplicates) {
        let repeats_a_timestamp = self.rows.get(start..).unwrap_or(&[]).windows(2).any(|pair| matches!(pair, [a, b] if a.timestamp == b.timestamp));
        if !repeats_a_timestamp {
            return;
        }
        let candidates = self.rows.split_off(start);
        for group in candidates.chunk_by(|a, b| a.timestamp == b.timestamp) {
            let group_start = self.rows.len();
            duplicates.begin(group.len());
            for row in group {
                let kept = self.rows.get(group_start..).unwrap_or(&[]);
                if !duplicates.contains(self.batches, kept, *row) {
                    duplicates.keep(self.batches, kept.len(), *row);
                    self.rows.push(*row);
                }
            }
        }
    }

    /// Whether the batches have more bytes of metadata than of lines.
    pub(crate) fn metadata_outweighs_lines(&self) -> bool {
        let (metadata, lines) = self.batches.iter().fold((0, 0), |(m, l), batch| (m + batch.metadata.total_bytes(), l + batch.lines.total_bytes()));
        metadata > lines
    }

    /// The line of `row`.
    pub(crate) fn line(&self, row: Row) -> &'a [u8] {
        line(self.batches, row)
    }

    /// The metadata of `row`, sorted by name. The result borrows `scratch` until the next call.
    pub(crate) fn metadata<'s>(&self, row: Row, scratch: &'s mut Vec<(&'a str, &'a [u8])>) -> &'s [(&'a str, &'a [u8])] {
        sorted_metadata(self.batches, row, scratch);
        scratch
    }
}

/// The canonical order of streams: by `service_name`, then by label text ([`LabelSet`]'s `Display`). Makes no texts of its own unless label names
/// or values are unusual.
pub fn compare_streams(a: &LabelSet, b: &LabelSet) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    let services = a.get("service_name").unwrap_or("").cmp(b.get("service_name").unwrap_or(""));
    // Sets of one text that are not equal can only be told apart by themselves.
    services.then_with(|| compare_texts(a, b)).then_with(|| a.cmp(b))
}

/// As the texts compare: label after label, where a label ends in `"`, and the last is followed by `}`, others by `, `.
fn compare_texts(a: &LabelSet, b: &LabelSet) -> Ordering {
    let (mut left, mut right) = (a.iter(), b.iter());
    loop {
        match (left.next(), right.next()) {
            (Some(label), Some(other)) if label == other => {}
            (Some((name, value)), Some((other_name, other_value))) if is_plain(name, value) && is_plain(other_name, other_value) => {
                let text = name.bytes().chain([b'=', b'"']).chain(value.bytes()).chain([b'"']);
                let other_text = other_name.bytes().chain([b'=', b'"']).chain(other_value.bytes()).chain([b'"']);
                return text.cmp(other_text);
            }
            _ => return a.to_string().cmp(&b.to_string()),
        }
    }
}

/// Whether the label's text is its name and its value with nothing escaped. `=` and `"` cannot be in such a name, so no text is the beginning of another.
fn is_plain(name: &str, value: &str) -> bool {
    is_label_name(name) && value.bytes().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\'))
}

/// Chunks of one service lie together, so that the service's rows are one range.
pub(crate) fn stream_sort_key(labels: &LabelSet) -> (String, String) {
    (labels.get("service_name").unwrap_or("").to_owned(), labels.to_string())
}

fn batch_row(batches: &[RowBatch], row: Row) -> Option<(&RowBatch, usize)> {
    Some((batches.get(usize::try_from(row.batch).ok()?)?, usize::try_from(row.row).ok()?))
}

fn line(batches: &[RowBatch], row: Row) -> &[u8] {
    batch_row(batches, row).and_then(|(batch, index)| batch.lines.get(index)).unwrap_or(&[])
}

fn sorted_metadata<'a>(batches: &'a [RowBatch], row: Row, out: &mut Vec<(&'a str, &'a [u8])>) {
    out.clear();
    if let Some((batch, index)) = batch_row(batches, row) {
        out.extend(batch.metadata.row(index));
    }
    if !out.is_sorted_by(|a, b| a.0 < b.0) {
        out.sort_by_key(|(name, _)| *name);
    }
}

/// Finds equal rows among those of one stream and timestamp.
#[derive(Default)]
struct Duplicates {
    by_hash: Option<HashMap<u64, Vec<usize>>>,
    hashing: DefaultHashBuilder,
}

impl Duplicates {
    fn begin(&mut self, rows: usize) {
        self.by_hash = (rows > PAIRWISE_LIMIT).then(|| HashMap::with_capacity(rows));
    }

    fn contains(&self, batches: &[RowBatch], kept: &[Row], row: Row) -> bool {
        match &self.by_hash {
            None => kept.iter().any(|other| same_content(batches, *other, row)),
            Some(map) => {
                let candidates = map.get(&self.hash(batches, row)).map_or(&[][..], Vec::as_slice);
                candidates.iter().filter_map(|at| kept.get(*at)).any(|other| same_content(batches, *other, row))
            }
        }
    }

    fn keep(&mut self, batches: &[RowBatch], position: usize, row: Row) {
        if self.by_hash.is_some() {
            let hash = self.hash(batches, row);
            if let Some(map) = &mut self.by_hash {
                map.entry(hash).or_default().push(position);
            }
        }
    }

    fn hash(&self, batches: &[RowBatch], row: Row) -> u64 {
        let mut hasher = self.hashing.build_hasher();
        line(batches, row).hash(&mut hasher);
        let mut pairs = Vec::new();
        sorted_metadata(batches, row, &mut pairs);
        pairs.hash(&mut hasher);
        hasher.finish()
    }
}

fn same_content(batches: &[RowBatch], a: Row, b: Row) -> bool {
    if line(batches, a) != line(batches, b) {
        return false;
    }
    let (mut pairs_a, mut pairs_b) = (Vec::new(), Vec::new());
    sorted_metadata(batches, a, &mut pairs_a);
    sorted_metadata(batches, b, &mut pairs_b);
    pairs_a == pairs_b
}
