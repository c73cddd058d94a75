//! Which rows a delete request means. What a LogQL query selects is somebody else's to know; it is handed in.

use std::fmt;
use std::sync::Arc;

use schema::{LabelSet, Timestamp};
use store::chunk::MetadataSet;

/// Makes predicates out of the queries of delete requests.
pub trait CompileDelete: fmt::Debug + Send + Sync {
    /// The rows that `query` selects. Errors: a text that says why it selects none.
    fn compile(&self, query: &str) -> Result<Arc<dyn RowPredicate>, String>;
}

/// Selects rows.
pub trait RowPredicate: Send + Sync {
    /// Whether rows of this stream may be selected. `false` is certain.
    fn matches_stream(&self, labels: &LabelSet) -> bool;
    /// Whether this row is selected.
    fn matches(&self, labels: &LabelSet, at: Timestamp, line: &[u8], metadata: &MetadataSet) -> bool;
}

/// For a process that knows no LogQL: every delete request is an error, so its rows stay hidden, and nothing else stops.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoDeletes;

impl CompileDelete for NoDeletes {
    fn compile(&self, _: &str) -> Result<Arc<dyn RowPredicate>, String> {
        Err("this compactor cannot read queries".to_owned())
    }
}
