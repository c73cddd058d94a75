//! Writes decoded entries into the columns of a `RowBatch`, checking each one on its way: what the decoders share.
//! Owns: per-entry limits and their texts, runs of rows per stream, where `detected_level` comes from.
//! Must not know: wire formats.

use std::sync::Arc;
use std::time::Duration;

use schema::{ByteColumn, IngestLimits, RowBatch, StreamRun, Timestamp};

use crate::detect_level;
use crate::error::PushError;
use crate::labels::{Stream, StreamTable};
use crate::metadata::{LevelHint, MetadataNames, Pairs};
use crate::reject::{DiscardReason, Discarded, Rejections, shorten};
use crate::request::Decoded;

/// A guess for the size of columns.
const USUAL_LINE_BYTES: usize = 128;

/// The rows of one push under construction. Decoders call `begin_stream`, `entry` for each of its entries, `end_stream`.
#[derive(Debug)]
pub(crate) struct RowWriter<'a> {
    bounds: Bounds<'a>,
    streams: StreamTable<'a>,
    names: MetadataNames,
    batch: RowBatch,
    rejected: Rejections,
    bytes: u64,
    streams_seen: usize,
    current: Option<Current>,
    /// The stream of the last run, so that a push with one stream object per line makes one run.
    last_run: Option<Arc<Stream>>,
}

#[derive(Debug)]
struct Current {
    stream: Arc<Stream>,
    first_row: usize,
    refused: Discarded,
}

impl<'a> RowWriter<'a> {
    /// `body_bytes` bounds the bytes of all lines, so that their column is allocated once.
    pub(crate) fn new(limits: &'a IngestLimits, now: Timestamp, backfill_shard: Option<&'a str>, body_bytes: usize) -> Result<Self, PushError> {
        let streams = StreamTable::new(limits, backfill_shard)?;
        let nanos = |duration: Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
        let max_age = limits.reject_old_samples_max_age.filter(|_| !streams.is_backfill());
        let rows = body_bytes / USUAL_LINE_BYTES;
        Ok(Self {
            bounds: Bounds {
                limits,
                oldest: max_age.map(|age| now.as_nanos().saturating_sub(nanos(age))),
                newest: limits.creation_grace_period.map(|grace| now.as_nanos().saturating_add(nanos(grace))),
            },
            streams,
            names: MetadataNames::default(),
            batch: RowBatch { timestamps: Vec::with_capacity(rows), lines: ByteColumn::with_capacity(rows, body_bytes), ..RowBatch::default() },
            rejected: Rejections::default(),
            bytes: 0,
            streams_seen: 0,
            current: None,
            last_run: None,
        })
    }

