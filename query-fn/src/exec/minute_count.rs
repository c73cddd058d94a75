//! Rows that were counted when the query was planned.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, TimestampNanosecondArray};
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};

use super::labels_column::LabelsBuilder;
use super::minute_counter::{CountedRows, CountedSeries};
use super::plan::{properties, stream_of};
use super::statistics::ScanStatistics;
use crate::logical::LineColumn;
use crate::logical::columns::counted_schema;

/// Most samples in a batch.
const BATCH_SAMPLES: usize = 8192;

/// Hands on sums of rows and line bytes from the manifests of chunks. One partition; reads nothing.
/// Memory: the sums, one for each set of labels and windows, which the plan holds.
#[derive(Debug)]
pub struct MinuteCountExec {
    series: Arc<[CountedSeries]>,
    bytes: bool,
    statistics: Arc<ScanStatistics>,
    properties: Arc<PlanProperties>,
}

impl MinuteCountExec {
    /// Hands on `series`, with bytes for a function that counts these.
    pub(crate) fn new(series: Vec<CountedSeries>, bytes: bool, statistics: Arc<ScanStatistics>) -> Self {
        let line = if bytes { LineColumn::Length } else { LineColumn::None };
        Self { series: series.into(), bytes, statistics, properties: properties(counted_schema(line), 1, EmissionType::Incremental) }
    }

    /// What was counted.
    pub(crate) fn series(&self) -> &[CountedSeries] {
        &self.series
    }

    /// Whether it hands on bytes.
    pub(crate) fn bytes(&self) -> bool {
        self.bytes
    }

    fn samples(&self) -> impl Iterator<Item = &CountedRows> {
        self.series.iter().flat_map(|series| &series.samples)
    }
}

impl DisplayAs for MinuteCountExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: u64 = self.samples().map(|sample| sample.rows).sum();
        write!(f, "MinuteCountExec: series={}, samples={}, rows={rows}", self.series.len(), self.samples().count())?;
        if self.bytes { f.write_str(", bytes") } else { Ok(()) }
    }
}

impl ExecutionPlan for MinuteCountExec {
    fn name(&self) -> &str {
        "MinuteCountExec"
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
        if partition > 0 {
            return Err(DataFusionError::Internal(format!("counts have no partition {partition}")));
        }
        let memory = MemoryConsumer::new("minute counts").register(context.memory_pool());
        memory.try_grow(self.samples().count() * size_of::<CountedRows>())?;
        let (series, statistics, schema, bytes) = (Arc::clone(&self.series), Arc::clone(&self.statistics), self.schema(), self.bytes);
        let mut place = (0, 0);
        let batches = std::iter::from_fn(move || {
            let _held = &memory;
            next_batch(&series, &mut place, bytes, &schema, &statistics).transpose()
        });
        Ok(stream_of(self.schema(), futures::stream::iter(batches)))
    }
}

/// The next batch from `place` on: a series and a sample of it.
fn next_batch(
    series: &[CountedSeries],
    place: &mut (usize, usize),
    bytes: bool,
    schema: &SchemaRef,
    statistics: &ScanStatistics,
) -> Result<Option<RecordBatch>> {
    let mut labels = LabelsBuilder::default();
    let mut samples: Vec<CountedRows> = Vec::new();
    while let Some(current) = series.get(place.0).filter(|_| samples.len() < BATCH_SAMPLES) {
        let rest = current.samples.get(place.1..).unwrap_or(&[]);
        let taken = rest.len().min(BATCH_SAMPLES - samples.len());
        let key = labels.intern(current.encoded());
        (0..taken).for_each(|_| labels.push(key));
        samples.extend(rest.iter().take(taken));
        *place = if taken < rest.len() { (place.0, place.1 + taken) } else { (place.0 + 1, 0) };
    }
    if samples.is_empty() {
        return Ok(None);
    }
    statistics.counted.fetch_add(samples.iter().map(|sample| sample.rows).sum(), Ordering::Relaxed);
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let mut columns: Vec<ArrayRef> =
        vec![Arc::new(TimestampNanosecondArray::from_iter_values(samples.iter().map(|sample| sample.timestamp))), labels.finish()?];
    if bytes {
        columns.push(Arc::new(Int64Array::from_iter_values(samples.iter().map(|sample| number(sample.bytes)))));
    }
    columns.push(Arc::new(Int64Array::from_iter_values(samples.iter().map(|sample| number(sample.rows)))));
    Ok(Some(RecordBatch::try_new(Arc::clone(schema), columns)?))
}
