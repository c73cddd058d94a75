//! Entries become batches: what [`crate::Ingester`] stores as one object.
//! Owns: identity. A source that is read again gives the same batches, so that each is stored once, and equal lines of one source are told
//! apart, so that each is stored: the second of them gets the metadata `duplicate="1"`, the third `"2"`, and so on.
//! Must not know: events, formats.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::ops::Range;

use schema::{IngestLimits, LabelSet, RowBatch, TenantId, Timestamp};

use super::error::AwsError;
use crate::commit::Ingester;
use crate::error::{CommitError, PushError};
use crate::metadata::Pairs;
use crate::reject::Rejections;
use crate::request::Decoded;
use crate::rows::RowWriter;

/// A batch is closed once its lines have this many bytes, 48 added for each.
pub const PIECE_BYTES: usize = 8 << 20;
/// The metadata that tells equal lines apart.
const DUPLICATE: &str = "duplicate";
/// The metadata that tells equal lines of two batches of one object apart.
const PIECE: &str = "piece";

/// Rows of one tenant, to be stored as one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Whose rows.
    pub tenant: TenantId,
    /// The accepted rows. None if all were refused.
    pub rows: RowBatch,
    /// Lines that break a limit. They are lost once the event is acknowledged, so they belong in the function's log.
    pub rejected: Rejections,
    /// Accepted lines.
    pub lines: u64,
    /// Bytes of accepted lines and their metadata.
    pub bytes: u64,
    /// Which items of the event have lines here, in order; empty for an object's lines.
    pub items: Vec<usize>,
}

/// What was found on the way to batches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Entries handed on in batches, refused ones included.
    pub lines: u64,
    /// Entries whose time could not be read; they got that of the object or record.
    pub undated: u64,
    /// Lines of text without a time that got that of the line before.
    pub continued: u64,
    /// Lines that were not UTF-8; what was not became U+FFFD.
    pub repaired: u64,
    /// Lines that only name fields.
    pub headers: u64,
    /// Empty lines.
    pub empty: u64,
    /// Bytes after decompression.
    pub decoded_bytes: u64,
    /// Records that carry nothing to store, such as CloudWatch's control messages.
    pub ignored: u64,
    /// Why an object could not be read to its end. The lines before are in the batches; how many there are can depend on how it was pushed.
    pub damage: Option<AwsError>,
}

/// Stores a batch and counts it. `Ok` means that its rows are durable; its rejections are handed back.
/// On an error nothing is acknowledged: the event is to be delivered again, and rows that were stored after all are recognised then.
pub async fn store(ingester: &Ingester, batch: Batch) -> Result<Rejections, CommitError> {
    ingester.push(&batch.tenant, batch.rows).await?;
    ingester.metrics().received(batch.lines, batch.bytes, &batch.rejected);
    Ok(batch.rejected)
}

/// Metadata of a record or object, in a table of its [`Piece`].
#[derive(Clone, Copy, Debug)]
pub(super) struct MetadataId(usize);

/// A stream, in a table of its [`Piece`].
#[derive(Clone, Copy, Debug)]
pub(super) struct StreamIndex(usize);

/// The text of an entry.
#[derive(Clone, Copy, Debug)]
pub(super) enum Text<'a> {
    Line(&'a str),
    /// Its length, since it is too long to be kept.
    TooLong(usize),
}

/// A batch under construction.
#[derive(Debug)]
pub(super) struct Piece {
    tenant: TenantId,
    /// Counted from 0 in one object.
    number: u64,
    streams: Vec<LabelSet>,
    by_labels: HashMap<LabelSet, usize>,
    metadata: Vec<Metadata>,
    text: Vec<u8>,
    entries: Vec<Entry>,
    /// By hash of what makes an entry equal to another: how many there are.
    seen: HashMap<u64, u64>,
    items: Vec<usize>,
}

#[derive(Debug)]
struct Metadata {
    pairs: Vec<(&'static str, String)>,
    /// Of the pairs: entries with equal metadata may be equal.
    hash: u64,
}

#[derive(Debug)]
struct Entry {
    stream: usize,
    timestamp: i64,
    text: Result<Range<usize>, usize>,
    metadata: usize,
    duplicate: u64,
}

impl Piece {
    pub(super) fn new(tenant: TenantId, number: u64) -> Self {
        Self {
            tenant,
            number,
            streams: Vec::new(),
            by_labels: HashMap::new(),
            metadata: Vec::new(),
            text: Vec::new(),
            entries: Vec::new(),
            seen: HashMap::new(),
            items: Vec::new(),
        }
    }