    /// The streams of this push.
    pub(crate) fn streams(&mut self) -> &mut StreamTable<'a> {
        &mut self.streams
    }

    /// What the rows are held to.
    pub(crate) fn limits(&self) -> &'a IngestLimits {
        self.bounds.limits
    }

    /// The most pairs and bytes of metadata that an entry can have and still be accepted.
    pub(crate) fn metadata_limits(&self) -> (usize, usize) {
        (self.bounds.limits.max_structured_metadata_entries_count, self.bounds.limits.max_structured_metadata_size)
    }

    /// Counts a stream of the push; its entries follow.
    pub(crate) fn begin_stream(&mut self, stream: Arc<Stream>) {
        self.streams_seen += 1;
        self.current = Some(Current { stream, first_row: self.batch.len(), refused: Discarded::default() });
    }

    /// Counts a stream that has no entries and no readable labels of its own, such as a `null`.
    pub(crate) fn empty_stream(&mut self) {
        self.streams_seen += 1;
    }

    /// Closes the run of the stream.
    pub(crate) fn end_stream(&mut self) {
        let Some(current) = self.current.take() else { return };
        if let Some(refusal) = &current.stream.refusal
            && current.refused.lines > 0
        {
            self.rejected.count(refusal.reason, current.refused.lines, current.refused.bytes);
            self.rejected.error(|| refusal.message.clone());
        }
        let rows = current.first_row..self.batch.len();
        if rows.is_empty() {
            return;
        }
        match (self.batch.runs.last_mut(), &self.last_run) {
            (Some(run), Some(last)) if Arc::ptr_eq(last, &current.stream) => run.rows.end = rows.end,
            _ => {
                self.batch.runs.push(StreamRun { labels: current.stream.labels.clone(), rows });
                self.last_run = Some(current.stream);
            }
        }
    }

    /// Adds one entry of the current stream, or counts why not. An error fails the whole push.
    pub(crate) fn entry<'p, I>(&mut self, timestamp: i64, line: &[u8], pairs: Pairs<I>) -> Result<(), PushError>
    where
        I: Iterator<Item = (&'p [u8], &'p [u8])>,
    {
        let Some(current) = self.current.as_mut() else { return Ok(()) };
        let stream = &*current.stream;
        if stream.refusal.is_some() {
            current.refused.lines += 1;
            current.refused.bytes += length(line);
            return Ok(());
        }
        if let Some((reason, fault)) = self.bounds.check(timestamp, line, &pairs) {
            self.rejected.count(reason, 1, length(line));
            self.rejected.error(|| fault.text(self.bounds.limits, stream));
            return Ok(());
        }
        let hint = self.names.write(pairs.iter, &mut self.batch.metadata)?;
        if self.bounds.limits.discover && hint != LevelHint::Given {
            let level = match (&stream.level, hint) {
                (Some(level), _) => level.as_bytes(),
                (None, LevelHint::Field(value)) => detect_level::normalize(value).map_or(value, str::as_bytes),
                (None, LevelHint::SeverityNumber(number)) => detect_level::from_severity_number(number).as_bytes(),
                (None, _) => detect_level::detect(line).as_bytes(),
            };
            self.names.write_level(level, &mut self.batch.metadata);
        }
        self.batch.metadata.finish_row();
        self.batch.timestamps.push(timestamp);
        self.batch.lines.push(line);
        self.bytes += length(line) + u64::try_from(pairs.bytes).unwrap_or(u64::MAX);
        Ok(())
    }

    /// Adds one entry that is a stream of its own, as a format has it that names the stream in every entry. Answers with why the entry was refused, if it was.
    pub(crate) fn lone_entry<'p, I>(&mut self, stream: &Arc<Stream>, timestamp: i64, line: &[u8], pairs: Pairs<I>) -> Result<Option<String>, PushError>
    where
        I: Iterator<Item = (&'p [u8], &'p [u8])>,
    {
        let refused = match &stream.refusal {
            Some(refusal) => Some(refusal.message.clone()),
            None => self.bounds.check(timestamp, line, &pairs).map(|(_, fault)| fault.text(self.bounds.limits, stream)),
        };
        self.begin_stream(Arc::clone(stream));
        self.entry(timestamp, line, pairs)?;
        self.end_stream();
        Ok(refused)
    }

    /// Counts a document of `length` bytes that cannot be read.
    pub(crate) fn refuse_document(&mut self, length: usize, problem: &str) {
        self.rejected.count(DiscardReason::UnreadableDocument, 1, u64::try_from(length).unwrap_or(u64::MAX));
        self.rejected.error(|| problem.to_owned());
    }

    /// Refuses a line of the current stream that was too long to be kept: `length` bytes.
    pub(crate) fn refuse_long_line(&mut self, length: usize) {
        let Some(current) = &self.current else { return };
        self.rejected.count(DiscardReason::LineTooLong, 1, u64::try_from(length).unwrap_or(u64::MAX));
        self.rejected.error(|| EntryFault::LineTooLong { length }.text(self.bounds.limits, &current.stream));
    }

    /// The push's rows. An error if it had no stream at all.
    pub(crate) fn finish(mut self) -> Result<Decoded, PushError> {
        self.end_stream();
        if self.streams_seen == 0 {
            return Err(PushError::NoStreams);
        }
        let lines = u64::try_from(self.batch.len()).unwrap_or(u64::MAX);
        Ok(Decoded { batch: self.batch, rejected: self.rejected, lines, bytes: self.bytes })
    }
}

