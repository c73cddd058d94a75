//! Column chunks under construction: pages compressed one by one and spliced into the file when their row group ends.
//! Owns: page headers, offsets, sizes, dictionaries.
//! Must not know: rows, streams, what a column means.

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, OffsetIndexBuilder};
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

/// zstd with one context for all pages of a file. Frames carry a checksum, which every zstd reader verifies: a flipped bit is an error.
pub(crate) struct PageCompressor {
    zstd: zstd::bulk::Compressor<'static>,
    buffer: Vec<u8>,
}

impl PageCompressor {
    pub(crate) fn new(level: i32) -> Result<Self> {
        let mut zstd = zstd::bulk::Compressor::new(level).map_err(external)?;
        zstd.include_checksum(true).map_err(external)?;
        Ok(Self { zstd, buffer: Vec::new() })
    }

    /// Bytes of memory that this takes.
    pub(crate) fn memory_bytes(&mut self) -> usize {
        self.buffer.capacity() + self.zstd.context_mut().sizeof()
    }

    /// Appends `raw`, compressed, to `out`.
    fn append(&mut self, raw: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let bound = zstd::zstd_safe::compress_bound(raw.len());
        self.buffer.clear();
        self.buffer.reserve(bound);
        self.zstd.compress_to_buffer(raw, &mut self.buffer).map_err(external)?;
        out.extend_from_slice(&self.buffer);
        Ok(())
    }
}

/// One data page, not yet compressed. Version 1 of the page layout: levels lie inside the compressed body, so its checksum covers them.
pub(crate) struct RawPage<'a> {
    /// Levels, each with its length before it, then values.
    pub(crate) body: &'a [u8],
    /// Values, and empty maps.
    pub(crate) entries: usize,
    /// Position of the first row in the row group.
    pub(crate) first_row: usize,
}

/// The pages of one column in one row group.
pub(crate) struct ColumnPages {
    file: TrackedWrite<Vec<u8>>,
    spans: Vec<(i64, i32, i64)>,
    entries: usize,
    uncompressed: usize,
    encoding: Encoding,
}

impl ColumnPages {
    pub(crate) fn new(encoding: Encoding) -> Self {
        Self { file: TrackedWrite::new(Vec::new()), spans: Vec::new(), entries: 0, uncompressed: 0, encoding }
    }

    /// Bytes of memory that this takes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.file.inner().capacity() + self.spans.capacity() * size_of::<(i64, i32, i64)>()
    }

    /// Compresses and appends `page`.
    pub(crate) fn push(&mut self, page: &RawPage<'_>, compressor: &mut PageCompressor) -> Result<()> {
        let mut buffer = Vec::with_capacity(page.body.len() / 4 + 64);
        compressor.append(page.body, &mut buffer)?;
        let data_page = Page::DataPage {
            buf: Bytes::from(buffer),
            num_values: page.entries.try_into().map_err(external)?,
            encoding: self.encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let spec = SerializedPageWriter::new(&mut self.file).write_page(CompressedPage::new(data_page, page.body.len()))?;
        self.spans.push((
            spec.offset.try_into().map_err(external)?,
            spec.compressed_size.try_into().map_err(external)?,
            page.first_row.try_into().map_err(external)?,
        ));
        self.entries += page.entries;
        self.uncompressed += spec.uncompressed_size;
        Ok(())
    }

    /// Closes the column chunk: its bytes, dictionary first, and what the file's footer says of it.
    pub(crate) fn finish(
        self,
        descriptor: ColumnDescPtr,
        dictionary: Option<RawDictionary>,
        statistics: Option<Statistics>,
        rows: usize,
        compressor: &mut PageCompressor,
    ) -> Result<(Bytes, ColumnCloseResult)> {
        let mut head = TrackedWrite::new(Vec::new());
        let mut uncompressed = self.uncompressed;
        let mut encodings = vec![self.encoding, Encoding::RLE];
        let has_dictionary = dictionary.is_some();
        if let Some(dictionary) = dictionary {
            uncompressed += write_dictionary(&dictionary, &mut head, compressor)?;
            encodings.push(Encoding::PLAIN);
        }
        let shift = i64::try_from(head.bytes_written()).map_err(external)?;
        let mut index = OffsetIndexBuilder::new();
        for ((offset, size, _), rows_in_page) in self.spans.iter().zip(rows_per_page(&self.spans, rows)?) {
            index.append_row_count(rows_in_page);
            index.append_offset_and_size(*offset + shift, *size);
        }
        let mut bytes = head.into_inner()?;
        bytes.extend_from_slice(&self.file.into_inner()?);
        let length = bytes.len();
        let mut metadata = ColumnChunkMetaData::builder(descriptor)
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_encodings(encodings)
            .set_num_values(self.entries.try_into().map_err(external)?)
            .set_total_compressed_size(length.try_into().map_err(external)?)
            .set_total_uncompressed_size(uncompressed.try_into().map_err(external)?)
            .set_data_page_offset(shift)
            .set_dictionary_page_offset(has_dictionary.then_some(0));
        if let Some(statistics) = statistics {
            metadata = metadata.set_statistics(statistics);
        }
        let close = ColumnCloseResult {
            bytes_written: length.try_into().map_err(external)?,
            rows_written: rows.try_into().map_err(external)?,
            metadata: metadata.build()?,
            bloom_filter: None,
            column_index: None,
            offset_index: Some(index.build()),
        };
        Ok((Bytes::from(bytes), close))
    }
}

fn rows_per_page(spans: &[(i64, i32, i64)], rows: usize) -> Result<Vec<i64>> {
    let total = i64::try_from(rows).map_err(external)?;
    let ends = spans.iter().skip(1).map(|(_, _, first)| *first).chain(std::iter::once(total));
    Ok(spans.iter().zip(ends).map(|((_, _, first), end)| end - first).collect())
}

/// Distinct values of a column chunk, PLAIN encoded.
pub(crate) struct RawDictionary {
    pub(crate) values: Vec<u8>,
    pub(crate) count: usize,
}

fn write_dictionary(dictionary: &RawDictionary, head: &mut TrackedWrite<Vec<u8>>, compressor: &mut PageCompressor) -> Result<usize> {
    let mut buffer = Vec::new();
    compressor.append(&dictionary.values, &mut buffer)?;
    let page = Page::DictionaryPage {
        buf: Bytes::from(buffer),
        num_values: dictionary.count.try_into().map_err(external)?,
        encoding: Encoding::PLAIN,
        is_sorted: false,
    };
    let spec = SerializedPageWriter::new(head).write_page(CompressedPage::new(page, dictionary.values.len()))?;
    Ok(spec.uncompressed_size)
}

/// Wraps what went wrong outside of the parquet crate.
pub(crate) fn external(error: impl std::error::Error + Send + Sync + 'static) -> ParquetError {
    ParquetError::External(Box::new(error))
}
