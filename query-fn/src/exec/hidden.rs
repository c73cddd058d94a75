//! Rows that were asked to be deleted and are stored still: which of them a chunk may hold.
//! Pure: requests and manifests in, what to leave out of which stream.

use std::sync::Arc;

use schema::{LabelSet, StreamManifest, Timestamp};
use store::chunk::MetadataSet;
use store::snapshot::{Snapshot, SnapshotChunk};

use crate::{QueryError, RowSelector};

/// The rows that one delete request means.
#[derive(Debug)]
pub(crate) struct HiddenRows {
    query: String,
    /// First instant.
    start: i64,
    /// Last instant.
    end: i64,
    selector: RowSelector,
}

impl HiddenRows {
    /// The rows that `query` selects, with timestamps of `[start, end]`. Errors: it is no query that may select rows to delete.
    pub(crate) fn new(query: &str, start: i64, end: i64) -> Result<Self, QueryError> {
        Ok(Self { query: query.to_owned(), start, end, selector: RowSelector::parse(query)? })
    }

    /// What a request says: its query, first and last instant.
    pub(crate) fn request(&self) -> (&str, i64, i64) {
        (&self.query, self.start, self.end)
    }

    /// Whether some row between these instants, both included, may be meant.
    pub(super) fn touches(&self, min: i64, max: i64) -> bool {
        self.start <= max && min <= self.end
    }

    /// Whether every row of a stream that is concerned is meant, between these instants, both included.
    pub(super) fn covers(&self, min: i64, max: i64) -> bool {
        self.selector.is_stream_only() && self.start <= min && max <= self.end
    }

    pub(super) fn reads_lines(&self) -> bool {
        self.selector.reads_lines()
    }

    pub(super) fn reads_metadata(&self) -> bool {
        self.selector.reads_metadata()
    }

    /// Whether this row of a stream that is concerned is meant.
    pub(super) fn contains(&self, labels: &LabelSet, at: i64, line: &[u8], metadata: &MetadataSet) -> bool {
        self.touches(at, at) && self.selector.keeps(labels, Timestamp(at), line, metadata)
    }
}

/// The delete requests of a snapshot.
#[derive(Debug, Default)]
pub(crate) struct Deletes {
    /// With their ids.
    requests: Vec<(Box<str>, Arc<HiddenRows>)>,
}

impl Deletes {
    /// Errors: a request that cannot be read; none of its rows may be shown, so nothing can be answered.
    pub(crate) fn of(snapshot: &Snapshot) -> Result<Self, QueryError> {
        let compile = |request: &schema::DeleteRequest| match HiddenRows::new(&request.query, request.start, request.end) {
            Ok(rows) => Ok((request.id.clone(), Arc::new(rows))),
            Err(error) => Err(QueryError::Internal { invariant: format!("the delete request {} was accepted, so it can be read: {error}", request.id) }),
        };
        if snapshot.chunks.is_empty() {
            return Ok(Self::default());
        }
        Ok(Self { requests: snapshot.deletes.iter().map(compile).collect::<Result<_, _>>()? })
    }

    /// Those that may mean rows of `stream`, a stream of `chunk`.
    pub(super) fn in_stream(&self, chunk: &SnapshotChunk, stream: &StreamManifest) -> Vec<Arc<HiddenRows>> {
        let waiting = self.requests.iter().filter(|(id, _)| !chunk.deletes_done.contains(id)).map(|(_, rows)| rows);
        let concerned = |rows: &&Arc<HiddenRows>| rows.touches(stream.min.as_nanos(), stream.max.as_nanos()) && rows.selector.matches_stream(&stream.labels);
        waiting.filter(concerned).cloned().collect()
    }
}
