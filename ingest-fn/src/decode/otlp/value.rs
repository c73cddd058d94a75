//! An `AnyValue` as text: strings and numbers as they are, bytes as base64, lists and maps as JSON with the keys in order, as OpenTelemetry's
//! collector writes them. Unlike there, `<`, `>` and `&` are not escaped, so that a line filter finds them.
//! ```text
//! AnyValue { 1: string, 2: bool, 3: int, 4: double, 5: { repeated AnyValue }, 6: { repeated KeyValue }, 7: bytes }
//! ```

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::attributes::key_value;
use crate::decode::proto::Reader;
use crate::error::PushError;

/// Values inside one another that are followed at most.
pub(super) const MAX_DEPTH: usize = 64;
/// Maps with more members are written in the order in which they were sent: sorting them would need a multiple of their size.
const MAX_SORTED: usize = 16 << 10;

/// A value; lists and maps are not read yet.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'b> {
    Empty,
    Text(&'b [u8]),
    Bool(bool),
    Int(i64),
    Double(f64),
    List(Reader<'b>),
    Map(Reader<'b>),
    Bytes(&'b [u8]),
}

impl<'b> Value<'b> {
    /// The value of an `AnyValue`.
    pub(super) fn of(mut fields: Reader<'b>) -> Result<Self, PushError> {
        let mut value = Self::Empty;
        while let Some((field, wire)) = fields.field()? {
            value = match field {
                1 => Self::Text(fields.message(wire)?.bytes()),
                2 => Self::Bool(fields.number(wire)? != 0),
                3 => Self::Int(fields.number(wire)?.cast_signed()),
                4 => Self::Double(f64::from_bits(fields.fixed64(wire)?)),
                5 => Self::List(fields.message(wire)?),
                6 => Self::Map(fields.message(wire)?),
                7 => Self::Bytes(fields.message(wire)?.bytes()),
                _ => {
                    fields.skip(wire)?;
                    value
                }
            };
        }
        Ok(value)
    }

    /// Appends the value's text to `out` and returns its length. Of a text longer than `limit` only a part is written.
    pub(super) fn write_text(self, out: &mut Vec<u8>, limit: usize) -> Result<usize, PushError> {
        let mut text = Text { out, limit, length: 0 };
        match self {
            Self::Empty => {}
            Self::Text(bytes) => text.push(bytes),
            Self::Double(number) if !number.is_finite() => text.push(double(number).as_bytes()),
            Self::Bytes(bytes) => text.push_base64(bytes),
            other => text.json(other, 0)?,
        }
        Ok(text.length)
    }
}

/// A text under construction that is only counted beyond its limit.
struct Text<'o> {
    out: &'o mut Vec<u8>,
    limit: usize,
    length: usize,
}

impl Text<'_> {
    fn push(&mut self, bytes: &[u8]) {
        self.length = self.length.saturating_add(bytes.len());
        if self.length <= self.limit {
            self.out.extend_from_slice(bytes);
        }
    }

    fn json(&mut self, value: Value<'_>, depth: usize) -> Result<(), PushError> {
        match value {
            Value::Empty => self.push(b"null"),
            Value::Text(bytes) => self.quoted(bytes),
            Value::Bool(value) => self.push(if value { b"true" } else { b"false" }),
            Value::Int(number) => {
                let mut digits = String::new();
                let _ = write!(digits, "{number}");
                self.push(digits.as_bytes());
            }
            Value::Double(number) if number.is_finite() => self.push(double(number).as_bytes()),
            Value::Double(number) => self.quoted(double(number).as_bytes()),
            Value::Bytes(bytes) => {
                self.push(b"\"");
                self.push_base64(bytes);
                self.push(b"\"");
            }
            Value::List(list) => self.list(list, depth)?,
            Value::Map(map) => self.map(map, depth)?,
        }
        Ok(())
    }

    fn list(&mut self, mut list: Reader<'_>, depth: usize) -> Result<(), PushError> {
        if depth >= MAX_DEPTH {
            return Err(list.malformed("value nested too deep"));
        }
        let mut separator: &[u8] = b"[";
        while let Some((field, wire)) = list.field()? {
            if field != 1 {
                list.skip(wire)?;
                continue;
            }
            self.push(separator);
            separator = b",";
            let value = Value::of(list.message(wire)?)?;
            self.json(value, depth + 1)?;
        }
        self.push(if separator == b"[" { b"[]" } else { b"]" });
        Ok(())
    }

    /// Keys in order; of equal keys the last one counts.
    fn map(&mut self, map: Reader<'_>, depth: usize) -> Result<(), PushError> {
        if depth >= MAX_DEPTH {
            return Err(map.malformed("value nested too deep"));
        }
        let mut separator: &[u8] = b"{";
        let mut members = Vec::new();
        let mut fields = map;
        while let Some((field, wire)) = fields.field()? {
            if field != 1 {
                fields.skip(wire)?;
                continue;
            }
            members.push(key_value(fields.message(wire)?)?);
            if members.len() > MAX_SORTED {
                return self.unsorted(map, depth);
            }
        }
        members.sort_by_key(|(key, _)| *key);
        let mut rest = members.into_iter().peekable();
        while let Some((key, value)) = rest.next() {
            if rest.peek().is_some_and(|(next, _)| *next == key) {
                continue;
            }
            self.push(separator);
            separator = b",";
            self.member(key, value, depth)?;
        }
        self.push(if separator == b"{" { b"{}" } else { b"}" });
        Ok(())
    }

    fn unsorted(&mut self, mut map: Reader<'_>, depth: usize) -> Result<(), PushError> {
        let mut separator: &[u8] = b"{";
        while let Some((field, wire)) = map.field()? {
            if field != 1 {
                map.skip(wire)?;
                continue;
            }
            let (key, value) = key_value(map.message(wire)?)?;
            self.push(separator);
            separator = b",";
            self.member(key, value, depth)?;
        }
        self.push(b"}");
        Ok(())
    }

    fn member(&mut self, key: &[u8], value: Value<'_>, depth: usize) -> Result<(), PushError> {
        self.quoted(key);
        self.push(b":");
        self.json(value, depth + 1)
    }

    fn push_base64(&mut self, bytes: &[u8]) {
        // A multiple of three bytes has no padding, so pieces of it can be put together.
        for piece in bytes.chunks(3 << 10) {
            self.push(STANDARD.encode(piece).as_bytes());
        }
    }

    fn quoted(&mut self, bytes: &[u8]) {
        self.push(b"\"");
        let mut rest = bytes;
        while let Some(at) = rest.iter().position(|byte| matches!(*byte, b'"' | b'\\' | 0..=0x1f)) {
            let (plain, after) = rest.split_at_checked(at).unwrap_or((rest, b""));
            self.push(plain);
            match after.first() {
                Some(b'"') => self.push(b"\\\""),
                Some(b'\\') => self.push(b"\\\\"),
                Some(b'\n') => self.push(b"\\n"),
                Some(b'\r') => self.push(b"\\r"),
                Some(b'\t') => self.push(b"\\t"),
                Some(8) => self.push(b"\\b"),
                Some(12) => self.push(b"\\f"),
                Some(control) => self.push(format!("\\u{control:04x}").as_bytes()),
                None => {}
            }
            rest = after.get(1..).unwrap_or_default();
        }
        self.push(rest);
        self.push(b"\"");
    }
}

/// The shortest text that reads back, as ECMAScript writes numbers.
fn double(number: f64) -> String {
    let size = number.abs();
    if number.is_nan() {
        "NaN".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{number:e}");
        if size >= 1e21 { text.replace('e', "e+") } else { text }
    } else {
        format!("{number}")
    }
}
