//! Runs the stages of a pipeline on every row.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryViewArray, BinaryViewBuilder, RecordBatch, RecordBatchOptions, TimestampNanosecondArray, UInt32Array};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties as _, PlanProperties};
use futures::StreamExt as _;
use logql::ast;

use super::labels_column::{LabelsBuilder, LabelsColumn, column};
use super::pace::Pace;
use super::plan::{one_input_plan, properties, stream_of};
use crate::QueryError;
use crate::labels::{LabelsView, RowLabels};
use crate::line_filter::{LineFilterStage, LineMatcher};
use crate::logical::columns::{LABELS, LINE, TIMESTAMP};
use crate::logical::stage_text;
use crate::pipeline::{NeededLabels, Row, Stage, Verdict};

/// Passes every row through the stages, in order. Other columns than labels and line are handed on as they are. Rows keep
/// their order. Yields by the time that rows take, since one template can take as long as a thousand others. Memory: one batch.
#[derive(Debug)]
pub struct PipelineExec {
    input: Arc<dyn ExecutionPlan>,
    specs: Arc<[StageSpec]>,
    stages: Arc<[Arc<dyn Stage>]>,
    properties: Arc<PlanProperties>,
}

/// A stage as the query writes it, with what else it takes to compile it.
#[derive(Clone, Debug, PartialEq)]
pub struct StageSpec {
    /// The stage.
    pub stage: ast::Stage,
    /// What a parser extracts.
    pub needed: NeededLabels,
    /// What templates call now, in nanoseconds since the epoch.
    pub now: i64,
}

impl StageSpec {
    fn compile(&self) -> Result<Arc<dyn Stage>, QueryError> {
        match &self.stage {
            ast::Stage::LineFilter(filter) => Ok(Arc::new(LineFilterStage(LineMatcher::compile(std::slice::from_ref(filter))?))),
            stage => crate::pipeline::build(stage, &self.needed, self.now),
        }
    }
}

impl PipelineExec {
    /// `stages` over the rows of `input`. Errors: a stage that is wrong in itself.
    pub fn new(input: Arc<dyn ExecutionPlan>, stages: Vec<StageSpec>) -> Result<Self, QueryError> {
        let compiled = stages.iter().map(StageSpec::compile).collect::<Result<Vec<_>, _>>()?;
        Ok(Self::assemble(input, stages.into(), compiled.into()))
    }

    /// The same operator with one more stage at its end. Errors: a stage that is wrong in itself.
    pub fn then(&self, stage: StageSpec) -> Result<Self, QueryError> {
        let stages = self.stages.iter().cloned().chain([stage.compile()?]).collect();
        let specs = self.specs.iter().cloned().chain([stage]).collect();
        Ok(Self::assemble(Arc::clone(&self.input), specs, stages))
    }

    /// The stages, in order.
    pub fn stages(&self) -> &[StageSpec] {
        &self.specs
    }

    fn assemble(input: Arc<dyn ExecutionPlan>, specs: Arc<[StageSpec]>, stages: Arc<[Arc<dyn Stage>]>) -> Self {
        let properties = properties(input.schema(), input.output_partitioning().partition_count(), EmissionType::Incremental);
        Self { input, specs, stages, properties }
    }

    fn rebuilt(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        Ok(Self::assemble(input, Arc::clone(&self.specs), Arc::clone(&self.stages)))
    }

    fn run(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let stages = Arc::clone(&self.stages);
        let batches = input.then(move |batch| {
            let stages = Arc::clone(&stages);
            async move { run_stages(&stages, &batch?).await }
        });
        Ok(stream_of(self.schema(), batches))
    }
}

impl DisplayAs for PipelineExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stages: Vec<String> = self.specs.iter().map(|spec| stage_text(&spec.stage)).collect();
        write!(f, "PipelineExec: {}", stages.join("; "))
    }
}

one_input_plan!(PipelineExec, "PipelineExec");

/// What stages that read only labels made of a label set.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    Dropped,
    Labels(i32),
}

