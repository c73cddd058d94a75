//! Ordered rows to the bytes of a Parquet file.
//! Owns: where pages and row groups end, how each column is encoded. Pages of all columns cover the same rows, so that a reader needs one
//! list of page borders and a page is a batch.
//! Must not know: object keys, manifests (it stores the text it is given), where the rows came from.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use parquet::basic::Encoding;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::statistics::Statistics;
use parquet::file::writer::SerializedFileWriter;

use super::encoding::{delta, hybrid, low_byte};
use super::layout::{FORMAT_VERSION, Leaf, MANIFEST_KEY, PAGE_LINE_BYTES, PAGE_ROWS, ROW_GROUP_LINE_BYTES, VERSION_KEY, ZSTD_LEVEL, file_schema};
use super::order::OrderedRows;
use super::pages::{ColumnPages, PageCompressor, RawDictionary, RawPage, external};

/// Sizes and effort of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WriteOptions {
    pub(crate) zstd_level: i32,
    pub(crate) page_line_bytes: usize,
    pub(crate) page_rows: usize,
    pub(crate) row_group_line_bytes: usize,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self { zstd_level: ZSTD_LEVEL, page_line_bytes: PAGE_LINE_BYTES, page_rows: PAGE_ROWS, row_group_line_bytes: ROW_GROUP_LINE_BYTES }
    }
}

/// Writes `ordered` as one file with `manifest_text` in its footer. Errors: a metadata value that is not UTF-8, which other engines could
/// not read, or a page beyond 2 GiB.
pub(crate) fn write(ordered: &OrderedRows<'_>, manifest_text: String, options: &WriteOptions) -> Result<Vec<u8>> {
    let schema = file_schema()?;
    let properties = WriterProperties::builder()
        .set_created_by(format!("tarn version {}", env!("CARGO_PKG_VERSION")))
        .set_key_value_metadata(Some(vec![
            KeyValue::new(VERSION_KEY.to_owned(), FORMAT_VERSION.to_owned()),
            KeyValue::new(MANIFEST_KEY.to_owned(), manifest_text),
        ]))
        .build();
    let mut file = SerializedFileWriter::new(Vec::new(), schema.root_schema_ptr(), Arc::new(properties))?;
    let mut compressor = PageCompressor::new(options.zstd_level)?;
    for pages in plan_pages(ordered, options) {
        let mut group = file.next_row_group()?;
        let (Some(first), Some(last)) = (pages.first(), pages.last()) else { continue };
        let mut encoder = RowGroupEncoder::new(ordered, first.start..last.end);
        for page in &pages {
            encoder.push_page(page.clone(), &mut compressor)?;
        }
        for (bytes, close) in encoder.finish(&schema, &mut compressor)? {
            group.append_column(&bytes, close)?;
        }
        group.close()?;
    }
    file.into_inner()
}

/// The rows of every page, row group by row group.
fn plan_pages(ordered: &OrderedRows<'_>, options: &WriteOptions) -> Vec<Vec<Range<usize>>> {
    let mut groups = Vec::new();
    let mut pages: Vec<Range<usize>> = Vec::new();
    let (mut page_start, mut page_bytes, mut group_bytes) = (0, 0usize, 0usize);
    // Metadata is mostly next to nothing and then not worth a look at every row; where it outweighs the lines it must bound pages too.
    let count_metadata = ordered.metadata_outweighs_lines();
    let mut scratch = Vec::new();
    for (position, row) in ordered.rows.iter().enumerate() {
        let mut length = ordered.line(*row).len();
        if count_metadata {
            length += ordered.metadata(*row, &mut scratch).iter().map(|(_, value)| value.len()).sum::<usize>();
        }
        let rows = position - page_start;
        let group_full = rows + pages.len() > 0 && group_bytes + length > options.row_group_line_bytes;
        let page_full = rows > 0 && (page_bytes + length > options.page_line_bytes || rows == options.page_rows);
        if page_full || (group_full && rows > 0) {
            pages.push(page_start..position);
            (page_start, page_bytes) = (position, 0);
        }
        if group_full {
            groups.push(std::mem::take(&mut pages));
            group_bytes = 0;
        }
        page_bytes += length;
        group_bytes += length;
    }
    if page_start < ordered.rows.len() {
        pages.push(page_start..ordered.rows.len());
    }
    if !pages.is_empty() {
        groups.push(pages);
    }
    groups
}

