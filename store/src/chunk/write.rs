//! Ordered rows to the bytes of a Parquet file.
//! Owns: where pages and row groups of a level-0 chunk end, what stands around the row groups. Pages of all columns cover the same rows, so that a
//! reader needs one list of page borders and a page is a batch.
//! Must not know: object keys, manifests (it stores the text it is given), where the rows came from.

use std::ops::Range;
use std::sync::Arc;

use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::SchemaDescriptor;

use super::group::RowGroupEncoder;
use super::layout::{FORMAT_VERSION, FileLayout, MANIFEST_KEY, PAGE_LINE_BYTES, PAGE_ROWS, ROW_GROUP_LINE_BYTES, VERSION_KEY, ZSTD_LEVEL};
use super::order::OrderedRows;
use super::pages::PageCompressor;

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

/// Writes `ordered` as one level-0 file with `manifest_text` in its footer. Errors: a metadata value that is not UTF-8, which other engines could
/// not read, or a page beyond 2 GiB.
pub(crate) fn write(ordered: &OrderedRows<'_>, manifest_text: String, options: &WriteOptions) -> Result<Vec<u8>> {
    let mut file = FileWriter::new(FileLayout::Level0, options.zstd_level)?;
    for pages in plan_pages(ordered, options) {
        let (Some(first), Some(last)) = (pages.first(), pages.last()) else { continue };
        file.begin_group(ordered.streams_in(first.start..last.end).count());
        for page in pages {
            file.push_page(ordered, page)?;
        }
        file.end_group()?;
    }
    Ok(file.finish(manifest_text)?.bytes)
}

/// A file under construction: row groups one after the other, each page by page, and at last the manifest.
pub(crate) struct FileWriter {
    layout: FileLayout,
    schema: Arc<SchemaDescriptor>,
    file: SerializedFileWriter<Vec<u8>>,
    group: Option<RowGroupEncoder>,
    compressor: PageCompressor,
}

/// The bytes of a file.
pub(crate) struct FinishedFile {
    pub(crate) bytes: Vec<u8>,
    /// How many of them, at the end, come after the last page: offset index and footer.
    pub(crate) footer_bytes: usize,
}

impl FileWriter {
    pub(crate) fn new(layout: FileLayout, zstd_level: i32) -> Result<Self> {
        let schema = layout.schema()?;
        let properties = WriterProperties::builder().set_created_by(format!("tarn version {}", env!("CARGO_PKG_VERSION"))).build();
        let file = SerializedFileWriter::new(Vec::new(), schema.root_schema_ptr(), Arc::new(properties))?;
        Ok(Self { layout, schema, file, group: None, compressor: PageCompressor::new(zstd_level)? })
    }

    /// Begins a row group that will have at least `streams` streams.
    pub(crate) fn begin_group(&mut self, streams: usize) {
        self.group = Some(RowGroupEncoder::new(self.layout, streams));
    }

    /// Appends rows of `ordered` as one page of the row group that was begun.
    pub(crate) fn push_page(&mut self, ordered: &OrderedRows<'_>, page: Range<usize>) -> Result<()> {
        let group = self.group.as_mut().ok_or_else(|| ParquetError::General("a page outside of a row group".to_owned()))?;
        group.push_page(ordered, page, &mut self.compressor)
    }

    /// Ends the row group that was begun, if one was.
    pub(crate) fn end_group(&mut self) -> Result<()> {
        let Some(encoder) = self.group.take() else { return Ok(()) };
        let mut group = self.file.next_row_group()?;
        for (bytes, close) in encoder.finish(&self.schema, &mut self.compressor)? {
            group.append_column(&bytes, close)?;
        }
        group.close().map(drop)
    }

    /// Bytes of memory that this takes.
    pub(crate) fn memory_bytes(&mut self) -> usize {
        self.file.inner().capacity() + self.group.as_ref().map_or(0, RowGroupEncoder::memory_bytes) + self.compressor.memory_bytes()
    }

    /// Writes the footer, with `manifest_text` in it.
    pub(crate) fn finish(mut self, manifest_text: String) -> Result<FinishedFile> {
        self.end_group()?;
        let data_end = self.file.bytes_written();
        self.file.append_key_value_metadata(KeyValue::new(VERSION_KEY.to_owned(), FORMAT_VERSION.to_owned()));
        self.file.append_key_value_metadata(KeyValue::new(MANIFEST_KEY.to_owned(), manifest_text));
        let bytes = self.file.into_inner()?;
        let footer_bytes = bytes.len().saturating_sub(data_end);
        Ok(FinishedFile { bytes, footer_bytes })
    }
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
