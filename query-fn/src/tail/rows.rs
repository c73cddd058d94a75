//! One tail's view of a row: whether it is meant, and how it is shown.
//! Owns: the query of a tail as a predicate on chunks, streams and rows; which lines were shown already.
//! Must not know: when chunks are looked for, queues, JSON.

use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use logql::ast::{LogExpr, Stage};
use schema::{ChunkKey, LabelSet, StreamManifest, Timestamp};
use store::chunk::MetadataSet;
use store::snapshot::filter_may_match;

use super::queue::TailLine;
use crate::QueryError;
use crate::engine::categorized;
use crate::labels::{LabelsView, encode_row};
use crate::pipeline::NeededLabels;
use crate::row_pipeline::RowPipeline;

/// The last lines of which a copy is recognised: an agent sends a batch again within moments, or not at all.
const REMEMBERED: usize = 16 << 10;

/// The log query of a tail, compiled.
#[derive(Debug)]
pub(super) struct TailQuery {
    log: LogExpr,
    start: Timestamp,
    pipeline: RowPipeline,
}

impl TailQuery {
    /// `now` is what templates call now, in nanoseconds since the epoch. Errors: a stage that is wrong in itself.
    pub(super) fn compile(log: LogExpr, start: Timestamp, now: i64) -> Result<Self, QueryError> {
        let pipeline = RowPipeline::compile(log.stages.clone(), now)?;
        Ok(Self { log, start, pipeline })
    }

    /// The same query at another moment, if it can tell the difference.
    pub(super) fn at(&self, now: i64) -> Result<Option<Self>, QueryError> {
        let asks_the_clock = self.log.stages.iter().any(|stage| matches!(stage, Stage::LineFormat(_) | Stage::LabelFormat(_)));
        asks_the_clock.then(|| Self::compile(self.log.clone(), self.start, now)).transpose()
    }

    /// Whether the chunk's name allows a row that is meant.
    pub(super) fn may_be_in(&self, key: &ChunkKey) -> bool {
        self.start <= key.max && self.log.matchers.iter().all(|matcher| filter_may_match(&key.bloom, matcher))
    }

    /// Whether rows of the stream may be meant.
    pub(super) fn selects(&self, stream: &StreamManifest) -> bool {
        self.start <= stream.max && self.log.matchers.iter().all(|matcher| matcher.matches_labels(&stream.labels))
    }

    /// How a row of a stream that is selected is shown; `None` where it is not meant.
    pub(super) fn show(&self, row: &StoredRow<'_>) -> Result<Option<TailLine>, QueryError> {
        if row.timestamp < self.start.as_nanos() || !self.pipeline.lines().matches(row.line) {
            return Ok(None);
        }
        let mut encoded = Vec::new();
        encode_row(row.stream, row.metadata, &NeededLabels::All, &mut encoded);
        let view = LabelsView::decode(&encoded)?;
        let Some(shown) = self.pipeline.run_stages(row.timestamp, row.line, &view) else { return Ok(None) };
        let mut changed = Vec::new();
        shown.labels.encode(&mut changed);
        let labels = Arc::new(categorized(&LabelsView::decode(&changed)?));
        Ok(Some(TailLine { timestamp: row.timestamp, line: Cow::into_owned(shown.line), labels }))
    }
}

/// A row as it is in a chunk.
#[derive(Debug)]
pub(super) struct StoredRow<'a> {
    pub(super) stream: &'a LabelSet,
    pub(super) timestamp: i64,
    pub(super) line: &'a [u8],
    pub(super) metadata: &'a MetadataSet,
}

/// What tells a row from every other: equal rows are one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct RowId(u64, u64);

impl StoredRow<'_> {
    pub(super) fn id(&self) -> RowId {
        let half = |salt: u8| {
            let mut hasher = DefaultHasher::new();
            (salt, self.stream, self.timestamp, self.line, self.metadata).hash(&mut hasher);
            hasher.finish()
        };
        RowId(half(0), half(1))
    }
}

/// The rows that were shown last.
#[derive(Debug, Default)]
pub(super) struct Shown {
    known: HashSet<RowId>,
    order: VecDeque<RowId>,
}

impl Shown {
    /// Whether the row is new; it is known from now on.
    pub(super) fn is_new(&mut self, id: RowId) -> bool {
        if !self.known.insert(id) {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}
