//! Samples of series to batches and back.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use datafusion::error::Result;

use super::labels_column::LabelsBuilder;
use crate::logical::Steps;

/// A batch is closed once it has so many samples.
const BATCH_SAMPLES: usize = 8192;
/// Nanoseconds in a millisecond.
const MILLISECOND: i64 = 1_000_000;

/// One series: its encoded labels and its (step, value), ascending.
#[derive(Debug)]
pub(super) struct SeriesSamples {
    pub(super) labels: Box<[u8]>,
    pub(super) samples: Vec<(usize, f64)>,
}

/// The batches of some series, in their order.
pub(super) fn batches(
    mut series: impl Iterator<Item = SeriesSamples> + Send,
    steps: Steps,
    schema: SchemaRef,
) -> impl Iterator<Item = Result<RecordBatch>> + Send {
    std::iter::from_fn(move || {
        let mut labels = LabelsBuilder::default();
        let (mut timestamps, mut values) = (Vec::new(), Vec::new());
        while timestamps.len() < BATCH_SAMPLES {
            let Some(series) = series.next() else { break };
            if series.samples.is_empty() {
                continue;
            }
            let key = labels.intern(&series.labels);
            for (step, value) in series.samples {
                timestamps.push(milliseconds(steps, step));
                labels.push(key);
                values.push(value);
            }
        }
        if timestamps.is_empty() { None } else { Some(batch(timestamps, labels, values, &schema)) }
    })
}

fn batch(timestamps: Vec<i64>, labels: LabelsBuilder, values: Vec<f64>, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(timestamps)), labels.finish()?, Arc::new(Float64Array::from(values))];
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// The time of a step as samples carry it.
pub(super) fn milliseconds(steps: Steps, step: usize) -> i64 {
    steps.at(step).div_euclid(MILLISECOND)
}

/// Finds the step of a sample's time.
#[derive(Debug)]
pub(super) struct StepFinder {
    times: Vec<i64>,
}

impl StepFinder {
    pub(super) fn new(steps: Steps) -> Self {
        Self { times: (0..steps.count).map(|step| milliseconds(steps, step)).collect() }
    }

    /// The step at `time`; of steps within one millisecond, any.
    pub(super) fn find(&self, time: i64) -> Option<usize> {
        self.times.binary_search(&time).ok()
    }
}
