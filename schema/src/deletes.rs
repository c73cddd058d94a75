//! Requests to delete rows: what `/loki/api/v1/delete` takes and lists (spec: Loki's compactor API).
//! Owns: what a request is, and its JSON form in the store.
//! Must not know: how a query is evaluated, when rows are rewritten.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Version of the JSON form.
const VERSION: u32 = 1;

/// Rows to delete: those of the streams and lines that `query` selects, with timestamps in `[start, end]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteRequest {
    /// Eight hex digits, unique in the tenant.
    pub id: Box<str>,
    /// A LogQL log query: a selector, line filters, label filters.
    pub query: String,
    /// First instant, nanoseconds since the epoch.
    pub start: i64,
    /// Last instant, nanoseconds since the epoch.
    pub end: i64,
    /// When it was asked for, nanoseconds since the epoch.
    pub created: i64,
    /// When no live chunk held such rows any more; `None` while they are only hidden.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processed: Option<i64>,
    /// What was rewritten, day by day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub receipt: Vec<DeleteReceipt>,
}

/// What a delete did to one day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteReceipt {
    /// The day, `YYYY-MM-DD`.
    pub day: String,
    /// When its manifest was committed, nanoseconds since the epoch.
    pub at: i64,
    /// Rows that are gone.
    pub rows: u64,
    /// Objects that held them, deleted after the grace period.
    pub removed: Vec<String>,
    /// Objects that hold what is left of those.
    pub written: Vec<String>,
}

impl DeleteRequest {
    /// Whether a row with a timestamp in the closed range may be meant.
    pub fn overlaps(&self, min: Timestamp, max: Timestamp) -> bool {
        min.as_nanos() <= self.end && self.start <= max.as_nanos()
    }
}

/// All delete requests of a tenant, as one object that is compared and swapped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteRequests {
    version: u32,
    /// Random, of the last write: no two writes of this object are alike.
    write: String,
    /// Earlier writes, newest last, so that a write with an unclear outcome can find itself.
    #[serde(default)]
    earlier: Vec<String>,
    /// In the order they were made.
    pub requests: Vec<DeleteRequest>,
}

/// How many writes are remembered.
const MAX_EARLIER: usize = 32;

/// Why bytes are no list of delete requests.
#[derive(Debug, thiserror::Error)]
pub enum DeleteRequestsError {
    /// Not the JSON that was expected.
    #[error("the delete requests cannot be read: {message}")]
    Json {
        /// What the parser says.
        message: String,
    },
    /// Written by a later version of Tarn.
    #[error("the delete requests have version {version}, which is not known to this version of tarn; the newest known is {VERSION}")]
    Version {
        /// What they say.
        version: u32,
    },
}

impl Default for DeleteRequests {
    fn default() -> Self {
        Self { version: VERSION, write: String::new(), earlier: Vec::new(), requests: Vec::new() }
    }
}

impl DeleteRequests {
    /// Checks what was read.
    pub fn checked(self) -> Result<Self, DeleteRequestsError> {
        if self.version == VERSION { Ok(self) } else { Err(DeleteRequestsError::Version { version: self.version }) }
    }

    /// Names the write that is about to happen.
    pub fn begin_write(&mut self, id: String) {
        let previous = std::mem::replace(&mut self.write, id);
        if !previous.is_empty() {
            self.earlier.push(previous);
        }
        if self.earlier.len() > MAX_EARLIER {
            self.earlier.drain(..self.earlier.len() - MAX_EARLIER);
        }
    }

    /// Whether the write named `id` is part of this content.
    pub fn has_write(&self, id: &str) -> bool {
        self.write == id || self.earlier.iter().any(|earlier| earlier == id)
    }

    /// Those whose rows must be hidden from queries: all that are not processed, and those that were so recently that a chunk with their rows could come back.
    pub fn active(&self, now: Timestamp, window_nanos: i64) -> impl Iterator<Item = &DeleteRequest> {
        self.requests.iter().filter(move |request| request.processed.is_none_or(|at| at.saturating_add(window_nanos) > now.as_nanos()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(id: &str, processed: Option<i64>) -> DeleteRequest {
        DeleteRequest { id: id.into(), query: r#"{app="a"}"#.to_owned(), start: 10, end: 20, created: 30, processed, receipt: Vec::new() }
    }

    #[test]
    fn both_ends_belong_to_a_request() {
        let request = request("a", None);
        for (min, max, overlaps) in [(0, 9, false), (0, 10, true), (20, 30, true), (21, 30, false), (12, 13, true)] {
            assert_eq!(request.overlaps(Timestamp(min), Timestamp(max)), overlaps, "{min}..={max}");
        }
    }

    #[test]
    fn a_processed_request_hides_rows_for_a_while() {
        let list = DeleteRequests { requests: vec![request("open", None), request("done", Some(100))], ..DeleteRequests::default() };
        let active = |now| list.active(Timestamp(now), 50).map(|r| &*r.id).collect::<Vec<_>>();
        assert_eq!((active(149), active(150)), (vec!["open", "done"], vec!["open"]));
    }

    #[test]
    fn writes_are_remembered() {
        let mut list = DeleteRequests::default();
        for n in 0..100 {
            list.begin_write(n.to_string());
        }
        assert!(list.has_write("99") && list.has_write("67") && !list.has_write("66"));
    }
}