async fn run_stages(stages: &[Arc<dyn Stage>], batch: &RecordBatch) -> Result<RecordBatch> {
    let labels = LabelsColumn::of(batch)?;
    let views = (0..labels.distinct()).map(|key| LabelsView::decode(labels.encoded(key))).collect::<Result<Vec<_>, _>>()?;
    if stages.iter().all(|stage| stage.reads_only_labels()) {
        return once_per_set(stages, batch, &labels, &views).await;
    }
    let timestamps = column::<TimestampNanosecondArray>(batch, TIMESTAMP)?.values();
    let lines = column::<BinaryViewArray>(batch, LINE).ok();
    let mut out = Output::default();
    let empty = LabelsView::default();
    let mut current = Row { timestamp: 0, line: Cow::Borrowed(&[]), labels: RowLabels::new(&empty) };
    let mut encoded = Vec::new();
    let mut unchanged: Vec<Option<i32>> = vec![None; labels.distinct()];
    let mut pace = Pace::new();
    for (row, &timestamp) in timestamps.iter().enumerate() {
        pace.worked().await;
        let key = labels.key(row);
        let Some(view) = views.get(key) else { continue };
        current.timestamp = timestamp;
        let line = lines.map_or(&[][..], |lines| lines.value(row));
        current.line = Cow::Borrowed(line);
        current.labels.reset(view);
        if stages.iter().any(|stage| stage.apply(&mut current) == Verdict::Drop) {
            continue;
        }
        let set = if current.labels.is_unchanged() {
            let Some(slot) = unchanged.get_mut(key) else { continue };
            *slot.get_or_insert_with(|| out.labels.intern(labels.encoded(key)))
        } else {
            encoded.clear();
            current.labels.encode(&mut encoded);
            out.labels.intern(&encoded)
        };
        out.push(row, set, line, &current.line);
    }
    out.finish(batch)
}

/// Stages that look at labels alone run once for each distinct set of the batch.
async fn once_per_set(stages: &[Arc<dyn Stage>], batch: &RecordBatch, labels: &LabelsColumn<'_>, views: &[LabelsView<'_>]) -> Result<RecordBatch> {
    let mut out = LabelsBuilder::default();
    let mut encoded = Vec::new();
    let mut outcomes = Vec::with_capacity(views.len());
    let mut pace = Pace::new();
    for view in views {
        pace.worked().await;
        let mut row = Row { timestamp: 0, line: Cow::Borrowed(&[]), labels: RowLabels::new(view) };
        if stages.iter().any(|stage| stage.apply(&mut row) == Verdict::Drop) {
            outcomes.push(Outcome::Dropped);
            continue;
        }
        encoded.clear();
        row.labels.encode(&mut encoded);
        outcomes.push(Outcome::Labels(out.intern(&encoded)));
    }
    let mut kept = Vec::new();
    for row in 0..labels.keys().len() {
        if let Some(Outcome::Labels(set)) = outcomes.get(labels.key(row)) {
            out.push(*set);
            kept.push(u32::try_from(row).unwrap_or(u32::MAX));
        }
    }
    rebuild(batch, &kept, out.finish()?, None)
}

#[derive(Debug, Default)]
struct Output {
    labels: LabelsBuilder,
    kept: Vec<u32>,
    /// Whether a kept row has another line than in the input.
    changed: bool,
    /// The line of each kept row where it is another.
    lines: Vec<Option<Box<[u8]>>>,
}

impl Output {
    fn push(&mut self, row: usize, set: i32, before: &[u8], line: &[u8]) {
        self.labels.push(set);
        self.kept.push(u32::try_from(row).unwrap_or(u32::MAX));
        let own = (!std::ptr::eq(before, line)).then(|| line.into());
        self.changed |= own.is_some();
        self.lines.push(own);
    }

    fn finish(self, batch: &RecordBatch) -> Result<RecordBatch> {
        let lines = match (self.changed, column::<BinaryViewArray>(batch, LINE)) {
            (true, Ok(before)) => {
                let mut lines = BinaryViewBuilder::with_capacity(self.kept.len());
                for (row, own) in self.kept.iter().zip(&self.lines) {
                    match own {
                        Some(line) => lines.append_value(line),
                        None => lines.append_value(usize::try_from(*row).ok().filter(|row| *row < before.len()).map_or(&[][..], |row| before.value(row))),
                    }
                }
                Some(Arc::new(lines.finish()) as ArrayRef)
            }
            _ => None,
        };
        rebuild(batch, &self.kept, self.labels.finish()?, lines)
    }
}

/// The kept rows of `batch` with new labels, and new lines where there are any.
fn rebuild(batch: &RecordBatch, kept: &[u32], labels: ArrayRef, lines: Option<ArrayRef>) -> Result<RecordBatch> {
    let whole = kept.len() == batch.num_rows();
    let indices = UInt32Array::from(kept.to_vec());
    let schema = batch.schema();
    let mut columns = Vec::with_capacity(batch.num_columns());
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        columns.push(match (field.name().as_str(), &lines) {
            (LABELS, _) => Arc::clone(&labels),
            (LINE, Some(lines)) => Arc::clone(lines),
            _ if whole => Arc::clone(column),
            _ => arrow::compute::take(column, &indices, None)?,
        });
    }
    let options = RecordBatchOptions::new().with_row_count(Some(kept.len()));
    Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
}
