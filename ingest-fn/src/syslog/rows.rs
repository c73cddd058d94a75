//! Messages become rows: one each, whatever is wrong with it.
//! Owns: labels and structured metadata, equal times, marks of what is no proper message. Must not know: framing, sockets.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use schema::{IngestLimits, LabelSet, Timestamp};

use super::frame::Frame;
use super::message::{self, Form, Message};
use super::settings::SyslogSettings;
use crate::error::PushError;
use crate::labels::Stream;
use crate::metadata::{Pairs, clean_utf8, normalize_name};
use crate::request::Decoded;
use crate::rows::RowWriter;

/// Metadata that says what was wrong with a message.
const ERROR: &str = "syslog_error";
/// Metadata that says which piece of its message a line is.
const PART: &str = "syslog_part";
/// Runs of times of a connection that are remembered: beyond, the oldest are forgotten.
const REMEMBERED_RUNS: usize = 1 << 14;
/// What structured data is called, before its own names.
const DATA: &str = "sd";

/// Rows to store, and what was counted on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyslogRows {
    /// As of a push.
    pub decoded: Decoded,
    /// What the messages were.
    pub counts: SyslogCounts,
}

/// How many messages were of which kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyslogCounts {
    /// Of RFC 5424.
    pub rfc5424: u64,
    /// Of RFC 3164, more or less.
    pub rfc3164: u64,
    /// Text without a priority, stored as it came.
    pub unparseable: u64,
    /// Pieces of messages that were too long, but for the first.
    pub pieces: u64,
    /// With bytes that were not UTF-8 and became U+FFFD, or a space.
    pub repaired: u64,
    /// With more structured data than an entry may have, so that the whole message is the line.
    pub not_taken_apart: u64,
}

/// Turns messages into rows, in the order in which they came. One for each connection, since pieces of one message come one after the other.
#[derive(Debug)]
pub struct SyslogDecoder {
    settings: Arc<SyslogSettings>,
    times: Times,
    /// Labels and time of the message that is cut.
    cut: Option<(LabelSet, i64)>,
}

impl SyslogDecoder {
    /// A decoder of a new connection.
    pub fn new(settings: Arc<SyslogSettings>) -> Self {
        Self { settings, times: Times::default(), cut: None }
    }

    /// Decodes messages, of which there is one at least, that came at `now` from `peer` each: the host of those that name none. Each becomes a row, but for the limits of
    /// the tenant. Errors: none that is known; it would concern all rows.
    pub fn decode<'f>(
        &mut self,
        frames: impl IntoIterator<Item = (&'f str, &'f Frame)>,
        limits: &IngestLimits,
        now: Timestamp,
    ) -> Result<SyslogRows, PushError> {
        let frames: Vec<_> = frames.into_iter().collect();
        let bytes = frames.iter().map(|(_, frame)| frame.bytes.len()).sum();
        let mut rows = RowWriter::new(limits, now, None, bytes)?;
        let mut streams = HashMap::new();
        let mut counts = SyslogCounts::default();
        for (peer, frame) in frames {
            self.write(peer, frame, now, &mut rows, &mut streams, &mut counts)?;
        }
        Ok(SyslogRows { decoded: rows.finish()?, counts })
    }

    fn write(
        &mut self,
        peer: &str,
        frame: &Frame,
        now: Timestamp,
        rows: &mut RowWriter<'_>,
        streams: &mut HashMap<LabelSet, Arc<Stream>>,
        counts: &mut SyslogCounts,
    ) -> Result<(), PushError> {
        let limits = rows.limits();
        let (text, is_repaired) = text_of(&frame.bytes, limits.max_line_size);
        counts.repaired += u64::from(is_repaired);
        let mut metadata = Metadata::new(limits);
        if is_repaired {
            metadata.add(ERROR, "not_utf8");
        }
        if frame.is_cut || frame.part > 0 {
            metadata.add(ERROR, "too_long");
            metadata.add(PART, &frame.part.to_string());
        }
        let (labels, line, timestamp) = match (frame.part, &self.cut) {
            (1.., Some((labels, timestamp))) => {
                counts.pieces += 1;
                (labels.clone(), &*text, self.times.unused(timestamp.saturating_add(1)))
            }
            _ => {
                let message = message::read(&text, &self.settings.time_zone, now);
                match message.form {
                    Form::Rfc5424 => counts.rfc5424 += 1,
                    Form::Rfc3164 => counts.rfc3164 += 1,
                    Form::Unknown => {
                        counts.unparseable += 1;
                        metadata.add(ERROR, "unparseable");
                    }
                }
                let timestamp = self.times.unused(message.timestamp.unwrap_or(now.as_nanos()));
                let (labels, line, is_whole) = self.entry(&message, &text, peer, limits, &mut metadata);
                counts.not_taken_apart += u64::from(is_whole);
                (labels, line, timestamp)
            }
        };
        self.cut = frame.is_cut.then(|| match self.cut.take() {
            Some(cut) if frame.part > 0 => cut,
            _ => (labels.clone(), timestamp),
        });
        let stream = match streams.get(&labels) {
            Some(stream) => Arc::clone(stream),
            None => {
                let stream = rows.streams().by_labels(labels.clone())?;
                streams.insert(labels, Arc::clone(&stream));
                stream
            }
        };
        rows.begin_stream(stream);
        rows.entry(timestamp, line.as_bytes(), metadata.pairs())?;
        rows.end_stream();
        Ok(())
    }

    /// Labels and line; the rest goes to `metadata`, or, if that has no room, the whole message is the line, which is said too.
    fn entry<'t>(&self, message: &Message<'t>, whole: &'t str, peer: &str, limits: &IngestLimits, metadata: &mut Metadata) -> (LabelSet, &'t str, bool) {
        let marks = metadata.clone();
        let mut labels: BTreeMap<&str, &str> = self.settings.labels.iter().collect();
        let fields = [
            ("host", Some(message.host.unwrap_or(peer))),
            ("app_name", message.app_name),
            ("facility", message.facility),
            ("severity", message.severity.map(|(name, _)| name)),
            ("procid", message.procid),
            ("msgid", message.msgid),
        ];
        for (field, value) in fields {
            let Some(value) = value.filter(|value| !value.is_empty()) else { continue };
            match self.settings.label_of(field) {
                Some(label) if value.len() <= limits.max_label_value_length => {
                    labels.insert(label, value);
                }
                _ => metadata.add(field, value),
            }
        }
        if let Some((_, level)) = message.severity.filter(|_| limits.discover) {
            metadata.add(crate::detect_level::DETECTED_LEVEL, level);
        }
        for (id, name, value) in &message.structured_data {
            let separator = if name.is_empty() { "" } else { "_" };
            metadata.add(&format!("{DATA}_{id}{separator}{name}"), value);
        }
        let is_whole = !metadata.fits();
        if is_whole {
            *metadata = marks;
            metadata.add(ERROR, "structured_data_too_large");
        }
        // Names come from the settings and are different.
        let labels = LabelSet::from_pairs(labels).unwrap_or_default();
        let line = if is_whole || message.text.is_empty() { whole } else { message.text };
        (labels, line, is_whole)
    }
}

