//! One event becomes one entry: time, line, labels, structured metadata.
//! Owns: which member is what, defaults of the request, times. Must not know: answers' shapes, HTTP.

use std::sync::Arc;

use schema::Timestamp;

use super::answer::{Code, Fault};
use crate::decode::json::cursor::{Arena, Cursor, Text};
use crate::error::PushError;
use crate::labels::Stream;
use crate::metadata::{Pairs, normalize_name};
use crate::rows::RowWriter;
use crate::time;

/// Members of an event that become labels of the same name.
pub(super) const LABELS: [&str; 4] = ["host", "source", "sourcetype", "index"];
/// The indexed field that names the service, as OpenTelemetry's exporter sends it, and its label.
const SERVICE: (&str, &str) = ("service.name", "service_name");

/// What a request says for the events that do not say it themselves, out of its URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Defaults {
    /// In the order of [`LABELS`].
    pub(super) labels: [Option<String>; LABELS.len()],
    pub(super) time: Option<i64>,
}

/// Reads a body of events. Nothing of it may be stored if one cannot be read.
pub(super) fn decode(body: &[u8], defaults: &Defaults, now: Timestamp, rows: &mut RowWriter<'_>) -> Result<(), Fault> {
    let mut cursor = Cursor::new(body)?;
    let mut reader = Reader { defaults, now: now.as_nanos(), arena: Arena::default() };
    let mut number = 0;
    while cursor.peek().is_some() {
        reader.event(body, &mut cursor, rows).map_err(|fault| fault.of_event(number))?;
        number += 1;
    }
    if number == 0 { Err(Fault::bad(Code::NoData, "No data")) } else { Ok(()) }
}

struct Reader<'d> {
    defaults: &'d Defaults,
    /// Time of the next event that does not tell its own: each a nanosecond later than the one before, so that equal ones stay apart.
    now: i64,
    arena: Arena,
}

