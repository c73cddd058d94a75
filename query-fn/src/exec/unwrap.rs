//! Takes the value of a row from one of its labels.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, UInt32Array};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties as _, PlanProperties};
use futures::StreamExt as _;

use super::labels_column::{LabelsBuilder, LabelsColumn};
use super::plan::{one_input_plan, properties, stream_of};
use crate::QueryError;
use crate::labels::{LabelsView, RowLabels};
use crate::logical::columns::{LABELS, VALUE, unwrapped_schema};
use crate::logical::unwrap_text;
use crate::pipeline::{Row, Stage, Verdict, errors, values};

/// Rows that have the label, with a `value` column behind the others. A row without the label, or with an empty one, is
/// dropped. What cannot be read is 0 with an error on the row, which the filters after the unwrap can see. The label itself
/// goes unless it is kept. Rows keep their order. Memory: one batch.
#[derive(Debug)]
pub struct UnwrapExec {
    input: Arc<dyn ExecutionPlan>,
    unwrap: logql::ast::Unwrap,
    keep: bool,
    filters: Arc<[Arc<dyn Stage>]>,
    properties: Arc<PlanProperties>,
}

impl UnwrapExec {
    /// `unwrap` of the rows of `input`. Errors: a filter after the unwrap that is wrong in itself.
    pub fn new(input: Arc<dyn ExecutionPlan>, unwrap: logql::ast::Unwrap, keep: bool) -> Result<Self, QueryError> {
        let filters = unwrap.filters.iter().map(crate::pipeline::label_filter).collect::<Result<Vec<_>, _>>()?;
        let schema = unwrapped_schema(&input.schema());
        let properties = properties(schema, input.output_partitioning().partition_count(), EmissionType::Incremental);
        Ok(Self { input, unwrap, keep, filters: filters.into(), properties })
    }

    /// Which label, how it is read, and the filters after it.
    pub fn unwrap(&self) -> &logql::ast::Unwrap {
        &self.unwrap
    }

    /// Whether the label stays.
    pub const fn keeps_label(&self) -> bool {
        self.keep
    }

    fn rebuilt(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        Ok(Self::new(input, self.unwrap.clone(), self.keep)?)
    }

    fn run(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let (unwrap, keep, filters) = (self.unwrap.clone(), self.keep, Arc::clone(&self.filters));
        let batches = input.map(move |batch| unwrapped(&batch?, &unwrap, keep, &filters));
        Ok(stream_of(self.schema(), batches))
    }
}

impl DisplayAs for UnwrapExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnwrapExec: {}", unwrap_text(&self.unwrap))?;
        if self.keep { f.write_str(", keep") } else { Ok(()) }
    }
}

one_input_plan!(UnwrapExec, "UnwrapExec");

/// The outcome depends on labels alone, so it is found once for each distinct set of the batch.
fn unwrapped(batch: &RecordBatch, unwrap: &logql::ast::Unwrap, keep: bool, filters: &[Arc<dyn Stage>]) -> Result<RecordBatch> {
    let labels = LabelsColumn::of(batch)?;
    let mut out = LabelsBuilder::default();
    let mut outcomes = Vec::with_capacity(labels.distinct());
    for key in 0..labels.distinct() {
        let view = LabelsView::decode(labels.encoded(key))?;
        outcomes.push(value_of(&view, unwrap, keep, filters, &mut out));
    }
    let (mut kept, mut found) = (Vec::new(), Vec::new());
    for row in 0..labels.keys().len() {
        if let Some(&Some((value, key))) = outcomes.get(labels.key(row)) {
            out.push(key);
            found.push(value);
            kept.push(u32::try_from(row).unwrap_or(u32::MAX));
        }
    }
    let (indices, names) = (UInt32Array::from(kept), out.finish()?);
    let schema = unwrapped_schema(&batch.schema());
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        columns.push(if field.name() == LABELS { Arc::clone(&names) } else { arrow::compute::take(column, &indices, None)? });
    }
    debug_assert_eq!(schema.fields().last().map(|field| field.name().as_str()), Some(VALUE));
    columns.push(Arc::new(Float64Array::from(found)));
    Ok(RecordBatch::try_new(schema, columns)?)
}

/// The value of a label set, and the key of what is left of it; `None` drops the rows that have it.
fn value_of(view: &LabelsView<'_>, unwrap: &logql::ast::Unwrap, keep: bool, filters: &[Arc<dyn Stage>], out: &mut LabelsBuilder) -> Option<(f64, i32)> {
    let text = view.get(&unwrap.label)?.value;
    if text.is_empty() {
        return None;
    }
    let mut row = Row { timestamp: 0, line: Cow::Borrowed(&[]), labels: RowLabels::new(view) };
    let value = match values::unwrapped(unwrap.conversion, text) {
        Ok(value) => value,
        Err(details) => {
            row.labels.set_error(errors::SAMPLE_EXTRACTION, &details);
            0.0
        }
    };
    if filters.iter().any(|filter| filter.apply(&mut row) == Verdict::Drop) {
        return None;
    }
    if !keep {
        row.labels.remove(&unwrap.label);
    }
    let mut encoded = Vec::new();
    row.labels.encode(&mut encoded);
    Some((value, out.intern(&encoded)))
}
