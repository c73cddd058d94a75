//! Chunks: one immutable Parquet object with many streams of one tenant (RFC 0001).
//! Owns: the order of rows in a file, its pages, its manifest, its name, its content hash; reading any selection of rows back.
//! Must not know: which rows a query wants and why, manifests of many chunks, LogQL, HTTP.
//!
//! In reading order: rows are put in canonical `order`, `hash`ed, `write`n page by page (`group` encodes them), `build`t into a named object and
//! `commit`ted with one PUT. A [`ChunkWriter`] writes level-1 chunks out of rows that are in order already. A reader opens the `footer` (through the
//! `cache`, behind which a function has a `disk`; `thrift` guards it), `fetch`es the pages it needs and `decode`s them into [`ChunkRows`].

mod build;
mod cache;
mod chunk_writer;
mod commit;
mod decode;
mod disk;
mod encoding;
mod fetch;
mod thrift;
mod footer;
mod group;
mod hash;
mod label_pages;
mod layout;
mod lru;
mod metadata;
mod order;
mod pages;
mod read;
mod rows;
mod tally;
mod write;

pub use build::{BuiltChunk, build};
pub use cache::ChunkCache;
pub use chunk_writer::{ChunkWriter, MergeOptions, WrittenChunk};
pub use commit::{CommitOutcome, commit};
pub use disk::DiskCache;
pub use fetch::ReadAhead;
pub use footer::{ChunkFooter, parse_footer};
pub use hash::push_hash;
pub use order::compare_streams;
pub use read::ChunkReader;
pub use rows::{ChunkColumns, ChunkRows, MetadataRows, MetadataSet};

pub(crate) use build::build_with;
pub(crate) use write::WriteOptions;

/// Most rows of one [`ChunkRows`].
pub const MAX_BATCH_ROWS: usize = 8192;

#[cfg(test)]
mod tests;
