//! What stands at the end of a chunk file: manifest, and where each page lies.
//! Owns: every check that makes a footer trustworthy before a page is read.
//! Must not know: requests, caches. Pure: bytes in, values out.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::page_index::offset_index::PageLocation;
use parquet::schema::types::SchemaDescriptor;
use schema::manifest::ManifestError;
use schema::{ChunkManifest, ChunkName, ChunkRef};

use super::layout::{FORMAT_VERSION, FileLayout, Leaf, MANIFEST_KEY, MAX_MANIFEST_BYTES, VERSION_KEY};
use super::thrift::check_struct;

/// The manifest of a chunk and the places of its pages.
#[derive(Clone, Debug)]
pub struct ChunkFooter {
    /// What the chunk holds.
    pub manifest: Arc<ChunkManifest>,
    pub(crate) groups: Vec<GroupPages>,
}

/// The pages of one row group. Page `i` of every column covers the same rows.
#[derive(Clone, Debug)]
pub(crate) struct GroupPages {
    /// First row of each page, counted from the start of the chunk, and the end of the last.
    pub(crate) borders: Vec<u64>,
    pub(crate) columns: Vec<ColumnSpans>,
}

/// Where the pages of one column lie in the file.
#[derive(Clone, Debug)]
pub(crate) struct ColumnSpans {
    pub(crate) compression: Compression,
    pub(crate) dictionary: Option<Span>,
    pub(crate) pages: Vec<Span>,
}

/// Bytes of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u64,
    pub(crate) length: u64,
}

impl Span {
    pub(crate) const fn end(self) -> u64 {
        self.start + self.length
    }
}

/// Why bytes are no footer of a chunk.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FooterError {
    /// Only the end of the file is at hand, and the footer begins before it.
    #[error("the last {needed} bytes of the file are needed")]
    NeedMore { needed: u64 },
    #[error("not a Parquet file, or a damaged one")]
    Parquet(#[from] ParquetError),
    #[error("chunk format version {found} is not known to this version of tarn; the newest known is {FORMAT_VERSION}")]
    Version { found: String },
    #[error("the footer key {key} is missing or unreadable")]
    Key { key: &'static str },
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("{what}")]
    Layout { what: &'static str },
}

/// Reads the footer of a whole chunk file. Pure, and safe on arbitrary bytes: what is not a chunk is an error that says why.
pub fn parse_footer(file: &Bytes) -> Result<ChunkFooter, crate::error::StoreError> {
    parse_tail(file, u64::try_from(file.len()).unwrap_or(u64::MAX))
        .map_err(|error| crate::error::StoreError::corrupt_by("(bytes)", "the footer cannot be read", error))
}

/// Reads the footer out of `tail`, the last bytes of a file of `file_size` bytes.
pub(crate) fn parse_tail(tail: &Bytes, file_size: u64) -> Result<ChunkFooter, FooterError> {
    let metadata = read_metadata(tail, file_size)?;
    let manifest = read_manifest(&metadata)?;
    check_schema(metadata.file_metadata().schema_descr())?;
    let groups = locate_pages(&metadata, file_size)?;
    let rows = groups.last().and_then(|group| group.borders.last()).copied().unwrap_or(0);
    if rows != manifest.rows() {
        return Err(FooterError::Layout { what: "the manifest and the row groups disagree on the number of rows" });
    }
    Ok(ChunkFooter { manifest: Arc::new(manifest), groups })
}

impl ChunkFooter {
    /// Whether the object holds what its name (level 0) or its day manifest (level 1) says; if not, what does not agree.
    pub(crate) fn disagreement(&self, expected: &ChunkRef) -> Option<&'static str> {
        if self.manifest.rows() != expected.rows {
            return Some("its name and its manifest disagree on the number of rows");
        }
        if self.manifest.time_bounds() != Some((expected.min, expected.max)) {
            return Some("its name and its manifest disagree on the time range");
        }
        match &expected.name {
            ChunkName::Level0(key) if super::hash::chunk_hash(&self.manifest.pushes) != key.hash => {
                Some("its name and its manifest disagree on the content hash")
            }
            ChunkName::Level0(_) | ChunkName::Level1(_) => None,
        }
    }

    /// Bytes of memory that this takes, roughly.
    pub(crate) fn memory_bytes(&self) -> usize {
        let pages: usize = self.groups.iter().map(|g| 256 + g.borders.len() * (8 + Leaf::ALL.len() * size_of::<Span>())).sum();
        manifest_bytes(&self.manifest) + pages + 512
    }
}

