//! Elasticsearch's ingest API: what Filebeat, Logstash, Fluent Bit, Vector and the official clients send, and the answers that make them send on.
//! ```text
//! method, path ─▶ route ─┬▶ handshake            questions about the server: answered from nothing
//!                        └▶ bulk ─▶ document ─▶ rows ─▶ one PUT ─▶ answer
//! ```
//! Owns: paths, the shapes of requests and answers, which field of a document becomes a label, the line, the time. A document is stored as one entry:
//! there is no index, no mapping, no pipeline and no `_id` to overwrite by. Nothing of a document is dropped: what does not fit beside its line makes the
//! document as it was sent the line.
//! Must not know: HTTP servers, which prefix the API is served under in front of [`PREFIX`].

mod answer;
mod bulk;
mod document;
mod filter_path;
mod handler;
mod handshake;
mod route;
mod settings;
#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod property_tests;

pub use answer::elastic_refusal;
pub use bulk::{BulkDecoded, decode_bulk};
pub use handler::{ElasticRequest, handle_elastic};
pub use route::PREFIX;
pub use settings::{ElasticSettings, LabelField, parse_field_list, parse_label_fields};
