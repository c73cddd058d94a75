//! The pages of one row group: how each column is encoded.
//! Owns: the dictionaries of a row group. They grow page by page, so that a page can be written before the next is known.
//! Must not know: where pages end, how many row groups there are, manifests.

use std::collections::HashMap;
use std::ops::Range;

use bytes::Bytes;
use parquet::basic::Encoding;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::statistics::Statistics;
use parquet::schema::types::SchemaDescriptor;
use schema::LabelSet;

use super::encoding::{delta, hybrid, low_byte};
use super::label_pages::LabelPages;
use super::layout::{FileLayout, Leaf};
use super::order::OrderedRows;
use super::pages::{ColumnPages, PageCompressor, RawDictionary, RawPage, external};

/// A row group under construction.
pub(crate) struct RowGroupEncoder {
    columns: [ColumnPages; Leaf::ALL.len()],
    rows: usize,
    streams: StreamDictionary,
    names: TextDictionary,
    labels: Option<LabelPages>,
    times: Option<(i64, i64)>,
    values: Vec<u8>,
}

impl RowGroupEncoder {
    /// An empty row group. `streams` is how many streams it will have at least, as far as that is known.
    pub(crate) fn new(layout: FileLayout, streams: usize) -> Self {
        let columns = [Encoding::DELTA_BINARY_PACKED, Encoding::RLE_DICTIONARY, Encoding::PLAIN, Encoding::RLE_DICTIONARY, Encoding::PLAIN];
        Self {
            columns: columns.map(ColumnPages::new),
            rows: 0,
            streams: StreamDictionary { expected: streams, ..StreamDictionary::default() },
            names: TextDictionary::default(),
            labels: (layout == FileLayout::Level1).then(LabelPages::default),
            times: None,
            values: Vec::new(),
        }
    }

    /// Bytes of memory that this takes, roughly.
    pub(crate) fn memory_bytes(&self) -> usize {
        let columns: usize = self.columns.iter().map(ColumnPages::memory_bytes).sum();
        let labels = self.labels.as_ref().map_or(0, LabelPages::memory_bytes);
        columns + labels + self.names.memory_bytes() + self.streams.ids.capacity() + self.values.capacity()
    }

    /// Appends one page to every column: the rows `page` of `ordered`, which follow those of the page before in canonical order.
    pub(crate) fn push_page(&mut self, ordered: &OrderedRows<'_>, page: Range<usize>, compressor: &mut PageCompressor) -> Result<()> {
        let mut values = std::mem::take(&mut self.values);
        values.clear();
        self.encode_timestamps(ordered, &page, &mut values);
        self.push_flat(Leaf::Timestamp, &values, page.len(), compressor)?;
        values.clear();
        self.streams.encode(ordered, &page, &mut values)?;
        self.push_flat(Leaf::StreamId, &values, page.len(), compressor)?;
        values.clear();
        for row in ordered.rows.get(page.clone()).unwrap_or(&[]) {
            put_plain(&mut values, ordered.line(*row))?;
        }
        self.push_flat(Leaf::Line, &values, page.len(), compressor)?;
        self.push_metadata(ordered, &page, &mut values, compressor)?;
        if let Some(labels) = &mut self.labels {
            labels.push_page(ordered.streams_in(page.clone()), self.rows, &mut values, compressor)?;
        }
        self.rows += page.len();
        self.values = values;
        Ok(())
    }

    fn push_flat(&mut self, leaf: Leaf, body: &[u8], entries: usize, compressor: &mut PageCompressor) -> Result<()> {
        self.push_raw(leaf, &RawPage { body, entries, first_row: self.rows }, compressor)
    }

    fn push_raw(&mut self, leaf: Leaf, page: &RawPage<'_>, compressor: &mut PageCompressor) -> Result<()> {
        let column = self.columns.get_mut(leaf.index()).ok_or_else(|| ParquetError::General("a leaf column without pages".to_owned()))?;
        column.push(page, compressor)
    }

    fn encode_timestamps(&mut self, ordered: &OrderedRows<'_>, page: &Range<usize>, out: &mut Vec<u8>) {
        let rows = ordered.rows.get(page.clone()).unwrap_or(&[]);
        for row in rows {
            let (min, max) = self.times.unwrap_or((row.timestamp, row.timestamp));
            self.times = Some((min.min(row.timestamp), max.max(row.timestamp)));
        }
        delta::encode(rows.iter().map(|row| row.timestamp), out);
    }

    fn push_metadata(&mut self, ordered: &OrderedRows<'_>, page: &Range<usize>, values: &mut Vec<u8>, compressor: &mut PageCompressor) -> Result<()> {
        let rows = ordered.rows.get(page.clone()).unwrap_or(&[]);
        let mut levels = Levels { repetition: Vec::with_capacity(rows.len()), definition: Vec::with_capacity(rows.len()) };
        let mut names = PageNames { names: &mut self.names, last: Vec::new() };
        let mut name_ids = Vec::with_capacity(rows.len());
        let mut scratch = Vec::new();
        let mut value_bytes = Vec::new();
        for row in rows {
            let pairs = ordered.metadata(*row, &mut scratch);
            levels.push_row(pairs.len());
            for (position, (name, value)) in pairs.iter().enumerate() {
                std::str::from_utf8(value).map_err(external)?;
                name_ids.push(names.id(position, name)?);
                put_plain(&mut value_bytes, value)?;
            }
        }
        let (entries, first_row) = (levels.repetition.len(), self.rows);
        let level_bytes = levels.encode()?;
        values.clear();
        values.extend_from_slice(&level_bytes);
        let width = self.names.width();
        values.push(low_byte(u64::from(width)));
        hybrid::encode(&name_ids, width, values);
        self.push_raw(Leaf::MetadataKey, &RawPage { body: values, entries, first_row }, compressor)?;
        values.clear();
        values.extend_from_slice(&level_bytes);
        values.extend_from_slice(&value_bytes);
        self.push_raw(Leaf::MetadataValue, &RawPage { body: values, entries, first_row }, compressor)
    }

