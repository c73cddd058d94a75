//! What a chunk file looks like: schema, column order, footer keys, sizes (RFC 0001).

use std::sync::{Arc, LazyLock};

use parquet::basic::{LogicalType, Repetition, TimeUnit, Type as PhysicalType};
use parquet::errors::ParquetError;
use parquet::schema::types::{SchemaDescriptor, Type};

/// Footer key of the manifest: base64 of zstd of [`schema::ChunkManifest::encode`].
pub(crate) const MANIFEST_KEY: &str = "tarn.manifest";
/// Footer key of the format version.
pub(crate) const VERSION_KEY: &str = "tarn.version";
/// The format version that is written; readers refuse any other.
pub(crate) const FORMAT_VERSION: &str = "1";

/// Raw line bytes after which a row group ends.
pub(crate) const ROW_GROUP_LINE_BYTES: usize = 64 << 20;
/// Raw line bytes after which a page ends.
pub(crate) const PAGE_LINE_BYTES: usize = 1 << 20;
/// Rows after which a page ends, however short the lines.
pub(crate) const PAGE_ROWS: usize = 1 << 15;
/// zstd level of level-0 chunks: 3 is no smaller on log lines and a quarter slower.
pub(crate) const ZSTD_LEVEL: i32 = 1;

/// zstd level of level-1 chunks: they are written once and read for years.
pub(crate) const LEVEL1_ZSTD_LEVEL: i32 = 9;
/// Bytes of lines and metadata values after which a row group of a level-1 chunk ends: the unit in which other engines skip and share work.
pub(crate) const LEVEL1_ROW_GROUP_BYTES: usize = 16 << 20;

/// Most bytes that a manifest may have before compression.
pub(crate) const MAX_MANIFEST_BYTES: usize = 512 << 20;

/// Which columns a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileLayout {
    /// The columns that Tarn reads.
    Level0,
    /// The same, and `labels` behind them for engines that do not read the manifest.
    Level1,
}

impl FileLayout {
    pub(crate) const ALL: [Self; 2] = [Self::Level0, Self::Level1];

    /// The Parquet schema of such files.
    pub(crate) fn schema(self) -> Result<Arc<SchemaDescriptor>, ParquetError> {
        match self {
            Self::Level0 => file_schema(),
            Self::Level1 => level1_schema(),
        }
    }
}

/// The leaf columns that every file has, in file order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Leaf {
    Timestamp,
    StreamId,
    Line,
    MetadataKey,
    MetadataValue,
}

impl Leaf {
    pub(crate) const ALL: [Self; 5] = [Self::Timestamp, Self::StreamId, Self::Line, Self::MetadataKey, Self::MetadataValue];

    /// Position among the leaf columns.
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Timestamp => 0,
            Self::StreamId => 1,
            Self::Line => 2,
            Self::MetadataKey => 3,
            Self::MetadataValue => 4,
        }
    }
}

/// The Parquet schema of level-0 chunks, and the beginning of that of all others.
pub(crate) fn file_schema() -> Result<Arc<SchemaDescriptor>, ParquetError> {
    static SCHEMA: LazyLock<Result<Arc<SchemaDescriptor>, String>> = LazyLock::new(|| describe(FileLayout::Level0));
    SCHEMA.clone().map_err(ParquetError::General)
}

fn level1_schema() -> Result<Arc<SchemaDescriptor>, ParquetError> {
    static SCHEMA: LazyLock<Result<Arc<SchemaDescriptor>, String>> = LazyLock::new(|| describe(FileLayout::Level1));
    SCHEMA.clone().map_err(ParquetError::General)
}

fn describe(layout: FileLayout) -> Result<Arc<SchemaDescriptor>, String> {
    message(layout).map(|message| Arc::new(SchemaDescriptor::new(Arc::new(message)))).map_err(|error| error.to_string())
}

fn message(layout: FileLayout) -> Result<Type, ParquetError> {
    let timestamp = Type::primitive_type_builder("timestamp", PhysicalType::INT64)
        .with_repetition(Repetition::REQUIRED)
        .with_logical_type(Some(LogicalType::timestamp(true, TimeUnit::NANOS)))
        .build()?;
    let stream_id = Type::primitive_type_builder("stream_id", PhysicalType::INT64)
        .with_repetition(Repetition::REQUIRED)
        .with_logical_type(Some(LogicalType::integer(64, false)))
        .build()?;
    let mut columns = vec![Arc::new(timestamp), Arc::new(stream_id), Arc::new(string("line")?), Arc::new(map("structured_metadata")?)];
    if layout == FileLayout::Level1 {
        columns.push(Arc::new(map("labels")?));
    }
    Type::group_type_builder("tarn").with_fields(columns).build()
}

fn map(name: &str) -> Result<Type, ParquetError> {
    let pairs = Type::group_type_builder("key_value")
        .with_repetition(Repetition::REPEATED)
        .with_fields(vec![Arc::new(string("key")?), Arc::new(string("value")?)])
        .build()?;
    Type::group_type_builder(name).with_repetition(Repetition::REQUIRED).with_logical_type(Some(LogicalType::Map)).with_fields(vec![Arc::new(pairs)]).build()
}

fn string(name: &str) -> Result<Type, ParquetError> {
    Type::primitive_type_builder(name, PhysicalType::BYTE_ARRAY).with_repetition(Repetition::REQUIRED).with_logical_type(Some(LogicalType::String)).build()
}
