//! Logs that AWS delivers without an agent: function events and S3 log files become the rows that [`crate::Ingester`] stores.
//! ```text
//! event bytes ─▶ Event::parse ─▶ items ─┬▶ Event::decode ─▶ Batch ─▶ store          lines inside the event
//!                                       └▶ Settings::plan ─▶ ObjectDecoder ─▶ Batch ─▶ store   lines of S3 objects
//!                                  answered items ─▶ Event::answer
//! ```
//! Owns: the shapes of events and of log files, default labels, the rule file that changes them, identity of rows: an event or object that
//! is delivered again gives the same rows in the same batches, so that each is stored once.
//! Must not know: how an event reaches a function, how an object is fetched.

mod answer;
mod batch;
mod cloudwatch;
mod decode;
mod error;
mod event;
mod expand;
mod firehose;
pub(crate) mod json_time;
mod lines;
mod object;
mod rules;
mod settings;
mod source;
mod split;
#[cfg(test)]
mod golden_tests;

use crate::time;

pub use answer::{Answer, Passed};
pub use batch::{Batch, PIECE_BYTES, Report, store};
pub use decode::Inline;
pub use error::{AwsError, RulesError};
pub use event::{Event, EventKind, HttpFront, Item, ObjectRef};
pub use firehose::{FirehoseRequest, access_key_matches, firehose_refusal, handle_firehose};
pub use lines::Format;
pub use object::ObjectDecoder;
pub use rules::Rules;
pub use settings::{Lake, ObjectPlan, ObjectRoute, Settings, SkipReason};
pub use source::{LabelNames, LogType, Source};
