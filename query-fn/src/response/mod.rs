//! Answers as Loki writes them, in one pass into one buffer.
//! Owns: JSON shapes, number formats, escaping, grouping of entries under label sets, the `stats` tree.
//! Must not know: requests, how an answer was computed.

pub(crate) mod json;
pub(crate) mod legacy;
pub(crate) mod patterns;
pub(crate) mod query;
pub(crate) mod stats;
pub(crate) mod tail;
pub(crate) mod volume;