struct RowGroupEncoder<'a, 'r> {
    ordered: &'r OrderedRows<'a>,
    rows: Range<usize>,
    columns: [ColumnPages; 5],
    /// Streams of the row group: positions in `ordered.streams`.
    streams: Range<usize>,
    names: NameDictionary<'a>,
    times: Option<(i64, i64)>,
    values: Vec<u8>,
}

impl<'a, 'r> RowGroupEncoder<'a, 'r> {
    fn new(ordered: &'r OrderedRows<'a>, rows: Range<usize>) -> Self {
        let first = ordered.streams.partition_point(|stream| stream.rows.end <= rows.start);
        let last = ordered.streams.partition_point(|stream| stream.rows.start < rows.end);
        let columns = [Encoding::DELTA_BINARY_PACKED, Encoding::RLE_DICTIONARY, Encoding::PLAIN, Encoding::RLE_DICTIONARY, Encoding::PLAIN];
        Self { ordered, rows, columns: columns.map(ColumnPages::new), streams: first..last, names: NameDictionary::default(), times: None, values: Vec::new() }
    }

    fn push_page(&mut self, page: Range<usize>, compressor: &mut PageCompressor) -> Result<()> {
        let mut values = std::mem::take(&mut self.values);
        values.clear();
        self.encode_timestamps(&page, &mut values);
        self.push_flat(Leaf::Timestamp, &values, &page, compressor)?;
        values.clear();
        self.encode_streams(&page, &mut values)?;
        self.push_flat(Leaf::StreamId, &values, &page, compressor)?;
        values.clear();
        for row in self.ordered.rows.get(page.clone()).unwrap_or(&[]) {
            put_plain(&mut values, self.ordered.line(*row))?;
        }
        self.push_flat(Leaf::Line, &values, &page, compressor)?;
        self.push_metadata(page, &mut values, compressor)?;
        self.values = values;
        Ok(())
    }

    fn push_flat(&mut self, leaf: Leaf, body: &[u8], page: &Range<usize>, compressor: &mut PageCompressor) -> Result<()> {
        self.push_raw(leaf, &RawPage { body, entries: page.len(), first_row: page.start - self.rows.start }, compressor)
    }

    fn push_raw(&mut self, leaf: Leaf, page: &RawPage<'_>, compressor: &mut PageCompressor) -> Result<()> {
        let column = self.columns.get_mut(leaf.index()).ok_or_else(|| ParquetError::General("a leaf column without pages".to_owned()))?;
        column.push(page, compressor)
    }

    fn encode_timestamps(&mut self, page: &Range<usize>, out: &mut Vec<u8>) {
        let rows = self.ordered.rows.get(page.clone()).unwrap_or(&[]);
        for row in rows {
            let (min, max) = self.times.unwrap_or((row.timestamp, row.timestamp));
            self.times = Some((min.min(row.timestamp), max.max(row.timestamp)));
        }
        delta::encode(rows.iter().map(|row| row.timestamp), out);
    }

    fn encode_streams(&self, page: &Range<usize>, out: &mut Vec<u8>) -> Result<()> {
        let width = hybrid::index_width(self.streams.len()).max(1);
        out.push(low_byte(u64::from(width)));
        let streams = self.ordered.streams.get(self.streams.clone()).unwrap_or(&[]);
        let first = streams.partition_point(|stream| stream.rows.end <= page.start);
        for (index, stream) in streams.iter().enumerate().skip(first).take_while(|(_, stream)| stream.rows.start < page.end) {
            let count = stream.rows.end.min(page.end) - stream.rows.start.max(page.start);
            hybrid::put_run(u32::try_from(index).map_err(external)?, count, width, out);
        }
        Ok(())
    }

