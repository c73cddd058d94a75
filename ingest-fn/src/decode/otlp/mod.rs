//! OTLP logs (`ExportLogsServiceRequest`) as Loki stores them, walked from the wire straight into columns.
//! ```text
//! Request { 1: repeated ResourceLogs }        ResourceLogs { 1: Resource, 2: repeated ScopeLogs }    Resource { 1: repeated KeyValue }
//! ScopeLogs { 1: Scope, 2: repeated LogRecord }        Scope { 1: name, 2: version, 3: repeated KeyValue, 4: dropped attributes }
//! LogRecord { 1: fixed64 time, 2: severity, 3: severity text, 5: AnyValue body, 6: repeated KeyValue, 7: dropped attributes,
//!             8: fixed32 flags, 9: trace id, 10: span id, 11: fixed64 observed time, 12: event name }
//! ```
//! A resource is a stream: some of its attributes are labels, the others and those of scope and record are structured metadata, the record's
//! first. A body of JSON is brought into protobuf first (`json`), so that there is one mapping.
//! Must not know: what attribute values look like (`value`, `attributes`), HTTP.

mod attributes;
mod json;
mod value;

use schema::Timestamp;

use self::attributes::Attributes;
use self::value::Value;
use crate::decode::proto::Reader;
use crate::error::{BodyPart, PushError};
use crate::metadata::{Pairs, clean_utf8, invalid_name, normalize_name};
use crate::rows::RowWriter;

/// Labels that one resource can have and still be accepted, and more.
const MAX_LABELS: usize = 4096;
/// What a pair takes in the rows beside its value.
const PAIR_BYTES: usize = 16;
const TRACE_ID_BYTES: usize = 16;
const SPAN_ID_BYTES: usize = 8;

/// Reads a whole request of protobuf. Records without any time get `now`, each a nanosecond later than the one before, so that they stay apart.
pub(crate) fn decode_proto(body: &[u8], now: Timestamp, rows: &mut RowWriter<'_>) -> Result<(), PushError> {
    let (max_pairs, max_bytes) = rows.metadata_limits();
    let attributes = || Attributes::new(max_pairs, max_bytes);
    let mut walk = Walk {
        resource: attributes(),
        scope: attributes(),
        record: attributes(),
        line: Vec::new(),
        resource_message: Reader::new(b""),
        open: false,
        now: now.as_nanos(),
        repeated: 0,
        rows,
    };
    let mut request = Reader::new(body);
    while let Some((field, wire)) = request.field()? {
        match field {
            1 => walk.resource_logs(request.message(wire)?)?,
            _ => request.skip(wire)?,
        }
    }
    Ok(())
}

/// Reads a whole request of JSON.
pub(crate) fn decode_json(body: &[u8], now: Timestamp, rows: &mut RowWriter<'_>) -> Result<(), PushError> {
    decode_proto(&json::to_protobuf(body)?, now, rows)
}

struct Walk<'b, 'w, 'l> {
    /// Structured metadata of the resource, of the scope and of the record.
    resource: Attributes<'b>,
    scope: Attributes<'b>,
    record: Attributes<'b>,
    /// A line that is not a string in the body.
    line: Vec<u8>,
    resource_message: Reader<'b>,
    /// Whether the stream of the resource was begun: at its first record.
    open: bool,
    now: i64,
    /// Bytes that attributes of resources and scopes took so far, once for each record.
    repeated: usize,
    rows: &'w mut RowWriter<'l>,
}

impl<'b> Walk<'b, '_, '_> {
    fn resource_logs(&mut self, message: Reader<'b>) -> Result<(), PushError> {
        self.resource_message = last_message(message, 1)?;
        self.resource.clear();
        let labels = &self.rows.limits().otlp_index_labels;
        let mut fields = self.resource_message;
        while let Some((field, wire)) = fields.field()? {
            match field {
                1 => {
                    let attribute = fields.message(wire)?;
                    if !is_label(attribute, labels)? {
                        self.resource.add_attribute(attribute)?;
                    }
                }
                _ => fields.skip(wire)?,
            }
        }
        let mut fields = message;
        while let Some((field, wire)) = fields.field()? {
            match field {
                2 => self.scope_logs(fields.message(wire)?)?,
                _ => fields.skip(wire)?,
            }
        }
        if std::mem::take(&mut self.open) {
            self.rows.end_stream();
        }
        Ok(())
    }

    fn begin_stream(&mut self) -> Result<(), PushError> {
        let key = self.resource_message.bytes();
        let stream = match self.rows.streams().known(key) {
            Some(stream) => stream,
            None => {
                let (pairs, count) = self.labels()?;
                self.rows.streams().by_pairs(key, pairs, count)?
            }
        };
        self.rows.begin_stream(stream);
        self.open = true;
        Ok(())
    }

    /// The labels of the resource and how many there are, which may be more.
    fn labels(&self) -> Result<(Vec<(String, String)>, usize), PushError> {
        let limits = self.rows.limits();
        let mut attributes = Attributes::new(MAX_LABELS, limits.max_stream_labels_bytes);
        let mut fields = self.resource_message;
        while let Some((field, wire)) = fields.field()? {
            match field {
                1 => {
                    let attribute = fields.message(wire)?;
                    if is_label(attribute, &limits.otlp_index_labels)? {
                        attributes.add_attribute(attribute)?;
                    }
                }
                _ => fields.skip(wire)?,
            }
        }
        let mut pairs = Vec::new();
        for (name, value) in attributes.iter() {
            let text = std::str::from_utf8(name).map_err(|_| invalid_name(name))?;
            let label = normalize_name(text).ok_or_else(|| invalid_name(name))?;
            pairs.push((label.into_owned(), String::from_utf8_lossy(&clean_utf8(value)).into_owned()));
        }
        Ok((pairs, attributes.count()))
    }

