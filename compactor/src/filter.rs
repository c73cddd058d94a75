//! Which rows a merge leaves out: those that are older than their stream's retention, and those that a delete request means.
//! Owns: the decision, per stream and then per row. Must not know: where rows come from or go to.

use std::sync::Arc;

use schema::{DeleteRequest, LabelSet, Timestamp};
use store::chunk::MetadataSet;

use crate::predicate::{CompileDelete, RowPredicate};
use crate::settings::TenantSettings;

/// A delete request that can be carried out.
#[derive(Clone)]
pub(crate) struct ActiveDelete {
    pub(crate) request: DeleteRequest,
    pub(crate) predicate: Arc<dyn RowPredicate>,
}

impl std::fmt::Debug for ActiveDelete {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ActiveDelete").field(&self.request.id).finish()
    }
}

impl ActiveDelete {
    /// Those of `requests` whose queries can be read. The rows of the others stay hidden; each is said in the log.
    pub(crate) fn compile<'a>(requests: impl IntoIterator<Item = &'a DeleteRequest>, compiler: &dyn CompileDelete) -> Vec<Self> {
        let mut compiled = Vec::new();
        for request in requests {
            match compiler.compile(&request.query) {
                Ok(predicate) => compiled.push(Self { request: request.clone(), predicate }),
                Err(error) => {
                    tracing::warn!(id = %request.id, query = request.query, error, "the query of a delete request cannot be read; its rows stay hidden")
                }
            }
        }
        compiled
    }

    fn means(&self, labels: &LabelSet, at: Timestamp, line: &[u8], metadata: &MetadataSet) -> bool {
        self.request.overlaps(at, at) && self.predicate.matches(labels, at, line, metadata)
    }
}

/// What is left out, and how much of it was.
#[derive(Debug)]
pub(crate) struct RowFilter<'a> {
    settings: &'a TenantSettings,
    now: Timestamp,
    deletes: &'a [ActiveDelete],
    horizon: Option<Timestamp>,
    applicable: Vec<usize>,
    pub(crate) expired: u64,
    /// Rows left out by each delete, in their order; a row counts for the first that means it.
    pub(crate) deleted: Vec<u64>,
}

impl<'a> RowFilter<'a> {
    pub(crate) fn new(settings: &'a TenantSettings, now: Timestamp, deletes: &'a [ActiveDelete]) -> Self {
        Self { settings, now, deletes, horizon: None, applicable: Vec::new(), expired: 0, deleted: vec![0; deletes.len()] }
    }

    /// The rows that follow are of this stream.
    pub(crate) fn begin_stream(&mut self, labels: &LabelSet) {
        self.horizon = self.settings.horizon(labels, self.now);
        self.applicable.clear();
        self.applicable.extend(self.deletes.iter().enumerate().filter(|(_, delete)| delete.predicate.matches_stream(labels)).map(|(index, _)| index));
    }

    /// Whether the row stays; counts it if not.
    pub(crate) fn keeps(&mut self, labels: &LabelSet, at: Timestamp, line: &[u8], metadata: &MetadataSet) -> bool {
        if self.horizon.is_some_and(|horizon| at < horizon) {
            self.expired += 1;
            return false;
        }
        let meaning = self.applicable.iter().copied().find(|index| self.deletes.get(*index).is_some_and(|delete| delete.means(labels, at, line, metadata)));
        match meaning.and_then(|index| self.deleted.get_mut(index)) {
            Some(count) => {
                *count += 1;
                false
            }
            None => true,
        }
    }
}
