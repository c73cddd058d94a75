//! Loki's `logproto.PushRequest`, read by hand from the wire straight into columns: no message tree, no string per line.
//! ```text
//! PushRequest { 1: repeated Stream }           Stream { 1: labels text, 2: repeated Entry }
//! Entry { 1: Timestamp, 2: line, 3: repeated LabelPair }   LabelPair { 1: name, 2: value }   Timestamp { 1: seconds, 2: nanos }
//! ```
//! Other fields are skipped. Of a field that may occur once the last occurrence counts, as in every protobuf reader.

use crate::error::PushError;
use crate::metadata::Pairs;
use crate::rows::RowWriter;

/// Nanoseconds in a second.
const NANOS: i64 = 1_000_000_000;

/// Reads a whole push.
pub(crate) fn decode(body: &[u8], rows: &mut RowWriter<'_>) -> Result<(), PushError> {
    let mut request = Reader::new(body);
    let mut pairs = Vec::new();
    while let Some((field, wire)) = request.field()? {
        match field {
            1 => stream(request.message(wire)?, rows, &mut pairs)?,
            _ => request.skip(wire)?,
        }
    }
    Ok(())
}

fn stream<'b>(message: Reader<'b>, rows: &mut RowWriter<'_>, pairs: &mut Vec<(&'b [u8], &'b [u8])>) -> Result<(), PushError> {
    let labels = stream_labels(message)?;
    let resolved = rows.streams().by_text(labels)?;
    rows.begin_stream(resolved);
    let mut fields = message;
    while let Some((field, wire)) = fields.field()? {
        match field {
            2 => entry(fields.message(wire)?, rows, pairs)?,
            _ => fields.skip(wire)?,
        }
    }
    rows.end_stream();
    Ok(())
}

/// The labels come first from every client, but protobuf promises no order and the level of an entry depends on them.
fn stream_labels<'b>(message: Reader<'b>) -> Result<&'b [u8], PushError> {
    let mut labels: &[u8] = b"{}";
    let mut fields = message;
    while let Some((field, wire)) = fields.field()? {
        match field {
            1 => labels = fields.message(wire)?.bytes,
            _ => fields.skip(wire)?,
        }
    }
    Ok(labels)
}

fn entry<'b>(message: Reader<'b>, rows: &mut RowWriter<'_>, pairs: &mut Vec<(&'b [u8], &'b [u8])>) -> Result<(), PushError> {
    let (max_pairs, max_bytes) = rows.metadata_limits();
    let mut timestamp_at = None;
    let mut line: &[u8] = b"";
    let (mut count, mut bytes) = (0, 0);
    pairs.clear();
    let mut fields = message;
    while let Some((field, wire)) = fields.field()? {
        match field {
            1 => timestamp_at = Some(timestamp(fields.message(wire)?)?),
            2 => line = fields.message(wire)?.bytes,
            3 => {
                let (name, value) = label_pair(fields.message(wire)?)?;
                count += 1;
                bytes += name.len() + value.len();
                if count <= max_pairs && bytes <= max_bytes {
                    pairs.push((name, value));
                }
            }
            _ => fields.skip(wire)?,
        }
    }
    let timestamp = timestamp_at.ok_or_else(|| message.malformed("an entry without a timestamp"))?;
    rows.entry(timestamp, line, Pairs { iter: pairs.iter().copied(), count, bytes })
}

fn label_pair<'b>(mut fields: Reader<'b>) -> Result<(&'b [u8], &'b [u8]), PushError> {
    let (mut name, mut value): (&[u8], &[u8]) = (b"", b"");
    while let Some((field, wire)) = fields.field()? {
        match field {
            1 => name = fields.message(wire)?.bytes,
            2 => value = fields.message(wire)?.bytes,
            _ => fields.skip(wire)?,
        }
    }
    Ok((name, value))
}

/// Nanoseconds since the epoch; refuses what 64 bits of nanoseconds cannot hold.
fn timestamp(mut fields: Reader<'_>) -> Result<i64, PushError> {
    let (mut seconds, mut nanos) = (0_i64, 0_i64);
    while let Some((field, wire)) = fields.field()? {
        match field {
            1 => seconds = fields.number(wire)?.cast_signed(),
            2 => nanos = fields.number(wire)?.cast_signed(),
            _ => fields.skip(wire)?,
        }
    }
    if !(0..NANOS).contains(&nanos) {
        return Err(fields.malformed("timestamp nanos outside [0, 1e9)"));
    }
    let whole = i128::from(seconds) * i128::from(NANOS) + i128::from(nanos);
    i64::try_from(whole).map_err(|_| fields.malformed("timestamp outside the years 1677 to 2262"))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    Varint,
    Fixed64,
    Bytes,
    Fixed32,
}