/// Bytes of memory that a decoded manifest takes, roughly.
pub(crate) fn manifest_bytes(manifest: &ChunkManifest) -> usize {
    let labels: usize = manifest.streams.iter().flat_map(|s| s.labels.iter()).map(|(name, value)| name.len() + value.len() + 48).sum();
    let streams: usize = manifest.streams.iter().map(|s| 128 + s.minutes.len() * 24).sum();
    labels + streams + manifest.pushes.len() * 16
}

/// Length of what ends a Parquet file: the length of the metadata before it and `PAR1`.
const TRAILER_BYTES: usize = 8;

/// The Parquet metadata with its offset index. Everything is checked to be as long as it says before the parquet crate reserves memory for it.
fn read_metadata(tail: &Bytes, file_size: u64) -> Result<ParquetMetaData, FooterError> {
    let not_parquet = FooterError::Layout { what: "the file does not end as a Parquet file does" };
    let Some((before, trailer)) = tail.split_last_chunk::<TRAILER_BYTES>() else { return Err(not_parquet) };
    let [a, b, c, d, b'P', b'A', b'R', b'1'] = *trailer else { return Err(not_parquet) };
    let length = u64::from(u32::from_le_bytes([a, b, c, d]));
    let encoded = last_bytes(before, length, tail, file_size)?;
    check_struct(encoded).map_err(|_| FooterError::Layout { what: "the footer announces more than it holds" })?;
    let metadata = ParquetMetaDataReader::decode_metadata(encoded)?;
    let tail_start = file_size.checked_sub(u64::try_from(tail.len()).unwrap_or(u64::MAX)).ok_or(not_parquet)?;
    for column in metadata.row_groups().iter().flat_map(|group| group.columns()) {
        let missing = || FooterError::Layout { what: "the file has no usable offset index" };
        let start = column.offset_index_offset().and_then(|offset| u64::try_from(offset).ok()).ok_or_else(missing)?;
        let length = column.offset_index_length().and_then(|length| usize::try_from(length).ok()).ok_or_else(missing)?;
        if start < tail_start {
            return Err(FooterError::NeedMore { needed: file_size - start });
        }
        let from = usize::try_from(start - tail_start).map_err(|_| missing())?;
        let index = from.checked_add(length).and_then(|to| tail.get(from..to)).ok_or_else(missing)?;
        check_struct(index).map_err(|_| missing())?;
    }
    let mut reader =
        ParquetMetaDataReader::new_with_metadata(metadata).with_column_index_policy(PageIndexPolicy::Skip).with_offset_index_policy(PageIndexPolicy::Required);
    reader.read_page_indexes_sized(tail, file_size)?;
    Ok(reader.finish()?)
}

/// The `length` bytes before the trailer, or how much of the file they need.
fn last_bytes<'a>(before: &'a [u8], length: u64, tail: &Bytes, file_size: u64) -> Result<&'a [u8], FooterError> {
    let found = usize::try_from(length).ok().and_then(|length| before.len().checked_sub(length)).and_then(|start| before.get(start..));
    let needed = length.saturating_add(8);
    match found {
        Some(bytes) => Ok(bytes),
        None if needed > file_size || u64::try_from(tail.len()).is_ok_and(|have| have >= file_size) => {
            Err(FooterError::Layout { what: "the footer's length is wrong" })
        }
        None => Err(FooterError::NeedMore { needed }),
    }
}

fn read_manifest(metadata: &ParquetMetaData) -> Result<ChunkManifest, FooterError> {
    let value = |key: &'static str| {
        let pairs = metadata.file_metadata().key_value_metadata();
        let pair = pairs.and_then(|pairs| pairs.iter().find(|pair| pair.key == key));
        pair.and_then(|pair| pair.value.as_deref()).ok_or(FooterError::Key { key })
    };
    let version = value(VERSION_KEY)?;
    if version != FORMAT_VERSION {
        return Err(FooterError::Version { found: version.to_owned() });
    }
    let compressed = BASE64.decode(value(MANIFEST_KEY)?).map_err(|_| FooterError::Key { key: MANIFEST_KEY })?;
    read_manifest_frame(&compressed)
}

/// Reads a manifest out of a zstd frame. Safe on arbitrary bytes.
pub(crate) fn read_manifest_frame(compressed: &[u8]) -> Result<ChunkManifest, FooterError> {
    let unreadable = || FooterError::Key { key: MANIFEST_KEY };
    let size = zstd::zstd_safe::get_frame_content_size(compressed).ok().flatten().ok_or_else(unreadable)?;
    let size = usize::try_from(size).ok().filter(|size| *size <= MAX_MANIFEST_BYTES).ok_or_else(unreadable)?;
    let encoded = zstd::bulk::decompress(compressed, size).map_err(|_| unreadable())?;
    Ok(ChunkManifest::decode(&encoded)?)
}

