//! Runs an operation from samples to samples (`crate::samples`): reads its inputs to the end, then computes.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{StreamExt as _, stream};
use hashbrown::HashMap;
use schema::LabelSet;

use super::labels_column::{LabelsBuilder, LabelsColumn, column};
use super::plan::{properties, stream_of};
use crate::labels::{Category, LabelRef, LabelsView, encode_sorted};
use crate::logical::SampleFunction;
use crate::logical::columns::{TIMESTAMP, VALUE, sample_schema};
use crate::result::Series;
use crate::{QueryError, samples};

/// Rows of a batch that this operator hands on.
const BATCH_ROWS: usize = 8192;

/// A sample function over its inputs. Each input has one partition. Memory: all samples of the inputs, registered with the pool.
#[derive(Debug)]
pub struct SampleOperationExec {
    inputs: Vec<Arc<dyn ExecutionPlan>>,
    function: SampleFunction,
    properties: Arc<PlanProperties>,
}

impl SampleOperationExec {
    /// `function` of `inputs`, as many as it takes.
    pub fn new(inputs: Vec<Arc<dyn ExecutionPlan>>, function: SampleFunction) -> Self {
        Self { inputs, function, properties: properties(sample_schema(), 1, EmissionType::Final) }
    }

    /// What is computed.
    pub fn function(&self) -> &SampleFunction {
        &self.function
    }
}

impl DisplayAs for SampleOperationExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SampleOperationExec: {}", self.function)
    }
}

impl ExecutionPlan for SampleOperationExec {
    fn name(&self) -> &str {
        "SampleOperationExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.inputs.iter().collect()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn datafusion::physical_expr::PhysicalExpr>) -> Result<datafusion::common::tree_node::TreeNodeRecursion>,
    ) -> Result<datafusion::common::tree_node::TreeNodeRecursion> {
        Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self::new(children, self.function.clone())))
    }

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let inputs = self.inputs.iter().map(|input| input.execute(0, Arc::clone(&context))).collect::<Result<Vec<_>>>()?;
        let function = self.function.clone();
        let memory = MemoryConsumer::new("SampleOperationExec").register(context.memory_pool());
        let batches = stream::once(async move {
            let mut vectors = Vec::with_capacity(inputs.len());
            for input in inputs {
                vectors.push(collect(input, &memory).await?);
            }
            let batches = batches_of(apply(&function, vectors)?)?;
            Ok::<_, DataFusionError>(stream::iter(batches.into_iter().map(Ok)))
        });
        let flat = batches.flat_map(|result| match result {
            Ok(batches) => batches.left_stream(),
            Err(error) => stream::once(async move { Err(error) }).right_stream(),
        });
        Ok(stream_of(sample_schema(), flat))
    }
}

fn apply(function: &SampleFunction, vectors: Vec<Vec<Series>>) -> Result<Vec<Series>, QueryError> {
    let mut vectors = vectors.into_iter();
    let mut input = || vectors.next().ok_or_else(|| QueryError::Internal { invariant: "a sample operation has the inputs it takes".to_owned() });
    match function {
        SampleFunction::Constant { value, steps } => {
            let samples = (0..steps.count).map(|step| (steps.at(step).div_euclid(1_000_000), *value)).collect();
            Ok(vec![Series { labels: LabelSet::default(), samples }])
        }
        SampleFunction::Binary { op, return_bool, matching } => {
            let (left, right) = (input()?, input()?);
            samples::binary(*op, *return_bool, matching.as_ref(), left, right)
        }
        SampleFunction::Scalar { op, return_bool, scalar, scalar_is_left } => Ok(samples::with_scalar(*op, *return_bool, input()?, *scalar, *scalar_is_left)),
        SampleFunction::LabelReplace { destination, replacement, source, pattern } => {
            let translated = crate::line_filter::translate_regex(pattern)?;
            let regex = regex::Regex::new(&format!("^(?:{translated})$"))
                .map_err(|error| QueryError::Invalid { message: format!("parse error : invalid regex in label_replace: {error}") })?;
            Ok(samples::label_replace(input()?, destination, replacement, source, &regex))
        }
    }
}

/// All samples of a stream, by series; series in the order in which they first come. Samples of a series come ascending in
/// time: one that does not begins another series with the same labels, which is what `label_replace` can bring about.
pub(crate) async fn collect(mut input: SendableRecordBatchStream, memory: &MemoryReservation) -> Result<Vec<Series>> {
    let mut places: HashMap<Box<[u8]>, usize> = HashMap::new();
    let mut series: Vec<Series> = Vec::new();
    while let Some(batch) = input.next().await {
        let batch = batch?;
        memory.try_grow(batch.num_rows().saturating_mul(size_of::<(i64, f64)>()))?;
        let labels = LabelsColumn::of(&batch)?;
        let at = column::<Int64Array>(&batch, TIMESTAMP)?.values();
        let values = column::<Float64Array>(&batch, VALUE)?.values();
        let mut of_key: Vec<Option<usize>> = vec![None; labels.distinct()];
        for (row, (&at, &value)) in at.iter().zip(values).enumerate() {
            let key = labels.key(row);
            let Some(slot) = of_key.get_mut(key) else { continue };
            let place = match *slot {
                Some(place) => place,
                None => {
                    let encoded = labels.encoded(key);
                    let place = match places.get(encoded) {
                        Some(&place) => place,
                        None => {
                            series.push(Series { labels: label_set(encoded)?, samples: Vec::new() });
                            places.insert(encoded.into(), series.len() - 1);
                            series.len() - 1
                        }
                    };
                    *slot = Some(place);
                    place
                }
            };
            let Some(known) = series.get_mut(place) else { continue };
            if known.samples.last().is_none_or(|(last, _)| *last < at) {
                known.samples.push((at, value));
                continue;
            }
            let twin = Series { labels: known.labels.clone(), samples: vec![(at, value)] };
            series.push(twin);
            *slot = Some(series.len() - 1);
            places.insert(labels.encoded(key).into(), series.len() - 1);
        }
    }
    Ok(series)
}

fn label_set(encoded: &[u8]) -> Result<LabelSet> {
    let view = LabelsView::decode(encoded)?;
    LabelSet::from_pairs(view.iter().map(|label| (label.name, label.value)))
        .map_err(|error| QueryError::Internal { invariant: format!("an encoded label set has unique names: {error}") }.into())
}

/// `vector` as batches.
fn batches_of(vector: Vec<Series>) -> Result<Vec<RecordBatch>> {
    let mut rows = vector.iter().flat_map(|series| series.samples.iter().map(move |&(at, value)| (series, at, value))).peekable();
    let mut batches = Vec::new();
    let mut encoded = Vec::new();
    while rows.peek().is_some() {
        let (mut labels, mut at, mut values) = (LabelsBuilder::default(), Vec::new(), Vec::new());
        let mut last: Option<(*const Series, i32)> = None;
        for (series, instant, value) in rows.by_ref().take(BATCH_ROWS) {
            let key = match last {
                Some((known, key)) if std::ptr::eq(known, series) => key,
                _ => {
                    encoded.clear();
                    encode_sorted(series.labels.iter().map(|(name, value)| LabelRef { category: Category::Stream, name, value }), &mut encoded);
                    labels.intern(&encoded)
                }
            };
            last = Some((series, key));
            labels.push(key);
            at.push(instant);
            values.push(value);
        }
        let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(at)), labels.finish()?, Arc::new(Float64Array::from(values))];
        batches.push(RecordBatch::try_new(sample_schema(), columns)?);
    }
    Ok(batches)
}
