//! Ingest: one push request becomes columnar rows, then one object, then an acknowledgement.
//! Owns: Loki's push formats and their errors, what is refused and in which words, level and service name discovery, and
//! group commit. Two walks: [`decode_push`] (pure, no I/O) and [`Ingester::push`] (one PUT per flush); [`handle_push`] joins them.
//! Must not know: how a chunk is encoded, which HTTP server calls it, LogQL.
//! Logs that AWS delivers without an agent come through [`aws`], which explains how a function uses it.
//! Elasticsearch's bulk API comes through [`elastic`], Splunk's event collector through [`hec`], syslog through [`syslog`].
//! OpenTelemetry's logs take the first walk and have answers of their own: [`handle_otlp`]. Both protocols also come by gRPC: [`handle_message`].
//! What agents send and which answers they retry: Loki's HTTP API, `POST /loki/api/v1/push`.

pub mod aws;
mod commit;
mod content;
mod decode;
pub mod detect_level;
pub mod elastic;
mod error;
mod grpc;
mod handler;
pub mod hec;
mod labels;
mod metadata;
mod metrics;
mod otlp_answer;
mod rate;
mod reject;
mod request;
mod rows;
pub mod syslog;
mod time;
#[cfg(test)]
mod testkit;
#[cfg(test)]
mod golden_tests;

pub use commit::{GroupCommitSettings, Ingester};
pub use decode::lines::LineOptions;
pub use error::{BodyPart, CommitError, PushError};
pub use grpc::{GrpcMethod, handle_message};
pub use handler::{PushResponse, handle_push};
pub use metrics::IngestMetrics;
pub use otlp_answer::{handle_otlp, otlp_refusal};
pub use reject::{DiscardReason, Discarded, Rejections};
pub use request::{Decoded, PushFormat, PushRequest, decode_push};
