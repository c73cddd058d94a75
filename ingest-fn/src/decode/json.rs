//! Loki's JSON pushes, read in one pass over the body straight into columns: no document tree.
//! ```text
//! v1:      {"streams": [{"stream": {"app": "x"}, "values": [["<ns>", "line", {"trace_id": "y"}]]}]}
//! legacy:  {"streams": [{"labels": "{app=\"x\"}", "entries": [{"ts": "<RFC 3339>", "line": "line"}]}]}
//! ```
//! Unknown keys are skipped, keys come in any order, `null` stands for an empty list, entry or metadata object.

pub(crate) mod cursor;

use std::str::FromStr as _;
use std::sync::Arc;

use self::cursor::{Arena, Cursor, Text};
use crate::error::PushError;
use crate::labels::Stream;
use crate::metadata::Pairs;
use crate::rows::RowWriter;

/// Labels that are stored while their number is counted; `labels` refuses more than it has any use for.
const MAX_STORED_LABELS: usize = 8192;

/// Which of the two JSON forms a body has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    V1,
    Legacy,
}

/// Reads a whole push.
pub(crate) fn decode(body: &[u8], format: Form, rows: &mut RowWriter<'_>) -> Result<(), PushError> {
    let mut walk = Walk { cursor: Cursor::new(body)?, arena: Arena::default(), pairs: Vec::new(), format, rows };
    if !walk.cursor.null()? {
        let mut first = true;
        walk.cursor.open(b'{', "expected an object with `streams`")?;
        while let Some(key) = walk.cursor.key(&mut first)? {
            if walk.cursor.is(key, "streams") { walk.streams()? } else { walk.cursor.skip_value()? }
        }
    }
    walk.cursor.end()
}

struct Walk<'b, 'w, 'l> {
    cursor: Cursor<'b>,
    /// Strings of one entry that had to be unescaped.
    arena: Arena,
    /// Metadata of one entry.
    pairs: Vec<(Text, Text)>,
    format: Form,
    rows: &'w mut RowWriter<'l>,
}

