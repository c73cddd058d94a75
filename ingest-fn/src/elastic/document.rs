//! One document becomes one entry.
//! Owns: flattening (`{"a":{"b":1}}` is the field `a.b`), the choice of time, line and labels, and what happens to a document that does not fit beside its line: the
//! document, as it was sent, becomes the line. Nothing but `null` and empty objects, which hold nothing, is left out.
//! Must not know: bulk requests, answers.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use schema::{IngestLimits, Timestamp};

use super::answer::Fault;
use super::settings::{ElasticSettings, INDEX_FIELD};
use crate::decode::json::cursor::{Arena, Cursor, Text, malformed};
use crate::error::PushError;
use crate::labels::Stream;
use crate::metadata::{Pairs, normalize_name};
use crate::rows::RowWriter;
use crate::time;

/// Objects inside one another that are read at most.
const MAX_DEPTH: usize = 512;
/// The label that the limit on the number of labels does not count.
const SERVICE_NAME: &str = "service_name";
/// The id that a client gave to a document, as metadata.
const ID: &str = "_id";

/// Turns documents into entries. Its buffers are kept from one to the next.
#[derive(Debug)]
pub(super) struct DocumentReader<'s> {
    settings: &'s ElasticSettings,
    limits: &'s IngestLimits,
    /// Time of the next document that does not tell its own: each a nanosecond later than the one before, so that equal ones stay apart.
    now: Timestamp,
    arena: Arena,
    open: Vec<(usize, bool)>,
    path: Vec<u8>,
    /// Paths of `rest`.
    paths: Vec<u8>,
    rest: Vec<(Range<usize>, Text)>,
    rest_bytes: usize,
    overflow: bool,
    slots: Vec<Option<Value>>,
    stream_key: Vec<u8>,
    names: MetadataNames,
}

/// Where a document goes besides what is in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address<'a> {
    pub(super) index: &'a str,
    /// If the client gave one.
    pub(super) id: Option<&'a str>,
}

#[derive(Clone, Copy, Debug)]
struct Value {
    text: Text,
    /// Whether it is a list, which can be a line but no label and no time.
    is_list: bool,
}

impl<'s> DocumentReader<'s> {
    pub(super) fn new(settings: &'s ElasticSettings, limits: &'s IngestLimits, now: Timestamp) -> Self {
        Self {
            settings,
            limits,
            now,
            arena: Arena::default(),
            open: Vec::new(),
            path: Vec::new(),
            paths: Vec::new(),
            rest: Vec::new(),
            rest_bytes: 0,
            overflow: false,
            slots: Vec::new(),
            stream_key: Vec::new(),
            names: MetadataNames::default(),
        }
    }

    /// Adds `document` to `rows`. Answers with why it was refused, if it was; an error is one of the whole request.
    pub(super) fn write(&mut self, address: Address<'_>, document: &[u8], rows: &mut RowWriter<'_>) -> Result<Option<Fault>, PushError> {
        let document = document.trim_ascii();
        let mut cursor = match self.read(document) {
            Ok(cursor) => cursor,
            Err(error) => return Ok(refused(document, Fault::document(format!("the document cannot be read: {error}")), rows)),
        };
        let timestamp = match self.timestamp(&cursor) {
            Ok(timestamp) => timestamp,
            Err(fault) => return Ok(refused(document, fault, rows)),
        };
        let line = self.take_line(&cursor);
        let (stream, has_index) = self.stream(&mut cursor, address.index, rows)?;
        // Neither is part of the document.
        let extra = [(ID, address.id), (INDEX_FIELD, Some(address.index).filter(|_| !has_index))];
        let extra = || extra.iter().filter_map(|(name, value)| value.map(|value| (*name, value)));
        let fits = self.fits(&cursor, extra());
        let (cursor, arena, paths) = (&cursor, &self.arena, &self.paths);
        let rest = self.rest.iter().map(|(path, value)| (paths.get(path.clone()).unwrap_or_default(), cursor.text(*value, arena)));
        let (line, kept) = match line {
            Some(line) if fits => (cursor.text(line, arena), self.rest.len()),
            _ => (document, 0),
        };
        // The document comes first: where metadata is limited to less than an id, entries have none.
        let extra = extra().filter(|_| fits || self.has_room_for(extra()));
        let pairs = rest.take(kept).chain(extra.map(|(name, value)| (name.as_bytes(), value.as_bytes())));
        let (count, bytes) = pairs.clone().fold((0, 0), |(count, bytes), (name, value)| (count + 1, bytes + name.len() + value.len()));
        let refused = rows.lone_entry(&stream, timestamp, line, Pairs { iter: pairs, count, bytes })?;
        Ok(refused.map(|reason| Fault::bad("illegal_argument_exception", reason)))
    }

