//! Fetched pages to [`ChunkRows`], one page at a time.
//! Owns: taking apart the pages that `write` makes, without a copy or an allocation per row beyond the line bytes themselves.
//! Must not know: requests, which rows a query wants beyond the ranges it is given.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{BinaryArray, TimestampNanosecondArray};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use bytes::Bytes;
use parquet::basic::Encoding;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::Int64Type;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::serialized_reader::SerializedPageReader;

use super::MAX_BATCH_ROWS;
use super::fetch::{FileParts, PagePick, Window};
use super::footer::{ChunkFooter, ColumnSpans, GroupPages, Span};
use super::layout::{Leaf, file_schema};
use super::metadata::{MetadataPage, read_names};
use super::pages::external;
use super::rows::{ChunkColumns, ChunkRows, MetadataRows};

/// Decodes the pages of one window, lazily: each call of `next` does the work of at most one page.
pub(crate) struct WindowDecoder {
    footer: Arc<ChunkFooter>,
    window: Window,
    next_pick: usize,
    readers: ColumnReaders,
    ready: VecDeque<ChunkRows>,
    failed: bool,
}

impl WindowDecoder {
    /// Prepares to decode `window` out of `parts`, which hold every byte that [`super::fetch::window_spans`] names.
    pub(crate) fn new(footer: Arc<ChunkFooter>, window: Window, parts: FileParts, columns: ChunkColumns) -> Result<Self> {
        let readers = ColumnReaders::open(group(&footer, &window)?, &window, &Arc::new(parts), columns)?;
        Ok(Self { footer, window, next_pick: 0, readers, ready: VecDeque::new(), failed: false })
    }

    fn decode_next_page(&mut self) -> Result<()> {
        let Some(pick) = self.window.picks.get(self.next_pick) else { return Ok(()) };
        self.next_pick += 1;
        let borders = &group(&self.footer, &self.window)?.borders;
        let (first_row, end) = match borders.get(pick.page..pick.page + 2) {
            Some([first, end]) => (*first, *end),
            _ => return Err(malformed("a page beyond its row group")),
        };
        let page_rows = usize::try_from(end - first_row).map_err(external)?;
        let ranges = split_ranges(pick);
        let mut timestamps = self.readers.timestamps(page_rows, &ranges)?.into_iter();
        let mut lines = self.readers.lines(page_rows, &ranges)?.into_iter();
        let mut metadata = self.readers.metadata(page_rows, &ranges)?.into_iter();
        for range in ranges {
            self.ready.push_back(ChunkRows {
                first_row: first_row + u64::try_from(range.start).map_err(external)?,
                rows: range.len(),
                timestamps: timestamps.next(),
                lines: lines.next(),
                metadata: metadata.next(),
            });
        }
        Ok(())
    }
}

impl Iterator for WindowDecoder {
    type Item = Result<ChunkRows>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ready.is_empty()
            && !self.failed
            && let Err(error) = self.decode_next_page()
        {
            self.failed = true;
            return Some(Err(error));
        }
        self.ready.pop_front().map(Ok)
    }
}

fn group<'a>(footer: &'a ChunkFooter, window: &Window) -> Result<&'a GroupPages> {
    footer.groups.get(window.group).ok_or_else(|| malformed("a row group beyond the file"))
}

fn split_ranges(pick: &PagePick) -> Vec<Range<usize>> {
    let pieces = pick.rows.iter().flat_map(|range| (range.start..range.end).step_by(MAX_BATCH_ROWS).map(|start| start..range.end.min(start + MAX_BATCH_ROWS)));
    pieces.collect()
}

type Pages = SerializedPageReader<FileParts>;

/// One page reader per wanted column, each positioned before the window's first page.
struct ColumnReaders {
    timestamps: Option<Pages>,
    lines: Option<Pages>,
    metadata: Option<(Pages, Pages, Vec<Box<str>>)>,
}

impl ColumnReaders {
    fn open(group: &GroupPages, window: &Window, parts: &Arc<FileParts>, columns: ChunkColumns) -> Result<Self> {
        let open = |leaf| open_pages(group, leaf, window, parts);
        let metadata = if columns.metadata {
            let names = read_names(&mut open_dictionary(group, Leaf::MetadataKey, parts)?)?;
            Some((open(Leaf::MetadataKey)?, open(Leaf::MetadataValue)?, names))
        } else {
            None
        };
        Ok(Self {
            timestamps: columns.timestamps.then(|| open(Leaf::Timestamp)).transpose()?,
            lines: columns.lines.then(|| open(Leaf::Line)).transpose()?,
            metadata,
        })
    }

    fn timestamps(&mut self, page_rows: usize, ranges: &[Range<usize>]) -> Result<Vec<TimestampNanosecondArray>> {
        let Some(pages) = &mut self.timestamps else { return Ok(Vec::new()) };
        let page = next_flat_page(pages, Encoding::DELTA_BINARY_PACKED, page_rows)?;
        let wanted = ranges.last().map_or(0, |range| range.end);
        let mut values = Vec::with_capacity(wanted);
        let mut reader = ColumnReaderImpl::<Int64Type>::new(file_schema()?.column(Leaf::Timestamp.index()), Box::new(OnePage(Some(page))));
        let (rows, _, _) = reader.read_records(wanted, None, None, &mut values)?;
        if rows != wanted || values.len() != wanted {
            return Err(malformed("a page with less timestamps than rows"));
        }
        let all = ScalarBuffer::from(values);
        Ok(ranges.iter().map(|range| TimestampNanosecondArray::new(all.slice(range.start, range.len()), None)).collect())
    }