impl Walk<'_, '_, '_> {
    fn streams(&mut self) -> Result<(), PushError> {
        if self.cursor.null()? {
            return Ok(());
        }
        self.cursor.open(b'[', "expected an array of streams")?;
        let mut first = true;
        while self.cursor.element(&mut first)? {
            if self.cursor.null()? { self.rows.empty_stream() } else { self.stream()? }
        }
        Ok(())
    }

    /// One stream. Entries that stand before their labels are passed over and read when the labels are known.
    fn stream(&mut self) -> Result<(), PushError> {
        let (labels_key, entries_key) = match self.format {
            Form::V1 => ("stream", "values"),
            Form::Legacy => ("labels", "entries"),
        };
        let mut stream: Option<Arc<Stream>> = None;
        let mut postponed = Vec::new();
        let mut first = true;
        self.cursor.open(b'{', "expected a stream object")?;
        while let Some(key) = self.cursor.key(&mut first)? {
            if self.cursor.is(key, labels_key) && stream.is_none() {
                let resolved = self.labels()?;
                self.rows.begin_stream(Arc::clone(&resolved));
                stream = Some(resolved);
            } else if self.cursor.is(key, entries_key) {
                if stream.is_some() {
                    self.entries()?;
                } else {
                    postponed.push(self.cursor.position());
                    self.cursor.skip_value()?;
                }
            } else {
                self.cursor.skip_value()?;
            }
        }
        if stream.is_none() {
            let unlabelled = self.rows.streams().by_text(b"{}")?;
            self.rows.begin_stream(unlabelled);
        }
        let end = self.cursor.position();
        for position in postponed {
            self.cursor.go_to(position);
            self.entries()?;
        }
        self.cursor.go_to(end);
        self.rows.end_stream();
        Ok(())
    }

    fn labels(&mut self) -> Result<Arc<Stream>, PushError> {
        if self.cursor.null()? {
            return self.rows.streams().by_text(b"{}");
        }
        self.arena.clear();
        if self.format == Form::Legacy {
            let text = self.cursor.string(&mut self.arena, "expected label text")?;
            return self.rows.streams().by_text(self.cursor.text(text, &self.arena));
        }
        let start = self.cursor.position();
        let raw = self.cursor.skip_container()?;
        if let Some(stream) = self.rows.streams().known(raw) {
            return Ok(stream);
        }
        self.cursor.go_to(start);
        let (pairs, count) = self.label_object()?;
        self.rows.streams().by_pairs(raw, pairs, count)
    }

    /// Labels with string values. Numbers and booleans are taken as their text, as Loki does; `null` means no label.
    fn label_object(&mut self) -> Result<(Vec<(String, String)>, usize), PushError> {
        let mut pairs = Vec::new();
        let mut count = 0;
        let mut first = true;
        self.cursor.open(b'{', "expected a label object")?;
        while let Some(key) = self.cursor.key(&mut first)? {
            if self.cursor.null()? {
                continue;
            }
            self.arena.clear();
            let name = self.cursor.unescape(key, &mut self.arena)?;
            let value = self.cursor.string_or_scalar(&mut self.arena, "expected a string as label value")?;
            count += 1;
            if pairs.len() < MAX_STORED_LABELS {
                let owned = |text| String::from_utf8_lossy(self.cursor.text(text, &self.arena)).into_owned();
                pairs.push((owned(name), owned(value)));
            }
        }
        Ok((pairs, count))
    }

    fn entries(&mut self) -> Result<(), PushError> {
        if self.cursor.null()? {
            return Ok(());
        }
        self.cursor.open(b'[', "expected an array of entries")?;
        let mut first = true;
        while self.cursor.element(&mut first)? {
            if self.cursor.null()? {
                continue;
            }
            self.arena.clear();
            self.pairs.clear();
            match self.format {
                Form::V1 => self.entry_v1()?,
                Form::Legacy => self.entry_legacy()?,
            }
        }
        Ok(())
    }

    /// `["<ns>", "line"]` or `["<ns>", "line", {metadata}]`; what follows is passed over.
    fn entry_v1(&mut self) -> Result<(), PushError> {
        let mut first = true;
        self.cursor.open(b'[', "expected an entry array")?;
        self.next_part(&mut first)?;
        let at = self.cursor.position();
        let text = self.cursor.string(&mut self.arena, "expected a timestamp string")?;
        let nanoseconds = std::str::from_utf8(self.cursor.text(text, &self.arena)).ok().and_then(|text| text.parse().ok());
        let timestamp: i64 = nanoseconds.ok_or_else(|| cursor::malformed("timestamp is not an integer of nanoseconds", at))?;
        self.next_part(&mut first)?;
        let line = self.cursor.string(&mut self.arena, "expected a line string")?;
        let (mut count, mut bytes) = (0, 0);
        if self.cursor.element(&mut first)? {
            (count, bytes) = self.metadata()?;
            while self.cursor.element(&mut first)? {
                self.cursor.skip_value()?;
            }
        }
        self.write(timestamp, line, count, bytes)
    }

    fn next_part(&mut self, first: &mut bool) -> Result<(), PushError> {
        let at = self.cursor.position();
        if self.cursor.element(first)? { Ok(()) } else { Err(cursor::malformed("an entry needs a timestamp and a line", at)) }
    }

    fn entry_legacy(&mut self) -> Result<(), PushError> {
        let (mut timestamp, mut line) = (None, None);
        let mut first = true;
        let start = self.cursor.position();
        self.cursor.open(b'{', "expected an entry object")?;
        while let Some(key) = self.cursor.key(&mut first)? {
            if self.cursor.is(key, "ts") {
                let at = self.cursor.position();
                let text = self.cursor.string(&mut self.arena, "expected a timestamp string")?;
                let parsed = rfc3339(self.cursor.text(text, &self.arena));
                timestamp = Some(parsed.ok_or_else(|| cursor::malformed("timestamp is not RFC 3339 within the years 1677 to 2262", at))?);
            } else if self.cursor.is(key, "line") {
                line = Some(self.cursor.string(&mut self.arena, "expected a line string")?);
            } else {
                self.cursor.skip_value()?;
            }
        }
        let timestamp = timestamp.ok_or_else(|| cursor::malformed("an entry without `ts`", start))?;
        self.write(timestamp, line.unwrap_or_default(), 0, 0)
    }

    /// Reads an object of strings into `pairs`; returns how many there are and their bytes, which may be more than are kept.
    fn metadata(&mut self) -> Result<(usize, usize), PushError> {
        let (mut count, mut bytes) = (0, 0);
        if self.cursor.null()? {
            return Ok((count, bytes));
        }
        let (max_pairs, max_bytes) = self.rows.metadata_limits();
        let mut first = true;
        self.cursor.open(b'{', "expected an object of structured metadata")?;
        while let Some(key) = self.cursor.key(&mut first)? {
            let mark = self.arena.len();
            let name = self.cursor.unescape(key, &mut self.arena)?;
            let value = self.cursor.string(&mut self.arena, "expected a string as structured metadata value")?;
            count += 1;
            bytes += name.len() + value.len();
            if count <= max_pairs && bytes <= max_bytes {
                self.pairs.push((name, value));
            } else {
                self.arena.truncate(mark);
            }
        }
        Ok((count, bytes))
    }

    fn write(&mut self, timestamp: i64, line: Text, count: usize, bytes: usize) -> Result<(), PushError> {
        let (cursor, arena) = (&self.cursor, &self.arena);
        let iter = self.pairs.iter().map(|(name, value)| (cursor.text(*name, arena), cursor.text(*value, arena)));
        self.rows.entry(timestamp, cursor.text(line, arena), Pairs { iter, count, bytes })
    }
}

fn rfc3339(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let timestamp = jiff::Timestamp::from_str(text).ok()?;
    i64::try_from(timestamp.as_nanosecond()).ok()
}

#[cfg(test)]
mod tests;