    /// Reads the fields into `slots` and `rest`.
    fn read<'d>(&mut self, document: &'d [u8]) -> Result<Cursor<'d>, PushError> {
        let mut cursor = Cursor::new(document)?;
        self.arena.clear();
        self.path.clear();
        self.paths.clear();
        self.rest.clear();
        (self.rest_bytes, self.overflow) = (0, false);
        self.slots.clear();
        self.slots.resize(self.settings.slots(), None);
        self.open.clear();
        cursor.open(b'{', "expected an object")?;
        self.open.push((0, true));
        while let Some((length, first)) = self.open.last_mut() {
            self.path.truncate(*length);
            let Some(key) = cursor.key(first)? else {
                self.open.pop();
                continue;
            };
            if *length > 0 {
                self.path.push(b'.');
            }
            let mark = self.arena.len();
            let key = cursor.unescape(key, &mut self.arena)?;
            self.path.extend_from_slice(cursor.text(key, &self.arena));
            self.arena.truncate(mark);
            match cursor.peek() {
                Some(b'{') if self.open.len() >= MAX_DEPTH => return Err(malformed("nested too deep", cursor.position())),
                Some(b'{') => {
                    cursor.open(b'{', "expected an object")?;
                    self.open.push((self.path.len(), true));
                }
                Some(b'[') => {
                    let start = cursor.position();
                    cursor.skip_value()?;
                    self.keep(Value { text: Text::of_body(start, cursor.position()), is_list: true });
                }
                Some(b'n') => {
                    cursor.null()?;
                }
                _ => {
                    let text = cursor.string_or_scalar(&mut self.arena, "expected a value")?;
                    self.keep(Value { text, is_list: false });
                }
            }
        }
        cursor.end()?;
        Ok(cursor)
    }

    /// Keeps the field at `path`. The first of equal paths has the slot.
    fn keep(&mut self, value: Value) {
        let slot = self.settings.slot(&self.path).and_then(|slot| self.slots.get_mut(slot));
        match slot {
            Some(slot @ None) => *slot = Some(value),
            _ => {
                let path = std::mem::take(&mut self.path);
                self.add_rest(&path, value.text);
                self.path = path;
            }
        }
    }

    fn add_rest(&mut self, path: &[u8], value: Text) {
        self.rest_bytes = self.rest_bytes.saturating_add(path.len() + value.len());
        if self.rest.len() >= self.limits.max_structured_metadata_entries_count || self.rest_bytes > self.limits.max_structured_metadata_size {
            self.overflow = true;
            return;
        }
        let start = self.paths.len();
        self.paths.extend_from_slice(path);
        self.rest.push((start..self.paths.len(), value));
    }

    /// Takes the value out of slot `slot`.
    fn take(&mut self, slot: usize) -> Option<Value> {
        self.slots.get_mut(slot).and_then(Option::take)
    }

    /// The best of the time fields, else now; the other fields stay fields.
    fn timestamp(&mut self, cursor: &Cursor<'_>) -> Result<i64, Fault> {
        let settings = self.settings;
        let mut found = None;
        for (slot, field) in settings.time_fields().iter().enumerate() {
            let Some(value) = self.take(slot) else { continue };
            if found.is_some() {
                self.add_rest(field.as_bytes(), value.text);
                continue;
            }
            let text = cursor.text(value.text, &self.arena);
            let time = if value.is_list { None } else { read_time(text) };
            found = Some(time.ok_or_else(|| {
                let shown: String = String::from_utf8_lossy(text).chars().take(100).collect();
                Fault::document(format!(
                    "failed to parse field [{field}] of type [date]: {shown:?} is neither an ISO 8601 date nor a number of milliseconds since the epoch"
                ))
            })?);
        }
        Ok(found.unwrap_or_else(|| {
            let now = self.now.as_nanos();
            self.now = Timestamp(now.saturating_add(1));
            now
        }))
    }

    /// The best of the line fields that is not empty; the others stay fields.
    fn take_line(&mut self, cursor: &Cursor<'_>) -> Option<Text> {
        let settings = self.settings;
        let mut line = None;
        for (number, field) in settings.line_fields().iter().enumerate() {
            let Some(value) = self.take(settings.time_fields().len() + number) else { continue };
            if line.is_none() && !cursor.text(value.text, &self.arena).is_empty() {
                line = Some(value.text);
            } else {
                self.add_rest(field.as_bytes(), value.text);
            }
        }
        line
    }

    /// The stream of the labels, and whether the index is one of them. Fields that cannot be a label stay fields.
    fn stream(&mut self, cursor: &mut Cursor<'_>, index: &str, rows: &mut RowWriter<'_>) -> Result<(Arc<Stream>, bool), PushError> {
        let settings = self.settings;
        let first_slot = settings.time_fields().len() + settings.line_fields().len();
        let mut labels: Vec<(&'s str, Option<Text>)> = Vec::new();
        let mut has_index = false;
        let without_date = without_date(index);
        self.stream_key.clear();
        for (number, field) in settings.label_fields().iter().enumerate() {
            let taken = self.take(first_slot + number);
            let is_index = field.field == INDEX_FIELD && taken.is_none();
            let counted = labels.iter().filter(|(label, _)| *label != SERVICE_NAME).count();
            let has_room = field.label == SERVICE_NAME || counted < self.limits.max_label_names_per_series;
            let is_free = has_room && field.label.len() <= self.limits.max_label_name_length && labels.iter().all(|(label, _)| *label != field.label);
            let value = match taken {
                Some(value) => cursor.text(value.text, &self.arena),
                None if is_index => without_date.as_bytes(),
                None => continue,
            };
            if is_free && !value.is_empty() && value.len() <= self.limits.max_label_value_length && taken.is_none_or(|value| !value.is_list) {
                self.stream_key.extend_from_slice(number.to_string().as_bytes());
                self.stream_key.push(b'=');
                self.stream_key.extend_from_slice(value);
                self.stream_key.push(0xff);
                labels.push((&field.label, taken.map(|value| value.text)));
                has_index |= is_index;
            } else if let Some(value) = taken {
                self.add_rest(field.field.as_bytes(), value.text);
            }
        }
        if let Some(known) = rows.streams().known(&self.stream_key) {
            return Ok((known, has_index));
        }
        let owned = |text: Option<Text>| match text {
            Some(text) => String::from_utf8_lossy(cursor.text(text, &self.arena)).into_owned(),
            None => without_date.to_owned(),
        };
        let pairs: Vec<(String, String)> = labels.into_iter().map(|(label, text)| (label.to_owned(), owned(text))).collect();
        let count = pairs.len();
        Ok((rows.streams().by_pairs(&self.stream_key, pairs, count)?, has_index))
    }

    fn has_room_for<'e>(&self, extra: impl Iterator<Item = (&'static str, &'e str)>) -> bool {
        let (count, bytes) = extra.fold((0, 0), |(count, bytes), (name, value)| (count + 1, bytes + name.len() + value.len()));
        count <= self.limits.max_structured_metadata_entries_count && bytes <= self.limits.max_structured_metadata_size
    }

    /// Whether all of `rest` and `extra` can be metadata: within the limits, under names that stay apart.
    fn fits<'e>(&mut self, cursor: &Cursor<'_>, extra: impl Iterator<Item = (&'static str, &'e str)>) -> bool {
        if self.overflow {
            return false;
        }
        self.names.row.clear();
        let (mut count, mut bytes) = (0, 0);
        for (path, value) in &self.rest {
            let path = self.paths.get(path.clone()).unwrap_or_default();
            count += 1;
            bytes += path.len() + cursor.text(*value, &self.arena).len();
            if !self.names.add(path) {
                return false;
            }
        }
        for (name, value) in extra {
            count += 1;
            bytes += name.len() + value.len();
            if !self.names.add(name.as_bytes()) {
                return false;
            }
        }
        count <= self.limits.max_structured_metadata_entries_count && bytes <= self.limits.max_structured_metadata_size
    }
}