    /// Closes the row group: the bytes of each column, and what the file's footer says of it, in the order of `schema`.
    pub(crate) fn finish(self, schema: &SchemaDescriptor, compressor: &mut PageCompressor) -> Result<Vec<(Bytes, ColumnCloseResult)>> {
        let times = self.times.map(|(min, max)| Statistics::int64(Some(min), Some(max), None, Some(0), false));
        let (stream_ids, names) = (self.streams.into_dictionary(), self.names.into_dictionary());
        let extras = [(None, times), (Some(stream_ids), None), (None, None), (Some(names), None), (None, None)];
        let mut columns: Vec<_> = self.columns.into_iter().zip(extras).map(|(pages, (dictionary, statistics))| (pages, dictionary, statistics)).collect();
        if let Some(labels) = self.labels {
            columns.extend(labels.into_columns().map(|(pages, dictionary)| (pages, Some(dictionary), None)));
        }
        let mut finished = Vec::with_capacity(columns.len());
        for (index, (pages, dictionary, statistics)) in columns.into_iter().enumerate() {
            finished.push(pages.finish(schema.column(index), dictionary, statistics, self.rows, compressor)?);
        }
        Ok(finished)
    }
}

/// Fingerprints of the streams of one row group.
#[derive(Default)]
struct StreamDictionary {
    expected: usize,
    /// Little endian, one after the other.
    ids: Vec<u8>,
    count: usize,
    last: Option<LabelSet>,
}

impl StreamDictionary {
    fn encode(&mut self, ordered: &OrderedRows<'_>, page: &Range<usize>, out: &mut Vec<u8>) -> Result<()> {
        let mut runs = Vec::new();
        for (labels, rows) in ordered.streams_in(page.clone()) {
            runs.push((self.index(labels)?, rows));
        }
        let width = hybrid::index_width(self.count.max(self.expected)).max(1);
        out.push(low_byte(u64::from(width)));
        for (index, rows) in runs {
            hybrid::put_run(index, rows, width, out);
        }
        Ok(())
    }

    /// Streams come in order, so a stream is the one before or a new one.
    fn index(&mut self, labels: &LabelSet) -> Result<u32> {
        if self.last.as_ref() != Some(labels) {
            self.ids.extend_from_slice(&labels.stream_id().0.to_le_bytes());
            self.count += 1;
            self.last = Some(labels.clone());
        }
        u32::try_from(self.count - 1).map_err(external)
    }

    fn into_dictionary(self) -> RawDictionary {
        RawDictionary { values: self.ids, count: self.count }
    }
}

/// Distinct texts of one row group, in order of appearance.
#[derive(Default)]
pub(super) struct TextDictionary {
    ids: HashMap<Box<str>, u32>,
    plain: Vec<u8>,
}

impl TextDictionary {
    pub(super) fn id(&mut self, text: &str) -> Result<u32> {
        if let Some(id) = self.ids.get(text) {
            return Ok(*id);
        }
        let id = u32::try_from(self.ids.len()).map_err(external)?;
        put_plain(&mut self.plain, text.as_bytes())?;
        self.ids.insert(text.into(), id);
        Ok(id)
    }

    /// Bits of an index; at least 1, since some readers take no less.
    pub(super) fn width(&self) -> u32 {
        hybrid::index_width(self.ids.len()).max(1)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.plain.capacity() * 2 + self.ids.capacity() * 32
    }

    pub(super) fn into_dictionary(self) -> RawDictionary {
        RawDictionary { values: self.plain, count: self.ids.len() }
    }
}

/// Ids of metadata names during one page. Names of a batch are stored once, so the name that stood at the same place in the row before is
/// mostly the very same string, and comparing addresses finds it.
struct PageNames<'d, 'a> {
    names: &'d mut TextDictionary,
    last: Vec<(&'a str, u32)>,
}

impl<'a> PageNames<'_, 'a> {
    fn id(&mut self, position: usize, name: &'a str) -> Result<u32> {
        if let Some((last, id)) = self.last.get(position)
            && std::ptr::eq(*last, name)
        {
            return Ok(*id);
        }
        let id = self.names.id(name)?;
        match self.last.get_mut(position) {
            Some(slot) => *slot = (name, id),
            None => self.last.push((name, id)),
        }
        Ok(id)
    }
}

struct Levels {
    repetition: Vec<u32>,
    definition: Vec<u32>,
}

impl Levels {
    fn push_row(&mut self, pairs: usize) {
        self.repetition.push(0);
        self.definition.push(u32::from(pairs > 0));
        for _ in 1..pairs {
            self.repetition.push(1);
            self.definition.push(1);
        }
    }

    /// Both levels as a page has them: hybrid encoded, each behind its length.
    fn encode(&self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        for levels in [&self.repetition, &self.definition] {
            let mut encoded = Vec::new();
            hybrid::encode(levels, 1, &mut encoded);
            put_plain(&mut out, &encoded)?;
        }
        Ok(out)
    }
}

/// PLAIN byte array: length as 4 bytes, little endian, then the bytes.
pub(super) fn put_plain(out: &mut Vec<u8>, value: &[u8]) -> Result<()> {
    let length = u32::try_from(value.len()).map_err(external)?;
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(value);
    Ok(())
}