/// What an entry is held to.
#[derive(Debug)]
struct Bounds<'a> {
    limits: &'a IngestLimits,
    /// Accepted timestamps, in nanoseconds, both ends included.
    oldest: Option<i64>,
    newest: Option<i64>,
}

impl Bounds<'_> {
    fn check<I>(&self, timestamp: i64, line: &[u8], pairs: &Pairs<I>) -> Option<(DiscardReason, EntryFault)> {
        if let Some(oldest) = self.oldest.filter(|oldest| timestamp < *oldest) {
            return Some((DiscardReason::TooOld, EntryFault::TooOld { timestamp, oldest }));
        }
        if self.newest.is_some_and(|newest| timestamp > newest) {
            return Some((DiscardReason::TooFarInFuture, EntryFault::TooNew { timestamp }));
        }
        if line.len() > self.limits.max_line_size {
            return Some((DiscardReason::LineTooLong, EntryFault::LineTooLong { length: line.len() }));
        }
        if !line.is_ascii() && simdutf8::basic::from_utf8(line).is_err() {
            return Some((DiscardReason::InvalidUtf8, EntryFault::InvalidUtf8 { timestamp }));
        }
        if pairs.bytes > self.limits.max_structured_metadata_size {
            return Some((DiscardReason::StructuredMetadataTooLarge, EntryFault::MetadataTooLarge { bytes: pairs.bytes }));
        }
        if pairs.count > self.limits.max_structured_metadata_entries_count {
            return Some((DiscardReason::StructuredMetadataTooMany, EntryFault::MetadataTooMany { count: pairs.count }));
        }
        None
    }
}

/// Why one entry is refused, with what its text needs.
#[derive(Clone, Copy, Debug)]
enum EntryFault {
    TooOld { timestamp: i64, oldest: i64 },
    TooNew { timestamp: i64 },
    LineTooLong { length: usize },
    InvalidUtf8 { timestamp: i64 },
    MetadataTooLarge { bytes: usize },
    MetadataTooMany { count: usize },
}

impl EntryFault {
    fn text(self, limits: &IngestLimits, stream: &Stream) -> String {
        let labels = shorten(&stream.labels.to_string());
        match self {
            Self::TooOld { timestamp, oldest } => {
                format!("entry for stream '{labels}' has timestamp too old: {}, oldest acceptable timestamp is: {}", rfc3339(timestamp), rfc3339(oldest))
            }
            Self::TooNew { timestamp } => format!("entry for stream '{labels}' has timestamp too new: {}", rfc3339(timestamp)),
            Self::LineTooLong { length } => {
                format!("max entry size '{}' bytes exceeded for stream '{labels}' while adding an entry with length '{length}' bytes", limits.max_line_size)
            }
            Self::InvalidUtf8 { timestamp } => format!("entry for stream '{labels}' at {timestamp} has a line that is not UTF-8"),
            Self::MetadataTooLarge { bytes } => format!(
                "stream '{labels}' has structured metadata too large: '{bytes}' bytes, limit: '{}' bytes. Please see `limits_config.max_structured_metadata_size` or contact your Loki administrator to increase it",
                limits.max_structured_metadata_size
            ),
            Self::MetadataTooMany { count } => format!(
                "stream '{labels}' has too many structured metadata labels: '{count}', limit: '{}'. Please see `limits_config.max_structured_metadata_entries_count` or contact your Loki administrator to increase it",
                limits.max_structured_metadata_entries_count
            ),
        }
    }
}

fn length(line: &[u8]) -> u64 {
    u64::try_from(line.len()).unwrap_or(u64::MAX)
}

/// Seconds precision, UTC: Go's `time.RFC3339`.
fn rfc3339(nanos: i64) -> String {
    match jiff::Timestamp::from_nanosecond(i128::from(nanos)) {
        Ok(timestamp) => timestamp.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        Err(_) => nanos.to_string(),
    }
}