/// What field names become as metadata, so that two that become the same are noticed.
#[derive(Debug, Default)]
struct MetadataNames {
    /// By path: the number of its name, `None` if it cannot be one.
    by_path: HashMap<Box<[u8]>, Option<usize>>,
    by_name: HashMap<Box<str>, usize>,
    /// Names of the document at hand.
    row: Vec<usize>,
}

impl MetadataNames {
    /// Whether `path` can be the name of another pair of the document.
    fn add(&mut self, path: &[u8]) -> bool {
        let number = match self.by_path.get(path) {
            Some(known) => *known,
            None => {
                let name = std::str::from_utf8(path).ok().and_then(normalize_name);
                let next = self.by_name.len();
                let number = name.map(|name| *self.by_name.entry(name.into()).or_insert(next));
                self.by_path.insert(path.into(), number);
                number
            }
        };
        let Some(number) = number.filter(|number| !self.row.contains(number)) else { return false };
        self.row.push(number);
        true
    }
}

fn refused(document: &[u8], fault: Fault, rows: &mut RowWriter<'_>) -> Option<Fault> {
    rows.refuse_document(document.len(), &fault.reason);
    Some(fault)
}

/// ISO 8601, also without a time of day, or a number since the epoch: milliseconds, and what its size shows to be another unit.
fn read_time(text: &[u8]) -> Option<i64> {
    time::text(text).or_else(|| time::date_and_time(text, b"00:00:00"))
}

