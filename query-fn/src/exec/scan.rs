//! Reads the rows of chunks.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, OnceLock};

use arrow::array::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use schema::TimeRange;
use store::StoreError;
use store::chunk::ChunkRows;
use store::object::ObjectClient;

use super::dedupe::Dedupe;
use super::pace::Pace;
use super::plan::{properties, stream_of};
use super::rows::{RowReader, columns_for};
use super::statistics::ScanStatistics;
use super::stop::StopState;
use super::units::Unit;
use crate::QueryError;
use crate::line_filter::LineMatcher;
use crate::logical::columns::{counted_schema, entry_schema};
use crate::logical::{EarlyStop, LineColumn, line_filter_text, needed_text};
use crate::pipeline::NeededLabels;

/// What a scan reads, apart from where.
#[derive(Clone, Debug)]
pub struct ScanSpec {
    /// Timestamps of `[start, end)`.
    pub range: TimeRange,
    /// Line filters, as written.
    pub filters: Vec<logql::ast::LineFilter>,
    /// The labels it hands on.
    pub labels: NeededLabels,
    /// What it hands on of the line.
    pub line: LineColumn,
    /// Whether it hands on positions.
    pub position: bool,
    /// Which rows may be left out.
    pub stop: Option<EarlyStop>,
    /// Whether it hands on that each row stands for one, beside others that stand for more.
    pub rows: bool,
}

/// Reads units of chunks, each partition its own list from first to last. Batches come in no order that later operators
/// may rely on. Memory: one decoded batch a partition, the reader's read-ahead, and the rows seen in shared time.
#[derive(Debug)]
pub struct ChunkScanExec {
    spec: Arc<ScanSpec>,
    filters: Arc<LineMatcher>,
    partitions: Vec<Arc<[Unit]>>,
    client: ObjectClient,
    statistics: Arc<ScanStatistics>,
    stop: Option<Arc<StopState>>,
    dedupe: OnceLock<Option<Arc<Dedupe>>>,
    properties: Arc<PlanProperties>,
}

impl ChunkScanExec {
    /// A scan of `partitions`. Errors: a line filter that cannot be compiled; without units none is, as in Loki, where a
    /// wrong pattern is only noticed on the first stream.
    pub(crate) fn new(spec: ScanSpec, partitions: Vec<Vec<Unit>>, client: ObjectClient, statistics: Arc<ScanStatistics>) -> Result<Self, QueryError> {
        let empty = partitions.iter().all(Vec::is_empty);
        let filters = if empty { LineMatcher::default() } else { LineMatcher::compile(&spec.filters)? };
        let schema = if spec.rows { counted_schema(spec.line) } else { entry_schema(spec.line, spec.position) };
        let properties = properties(schema, partitions.len(), EmissionType::Incremental);
        Ok(Self {
            stop: spec.stop.map(|stop| Arc::new(StopState::new(stop.direction))),
            spec: Arc::new(spec),
            filters: Arc::new(filters),
            partitions: partitions.into_iter().map(Into::into).collect(),
            client,
            statistics,
            dedupe: OnceLock::new(),
            properties,
        })
    }

    /// Where the operator that keeps the first rows says how far it got.
    pub(super) fn stop(&self) -> Option<&Arc<StopState>> {
        self.stop.as_ref()
    }

    /// Where operators count what they did.
    pub(super) fn statistics(&self) -> &Arc<ScanStatistics> {
        &self.statistics
    }

    /// What it reads, apart from where.
    pub(crate) fn spec(&self) -> &ScanSpec {
        &self.spec
    }

    /// The line filters.
    pub(super) fn filters(&self) -> &LineMatcher {
        &self.filters
    }

    /// The units of each partition, in reading order.
    pub(crate) fn partitions(&self) -> &[Arc<[Unit]>] {
        &self.partitions
    }

    /// Whether there is nothing to read.
    pub fn is_empty(&self) -> bool {
        self.units().next().is_none()
    }

    fn units(&self) -> impl Iterator<Item = &Unit> + Clone {
        self.partitions.iter().flat_map(|units| units.iter())
    }
}

