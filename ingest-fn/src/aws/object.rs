//! An S3 object becomes batches while it is read, whatever its size: bytes in, in pieces, and batches out.
//! Owns: the order of decompression, cutting and dating, and where a batch ends: after a number of bytes of lines, whatever the pieces of input are.
//! Must not know: how the object is fetched, how batches are stored.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use schema::Timestamp;

use super::batch::{Batch, MetadataId, Piece, Report, StreamIndex, Text};
use super::error::AwsError;
use super::expand::{Expander, Progress};
use super::lines::{Format, LineReader, Reading};
use super::settings::{ObjectRoute, Settings};
use super::source::Source;
use super::split::{self, SNIFFED_BYTES, Shape, Splitter};

/// Most buckets of an access log file that get a label of their own.
const MAX_LABELLED_BUCKETS: usize = 1000;

/// Reads one object: `push` what arrives, take batches with `next` until there is none, and `finish` at the end.
/// Holds at most one batch of lines, one block of decompressed bytes and what was pushed.
#[derive(Debug)]
pub struct ObjectDecoder {
    settings: Arc<Settings>,
    source: Source,
    labels: BTreeMap<String, String>,
    format: Format,
    modified: i64,
    now: Timestamp,
    expander: Expander,
    decoded: Vec<u8>,
    /// How much of `decoded` is used.
    at: usize,
    ended: bool,
    reading: Option<Reader>,
    piece: Piece,
    /// The streams and metadata of `piece`.
    target: Target,
    piece_number: u64,
    report: Report,
}

#[derive(Debug)]
struct Reader {
    splitter: Splitter,
    lines: LineReader,
}

#[derive(Debug, Default)]
struct Target {
    metadata: Option<MetadataId>,
    stream: Option<StreamIndex>,
    /// Access logs: by the bucket of the line.
    by_bucket: HashMap<String, StreamIndex>,
}

impl ObjectDecoder {
    /// `modified` is the time of lines that have none: the object's, so that it is the same whenever the object is read.
    /// `now` is only used by the age limits.
    pub fn new(route: Box<ObjectRoute>, settings: &Arc<Settings>, modified: Timestamp, now: Timestamp) -> Self {
        let ObjectRoute { source, route } = *route;
        Self {
            settings: Arc::clone(settings),
            source,
            labels: route.labels,
            format: route.format,
            modified: modified.as_nanos(),
            now,
            expander: Expander::default(),
            decoded: Vec::new(),
            at: 0,
            ended: false,
            reading: None,
            piece: Piece::new(route.tenant, 0),
            target: Target::default(),
            piece_number: 0,
            report: Report::default(),
        }
    }

    /// Adds the next bytes of the object, as stored.
    pub fn push(&mut self, bytes: Bytes) {
        self.expander.push(bytes);
    }

    /// The next batch that is complete; `None` when more bytes are needed for one.
    /// An error is final: the object has no lines to read. Damage is not an error here, see [`Report::damage`].
    #[expect(clippy::should_implement_trait, reason = "not an iterator: `None` is not the end")]
    pub fn next(&mut self) -> Result<Option<Batch>, AwsError> {
        loop {
            if self.consume()? {
                return self.cut().map(Some);
            }
            if self.ended {
                return Ok(None);
            }
            if self.reading.is_some() {
                self.decoded.clear();
                self.at = 0;
            }
            let before = self.decoded.len();
            let progress = self.expander.read(&mut self.decoded);
            self.report.decoded_bytes += u64::try_from(self.decoded.len() - before).unwrap_or(u64::MAX);
            match progress {
                Ok(Progress::Some) => {}
                Ok(Progress::NeedsInput) => return Ok(None),
                Ok(Progress::End) => self.ended = true,
                Err(detail) => {
                    self.ended = true;
                    let (bucket, key) = (self.source.bucket.clone().unwrap_or_default(), self.source.key.clone().unwrap_or_default());
                    self.report.damage = Some(AwsError::Damaged { bucket, key, decoded: self.report.decoded_bytes, detail });
                }
            }
        }
    }

    /// There are no more bytes: the rest of the batches, and what was found.
    pub fn finish(mut self) -> Result<(Vec<Batch>, Report), AwsError> {
        self.expander.end();
        let mut batches = Vec::new();
        while let Some(batch) = self.next()? {
            batches.push(batch);
        }
        // Of a damaged object only whole lines are taken.
        if self.report.damage.is_none()
            && let Some(mut reader) = self.reading.take()
            && let Some(piece) = reader.splitter.rest()
        {
            self.entry(&mut reader.lines, piece)?;
        }
        if !self.piece.is_empty() {
            batches.push(self.cut()?);
        }
        Ok((batches, self.report))
    }