/// An index name without the date at its end, which would make new streams every day: `logstash-2026.11.25` is `logstash`.
fn without_date(index: &str) -> &str {
    let is_date =
        |text: &str| text.len() >= 7 && text.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b'-') && text.bytes().take(4).all(|b| b.is_ascii_digit());
    let dated = |length: usize| {
        let (name, date) = index.split_at_checked(index.len().checked_sub(length)?)?;
        let name = name.strip_suffix(['-', '.', '_'])?;
        let separators = date.bytes().filter(|b| !b.is_ascii_digit()).count();
        let is_shaped = date.bytes().enumerate().all(|(at, b)| b.is_ascii_digit() != matches!(at, 4 | 7));
        (is_date(date) && separators > 0 && is_shaped && !name.is_empty()).then_some(name)
    };
    // Year, month, day and hour; day; month.
    dated(10).or_else(|| dated(7)).unwrap_or(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_at_the_end_of_index_names() {
        for (index, expected) in [
            ("logstash-2026.11.25", "logstash"),
            ("app-2026-11-25", "app"),
            ("app_2026.11", "app"),
            ("filebeat-8.19.0-2026.11.25", "filebeat-8.19.0"),
            ("logs-nginx.access-default", "logs-nginx.access-default"),
            ("2026.11.25", "2026.11.25"),
            ("app-2026.1125", "app-2026.1125"),
            ("app-12345678", "app-12345678"),
            ("é-2026.11.25", "é"),
            ("", ""),
        ] {
            assert_eq!(without_date(index), expected, "{index}");
        }
    }

    /// Expected values are those of `date -u -d ... +%s`.
    #[test]
    fn times() {
        for (text, expected) in [
            ("2023-11-14T22:13:20.123Z", Some(1_700_000_000_123_000_000)),
            ("1700000000123", Some(1_700_000_000_123_000_000)),
            ("2023-11-14", Some(1_699_920_000_000_000_000)),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(read_time(text.as_bytes()), expected, "{text}");
        }
    }
}
