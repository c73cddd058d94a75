//! Mines the patterns of all lines that a selector means. The scan of any log query, so that what a query does not see is in no pattern either: hidden rows,
//! copies of rows, other tenants. Each partition is mined by itself, then all together; which rows lie where does not matter to the answer.

use std::sync::Arc;

use arrow::array::{Array as _, BinaryViewArray, TimestampNanosecondArray};
use datafusion::common::runtime::SpawnedTask;
use datafusion::error::Result as PlanResult;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execute_stream_partitioned;
use futures::StreamExt as _;
use schema::{Matcher, TenantId, TenantSet, TimeRange};

use super::{Engine, MAX_ATTEMPTS, is_merged_away, physical_plan, refuse_too_much};
use crate::QueryError;
use crate::exec::{LabelsColumn, Pace, column};
use crate::labels::LabelsView;
use crate::logical::columns::{LINE, TIMESTAMP};
use crate::logical::{LineColumn, StreamScan, TenantUnion, plan};
use crate::patterns::{MOST_PATTERNS, MinedPattern, MinedPatterns, Miner};
use crate::pipeline::NeededLabels;
use crate::tenants::choose;

/// The metadata that a push gives every entry.
const LEVEL: &str = "detected_level";
/// What Loki calls the level of an entry without that.
const NO_LEVEL: &str = "unknown";

/// Of which lines.
#[derive(Clone, Debug)]
pub(crate) struct PatternsSpec {
    /// Whose streams.
    pub(crate) tenants: TenantSet,
    /// Which streams.
    pub(crate) matchers: Vec<Matcher>,
    /// Timestamps of `[start, end)`.
    pub(crate) range: TimeRange,
    /// Nanoseconds between the beginnings of two samples; less than a second counts as one.
    pub(crate) step: i64,
}

impl Engine {
    /// The patterns of the lines, the most frequent first, and warnings for the client: where there are more patterns than an answer has, how many
    /// lines those have. A chunk that vanishes meanwhile starts it over, a few times. Cancel-safe.
    pub(crate) async fn patterns(&self, spec: &PatternsSpec) -> Result<(Vec<MinedPattern>, Vec<String>), QueryError> {
        let mut attempt = 1;
        loop {
            match self.mine(spec).await {
                Err(error) if is_merged_away(&error) && attempt < MAX_ATTEMPTS => attempt += 1,
                result => return result,
            }
        }
    }

    async fn mine(&self, spec: &PatternsSpec) -> Result<(Vec<MinedPattern>, Vec<String>), QueryError> {
        let context = Arc::new(self.context(&spec.tenants, &self.client));
        let session = self.session(&context)?;
        let scans = scans(spec).map_err(QueryError::from_datafusion)?;
        let plan = physical_plan(&session, &scans).await?;
        refuse_too_much(*context.estimate.lock(), 0.0, &self.limits)?;
        let partitions = execute_stream_partitioned(plan, session.task_ctx()).map_err(QueryError::from_datafusion)?;
        let memory = || MemoryConsumer::new("patterns").register(&session.runtime_env().memory_pool);
        let tasks: Vec<_> = partitions.into_iter().map(|batches| SpawnedTask::spawn(mine_partition(batches, spec.step, memory()))).collect();
        let (mut all, held) = (Miner::new(spec.step), memory());
        for task in tasks {
            let ended = task.join().await.map_err(|error| QueryError::Internal { invariant: format!("a partition is mined to its end: {error}") })?;
            let (miner, _memory) = ended.map_err(QueryError::from_datafusion)?;
            all.absorb(miner);
            held.try_resize(all.bytes()).map_err(QueryError::from_datafusion)?;
        }
        let mined = patterns_of(all).await;
        let mut warnings: Vec<String> = context.pruned.lock().iter().filter_map(|(_, pruned)| pruned.warning()).collect();
        warnings.extend(left_out(&mined));
        Ok((mined.patterns, warnings))
    }
}

/// The rows of all tenants: whose a pattern's lines are is not told.
fn scans(spec: &PatternsSpec) -> PlanResult<LogicalPlan> {
    let (chosen, matchers) = choose(&spec.tenants, &spec.matchers);
    let of = |tenant: &TenantId| {
        let scan = StreamScan::new(tenant.clone(), matchers.clone(), spec.range, false)?;
        Ok(plan(scan.with_columns(NeededLabels::Only([LEVEL.to_owned()].into()), LineColumn::Text)?))
    };
    match spec.tenants.only() {
        Some(only) => of(only),
        None => {
            let inputs = chosen.iter().map(of).collect::<PlanResult<Vec<_>>>()?;
            Ok(plan(TenantUnion::new(chosen, inputs, false)?))
        }
    }
}

/// What was counted, and the memory that was reserved for it.
async fn mine_partition(mut batches: SendableRecordBatchStream, step: i64, memory: MemoryReservation) -> PlanResult<(Miner, MemoryReservation)> {
    let mut miner = Miner::new(step);
    let mut pace = Pace::new();
    while let Some(batch) = batches.next().await {
        let batch = batch?;
        let timestamps = column::<TimestampNanosecondArray>(&batch, TIMESTAMP)?.values();
        let lines: &BinaryViewArray = column(&batch, LINE)?;
        let labels = LabelsColumn::of(&batch)?;
        let mut levels = Vec::with_capacity(labels.distinct());
        for key in 0..labels.distinct() {
            let view = LabelsView::decode(labels.encoded(key))?;
            levels.push(miner.level(view.get(LEVEL).map_or(NO_LEVEL, |label| label.value)));
        }
        for (row, &timestamp) in timestamps.iter().enumerate().take(lines.len()) {
            let level = levels.get(labels.key(row)).copied().unwrap_or(usize::MAX);
            miner.add(level, timestamp, lines.value(row));
            pace.worked().await;
        }
        memory.try_resize(miner.bytes())?;
    }
    Ok((miner, memory))
}

async fn patterns_of(miner: Miner) -> MinedPatterns {
    let mut pace = Pace::new();
    let (shapes, mut templates) = miner.finish();
    for shape in shapes {
        templates.add(shape);
        pace.worked().await;
    }
    templates.finish()
}

fn left_out(mined: &MinedPatterns) -> Option<String> {
    let MinedPatterns { left_out, lines_left_out, .. } = mined;
    (*left_out > 0).then(|| {
        format!("these are the {MOST_PATTERNS} most frequent patterns; {lines_left_out} lines of {left_out} other patterns are not counted here. Narrow the selector to see them")
    })
}

#[cfg(test)]
#[path = "patterns_tests.rs"]
mod tests;
