//! LogQL text to an answer: syntax tree, DataFusion logical plan, optimised plan, DataFusion physical plan, record batches, Loki's JSON.
//! Owns: what a query means, how it is planned, pruned, run and written down.
//! Must not know: sockets, how a push is decoded, how a chunk is encoded, when chunks are merged.

pub mod api;
pub mod codec;
pub mod engine;
pub mod error;
pub mod exec;
pub mod labels;
pub mod line_filter;
pub mod logical;
mod metadata;
pub mod optimize;
pub mod patterns;
pub mod physical;
pub mod pipeline;
mod template;
pub mod samples;
mod response;
pub mod result;
mod row_pipeline;
mod row_selector;
pub mod tail;
mod tenants;

pub use error::QueryError;
pub use result::QueryResult;
pub use row_selector::RowSelector;