impl Reader<'_> {
    fn event(&mut self, body: &[u8], cursor: &mut Cursor<'_>, rows: &mut RowWriter<'_>) -> Result<(), Fault> {
        self.arena.clear();
        cursor.peek();
        let start = cursor.position();
        cursor.open(b'{', "expected an event, which is an object")?;
        let (mut line, mut at, mut fields) = (None, None, None);
        let mut labels = [None; LABELS.len()];
        let mut others: Vec<(Text, Text)> = Vec::new();
        let mut first = true;
        while let Some(key) = cursor.key(&mut first)? {
            if cursor.null()? {
                continue;
            }
            let label = LABELS.iter().position(|name| cursor.is(key, name)).and_then(|index| labels.get_mut(index));
            if let Some(label) = label {
                *label = Some(cursor.string_or_scalar(&mut self.arena, "expected a text")?);
            } else if cursor.is(key, "event") {
                line = Some(self.value(cursor)?);
            } else if cursor.is(key, "time") {
                let text = cursor.string_or_scalar(&mut self.arena, "expected a time")?;
                at = Some(
                    time_of(cursor.text(text, &self.arena))
                        .ok_or_else(|| Fault::bad(Code::InvalidFormat, "Invalid data format: time is no number of seconds"))?,
                );
            } else if cursor.is(key, "fields") {
                fields = Some(cursor.position());
                cursor.skip_value()?;
            } else {
                // Not one of Splunk's, and kept all the same.
                let name = cursor.unescape(key, &mut self.arena)?;
                let value = self.value(cursor)?;
                others.push((name, value));
            }
        }
        let end = cursor.position();
        if let Some(fields) = fields {
            cursor.go_to(fields);
            self.fields(cursor, &mut others)?;
            cursor.go_to(end);
        }
        let whole = body.get(start..end).unwrap_or_default();
        let line = line.ok_or_else(|| Fault::bad(Code::EventRequired, "Event field is required"))?;
        if cursor.text(line, &self.arena).trim_ascii().is_empty() {
            return Err(Fault::bad(Code::EventBlank, "Event field cannot be blank"));
        }
        let timestamp = match at.or(self.defaults.time) {
            Some(at) => at,
            None => {
                let now = self.now;
                self.now = now.saturating_add(1);
                now
            }
        };
        let stream = self.stream(cursor, &labels, &others, rows)?;
        let limits = rows.metadata_limits();
        let text = |text: Text| cursor.text(text, &self.arena);
        let pairs = others.iter().map(|(name, value)| (text(*name), text(*value))).filter(|(name, _)| *name != SERVICE.0.as_bytes());
        let (count, bytes) = pairs.clone().fold((0, 0), |(count, bytes), (name, value)| (count + 1, bytes + name.len() + value.len()));
        let are_names = pairs.clone().all(|(name, _)| std::str::from_utf8(name).is_ok_and(|name| normalize_name(name).is_some()));
        rows.begin_stream(stream);
        // What does not fit beside its line makes the whole event the line.
        if count <= limits.0 && bytes <= limits.1 && are_names {
            rows.entry(timestamp, text(line), Pairs { iter: pairs, count, bytes })?;
        } else {
            rows.entry(timestamp, whole, Pairs { iter: std::iter::empty(), count: 0, bytes: 0 })?;
        }
        rows.end_stream();
        Ok(())
    }

    /// A string as it is meant, anything else as it is written.
    fn value(&mut self, cursor: &mut Cursor<'_>) -> Result<Text, PushError> {
        if cursor.peek() == Some(b'"') {
            return cursor.string(&mut self.arena, "expected a text");
        }
        let start = cursor.position();
        cursor.skip_value()?;
        Ok(Text::of_body(start, cursor.position()))
    }

    /// `{"name": value, ...}`, where a value is no object.
    fn fields(&mut self, cursor: &mut Cursor<'_>, others: &mut Vec<(Text, Text)>) -> Result<(), Fault> {
        let wrong = || Fault::bad(Code::IndexedFields, "Error in handling indexed fields: fields is an object of texts, numbers and lists");
        if cursor.peek() != Some(b'{') {
            return Err(wrong());
        }
        cursor.open(b'{', "expected an object")?;
        let mut first = true;
        while let Some(key) = cursor.key(&mut first)? {
            if cursor.null()? {
                continue;
            }
            if cursor.peek() == Some(b'{') {
                return Err(wrong());
            }
            let name = cursor.unescape(key, &mut self.arena)?;
            let value = self.value(cursor)?;
            others.push((name, value));
        }
        Ok(())
    }

    fn stream(
        &self,
        cursor: &Cursor<'_>,
        labels: &[Option<Text>; LABELS.len()],
        others: &[(Text, Text)],
        rows: &mut RowWriter<'_>,
    ) -> Result<Arc<Stream>, PushError> {
        let service =
            others.iter().find(|(name, _)| cursor.text(*name, &self.arena) == SERVICE.0.as_bytes()).map(|(_, value)| cursor.text(*value, &self.arena));
        let defaults = self.defaults.labels.iter().map(|default| default.as_deref().map(str::as_bytes));
        let own = labels.iter().zip(defaults).map(|(own, default)| own.map(|text| cursor.text(text, &self.arena)).or(default));
        let named = LABELS.into_iter().zip(own).chain([(SERVICE.1, service)]);
        let pairs: Vec<(&str, &[u8])> = named.filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?))).collect();
        let mut key = Vec::new();
        for (name, value) in &pairs {
            key.extend_from_slice(name.as_bytes());
            key.push(b'=');
            key.extend_from_slice(value);
            key.push(0xff);
        }
        if let Some(known) = rows.streams().known(&key) {
            return Ok(known);
        }
        let count = pairs.len();
        let pairs = pairs.into_iter().map(|(name, value)| (name.to_owned(), String::from_utf8_lossy(value).into_owned())).collect();
        rows.streams().by_pairs(&key, pairs, count)
    }
}

/// Seconds since the epoch with a fraction, to the digit; also milliseconds and finer, told by their size.
pub(super) fn time_of(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let are_digits = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !are_digits(whole) || !are_digits(fraction) {
        return time::epoch_float(text.parse().ok()?);
    }
    let number: i64 = whole.parse().ok()?;
    let nanos = time::epoch(number)?;
    // How much the last digit of the whole number is worth.
    let unit = nanos / number.max(1);
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(9);
    let billionths = digits.fold(0_i64, |value, digit| value * 10 + i64::from(digit - b'0'));
    nanos.checked_add(i64::try_from(i128::from(unit) * i128::from(billionths) / 1_000_000_000).ok()?)
}
