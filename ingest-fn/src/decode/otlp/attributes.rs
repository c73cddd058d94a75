//! Names and values of one resource, scope or record, maps taken apart: `{a: {b: 1}}` is `a_b`. Strings stay where they are in the body.
//! Memory: no more is kept than an entry may have and be accepted; the rest is counted.

use std::fmt::{Display, Write as _};

use super::value::{MAX_DEPTH, Value};
use crate::decode::proto::Reader;
use crate::error::PushError;

/// Bytes in the body, or in the arena.
#[derive(Clone, Copy, Debug)]
enum Piece<'b> {
    Body(&'b [u8]),
    Arena { start: usize, end: usize },
}

#[derive(Debug)]
pub(super) struct Attributes<'b> {
    max_pairs: usize,
    max_bytes: usize,
    pairs: Vec<(Piece<'b>, Piece<'b>)>,
    arena: Vec<u8>,
    /// All pairs, kept or not, and their bytes.
    count: usize,
    bytes: usize,
    /// The name of a value inside maps, as far as it is known.
    path: Vec<u8>,
}

impl<'b> Attributes<'b> {
    pub(super) fn new(max_pairs: usize, max_bytes: usize) -> Self {
        Self { max_pairs, max_bytes, pairs: Vec::new(), arena: Vec::new(), count: 0, bytes: 0, path: Vec::new() }
    }

    pub(super) fn clear(&mut self) {
        self.pairs.clear();
        self.arena.clear();
        (self.count, self.bytes) = (0, 0);
    }

    /// Number of pairs, more than [`Self::iter`] has if they are too many or too large.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Bytes of all names and values.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.pairs.iter().map(|(name, value)| (self.piece(*name), self.piece(*value)))
    }

    fn piece(&self, piece: Piece<'b>) -> &[u8] {
        match piece {
            Piece::Body(bytes) => bytes,
            Piece::Arena { start, end } => self.arena.get(start..end).unwrap_or_default(),
        }
    }

    /// Adds a `KeyValue { 1: key, 2: AnyValue }`.
    pub(super) fn add_attribute(&mut self, message: Reader<'b>) -> Result<(), PushError> {
        let (key, value) = key_value(message)?;
        match value {
            Value::Map(members) => {
                self.path.clear();
                self.path.extend_from_slice(key);
                self.add_members(members, 1)
            }
            Value::Text(text) => {
                self.keep(key.len() + text.len(), |_| (Piece::Body(key), Piece::Body(text)));
                Ok(())
            }
            other => self.add_rendered(Some(key), other),
        }
    }

    /// Adds a field that is only there if it is not empty.
    pub(super) fn add_text(&mut self, name: &'static [u8], value: &'b [u8]) {
        if !value.is_empty() {
            self.keep(name.len() + value.len(), |_| (Piece::Body(name), Piece::Body(value)));
        }
    }

    /// Adds a number that is only there if it is not 0.
    pub(super) fn add_count(&mut self, name: &'static [u8], value: u64) {
        if value != 0 {
            self.add_display(name, value);
        }
    }

    pub(super) fn add_display(&mut self, name: &'static [u8], value: impl Display) {
        let mut text = String::new();
        let _ = write!(text, "{value}");
        self.keep(name.len() + text.len(), |arena| (Piece::Body(name), append(arena, text.as_bytes())));
    }

    /// Adds an identifier as hexadecimal. One that is missing, zero or of another length than `length` is none.
    pub(super) fn add_id(&mut self, name: &'static [u8], id: &[u8], length: usize) {
        if id.len() != length || id.iter().all(|byte| *byte == 0) {
            return;
        }
        self.keep(name.len() + 2 * length, |arena| {
            let start = arena.len();
            for byte in id {
                for digit in [byte >> 4, byte & 15] {
                    arena.push(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
                }
            }
            (Piece::Body(name), Piece::Arena { start, end: arena.len() })
        });
    }

    /// The members of a map whose name is the path.
    fn add_members(&mut self, mut list: Reader<'b>, depth: usize) -> Result<(), PushError> {
        if depth > MAX_DEPTH {
            return Err(list.malformed("attribute nested too deep"));
        }
        let end_of_path = self.path.len();
        while let Some((field, wire)) = list.field()? {
            if field != 1 {
                list.skip(wire)?;
                continue;
            }
            let (key, value) = key_value(list.message(wire)?)?;
            self.path.push(b'_');
            self.path.extend_from_slice(key);
            match value {
                Value::Map(members) => self.add_members(members, depth + 1)?,
                other => self.add_rendered(None, other)?,
            }
            self.path.truncate(end_of_path);
        }
        Ok(())
    }

    /// Adds a value that has to be written out, under `key` or, without one, under the path.
    fn add_rendered(&mut self, key: Option<&'b [u8]>, value: Value<'b>) -> Result<(), PushError> {
        let mark = self.arena.len();
        let length = value.write_text(&mut self.arena, self.max_bytes)?;
        let written = Piece::Arena { start: mark, end: self.arena.len() };
        let name_length = key.map_or(self.path.len(), <[u8]>::len);
        self.count += 1;
        self.bytes = self.bytes.saturating_add(name_length).saturating_add(length);
        if self.count > self.max_pairs || self.bytes > self.max_bytes {
            self.arena.truncate(mark);
            return Ok(());
        }
        let name = match key {
            Some(key) => Piece::Body(key),
            None => append(&mut self.arena, &self.path),
        };
        self.pairs.push((name, written));
        Ok(())
    }

    fn keep(&mut self, bytes: usize, pair: impl FnOnce(&mut Vec<u8>) -> (Piece<'b>, Piece<'b>)) {
        self.count += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        if self.count <= self.max_pairs && self.bytes <= self.max_bytes {
            let pair = pair(&mut self.arena);
            self.pairs.push(pair);
        }
    }
}

fn append<'b>(arena: &mut Vec<u8>, bytes: &[u8]) -> Piece<'b> {
    let start = arena.len();
    arena.extend_from_slice(bytes);
    Piece::Arena { start, end: arena.len() }
}

/// A `KeyValue`.
pub(super) fn key_value<'b>(mut fields: Reader<'b>) -> Result<(&'b [u8], Value<'b>), PushError> {
    let (mut key, mut value): (&[u8], Value<'_>) = (b"", Value::Empty);
    while let Some((field, wire)) = fields.field()? {
        match field {
            1 => key = fields.message(wire)?.bytes(),
            2 => value = Value::of(fields.message(wire)?)?,
            _ => fields.skip(wire)?,
        }
    }
    Ok((key, value))
}
