//! Chunks: one immutable Parquet object with many streams of one tenant (RFC 0001).
//! Owns: the order of rows in a file, its pages, its manifest, its name, its content hash; reading any selection of rows back.
//! Must not know: which rows a query wants and why, manifests of many chunks, LogQL, HTTP.
//!
//! In reading order: rows are put in canonical `order`, `hash`ed, `write`n page by page, `build`t into a named object and `commit`ted with one
//! PUT. A reader opens the `footer` (through the `cache`; `thrift` guards it), `fetch`es the pages it needs and `decode`s them into [`ChunkRows`].

mod build;
mod cache;
mod commit;
mod decode;
mod encoding;
mod fetch;
mod thrift;
mod footer;
mod hash;
mod layout;
mod metadata;
mod order;
mod pages;
mod read;
mod rows;
mod write;

pub use build::{BuiltChunk, build};
pub use cache::ChunkCache;
pub use commit::{CommitOutcome, commit};
pub use footer::{ChunkFooter, parse_footer};
pub use hash::push_hash;
pub use read::ChunkReader;
pub use rows::{ChunkColumns, ChunkRows, MetadataRows, MetadataSet};

/// Most rows of one [`ChunkRows`].
pub const MAX_BATCH_ROWS: usize = 8192;

#[cfg(test)]
mod tests;
