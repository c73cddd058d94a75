//! Range aggregations.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array as _, BinaryViewArray, Float64Array, Int64Array, RecordBatch, TimestampNanosecondArray};
use arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{StreamExt as _, TryStreamExt as _};
use logql::ast::RangeOp;

use super::aggregation::{SeriesIndex, encode_group, in_label_order, refuse_errors};
use super::labels_column::{LabelsColumn, column};
use super::plan::{one_input_plan, properties, stream_of};
use super::samples::{SeriesSamples, batches};
use super::window::{SeriesWindow, Weight};
use crate::labels::{Category, LabelRef, LabelsView, encode_sorted};
use crate::logical::RangeFunction;
use crate::logical::columns::{LINE, LINE_LENGTH, ROWS, TIMESTAMP, VALUE, sample_schema};

/// Samples of a range function, series by series. Reads rows in any order, and sums of rows where it counts. One partition.
/// Memory: series times steps for functions that count, every row in range for those over values.
/// Errors: [`crate::QueryError::Pipeline`] on the first row with an error.
#[derive(Debug)]
pub struct RangeAggregateExec {
    input: Arc<dyn ExecutionPlan>,
    function: Arc<RangeFunction>,
    properties: Arc<PlanProperties>,
}

impl RangeAggregateExec {
    /// `function` over the rows of `input`, which has one partition.
    pub fn new(input: Arc<dyn ExecutionPlan>, function: RangeFunction) -> Self {
        Self { input, function: Arc::new(function), properties: properties(sample_schema(), 1, EmissionType::Final) }
    }

    /// What is computed.
    pub fn function(&self) -> &RangeFunction {
        &self.function
    }

    fn rebuilt(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        Ok(Self::new(input, (*self.function).clone()))
    }

    fn run(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let mut input = self.input.execute(partition, Arc::clone(&context))?;
        let memory = MemoryConsumer::new("range aggregation").register(context.memory_pool());
        let mut state = State { function: Arc::clone(&self.function), index: SeriesIndex::default(), series: Vec::new(), memory };
        let schema = self.schema();
        let out = Arc::clone(&schema);
        let all = async move {
            while let Some(batch) = input.next().await {
                state.add(&batch?)?;
            }
            Ok::<_, datafusion::error::DataFusionError>(futures::stream::iter(state.finish(out)))
        };
        Ok(stream_of(schema, futures::stream::once(all).try_flatten()))
    }
}

impl DisplayAs for RangeAggregateExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RangeAggregateExec: {}", self.function)
    }
}

one_input_plan!(RangeAggregateExec, "RangeAggregateExec");

struct State {
    function: Arc<RangeFunction>,
    index: SeriesIndex,
    series: Vec<SeriesWindow>,
    memory: MemoryReservation,
}

impl State {
    fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let timestamps = column::<TimestampNanosecondArray>(batch, TIMESTAMP)?.values();
        let labels = LabelsColumn::of(batch)?;
        let lengths = self.lengths(batch)?;
        let rows = if batch.column_by_name(ROWS).is_some() { Some(column::<Int64Array>(batch, ROWS)?.values()) } else { None };
        let values = if self.function.unwrapped { Some(column::<Float64Array>(batch, VALUE)?) } else { None };
        let numbers = self.series_of(&labels)?;
        let held = self.bytes_of(&numbers);
        for (row, &timestamp) in timestamps.iter().enumerate() {
            let Some(series) = numbers.get(labels.key(row)).and_then(|&number| self.series.get_mut(number)) else { continue };
            let weight = Weight {
                rows: rows.and_then(|rows| rows.get(row)).copied().unwrap_or(1),
                bytes: lengths.as_ref().and_then(|lengths| lengths.get(row)).copied().unwrap_or(0),
            };
            let value = values.filter(|values| row < values.len()).map_or(0.0, |values| values.value(row));
            series.add(&self.function, timestamp, weight, value);
        }
        self.memory.try_grow(self.bytes_of(&numbers).saturating_sub(held))
    }

    /// The series of each distinct label set of a batch.
    fn series_of(&mut self, labels: &LabelsColumn<'_>) -> Result<Vec<usize>> {
        let absent = self.function.op == RangeOp::AbsentOverTime;
        let mut encoded = Vec::new();
        let mut numbers = Vec::with_capacity(labels.distinct());
        for key in 0..labels.distinct() {
            let view = LabelsView::decode(labels.encoded(key))?;
            encoded.clear();
            if !absent {
                refuse_errors(&view)?;
                encode_group(&view, self.function.grouping.as_ref(), &mut encoded);
            }
            let (number, new) = self.index.number(&encoded);
            if new {
                let series = SeriesWindow::new(&self.function);
                self.memory.try_grow(series.bytes() + 2 * encoded.len())?;
                self.series.push(series);
            }
            numbers.push(number);
        }
        Ok(numbers)
    }

    fn bytes_of(&self, numbers: &[usize]) -> usize {
        let mut numbers = numbers.to_vec();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.into_iter().filter_map(|number| self.series.get(number)).map(SeriesWindow::bytes).sum()
    }

    /// Line lengths, for the functions that count bytes.
    fn lengths(&self, batch: &RecordBatch) -> Result<Option<Vec<i64>>> {
        if !matches!(self.function.op, RangeOp::BytesOverTime | RangeOp::BytesRate) {
            return Ok(None);
        }
        if let Ok(lengths) = column::<Int64Array>(batch, LINE_LENGTH) {
            return Ok(Some(lengths.values().to_vec()));
        }
        let lines = column::<BinaryViewArray>(batch, LINE)?;
        Ok(Some(lines.lengths().map(i64::from).collect()))
    }

    fn finish(self, schema: SchemaRef) -> impl Iterator<Item = Result<RecordBatch>> + Send {
        let function = Arc::clone(&self.function);
        let mut series: Vec<(Box<[u8]>, SeriesWindow)> = self.index.into_labels().into_iter().zip(self.series).collect();
        // In label order, so that an answer does not depend on which partition was faster.
        series.sort_by(|(a, _), (b, _)| in_label_order(a, b));
        let computed = series.into_iter().map({
            let function = Arc::clone(&function);
            move |(labels, series)| SeriesSamples { labels, samples: series.finish(&function) }
        });
        let series: Box<dyn Iterator<Item = SeriesSamples> + Send> = if function.op == RangeOp::AbsentOverTime {
            Box::new(std::iter::once(absent(&function, computed.flat_map(|series| series.samples).map(|(step, _)| step).collect())))
        } else {
            Box::new(computed)
        };
        batches(series, function.steps, schema)
    }
}

/// The series of steps without a row.
fn absent(function: &RangeFunction, present: Vec<usize>) -> SeriesSamples {
    let mut labels = Vec::new();
    encode_sorted(function.absent_labels.iter().map(|(name, value)| LabelRef { category: Category::Stream, name, value }), &mut labels);
    let samples = (0..function.steps.count).filter(|step| present.binary_search(step).is_err()).map(|step| (step, 1.0)).collect();
    SeriesSamples { labels: labels.into(), samples }
}
