//! What a place that keeps objects must be able to do: one method is one request, tried once.
//! Owns: the vocabulary between the client and the places (S3, memory, directory, fault injection).
//! Must not know: retries, statistics, root prefixes, what is in an object.

use std::fmt;
use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;

use super::{ObjectInfo, Version};
use crate::error::Cause;

/// Objects by full key. Keys were validated by the client. Every method is tried once: the client retries and counts.
#[async_trait]
pub(crate) trait Backend: fmt::Debug + Send + Sync {
    /// Writes the whole object if `condition` holds, atomically and durably before it returns.
    async fn put(&self, key: &str, body: Bytes, condition: &Condition) -> Result<Version, Failure>;
    /// Reads the whole object or a part of it.
    async fn get(&self, key: &str, part: &Part) -> Result<Read, Failure>;
    /// Size and version.
    async fn head(&self, key: &str) -> Result<ObjectInfo, Failure>;
    /// The next objects whose key begins with `prefix`, which is empty or ends in `/`. `page` is the `next` of the page before.
    async fn list(&self, prefix: &str, page: Option<&str>) -> Result<Page, Failure>;
    /// The next folders right below `prefix`, which is empty or ends in `/`: the part of a key from `prefix` to the next `/`.
    async fn folders(&self, prefix: &str, page: Option<&str>) -> Result<FolderPage, Failure>;
    /// Removes the object; removing what is not there succeeds.
    async fn delete(&self, key: &str) -> Result<(), Failure>;
    /// The first entry that shows that this is not an empty place for a store, where that can be seen cheaply.
    async fn foreign_entry(&self) -> Result<Option<String>, Failure> {
        Ok(None)
    }
}

/// When a put may write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// No object has the key.
    Absent,
    /// The object has this version.
    Is(Version),
}

/// Which bytes to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    All,
    /// These bytes; outside of the object is [`Failure::Range`].
    Range(Range<u64>),
    /// The last bytes, or the whole object if it is shorter.
    Suffix(u64),
}

/// The answer to a get.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) bytes: Bytes,
    /// Size of the whole object.
    pub(crate) size: u64,
    pub(crate) version: Version,
}

/// The answer to a list.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) objects: Vec<ObjectInfo>,
    pub(crate) next: Option<String>,
    /// How many requests S3 would have charged for this answer.
    pub(crate) requests: u64,
}

/// The answer to a request for folders.
#[derive(Debug, Default)]
pub(crate) struct FolderPage {
    /// Names without the prefix and without a slash, in any order.
    pub(crate) names: Vec<String>,
    pub(crate) next: Option<String>,
    /// As in [`Page`].
    pub(crate) requests: u64,
}

/// S3 answers at most this many keys per LIST request.
pub(crate) const KEYS_PER_LIST: usize = 1000;

/// What S3 charges for a list of `objects` keys or folders that was answered in one go.
pub(crate) fn list_requests(objects: usize) -> u64 {
    u64::try_from(objects.div_ceil(KEYS_PER_LIST).max(1)).unwrap_or(u64::MAX)
}

/// Why a request had no success. For a put, only [`Failure::Transient`] leaves open whether it was carried out.
#[derive(Debug)]
pub(crate) enum Failure {
    /// No object has the key.
    NotFound,
    /// [`Condition::Absent`] does not hold.
    Exists,
    /// [`Condition::Is`] does not hold: another version, or no object.
    Mismatch,
    /// Refused because of another write in flight (S3's 409); nothing was written, and whether the condition holds is not known.
    Busy(Cause),
    /// The part lies outside the object of this many bytes.
    Range(u64),
    /// The credentials do not suffice.
    Denied(Cause),
    /// The place cannot have such a key.
    Key(&'static str),
    /// Anything else: time-outs, broken connections, 5xx, full disks.
    Transient(Cause),
}
