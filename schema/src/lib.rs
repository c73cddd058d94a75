//! The vocabulary of Tarn as plain data: tenants, time, labels, entries, object keys, chunk manifests, limits.
//! Owns: what a name means, how it is written as text, and which values are valid.
//! Must not know: I/O, async, clocks, randomness, HTTP, LogQL text, Arrow.

pub mod tenant;
pub mod time;
pub mod quote;
pub mod labels;
pub mod matcher;
pub mod rows;
pub mod day;
pub mod key;
pub mod level1;
pub mod chunk_ref;
pub mod manifest;
pub mod limits;
pub mod deletes;
pub mod price;

pub use chunk_ref::{ChunkName, ChunkRef};
pub use day::{ChunkEntry, CommitId, Consumed, Day, DayManifest, Replaced};
pub use deletes::{DeleteReceipt, DeleteRequest, DeleteRequests};
pub use key::{ChunkHash, ChunkKey, LabelBloom};
pub use labels::{LabelSet, StreamId};
pub use level1::{Level1Key, Partition};
pub use limits::{Concurrency, IngestLimits, LimitsOf, QueryLimits, SameForAll};
pub use manifest::{ChunkManifest, MinuteCount, StreamManifest};
pub use matcher::{MatchOp, Matcher};
pub use rows::{ByteColumn, MetadataColumn, RowBatch, StreamRun};
pub use tenant::{TenantId, TenantSet, TenantSetError};
pub use time::{TimeRange, Timestamp};