    fn lines(&mut self, page_rows: usize, ranges: &[Range<usize>]) -> Result<Vec<BinaryArray>> {
        let Some(pages) = &mut self.lines else { return Ok(Vec::new()) };
        let page = next_flat_page(pages, Encoding::PLAIN, page_rows)?;
        decode_lines(page.buffer(), ranges)
    }

    fn metadata(&mut self, page_rows: usize, ranges: &[Range<usize>]) -> Result<Vec<MetadataRows>> {
        let Some((keys, values, names)) = &mut self.metadata else { return Ok(Vec::new()) };
        let (keys, values) = (next_page(keys)?, next_page(values)?);
        MetadataPage::open(&keys, &values, page_rows)?.decode(names, ranges)
    }
}

fn open_pages(group: &GroupPages, leaf: Leaf, window: &Window, parts: &Arc<FileParts>) -> Result<Pages> {
    let column = group.columns.get(leaf.index()).ok_or_else(|| malformed("a column beyond the row group"))?;
    let spans = window.picks.iter().map(|pick| column.pages.get(pick.page).copied());
    let spans = spans.collect::<Option<Vec<Span>>>().ok_or_else(|| malformed("a page beyond its column"))?;
    page_reader(column, leaf, &spans, parts)
}

fn open_dictionary(group: &GroupPages, leaf: Leaf, parts: &Arc<FileParts>) -> Result<Pages> {
    let column = group.columns.get(leaf.index()).ok_or_else(|| malformed("a column beyond the row group"))?;
    let span = column.dictionary.ok_or_else(|| malformed("a dictionary column without a dictionary"))?;
    page_reader(column, leaf, &[span], parts)
}

/// A reader of exactly `spans`. It is given a column chunk that begins at the first of them, so that it does not look for a dictionary.
fn page_reader(column: &ColumnSpans, leaf: Leaf, spans: &[Span], parts: &Arc<FileParts>) -> Result<Pages> {
    let locations = spans
        .iter()
        .map(|span| {
            Ok(PageLocation {
                offset: span.start.try_into().map_err(external)?,
                compressed_page_size: span.length.try_into().map_err(external)?,
                first_row_index: 0,
            })
        })
        .collect::<Result<Vec<PageLocation>>>()?;
    let start = locations.first().map_or(0, |location| location.offset);
    let metadata = ColumnChunkMetaData::builder(file_schema()?.column(leaf.index()))
        .set_compression(column.compression)
        .set_data_page_offset(start)
        .set_total_compressed_size(spans.iter().map(|span| i64::try_from(span.length).unwrap_or(0)).sum())
        .build()?;
    SerializedPageReader::new(Arc::clone(parts), &metadata, 0, Some(locations))
}

pub(super) fn next_page(pages: &mut Pages) -> Result<Page> {
    pages.get_next_page()?.ok_or_else(|| malformed("a page is missing"))
}

fn next_flat_page(pages: &mut Pages, encoding: Encoding, page_rows: usize) -> Result<Page> {
    let page = next_page(pages)?;
    if !page.is_data_page() || page.encoding() != encoding || usize::try_from(page.num_values()).map_err(external)? != page_rows {
        return Err(malformed("a page that is not as the footer describes it"));
    }
    Ok(page)
}

/// Lines of `ranges` out of a PLAIN page: 4 bytes of length before each.
fn decode_lines(page: &Bytes, ranges: &[Range<usize>]) -> Result<Vec<BinaryArray>> {
    let mut arrays = Vec::with_capacity(ranges.len());
    let mut cursor = PlainCursor { bytes: page, row: 0 };
    for range in ranges {
        cursor.skip_to(range.start)?;
        let mut scout = PlainCursor { bytes: cursor.bytes, row: cursor.row };
        let mut offsets: Vec<i32> = Vec::with_capacity(range.len() + 1);
        offsets.push(0);
        let mut end = 0usize;
        for _ in range.clone() {
            end += scout.next_value()?.len();
            offsets.push(i32::try_from(end).map_err(external)?);
        }
        let mut values: Vec<u8> = Vec::with_capacity(end);
        for _ in range.clone() {
            values.extend_from_slice(cursor.next_value()?);
        }
        arrays.push(BinaryArray::try_new(OffsetBuffer::new(ScalarBuffer::from(offsets)), Buffer::from_vec(values), None)?);
    }
    Ok(arrays)
}

/// Walks over PLAIN byte arrays.
pub(super) struct PlainCursor<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) row: usize,
}

impl<'a> PlainCursor<'a> {
    pub(super) fn next_value(&mut self) -> Result<&'a [u8]> {
        let (length, rest) = self.bytes.split_first_chunk::<4>().ok_or_else(|| malformed("a page that ends inside a value"))?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(external)?;
        let (value, rest) = rest.split_at_checked(length).ok_or_else(|| malformed("a page that ends inside a value"))?;
        self.bytes = rest;
        self.row += 1;
        Ok(value)
    }

    pub(super) fn skip_to(&mut self, row: usize) -> Result<()> {
        while self.row < row {
            self.next_value()?;
        }
        Ok(())
    }
}

pub(super) fn malformed(what: &'static str) -> ParquetError {
    ParquetError::General(what.to_owned())
}

/// Hands one page to a column reader.
pub(crate) struct OnePage(pub(crate) Option<Page>);

impl Iterator for OnePage {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for OnePage {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        Ok(self.0.take())
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        Ok(self.0.as_ref().map(|page| PageMetadata { num_rows: None, num_levels: usize::try_from(page.num_values()).ok(), is_dict: page.is_dictionary_page() }))
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.0 = None;
        Ok(())
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        Ok(true)
    }
}