impl DisplayAs for ChunkScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chunks: std::collections::BTreeSet<u64> = self.units().map(|unit| unit.ordinal).collect();
        let rows: u64 = self.units().map(Unit::rows).sum();
        write!(f, "ChunkScanExec: chunks={}, units={}, rows<={rows}", chunks.len(), self.units().count())?;
        if self.units().any(Unit::has_overlaps) {
            f.write_str(", dedupe")?;
        }
        if self.units().flat_map(|unit| &unit.pieces).any(|piece| !piece.hidden.is_empty()) {
            f.write_str(", deletes")?;
        }
        if !self.spec.filters.is_empty() {
            let filters: Vec<String> = self.spec.filters.iter().map(line_filter_text).collect();
            write!(f, ", filters=[{}]", filters.join(" "))?;
        }
        write!(f, ", labels={}, line={}", needed_text(&self.spec.labels), self.spec.line)?;
        match &self.spec.stop {
            Some(stop) => write!(f, ", stop=({} {})", stop.limit, stop.direction.as_str()),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for ChunkScanExec {
    fn name(&self) -> &str {
        "ChunkScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(&self, _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let dedupe = self.dedupe.get_or_init(|| Dedupe::of(self.units(), context.memory_pool()).map(Arc::new));
        let units = self.partitions.get(partition).ok_or_else(|| DataFusionError::Internal(format!("the scan has no partition {partition}")))?;
        let state = PartitionScan {
            spec: Arc::clone(&self.spec),
            filters: Arc::clone(&self.filters),
            client: self.client.clone(),
            statistics: Arc::clone(&self.statistics),
            stop: self.stop.clone(),
            dedupe: dedupe.clone(),
            schema: self.schema(),
            waiting: units.iter().cloned().collect(),
            current: None,
            pace: Pace::new(),
        };
        let batches = futures::stream::try_unfold(state, |mut state| async move { Ok(state.next().await?.map(|batch| (batch, state))) });
        Ok(stream_of(self.schema(), batches))
    }
}

struct PartitionScan {
    spec: Arc<ScanSpec>,
    filters: Arc<LineMatcher>,
    client: ObjectClient,
    statistics: Arc<ScanStatistics>,
    stop: Option<Arc<StopState>>,
    dedupe: Option<Arc<Dedupe>>,
    schema: arrow::datatypes::SchemaRef,
    waiting: VecDeque<Unit>,
    current: Option<(Unit, BoxStream<'static, Result<ChunkRows, StoreError>>)>,
    pace: Pace,
}

impl PartitionScan {
    /// The next batch with a row in it. Yields by the time that batches take, also those without a row, and what is done with them.
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            tokio::task::consume_budget().await;
            self.pace.worked().await;
            let Some((unit, rows)) = &mut self.current else {
                match self.waiting.pop_front() {
                    Some(unit) => self.open(unit).await.map_err(QueryError::from)?,
                    None => return Ok(None),
                }
                continue;
            };
            match rows.next().await {
                None => {
                    if let Some(dedupe) = &self.dedupe {
                        dedupe.finish(unit);
                    }
                    self.current = None;
                }
                Some(rows) => {
                    let rows = rows.map_err(QueryError::from)?;
                    let reader = RowReader {
                        range: self.spec.range,
                        open: self.stop.as_ref().map_or((i64::MIN, i64::MAX), |stop| stop.open_range()),
                        filters: &self.filters,
                        labels: &self.spec.labels,
                        line: self.spec.line,
                        schema: &self.schema,
                        dedupe: self.dedupe.as_deref(),
                        statistics: &self.statistics,
                    };
                    if let Some(batch) = reader.batch(unit, &rows, &mut self.pace).await? {
                        return Ok(Some(batch));
                    }
                }
            }
        }
    }

    /// Starts reading what of `unit` is still wanted.
    async fn open(&mut self, mut unit: Unit) -> Result<(), StoreError> {
        let (first, last) = self.stop.as_ref().map_or((i64::MIN, i64::MAX), |stop| stop.open_range());
        if let Some(dedupe) = self.dedupe.as_ref().filter(|_| unit.max() < first || last < unit.min()) {
            dedupe.finish(&unit);
        }
        let whole = unit.clone();
        unit.pieces.retain(|piece| first <= piece.max && piece.min <= last);
        if unit.pieces.is_empty() {
            return Ok(());
        }
        let columns = columns_for(&whole, &self.filters, &self.spec.labels, self.spec.line);
        self.statistics.reads(&unit.chunk.chunk().name);
        let reader = unit.chunk.open(&self.client).await?;
        self.current = Some((whole, reader.read(&self.client, unit.selection(), columns)));
        Ok(())
    }
}
