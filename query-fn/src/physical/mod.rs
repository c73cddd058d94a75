//! Optimised logical plan to physical plan. Planning takes the snapshot: it lists and opens the chunks that the scans read.
//! Owns: which operator runs which node, pruning, the spread of work over partitions.
//! Must not know: LogQL text, HTTP.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties as _};
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};
use logql::ast::{RangeOp, Stage, VectorOp};
use parking_lot::Mutex;
use schema::{ChunkHash, ChunkName, TenantId, TimeRange, Timestamp};
use store::chunk::ChunkCache;
use store::object::ObjectClient;
use store::snapshot::{PruneCounts, Snapshot};

use crate::QueryError;
use crate::exec::{
    ChunkScanExec, Deletes, EntriesExec, Estimate, MinuteCountExec, MinuteCounter, PipelineExec, RangeAggregateExec, SampleOperationExec, ScanSpec,
    ScanStatistics, StageSpec, TenantLabelExec, UnwrapExec, VectorAggregateExec, partition, units_of,
};
use crate::logical::{Entries, LineColumn, LineFilter, PipelineStage, RangeAggregate, SampleOperation, StreamScan, TenantUnion, Unwrap, VectorAggregate};
use crate::pipeline::NeededLabels;

/// What planning and running one query share.
#[derive(Debug)]
pub struct PlanContext {
    /// Where chunks are.
    pub client: ObjectClient,
    /// Opened chunks.
    pub cache: ChunkCache,
    /// Most partitions of a scan.
    pub partitions: usize,
    /// What templates call now, in nanoseconds since the epoch.
    pub now: i64,
    /// What the operators did.
    pub statistics: Arc<ScanStatistics>,
    /// The chunks of level 0 that may be read, where not all may.
    pub known: Option<Arc<HashSet<ChunkHash>>>,
    /// Whose chunks each scan reads, and what it left out, in the order of planning.
    pub pruned: Mutex<Vec<(TenantId, PruneCounts)>>,
    /// What all scans will read at most.
    pub estimate: Mutex<Estimate>,
    /// Rows that are older are not read.
    pub oldest: Option<Timestamp>,
}

impl PlanContext {
    /// A context without anything planned yet.
    pub fn new(client: ObjectClient, cache: ChunkCache, partitions: usize, now: i64) -> Self {
        Self {
            client,
            cache,
            partitions: partitions.max(1),
            now,
            statistics: Arc::default(),
            known: None,
            pruned: Mutex::default(),
            estimate: Mutex::default(),
            oldest: None,
        }
    }
}

/// DataFusion's planner with ours for our nodes.
#[derive(Debug)]
pub struct LogPlanner {
    context: Arc<PlanContext>,
}

impl LogPlanner {
    /// A planner for one query.
    pub const fn new(context: Arc<PlanContext>) -> Self {
        Self { context }
    }
}

#[async_trait]
impl QueryPlanner for LogPlanner {
    async fn create_physical_plan(&self, plan: &LogicalPlan, session: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        let nodes = NodePlanner { context: Arc::clone(&self.context) };
        DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(nodes)]).create_physical_plan(plan, session).await
    }
}

#[derive(Debug)]
struct NodePlanner {
    context: Arc<PlanContext>,
}

#[async_trait]
impl ExtensionPlanner for NodePlanner {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        _: &dyn Session,
        _: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let any = node.as_any();
        if let Some(scan) = any.downcast_ref::<StreamScan>() {
            return Ok(Some(self.scan(scan).await?));
        }
        if let Some(operation) = any.downcast_ref::<SampleOperation>() {
            let inputs = inputs.iter().cloned().map(single).collect();
            return Ok(Some(Arc::new(SampleOperationExec::new(inputs, operation.function.clone()))));
        }
        if let Some(union) = any.downcast_ref::<TenantUnion>() {
            return Ok(Some(rows_of_tenants(union, inputs)?));
        }
        let input = || inputs.first().cloned().ok_or_else(|| DataFusionError::Internal(format!("{} was planned without its input", node.name())));
        if let Some(filter) = any.downcast_ref::<LineFilter>() {
            let stage = StageSpec { stage: Stage::LineFilter(filter.filter.clone()), needed: NeededLabels::All, now: self.context.now };
            return Ok(Some(with_stage(&input()?, stage)?));
        }
        if let Some(stage) = any.downcast_ref::<PipelineStage>() {
            let input = input()?;
            let spec = StageSpec { stage: stage.stage.clone(), needed: stage.needed.clone(), now: self.context.now };
            return match with_stage(&input, spec) {
                Ok(pipeline) => Ok(Some(pipeline)),
                // Loki builds stages per stream, so a stage that is wrong in itself is an error only where there is a stream.
                Err(QueryError::Invalid { .. }) if reads_nothing(&input) => Ok(Some(input)),
                Err(error) => Err(error.into()),
            };
        }
        if let Some(unwrap) = any.downcast_ref::<Unwrap>() {
            return Ok(Some(Arc::new(UnwrapExec::new(input()?, unwrap.unwrap.clone(), unwrap.keep)?)));
        }
        if let Some(entries) = any.downcast_ref::<Entries>() {
            return Ok(Some(Arc::new(EntriesExec::new(single(input()?), entries.limit, entries.direction, entries.interval))));
        }
        if let Some(range) = any.downcast_ref::<RangeAggregate>() {
            if !range.function.unwrapped && !counts_lines(range.function.op) {
                return Err(QueryError::Unsupported { what: format!("{} without unwrap", range.function) }.into());
            }
            return Ok(Some(Arc::new(RangeAggregateExec::new(single(input()?), range.function.clone()))));
        }
        if let Some(vector) = any.downcast_ref::<VectorAggregate>() {
            if vector.function.op == VectorOp::ApproxTopk {
                return Err(QueryError::Invalid { message: "approx_topk is not enabled. See -limits.shard_aggregations".to_owned() }.into());
            }
            return Ok(Some(Arc::new(VectorAggregateExec::new(single(input()?), vector.function.clone()))));
        }
        Ok(None)
    }
}