/// A message that is read field by field. `base` is where its bytes start in the body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'b> {
    bytes: &'b [u8],
    base: usize,
    at: usize,
}

impl<'b> Reader<'b> {
    /// The message `bytes`.
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, base: 0, at: 0 }
    }

    /// All of its bytes.
    pub(crate) fn bytes(&self) -> &'b [u8] {
        self.bytes
    }

    /// The next field's number and wire type; `None` at the end of the message.
    #[inline]
    pub(crate) fn field(&mut self) -> Result<Option<(u32, Wire)>, PushError> {
        if self.at >= self.bytes.len() {
            return Ok(None);
        }
        let tag = u32::try_from(self.varint()?).map_err(|_| self.malformed("field number too large"))?;
        let wire = match tag & 7 {
            0 => Wire::Varint,
            1 => Wire::Fixed64,
            2 => Wire::Bytes,
            5 => Wire::Fixed32,
            _ => return Err(self.malformed("unsupported wire type")),
        };
        if tag >> 3 == 0 {
            return Err(self.malformed("field number 0"));
        }
        Ok(Some((tag >> 3, wire)))
    }

    /// The bytes of a length-delimited field.
    #[inline]
    pub(crate) fn message(&mut self, wire: Wire) -> Result<Reader<'b>, PushError> {
        if wire != Wire::Bytes {
            return Err(self.malformed("wrong wire type, expected a length"));
        }
        let length = usize::try_from(self.varint()?).map_err(|_| self.malformed("length past the end"))?;
        let base = self.base + self.at;
        let bytes = self.take(length)?;
        Ok(Reader { bytes, base, at: 0 })
    }

    /// The value of a varint field.
    pub(crate) fn number(&mut self, wire: Wire) -> Result<u64, PushError> {
        if wire != Wire::Varint {
            return Err(self.malformed("wrong wire type, expected a varint"));
        }
        self.varint()
    }

    /// The value of a field of eight bytes.
    pub(crate) fn fixed64(&mut self, wire: Wire) -> Result<u64, PushError> {
        if wire != Wire::Fixed64 {
            return Err(self.malformed("wrong wire type, expected eight bytes"));
        }
        let bytes = self.take(8)?;
        Ok(bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)))
    }

    /// The value of a field of four bytes.
    pub(crate) fn fixed32(&mut self, wire: Wire) -> Result<u32, PushError> {
        if wire != Wire::Fixed32 {
            return Err(self.malformed("wrong wire type, expected four bytes"));
        }
        let bytes = self.take(4)?;
        Ok(bytes.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes)))
    }

    /// Passes over a field.
    pub(crate) fn skip(&mut self, wire: Wire) -> Result<(), PushError> {
        match wire {
            Wire::Varint => self.varint().map(|_| ()),
            Wire::Fixed64 => self.take(8).map(|_| ()),
            Wire::Fixed32 => self.take(4).map(|_| ()),
            Wire::Bytes => self.message(wire).map(|_| ()),
        }
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'b [u8], PushError> {
        let end = self.at.checked_add(length);
        let taken = end.and_then(|end| self.bytes.get(self.at..end)).ok_or_else(|| self.malformed("length past the end"))?;
        self.at += length;
        Ok(taken)
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, PushError> {
        match self.bytes.get(self.at) {
            Some(byte) if *byte < 0x80 => {
                self.at += 1;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, PushError> {
        let mut value = 0_u64;
        let mut shift = 0_u32;
        loop {
            let byte = *self.bytes.get(self.at).ok_or_else(|| self.malformed("truncated varint"))?;
            if shift == 63 && byte > 1 {
                return Err(self.malformed("varint longer than 64 bits"));
            }
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
            shift += 7;
        }
    }

    #[cold]
    pub(crate) fn malformed(&self, problem: &'static str) -> PushError {
        PushError::Malformed { format: "protobuf", problem, offset: self.base + self.at }
    }
}

#[cfg(test)]
mod tests;