    fn scope_logs(&mut self, message: Reader<'b>) -> Result<(), PushError> {
        self.read_scope(last_message(message, 1)?)?;
        let mut fields = message;
        while let Some((field, wire)) = fields.field()? {
            match field {
                2 => self.log_record(fields.message(wire)?)?,
                _ => fields.skip(wire)?,
            }
        }
        Ok(())
    }

    fn read_scope(&mut self, mut fields: Reader<'b>) -> Result<(), PushError> {
        let (mut name, mut version): (&[u8], &[u8]) = (b"", b"");
        let mut dropped = 0;
        self.scope.clear();
        while let Some((field, wire)) = fields.field()? {
            match field {
                1 => name = fields.message(wire)?.bytes(),
                2 => version = fields.message(wire)?.bytes(),
                3 => self.scope.add_attribute(fields.message(wire)?)?,
                4 => dropped = fields.number(wire)?,
                _ => fields.skip(wire)?,
            }
        }
        self.scope.add_text(b"scope_name", name);
        self.scope.add_text(b"scope_version", version);
        self.scope.add_count(b"scope_dropped_attributes_count", dropped);
        Ok(())
    }

    fn log_record(&mut self, message: Reader<'b>) -> Result<(), PushError> {
        if !self.open {
            self.begin_stream()?;
        }
        let (mut time, mut observed, mut severity, mut dropped, mut flags) = (0, 0, 0, 0, 0);
        let (mut severity_text, mut trace_id, mut span_id, mut event_name): (&[u8], &[u8], &[u8], &[u8]) = (b"", b"", b"", b"");
        let mut body = Value::Empty;
        self.record.clear();
        let mut fields = message;
        while let Some((field, wire)) = fields.field()? {
            match field {
                1 => time = fields.fixed64(wire)?,
                2 => severity = fields.number(wire)?.cast_signed(),
                3 => severity_text = fields.message(wire)?.bytes(),
                5 => body = Value::of(fields.message(wire)?)?,
                6 => self.record.add_attribute(fields.message(wire)?)?,
                7 => dropped = fields.number(wire)?,
                8 => flags = fields.fixed32(wire)?,
                9 => trace_id = fields.message(wire)?.bytes(),
                10 => span_id = fields.message(wire)?.bytes(),
                11 => observed = fields.fixed64(wire)?,
                12 => event_name = fields.message(wire)?.bytes(),
                _ => fields.skip(wire)?,
            }
        }
        if time != 0 {
            self.record.add_count(b"observed_timestamp", observed);
        }
        if severity != 0 {
            self.record.add_display(b"severity_number", severity);
        }
        self.record.add_text(b"severity_text", severity_text);
        self.record.add_count(b"dropped_attributes_count", dropped);
        self.record.add_count(b"flags", u64::from(flags));
        self.record.add_id(b"trace_id", trace_id, TRACE_ID_BYTES);
        self.record.add_id(b"span_id", span_id, SPAN_ID_BYTES);
        self.record.add_text(b"event_name", event_name);
        let timestamp = match (time, observed) {
            (0, 0) => {
                let now = self.now;
                self.now = now.saturating_add(1);
                now
            }
            (0, sent) | (sent, _) => i64::try_from(sent).map_err(|_| message.malformed("timestamp past the year 2262"))?,
        };
        self.write(timestamp, body)
    }

    /// A small request of many records must not become rows of any size by what their resource has.
    fn bound_repetition(&mut self) -> Result<(), PushError> {
        let limits = self.rows.limits();
        let count = self.resource.count() + self.scope.count();
        let bytes = self.resource.bytes().saturating_add(self.scope.bytes());
        // More than that is refused and takes nothing.
        if count <= limits.max_structured_metadata_entries_count && bytes <= limits.max_structured_metadata_size {
            self.repeated = self.repeated.saturating_add(bytes + count * PAIR_BYTES);
        }
        let limit = limits.max_decompressed_bytes;
        if self.repeated > limit { Err(PushError::TooLarge { part: BodyPart::Repeated, limit }) } else { Ok(()) }
    }

    fn write(&mut self, timestamp: i64, body: Value<'b>) -> Result<(), PushError> {
        self.bound_repetition()?;
        let limit = self.rows.limits().max_line_size;
        let line = match body {
            Value::Text(text) => text,
            other => {
                self.line.clear();
                let length = other.write_text(&mut self.line, limit)?;
                if length > limit {
                    self.rows.refuse_long_line(length);
                    return Ok(());
                }
                &self.line
            }
        };
        let parts = [&self.record, &self.resource, &self.scope];
        let iter = parts.into_iter().flat_map(Attributes::iter);
        let count = parts.iter().map(|part| part.count()).sum();
        let bytes = parts.iter().map(|part| part.bytes()).sum();
        self.rows.entry(timestamp, line, Pairs { iter, count, bytes })
    }
}

/// The last message in field `number`, an empty one if there is none. Senders put it first, but protobuf promises no order.
fn last_message(message: Reader<'_>, number: u32) -> Result<Reader<'_>, PushError> {
    let mut found = Reader::new(b"");
    let mut fields = message;
    while let Some((field, wire)) = fields.field()? {
        if field == number { found = fields.message(wire)? } else { fields.skip(wire)? }
    }
    Ok(found)
}

/// Whether the `KeyValue` is one of those that become labels.
fn is_label(attribute: Reader<'_>, labels: &[String]) -> Result<bool, PushError> {
    let key = last_message(attribute, 1)?.bytes();
    Ok(labels.iter().any(|label| label.as_bytes() == key))
}

#[cfg(test)]
mod tests;
