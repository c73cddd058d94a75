//! Vector aggregations.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Float64Array, Int64Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{StreamExt as _, TryStreamExt as _};
use logql::ast::{Grouping, GroupingKind, VectorOp};

use super::aggregation::{SeriesIndex, encode_group};
use super::labels_column::{LabelsColumn, column};
use super::plan::{one_input_plan, properties, stream_of};
use super::samples::{SeriesSamples, StepFinder, batches};
use super::window::next_average;
use crate::labels::LabelsView;
use crate::logical::VectorFunction;
use crate::logical::columns::{TIMESTAMP, VALUE, sample_schema};

/// Samples of groups of series, at each step. One partition. Memory: groups times steps; for topk and bottomk times `k`.
#[derive(Debug)]
pub struct VectorAggregateExec {
    input: Arc<dyn ExecutionPlan>,
    function: Arc<VectorFunction>,
    properties: Arc<PlanProperties>,
}

impl VectorAggregateExec {
    /// `function` over the samples of `input`, which has one partition.
    pub fn new(input: Arc<dyn ExecutionPlan>, function: VectorFunction) -> Self {
        Self { input, function: Arc::new(function), properties: properties(sample_schema(), 1, EmissionType::Final) }
    }

    /// What is computed.
    pub fn function(&self) -> &VectorFunction {
        &self.function
    }

    fn rebuilt(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        Ok(Self::new(input, (*self.function).clone()))
    }

    fn run(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let mut input = self.input.execute(partition, Arc::clone(&context))?;
        let schema = self.schema();
        if matches!(self.function.op, VectorOp::Sort | VectorOp::SortDesc) {
            // The order of an instant vector is the answer's, not the plan's: batches carry none.
            return Ok(input);
        }
        let memory = MemoryConsumer::new("vector aggregation").register(context.memory_pool());
        let mut state = State::new(Arc::clone(&self.function), memory);
        let out = Arc::clone(&schema);
        let all = async move {
            while let Some(batch) = input.next().await {
                state.add(&batch?)?;
            }
            Ok::<_, DataFusionError>(futures::stream::iter(state.finish(out)))
        };
        Ok(stream_of(schema, futures::stream::once(all).try_flatten()))
    }
}

impl DisplayAs for VectorAggregateExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VectorAggregateExec: {}", self.function)
    }
}

one_input_plan!(VectorAggregateExec, "VectorAggregateExec");

struct State {
    function: Arc<VectorFunction>,
    grouping: Grouping,
    steps: StepFinder,
    groups: SeriesIndex,
    /// By group, then by step.
    cells: Vec<Vec<Cell>>,
    /// The series themselves, for functions that answer with series and not with groups.
    series: SeriesIndex,
    memory: MemoryReservation,
}

/// What a group has at one step.
#[derive(Clone, Debug, Default)]
enum Cell {
    #[default]
    Empty,
    Numbers {
        count: f64,
        /// Sum, mean, minimum or maximum, by the function.
        value: f64,
        /// Sum of squared distances from the mean.
        squares: f64,
    },
    /// Series and value, best first.
    Best(Vec<(usize, f64)>),
}

impl State {
    fn new(function: Arc<VectorFunction>, memory: MemoryReservation) -> Self {
        let grouping = function.grouping.clone().unwrap_or(Grouping { kind: GroupingKind::By, labels: Vec::new() });
        let steps = StepFinder::new(function.steps);
        Self { function, grouping, steps, groups: SeriesIndex::default(), cells: Vec::new(), series: SeriesIndex::default(), memory }
    }

    fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let timestamps = column::<Int64Array>(batch, TIMESTAMP)?.values();
        let values = column::<Float64Array>(batch, VALUE)?.values();
        let labels = LabelsColumn::of(batch)?;
        let mut numbers = Vec::with_capacity(labels.distinct());
        let mut encoded = Vec::new();
        for key in 0..labels.distinct() {
            encoded.clear();
            encode_group(&LabelsView::decode(labels.encoded(key))?, Some(&self.grouping), &mut encoded);
            let (group, new) = self.groups.number(&encoded);
            if new {
                self.memory.try_grow(2 * encoded.len() + self.function.steps.count * size_of::<Cell>())?;
                self.cells.push(vec![Cell::Empty; self.function.steps.count]);
            }
            let series = if self.is_selection() { self.series.number(labels.encoded(key)).0 } else { 0 };
            numbers.push((group, series));
        }
        for (row, (&timestamp, &value)) in timestamps.iter().zip(values).enumerate() {
            let Some(&(group, series)) = numbers.get(labels.key(row)) else { continue };
            let cell = self.steps.find(timestamp).and_then(|step| self.cells.get_mut(group)?.get_mut(step));
            let cell = cell.ok_or_else(|| DataFusionError::Internal(format!("a sample at {timestamp} ms lies at no step")))?;
            cell.add(&self.function, series, value);
        }
        Ok(())
    }

    /// Whether the answer consists of series of the input.
    fn is_selection(&self) -> bool {
        matches!(self.function.op, VectorOp::Topk | VectorOp::Bottomk)
    }

    fn finish(self, schema: SchemaRef) -> Box<dyn Iterator<Item = Result<RecordBatch>> + Send> {
        let steps = self.function.steps;
        if self.is_selection() {
            let labels = self.series.into_labels();
            let mut samples: Vec<Vec<(usize, f64)>> = vec![Vec::new(); labels.len()];
            for cells in self.cells {
                for (step, cell) in cells.into_iter().enumerate() {
                    if let Cell::Best(best) = cell {
                        for (series, value) in best {
                            if let Some(samples) = samples.get_mut(series) {
                                samples.push((step, value));
                            }
                        }
                    }
                }
            }
            return Box::new(batches(labels.into_iter().zip(samples).map(|(labels, samples)| SeriesSamples { labels, samples }), steps, schema));
        }
        let op = self.function.op;
        let groups = self.groups.into_labels().into_iter().zip(self.cells).map(move |(labels, cells)| {
            let samples = cells.into_iter().enumerate().filter_map(|(step, cell)| Some((step, cell.value(op)?))).collect();
            SeriesSamples { labels, samples }
        });
        Box::new(batches(groups, steps, schema))
    }
}

impl Cell {
    fn add(&mut self, function: &VectorFunction, series: usize, value: f64) {
        if matches!(function.op, VectorOp::Topk | VectorOp::Bottomk) {
            self.offer(function, series, value);
            return;
        }
        let Self::Numbers { count, value: kept, squares } = self else {
            *self = Self::Numbers { count: 1.0, value, squares: 0.0 };
            return;
        };
        *count += 1.0;
        match function.op {
            VectorOp::Sum => *kept += value,
            VectorOp::Avg => *kept = next_average(*kept, *count, value),
            VectorOp::Max if value > *kept || kept.is_nan() => *kept = value,
            VectorOp::Min if value < *kept || kept.is_nan() => *kept = value,
            VectorOp::Stddev | VectorOp::Stdvar => {
                let delta = value - *kept;
                *kept += delta / *count;
                *squares += delta * (value - *kept);
            }
            _ => {}
        }
    }

    /// Keeps the `k` best. NaN is worse than any number; of equal values the earlier one stays.
    fn offer(&mut self, function: &VectorFunction, series: usize, value: f64) {
        let better = |a: f64, b: f64| match function.op {
            VectorOp::Topk => a > b || (b.is_nan() && !a.is_nan()),
            _ => a < b || (b.is_nan() && !a.is_nan()),
        };
        if !matches!(self, Self::Best(_)) {
            *self = Self::Best(Vec::new());
        }
        let Self::Best(best) = self else { return };
        let at = best.partition_point(|(_, other)| !better(value, *other));
        best.insert(at, (series, value));
        best.truncate(usize::try_from(function.parameter.unwrap_or(0)).unwrap_or(usize::MAX));
    }

    fn value(&self, op: VectorOp) -> Option<f64> {
        let Self::Numbers { count, value, squares } = self else { return None };
        Some(match op {
            VectorOp::Count => *count,
            VectorOp::Stdvar => squares / count,
            VectorOp::Stddev => (squares / count).sqrt(),
            _ => *value,
        })
    }
}