    fn push_metadata(&mut self, page: Range<usize>, values: &mut Vec<u8>, compressor: &mut PageCompressor) -> Result<()> {
        let rows = self.ordered.rows.get(page.clone()).unwrap_or(&[]);
        let mut levels = Levels { repetition: Vec::with_capacity(rows.len()), definition: Vec::with_capacity(rows.len()) };
        let mut name_ids = Vec::with_capacity(rows.len());
        let mut scratch = Vec::new();
        let mut value_bytes = Vec::new();
        for row in rows {
            let pairs = self.ordered.metadata(*row, &mut scratch);
            levels.push_row(pairs.len());
            for (position, (name, value)) in pairs.iter().enumerate() {
                std::str::from_utf8(value).map_err(external)?;
                name_ids.push(self.names.id(position, name)?);
                put_plain(&mut value_bytes, value)?;
            }
        }
        let (entries, first_row) = (levels.repetition.len(), page.start - self.rows.start);
        let level_bytes = levels.encode()?;
        values.clear();
        values.extend_from_slice(&level_bytes);
        let width = hybrid::index_width(self.names.names.len()).max(1);
        values.push(low_byte(u64::from(width)));
        hybrid::encode(&name_ids, width, values);
        self.push_raw(Leaf::MetadataKey, &RawPage { body: values, entries, first_row }, compressor)?;
        values.clear();
        values.extend_from_slice(&level_bytes);
        values.extend_from_slice(&value_bytes);
        self.push_raw(Leaf::MetadataValue, &RawPage { body: values, entries, first_row }, compressor)
    }

    fn finish(
        self,
        schema: &parquet::schema::types::SchemaDescriptor,
        compressor: &mut PageCompressor,
    ) -> Result<Vec<(bytes::Bytes, parquet::column::writer::ColumnCloseResult)>> {
        let mut stream_ids = RawDictionary { values: Vec::new(), count: self.streams.len() };
        for stream in self.ordered.streams.get(self.streams.clone()).unwrap_or(&[]) {
            stream_ids.values.extend_from_slice(&stream.labels.stream_id().0.to_le_bytes());
        }
        let mut names = RawDictionary { values: Vec::new(), count: self.names.names.len() };
        for name in &self.names.names {
            put_plain(&mut names.values, name.as_bytes())?;
        }
        let times = self.times.map(|(min, max)| Statistics::int64(Some(min), Some(max), None, Some(0), false));
        let mut extras = [(None, times), (Some(stream_ids), None), (None, None), (Some(names), None), (None, None)].into_iter();
        let mut finished = Vec::with_capacity(self.columns.len());
        for (index, column) in self.columns.into_iter().enumerate() {
            let (dictionary, statistics) = extras.next().unwrap_or((None, None));
            finished.push(column.finish(schema.column(index), dictionary, statistics, self.rows.len(), compressor)?);
        }
        Ok(finished)
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

/// Ids of metadata names in one row group. Names of a batch are stored once, so the name that stood at the same place in the row before is
/// mostly the very same string, and comparing addresses finds it.
#[derive(Default)]
struct NameDictionary<'a> {
    names: Vec<&'a str>,
    ids: HashMap<&'a str, u32>,
    last: Vec<(&'a str, u32)>,
}

impl<'a> NameDictionary<'a> {
    fn id(&mut self, position: usize, name: &'a str) -> Result<u32> {
        if let Some((last, id)) = self.last.get(position)
            && std::ptr::eq(*last, name)
        {
            return Ok(*id);
        }
        let id = match self.ids.get(name) {
            Some(id) => *id,
            None => {
                let id = u32::try_from(self.names.len()).map_err(external)?;
                self.names.push(name);
                self.ids.insert(name, id);
                id
            }
        };
        match self.last.get_mut(position) {
            Some(slot) => *slot = (name, id),
            None => self.last.push((name, id)),
        }
        Ok(id)
    }
}

/// PLAIN byte array: length as 4 bytes, little endian, then the bytes.
fn put_plain(out: &mut Vec<u8>, value: &[u8]) -> Result<()> {
    let length = u32::try_from(value.len()).map_err(external)?;
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(value);
    Ok(())
}
