//! Objects: whole, immutable or swapped by version, in S3, in a directory or in memory, all with the same guarantees.
//! Owns: which outcomes a request can have, retries, the resolution of unknown outcomes, request counts.
//! Must not know: what is in an object, tenants, time ranges.

mod backend;
mod client;
mod commit;
mod format;
mod key;
mod local;
mod memory;
mod open;
mod probe;
mod retry;
mod s3;
mod stats;

use std::fmt;

pub use client::ObjectClient;
pub use stats::{Op, OpResult, RequestCounts, RequestStats};

pub(crate) use backend::{Backend, Condition, Failure, FolderPage, Page, Part, Read};
pub(crate) use retry::RetryPolicy;
pub(crate) use s3::ForeignReader;

/// Identifies one content of one key, as the store names it (S3: the ETag). Compare for equality only; meaningless for another key or store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version(String);

impl Version {
    /// The version with this text, as [`Version::as_str`] gave it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The store's text for it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a store says about an object without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Name below the store's root.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// Which content it has.
    pub version: Version,
}

/// How [`ObjectClient::create`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// This call wrote the object.
    Created,
    /// An object with this key is there, confirmed by a HEAD. Who wrote it is not known: an earlier call, another process, or an attempt of this very call whose
    /// acknowledgement was lost.
    AlreadyExists,
}

/// How [`ObjectClient::create_or_head`] ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreateOutcome {
    /// This call wrote the object.
    Created,
    /// As [`PutOutcome::AlreadyExists`], with what the HEAD said.
    Existing(ObjectInfo),
}

/// How [`ObjectClient::swap`] ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SwapOutcome {
    /// The object has the new body and this version.
    Committed(Version),
    /// The object had another version, or none, and does not have the new body now. Read it again, and start over.
    Conflict,
    /// The store did not say how the swap ended, and the object has neither the new body nor the expected version, or cannot be read. Read it and look for the id
    /// of this write in it: an object that carries the history of its write ids answers the question, whoever wrote after this call.
    Unknown,
}