impl NodePlanner {
    /// The rows of a scan, those that are read and those that are only counted.
    async fn scan(&self, scan: &StreamScan) -> Result<Arc<dyn ExecutionPlan>, QueryError> {
        let context = &self.context;
        let range = not_before(scan.range, context.oldest);
        let mut snapshot = Snapshot::load(&context.client, &scan.tenant, &range, &scan.matchers, &context.cache).await?;
        if let Some(known) = &context.known {
            snapshot.chunks.retain(|chunk| match &chunk.chunk.name {
                ChunkName::Level0(key) => known.contains(&key.hash),
                ChunkName::Level1(_) => true,
            });
        }
        context.pruned.lock().push((scan.tenant.clone(), snapshot.pruned));
        context.statistics.matched(snapshot.chunks.len());
        let mut counter = scan.counts.map(|windows| MinuteCounter::new(windows, scan.labels.clone()));
        let units = units_of(&snapshot, &Deletes::of(&snapshot)?, &context.cache, scan.stop.as_ref(), counter.as_mut());
        let units = partition(units, context.partitions);
        let spec = ScanSpec {
            range,
            filters: scan.filters.clone(),
            labels: scan.labels.clone(),
            line: scan.line,
            position: scan.position,
            stop: scan.stop,
            rows: scan.counts.is_some(),
        };
        let read = Arc::new(ChunkScanExec::new(spec, units, context.client.clone(), Arc::clone(&context.statistics))?);
        *context.estimate.lock() += read.estimate(&snapshot)?;
        let counted = counter.map(MinuteCounter::finish).unwrap_or_default();
        if counted.is_empty() {
            return Ok(read);
        }
        let counted = Arc::new(MinuteCountExec::new(counted, scan.line == LineColumn::Length, Arc::clone(&context.statistics)));
        if read.is_empty() {
            return Ok(counted);
        }
        let both: Vec<Arc<dyn ExecutionPlan>> = vec![counted, read];
        UnionExec::try_new(both).map_err(QueryError::from_datafusion)
    }
}

/// `range` without what is older than `oldest`.
pub(crate) fn not_before(range: TimeRange, oldest: Option<Timestamp>) -> TimeRange {
    match oldest {
        Some(oldest) => TimeRange::new(range.start.max(oldest).min(range.end), range.end),
        None => range,
    }
}

/// The rows of all inputs, each with the tenant whose they are.
fn rows_of_tenants(union: &TenantUnion, inputs: &[Arc<dyn ExecutionPlan>]) -> Result<Arc<dyn ExecutionPlan>> {
    if union.tenants.len() != inputs.len() {
        return Err(DataFusionError::Internal(format!("{} tenants have {} inputs", union.tenants.len(), inputs.len())));
    }
    let of = |(tenant, input): (&TenantId, &Arc<dyn ExecutionPlan>)| Arc::new(TenantLabelExec::new(Arc::clone(input), tenant.clone())) as _;
    let mut labelled: Vec<Arc<dyn ExecutionPlan>> = union.tenants.iter().zip(inputs).map(of).collect();
    if labelled.len() > 1 {
        return UnionExec::try_new(labelled);
    }
    Ok(labelled.pop().unwrap_or_else(|| Arc::new(EmptyExec::new(Arc::clone(union.schema().inner())))))
}

/// Whether no chunk is left to read under this plan.
fn reads_nothing(plan: &Arc<dyn ExecutionPlan>) -> bool {
    match plan.downcast_ref::<ChunkScanExec>() {
        Some(scan) => scan.is_empty(),
        None => !plan.children().is_empty() && plan.children().into_iter().all(reads_nothing),
    }
}

/// Functions that count lines or bytes.
const fn counts_lines(op: RangeOp) -> bool {
    matches!(op, RangeOp::CountOverTime | RangeOp::Rate | RangeOp::BytesOverTime | RangeOp::BytesRate | RangeOp::AbsentOverTime)
}

/// `stage` after `input`, in one operator with the stages before it.
fn with_stage(input: &Arc<dyn ExecutionPlan>, stage: StageSpec) -> Result<Arc<dyn ExecutionPlan>, QueryError> {
    Ok(Arc::new(match input.downcast_ref::<PipelineExec>() {
        Some(pipeline) => pipeline.then(stage)?,
        None => PipelineExec::new(Arc::clone(input), vec![stage])?,
    }))
}

/// `input` as one partition; its partitions run side by side.
fn single(input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    if input.output_partitioning().partition_count() > 1 { Arc::new(CoalescePartitionsExec::new(input)) } else { input }
}
