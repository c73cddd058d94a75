//! The rows of a chunk as they are decoded, against what its footer says of them. No I/O.
//! Owns: order, duplicates, counts per stream and minute, the hash of a push. Must not know: where rows come from.

use std::collections::HashSet;

use schema::{ChunkHash, ChunkManifest, MinuteCount, RowBatch, StreamManifest, StreamRun, Timestamp};
use store::chunk::{ChunkRows, MetadataSet, push_hash};

/// Follows the rows of a chunk from the first to the last, and stops at the first thing that is wrong.
pub(super) struct RowChecker<'a> {
    manifest: &'a ChunkManifest,
    /// What the rows must hash to, and the rows, where that can be known.
    push: Option<(ChunkHash, RowBatch)>,
    next_row: u64,
    stream: usize,
    minutes: Vec<MinuteCount>,
    last: Option<Timestamp>,
    first: Option<Timestamp>,
    /// Hashes of the rows at the last timestamp.
    same_time: HashSet<[u8; 32]>,
    problem: Option<String>,
}

impl<'a> RowChecker<'a> {
    /// Rows of a chunk with this footer. `push`: the hash of the only push in it.
    pub(super) fn new(manifest: &'a ChunkManifest, push: Option<ChunkHash>) -> Self {
        Self {
            manifest,
            push: push.map(|hash| (hash, RowBatch::default())),
            next_row: 0,
            stream: 0,
            minutes: Vec::new(),
            last: None,
            first: None,
            same_time: HashSet::new(),
            problem: None,
        }
    }

    /// Whether something is wrong: no further rows are looked at.
    pub(super) fn has_problem(&self) -> bool {
        self.problem.is_some()
    }

    /// Rows seen.
    pub(super) fn rows(&self) -> u64 {
        self.next_row
    }

    /// The next rows.
    pub(super) fn add(&mut self, batch: &ChunkRows) {
        let (Some(timestamps), Some(lines), Some(metadata)) = (&batch.timestamps, &batch.lines, &batch.metadata) else {
            self.problem.get_or_insert_with(|| "a page lacks a column".to_owned());
            return;
        };
        if batch.first_row != self.next_row {
            self.problem.get_or_insert_with(|| format!("after {} rows came row {}", self.next_row, batch.first_row));
        }
        for (row, (at, line)) in timestamps.values().iter().zip(lines.iter()).enumerate() {
            if self.problem.is_some() {
                return;
            }
            match (line, metadata.get(row)) {
                (Some(line), Some(metadata)) => self.row(Timestamp(*at), line, metadata),
                _ => self.problem = Some(format!("row {} has no line or no metadata", self.next_row)),
            }
        }
    }

    fn row(&mut self, at: Timestamp, line: &[u8], metadata: &MetadataSet) {
        let Some(stream) = self.manifest.streams.get(self.stream) else {
            self.problem = Some("it has more rows than its footer says".to_owned());
            return;
        };
        if std::str::from_utf8(line).is_err() {
            self.problem = Some(format!("the line of row {} is not UTF-8", self.next_row));
        }
        if self.last.is_some_and(|last| at < last) {
            self.problem = Some(format!("row {} is older than the one before it in its stream", self.next_row));
        }
        if self.last != Some(at) {
            self.same_time.clear();
        }
        if !self.same_time.insert(row_hash(line, metadata)) {
            self.problem = Some(format!("row {} repeats another of its stream and timestamp", self.next_row));
        }
        self.first.get_or_insert(at);
        self.last = Some(at);
        let bytes = u64::try_from(line.len()).unwrap_or(u64::MAX);
        match self.minutes.last_mut() {
            Some(last) if last.minute == at.minute_bucket() => {
                last.rows += 1;
                last.bytes += bytes;
            }
            _ => self.minutes.push(MinuteCount { minute: at.minute_bucket(), rows: 1, bytes }),
        }
        if let Some((_, rows)) = &mut self.push {
            push_row(rows, stream, at, line, metadata);
        }
        self.next_row += 1;
        if self.next_row >= stream.first_row.saturating_add(stream.rows) {
            self.end_stream(stream);
        }
    }

    fn end_stream(&mut self, stream: &StreamManifest) {
        let as_said = self.minutes == stream.minutes && self.first == Some(stream.min) && self.last == Some(stream.max);
        if !as_said && self.problem.is_none() {
            self.problem = Some(format!("the rows of stream {} are not as many per minute as its footer says", stream.labels));
        }
        self.minutes.clear();
        self.same_time.clear();
        (self.first, self.last) = (None, None);
        self.stream += 1;
    }

    /// What is wrong, if anything.
    pub(super) fn finish(self) -> Option<String> {
        if self.problem.is_some() {
            return self.problem;
        }
        if self.stream < self.manifest.streams.len() {
            return Some(format!("it has {} rows, and its footer says {}", self.next_row, self.manifest.rows()));
        }
        let (hash, rows) = self.push?;
        (push_hash(&rows) != hash).then(|| "its rows do not have the content hash that its name says".to_owned())
    }
}

fn row_hash(line: &[u8], metadata: &MetadataSet) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    let length = |hasher: &mut blake3::Hasher, bytes: &[u8]| {
        hasher.update(&bytes.len().to_le_bytes()).update(bytes);
    };
    length(&mut hasher, line);
    for (name, value) in metadata.iter() {
        length(&mut hasher, name.as_bytes());
        length(&mut hasher, value.as_bytes());
    }
    *hasher.finalize().as_bytes()
}

fn push_row(rows: &mut RowBatch, stream: &StreamManifest, at: Timestamp, line: &[u8], metadata: &MetadataSet) {
    let row = rows.timestamps.len();
    match rows.runs.last_mut() {
        Some(run) if run.labels == stream.labels => run.rows.end = row + 1,
        _ => rows.runs.push(StreamRun { labels: stream.labels.clone(), rows: row..row + 1 }),
    }
    rows.timestamps.push(at.as_nanos());
    rows.lines.push(line);
    for (name, value) in metadata.iter() {
        let id = rows.metadata.intern(name);
        rows.metadata.push_pair(id, value.as_bytes());
    }
    rows.metadata.finish_row();
}