/// The columns must be those of a level, which begin alike.
fn check_schema(found: &SchemaDescriptor) -> Result<(), FooterError> {
    for layout in FileLayout::ALL {
        if has_columns(found, &*layout.schema()?) {
            return Ok(());
        }
    }
    Err(FooterError::Layout { what: "the columns are not those of a chunk" })
}

fn has_columns(found: &SchemaDescriptor, expected: &SchemaDescriptor) -> bool {
    found.num_columns() == expected.num_columns()
        && found.columns().iter().zip(expected.columns()).all(|(f, e)| {
            (f.path(), f.physical_type(), f.max_def_level(), f.max_rep_level()) == (e.path(), e.physical_type(), e.max_def_level(), e.max_rep_level())
        })
}

fn locate_pages(metadata: &ParquetMetaData, file_size: u64) -> Result<Vec<GroupPages>, FooterError> {
    let offset_index = metadata.offset_index().ok_or(FooterError::Layout { what: "the file has no offset index" })?;
    let mut groups = Vec::with_capacity(metadata.num_row_groups());
    let mut first_row = 0u64;
    for (group, index) in metadata.row_groups().iter().zip(offset_index) {
        if index.len() != group.columns().len() || index.len() < Leaf::ALL.len() {
            return Err(FooterError::Layout { what: "a row group lacks a column" });
        }
        let rows = u64::try_from(group.num_rows()).map_err(|_| FooterError::Layout { what: "a row group has less than no rows" })?;
        // What is behind the leaves of all chunks is for other engines.
        let mut columns = Vec::with_capacity(Leaf::ALL.len());
        let mut borders: Option<Vec<u64>> = None;
        for (column, pages) in group.columns().iter().zip(index).take(Leaf::ALL.len()) {
            let column_borders = page_borders(pages.page_locations(), first_row, rows)?;
            match &borders {
                Some(known) if *known != column_borders => return Err(FooterError::Layout { what: "pages of different columns cover different rows" }),
                _ => borders = Some(column_borders),
            }
            columns.push(locate_column(column, pages.page_locations(), file_size)?);
        }
        groups.push(GroupPages { borders: borders.unwrap_or_default(), columns });
        first_row = first_row.checked_add(rows).ok_or(FooterError::Layout { what: "more rows than can be counted" })?;
    }
    if groups.len() != metadata.num_row_groups() {
        return Err(FooterError::Layout { what: "a row group has no offset index" });
    }
    Ok(groups)
}

fn page_borders(pages: &[PageLocation], first_row: u64, rows: u64) -> Result<Vec<u64>, FooterError> {
    let wrong = FooterError::Layout { what: "pages do not cover their row group in order" };
    let starts = pages.iter().map(|page| u64::try_from(page.first_row_index).ok()).collect::<Option<Vec<u64>>>();
    let Some(mut borders) = starts.filter(|starts| starts.first() == Some(&0)) else { return Err(wrong) };
    borders.push(rows);
    if !borders.is_sorted_by(|a, b| a < b) {
        return Err(wrong);
    }
    borders.iter_mut().try_for_each(|border| border.checked_add(first_row).map(|sum| *border = sum)).ok_or(wrong)?;
    Ok(borders)
}

fn locate_column(column: &parquet::file::metadata::ColumnChunkMetaData, pages: &[PageLocation], file_size: u64) -> Result<ColumnSpans, FooterError> {
    let outside = || FooterError::Layout { what: "a page lies outside the file" };
    let span = |start: i64, length: i64| {
        let span = Span { start: u64::try_from(start).ok()?, length: u64::try_from(length).ok()? };
        (span.length > 0 && span.start.checked_add(span.length)? <= file_size).then_some(span)
    };
    let spans = pages.iter().map(|page| span(page.offset, i64::from(page.compressed_page_size))).collect::<Option<Vec<Span>>>().ok_or_else(outside)?;
    let dictionary = match column.dictionary_page_offset() {
        None => None,
        Some(start) => {
            let length = pages.first().and_then(|page| page.offset.checked_sub(start)).ok_or_else(outside)?;
            Some(span(start, length).ok_or_else(outside)?)
        }
    };
    Ok(ColumnSpans { compression: column.compression(), dictionary, pages: spans })
}