    pub(super) fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// Bytes of its lines and, since lines may be short, of what is noted of each.
    pub(super) fn bytes(&self) -> usize {
        self.text.len() + self.entries.len() * size_of::<u64>() * 6
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The stream of labels whose names are unique, as keys of a map are.
    pub(super) fn stream(&mut self, labels: &BTreeMap<String, String>) -> Result<StreamIndex, AwsError> {
        let labels = labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let labels = LabelSet::from_pairs(labels).map_err(|error| AwsError::Rows { detail: error.to_string() })?;
        if let Some(known) = self.by_labels.get(&labels) {
            return Ok(StreamIndex(*known));
        }
        let index = self.streams.len();
        self.streams.push(labels.clone());
        self.by_labels.insert(labels, index);
        Ok(StreamIndex(index))
    }

    pub(super) fn add_metadata(&mut self, pairs: Vec<(&'static str, String)>) -> MetadataId {
        let mut hasher = DefaultHasher::new();
        pairs.hash(&mut hasher);
        self.metadata.push(Metadata { pairs, hash: hasher.finish() });
        MetadataId(self.metadata.len() - 1)
    }

    /// The items with lines here.
    pub(super) fn items(&self) -> &[usize] {
        &self.items
    }

    /// Item `index` of the event has lines here.
    pub(super) fn add_item(&mut self, index: usize) {
        if self.items.last() != Some(&index) {
            self.items.push(index);
        }
    }

    /// Adds an entry. `scope` is what may be delivered again apart from the rest: only within it equal lines are counted.
    pub(super) fn add(&mut self, scope: usize, stream: StreamIndex, metadata: MetadataId, timestamp: i64, text: Text<'_>) {
        let (text, duplicate) = match text {
            Text::TooLong(length) => (Err(length), 0),
            Text::Line(line) => {
                let start = self.text.len();
                self.text.extend_from_slice(line.as_bytes());
                let mut hasher = DefaultHasher::new();
                (scope, stream.0, timestamp, line, self.metadata.get(metadata.0).map(|metadata| metadata.hash)).hash(&mut hasher);
                let count = self.seen.entry(hasher.finish()).or_insert(0);
                let duplicate = *count;
                *count += 1;
                (Ok(start..self.text.len()), duplicate)
            }
        };
        self.entries.push(Entry { stream: stream.0, timestamp, text, metadata: metadata.0, duplicate });
    }

    /// The rows, held to `limits` as those of a push. `now` is only used by the age limits.
    pub(super) fn finish(self, limits: &IngestLimits, now: Timestamp) -> Result<Batch, AwsError> {
        let (tenant, items) = (self.tenant.clone(), self.items.clone());
        let Decoded { batch, rejected, lines, bytes } = self.rows(limits, now).map_err(|error| AwsError::Rows { detail: error.to_string() })?;
        Ok(Batch { tenant, rows: batch, rejected, lines, bytes, items })
    }

    fn rows(&self, limits: &IngestLimits, now: Timestamp) -> Result<Decoded, PushError> {
        let mut rows = RowWriter::new(limits, now, None, self.text.len())?;
        let mut by_stream: Vec<Vec<&Entry>> = vec![Vec::new(); self.streams.len()];
        for entry in &self.entries {
            if let Some(entries) = by_stream.get_mut(entry.stream) {
                entries.push(entry);
            }
        }
        let piece = self.number.to_string();
        let mut duplicate = String::new();
        for (labels, entries) in self.streams.iter().zip(by_stream) {
            let stream = rows.streams().by_labels(labels.clone())?;
            rows.begin_stream(stream);
            for entry in entries {
                let line = match &entry.text {
                    Ok(range) => self.text.get(range.clone()).unwrap_or_default(),
                    Err(length) => {
                        rows.refuse_long_line(*length);
                        continue;
                    }
                };
                duplicate.clear();
                if entry.duplicate > 0 {
                    duplicate.push_str(&entry.duplicate.to_string());
                }
                let own = self.metadata.get(entry.metadata).map(|metadata| metadata.pairs.as_slice()).unwrap_or_default();
                let own = own.iter().map(|(name, value)| (*name, value.as_str()));
                let added = [(PIECE, if self.number > 0 { piece.as_str() } else { "" }), (DUPLICATE, duplicate.as_str())];
                let pairs = own.chain(added).filter(|(_, value)| !value.is_empty());
                let (count, bytes) = pairs.clone().fold((0, 0), |(count, bytes), (name, value)| (count + 1, bytes + name.len() + value.len()));
                rows.entry(entry.timestamp, line, Pairs { iter: pairs.map(|(name, value)| (name.as_bytes(), value.as_bytes())), count, bytes })?;
            }
            rows.end_stream();
        }
        rows.finish()
    }
}