/// Keeps the times of a connection apart: those of RFC 3164 have no more than seconds, and equal lines of one second are to be kept all, in order.
#[derive(Debug, Default)]
struct Times {
    /// Runs of nanoseconds that were given: the end of each by its start. A second with many messages is one run.
    given: BTreeMap<i64, i64>,
}

impl Times {
    /// `nanos`, or the first time after it that was not given before.
    fn unused(&mut self, nanos: i64) -> i64 {
        let run = self.given.range(..=nanos).next_back().map(|(start, end)| (*start, *end));
        let (start, unused) = match run {
            Some((start, end)) if end >= nanos => (start, end),
            _ => (nanos, nanos),
        };
        let end = unused.saturating_add(1);
        let end = self.given.remove(&end).unwrap_or(end);
        self.given.insert(start, end);
        if self.given.len() > REMEMBERED_RUNS {
            self.given.pop_first();
        }
        unused
    }
}

/// The text of a message, no longer than its bytes or `max` are, and whether something had to be replaced.
fn text_of(bytes: &[u8], max: usize) -> (Cow<'_, str>, bool) {
    match String::from_utf8_lossy(bytes) {
        Cow::Borrowed(text) => (Cow::Borrowed(text), false),
        // A replacement is longer than the byte that it replaces.
        Cow::Owned(text) if text.len() <= max => (Cow::Owned(text), true),
        Cow::Owned(text) => (String::from_utf8(clean_utf8(bytes).into_owned()).map_or(Cow::Owned(text), Cow::Owned), true),
    }
}

/// Structured metadata under construction: names that stay different, and no more than an entry may have.
#[derive(Clone, Debug)]
struct Metadata {
    pairs: Vec<(String, String)>,
    names: HashSet<String>,
    count: usize,
    bytes: usize,
    max_count: usize,
    max_bytes: usize,
}

impl Metadata {
    fn new(limits: &IngestLimits) -> Self {
        // The level that is found in a line comes on top, and so does a mark.
        let (max_count, max_bytes) = (limits.max_structured_metadata_entries_count, limits.max_structured_metadata_size);
        Self { pairs: Vec::new(), names: HashSet::new(), count: 0, bytes: 0, max_count, max_bytes }
    }

    /// Adds a pair; of a name that there is already, the second is `name_2`.
    fn add(&mut self, name: &str, value: &str) {
        self.count += 1;
        self.bytes += name.len() + value.len();
        if !self.fits() {
            return;
        }
        let normal = normalize_name(name).unwrap_or(Cow::Borrowed(DATA)).into_owned();
        let mut unique = normal.clone();
        let mut number = 2;
        while !self.names.insert(unique.clone()) {
            unique = format!("{normal}_{number}");
            number += 1;
        }
        self.bytes += unique.len().saturating_sub(name.len());
        self.pairs.push((unique, value.to_owned()));
    }

    /// Whether all that was added is there and within the limits.
    fn fits(&self) -> bool {
        self.count <= self.max_count && self.bytes <= self.max_bytes
    }

    /// Without those that do not fit, which are marks of an entry that may have none.
    fn pairs(&self) -> Pairs<impl Iterator<Item = (&[u8], &[u8])>> {
        let mut bytes = 0;
        let fitting = self.pairs.iter().take(self.max_count).take_while(|(name, value)| {
            bytes += name.len() + value.len();
            bytes <= self.max_bytes
        });
        let kept: Vec<&(String, String)> = fitting.collect();
        let count = kept.len();
        let bytes = kept.iter().map(|(name, value)| name.len() + value.len()).sum();
        Pairs { iter: kept.into_iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())), count, bytes }
    }
}

#[cfg(test)]
mod tests;