    /// Takes entries out of what is decoded; true when a batch is complete, false when all of it is used.
    fn consume(&mut self) -> Result<bool, AwsError> {
        let mut reader = match self.reading.take() {
            Some(reader) => reader,
            None => match self.begin()? {
                Some(reader) => reader,
                None => return Ok(false),
            },
        };
        let decoded = std::mem::take(&mut self.decoded);
        let mut rest = decoded.get(self.at..).unwrap_or_default();
        let mut full = false;
        let mut result = Ok(());
        while let Some(piece) = reader.splitter.next(&mut rest) {
            result = self.entry(&mut reader.lines, piece);
            full = self.piece.bytes() >= self.settings.piece_bytes;
            if full || result.is_err() {
                break;
            }
        }
        self.at = decoded.len() - rest.len();
        self.decoded = decoded;
        self.reading = Some(reader);
        result.map(|()| full)
    }

    /// Looks at the first bytes and begins to read; `None` while there are too few.
    fn begin(&mut self) -> Result<Option<Reader>, AwsError> {
        if self.decoded.len() < SNIFFED_BYTES && !self.ended {
            return Ok(None);
        }
        let start = self.decoded.get(..SNIFFED_BYTES).unwrap_or(&self.decoded);
        let shape = match split::shape_of(start) {
            Shape::Foreign(format) => {
                let (bucket, key) = (self.source.bucket.clone().unwrap_or_default(), self.source.key.clone().unwrap_or_default());
                return Err(AwsError::Format { bucket, key, format });
            }
            Shape::List if matches!(self.format, Format::Auto | Format::Records) => Shape::List,
            Shape::List | Shape::Lines => Shape::Lines,
        };
        self.at = split::byte_order_mark(start);
        let splitter = Splitter::new(shape, self.settings.limits.max_line_size);
        Ok(Some(Reader { splitter, lines: LineReader::new(self.format) }))
    }

    fn entry(&mut self, lines: &mut LineReader, piece: split::Piece<'_>) -> Result<(), AwsError> {
        let bytes = match piece {
            split::Piece::Whole(bytes) => bytes,
            split::Piece::TooLong(length) => {
                let (stream, metadata) = self.target(lines, None)?;
                self.report.lines += 1;
                self.piece.add(0, stream, metadata, self.modified, Text::TooLong(length));
                return Ok(());
            }
        };
        if bytes.is_empty() {
            self.report.empty += 1;
            return Ok(());
        }
        let line = String::from_utf8_lossy(bytes);
        self.report.repaired += u64::from(matches!(line, Cow::Owned(_)));
        let Reading::Entry { time, bucket } = lines.read(&line) else {
            self.report.headers += 1;
            // Metadata may name the fields.
            self.target.metadata = None;
            return Ok(());
        };
        let (stream, metadata) = self.target(lines, bucket)?;
        let nanos = self.report.time(time, self.modified);
        self.report.lines += 1;
        // Replacement characters can make a line longer than it was.
        let text = if line.len() > self.settings.limits.max_line_size { Text::TooLong(line.len()) } else { Text::Line(&line) };
        self.piece.add(0, stream, metadata, nanos, text);
        Ok(())
    }

    fn target(&mut self, lines: &LineReader, bucket: Option<&str>) -> Result<(StreamIndex, MetadataId), AwsError> {
        let metadata = match self.target.metadata {
            Some(metadata) => metadata,
            None => {
                let fields = lines.fields().map(|fields| ("fields", fields.to_owned()));
                let pairs = self.source.metadata().into_iter().chain(fields).collect();
                *self.target.metadata.insert(self.piece.add_metadata(pairs))
            }
        };
        if let Some(bucket) = bucket.filter(|_| self.source.resource.is_none()) {
            if let Some(stream) = self.target.by_bucket.get(bucket) {
                return Ok((*stream, metadata));
            }
            if self.target.by_bucket.len() < MAX_LABELLED_BUCKETS {
                let mut source = self.source.clone();
                source.resource = Some(("bucket", bucket.to_owned()));
                let stream = self.piece.stream(&self.settings.route(&source).labels)?;
                self.target.by_bucket.insert(bucket.to_owned(), stream);
                return Ok((stream, metadata));
            }
        }
        let stream = match self.target.stream {
            Some(stream) => stream,
            None => *self.target.stream.insert(self.piece.stream(&self.labels)?),
        };
        Ok((stream, metadata))
    }

    /// Closes the batch and begins the next.
    fn cut(&mut self) -> Result<Batch, AwsError> {
        self.piece_number += 1;
        self.target = Target::default();
        let next = Piece::new(self.piece.tenant().clone(), self.piece_number);
        std::mem::replace(&mut self.piece, next).finish(&self.settings.limits, self.now)
    }
}

#[cfg(test)]
mod tests;
