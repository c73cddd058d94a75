//! Batches of the last operator to the answer.

use std::collections::HashMap;

use arrow::array::{Array as _, BinaryViewArray, Float64Array, Int64Array, RecordBatch, TimestampNanosecondArray};
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt as _;
use logql::Expr;
use logql::ast::{MetricExpr, VectorOp};
use schema::{LabelSet, QueryLimits};
use store::object::{Op, RequestStats};

use crate::exec::{LabelsColumn, column, label_set};
use crate::labels::{Category, LabelsView};
use crate::logical::columns::{LINE, TIMESTAMP, VALUE};
use crate::logical::{Evaluation, QuerySpec, Steps};
use crate::result::{CategorizedLabels, Entry, QueryStatistics, Series, StreamResult};
use crate::{QueryError, QueryResult};

/// Nanoseconds in a millisecond.
const MILLISECOND: i64 = 1_000_000;

/// The answer to a query that is a number: it reads nothing.
pub(super) fn of_literal(spec: &QuerySpec) -> Option<QueryResult> {
    let Expr::Metric(MetricExpr::Literal(value)) = &spec.expr else { return None };
    let steps = Steps::of(&spec.evaluation);
    Some(match spec.evaluation {
        Evaluation::Instant { at } => QueryResult::Scalar(at.as_nanos().div_euclid(MILLISECOND), *value),
        Evaluation::Range { .. } => {
            let samples = (0..steps.count).map(|step| (steps.at(step).div_euclid(MILLISECOND), *value)).collect();
            QueryResult::Matrix(vec![Series { labels: LabelSet::default(), samples }])
        }
    })
}

/// Reads all batches. The text is a warning: with `cut_series`, more series than the limit are left out.
/// Errors: those of the operators; without `cut_series`, more series than the limit.
pub(super) async fn collect(
    spec: &QuerySpec,
    mut batches: SendableRecordBatchStream,
    limits: &QueryLimits,
    cut_series: bool,
) -> Result<(QueryResult, Option<String>), QueryError> {
    match &spec.expr {
        Expr::Log(_) => {
            let mut streams = Streams::default();
            while let Some(batch) = batches.next().await {
                streams.add(&batch.map_err(QueryError::from_datafusion)?)?;
            }
            Ok((QueryResult::Streams(streams.finish()), None))
        }
        Expr::Metric(metric) => {
            let mut series = SeriesSet { most: limits.max_query_series, cut: cut_series, ..SeriesSet::default() };
            while let Some(batch) = batches.next().await {
                series.add(&batch.map_err(QueryError::from_datafusion)?)?;
            }
            let warning = series.is_cut.then(|| format!("maximum number of series ({}) reached for a single query; returning partial results", series.most));
            Ok((series.finish(metric, &spec.evaluation), warning))
        }
    }
}

#[derive(Debug, Default)]
struct Streams {
    by_labels: HashMap<Box<[u8]>, usize>,
    streams: Vec<StreamResult>,
}

impl Streams {
    fn add(&mut self, batch: &RecordBatch) -> Result<(), QueryError> {
        let read = || {
            Ok::<_, datafusion::error::DataFusionError>((
                column::<TimestampNanosecondArray>(batch, TIMESTAMP)?,
                column::<BinaryViewArray>(batch, LINE)?,
                LabelsColumn::of(batch)?,
            ))
        };
        let (timestamps, lines, labels) = read().map_err(QueryError::from_datafusion)?;
        for (row, &timestamp) in timestamps.values().iter().enumerate() {
            let encoded = labels.encoded(labels.key(row));
            let number = match self.by_labels.get(encoded) {
                Some(&number) => number,
                None => {
                    self.streams.push(StreamResult { labels: categorized(&LabelsView::decode(encoded)?), entries: Vec::new() });
                    self.by_labels.insert(encoded.into(), self.streams.len() - 1);
                    self.streams.len() - 1
                }
            };
            if let Some(stream) = self.streams.get_mut(number).filter(|_| row < lines.len()) {
                stream.entries.push(Entry { timestamp, line: lines.value(row).to_vec() });
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Vec<StreamResult> {
        self.streams.sort_by(|a, b| a.labels.merged().cmp(&b.labels.merged()));
        self.streams
    }
}

/// Labels by where they came from.
pub(crate) fn categorized(labels: &LabelsView<'_>) -> CategorizedLabels {
    let mut out = CategorizedLabels::default();
    for label in labels.iter() {
        let list = match label.category {
            Category::Stream => &mut out.stream,
            Category::Metadata => &mut out.metadata,
            Category::Parsed => &mut out.parsed,
        };
        list.push((label.name.to_owned(), label.value.to_owned()));
    }
    out
}

/// The series of an answer, in the order in which they came. A sample that is not later than the last one of its series
/// begins another series with the same labels: `label_replace` can make such twins, and Loki shows them apart.
#[derive(Debug, Default)]
struct SeriesSet {
    most: usize,
    /// Whether series beyond `most` are left out.
    cut: bool,
    /// Whether some were.
    is_cut: bool,
    places: HashMap<LabelSet, usize>,
    series: Vec<Series>,
}

impl SeriesSet {
    fn add(&mut self, batch: &RecordBatch) -> Result<(), QueryError> {
        let read = || {
            Ok::<_, datafusion::error::DataFusionError>((
                column::<Int64Array>(batch, TIMESTAMP)?,
                column::<Float64Array>(batch, VALUE)?,
                LabelsColumn::of(batch)?,
            ))
        };
        let (timestamps, values, labels) = read().map_err(QueryError::from_datafusion)?;
        let sets = (0..labels.distinct()).map(|key| label_set(&LabelsView::decode(labels.encoded(key))?)).collect::<Result<Vec<_>, _>>()?;
        for (row, (&timestamp, &value)) in timestamps.values().iter().zip(values.values()).enumerate() {
            let Some(set) = sets.get(labels.key(row)) else { continue };
            let known = self.places.get(set).and_then(|&place| self.series.get_mut(place));
            match known.filter(|series| series.samples.last().is_none_or(|(last, _)| *last < timestamp)) {
                Some(series) => series.samples.push((timestamp, value)),
                None => self.begin(set, (timestamp, value))?,
            }
        }
        Ok(())
    }

    fn begin(&mut self, labels: &LabelSet, sample: (i64, f64)) -> Result<(), QueryError> {
        if self.series.len() >= self.most {
            self.is_cut = true;
            return if self.cut { Ok(()) } else { Err(too_many_series(self.most)) };
        }
        self.places.insert(labels.clone(), self.series.len());
        self.series.push(Series { labels: labels.clone(), samples: vec![sample] });
        Ok(())
    }

    fn finish(self, metric: &MetricExpr, evaluation: &Evaluation) -> QueryResult {
        let mut series = self.series;
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        if matches!(evaluation, Evaluation::Range { .. }) {
            return QueryResult::Matrix(series);
        }
        if let Some(descending) = sorts(metric) {
            let value = |series: &Series| series.samples.first().map_or(f64::NAN, |(_, value)| *value);
            series.sort_by(|a, b| if descending { value(b).total_cmp(&value(a)) } else { value(a).total_cmp(&value(b)) });
        }
        QueryResult::Vector(series)
    }
}

fn too_many_series(most: usize) -> QueryError {
    QueryError::Limit {
        limit: "max_query_series",
        message: format!(
            "maximum number of series ({most}) reached for a single query; consider reducing query cardinality by adding more specific stream selectors, reducing the time range, or aggregating results with functions like sum(), count() or topk()"
        ),
    }
}

/// Whether some part of the expression sorts by value, and then whether from the highest.
fn sorts(metric: &MetricExpr) -> Option<bool> {
    match metric {
        MetricExpr::Vector(vector) => match vector.op {
            VectorOp::Sort => Some(false),
            VectorOp::SortDesc => Some(true),
            _ => sorts(&vector.inner),
        },
        MetricExpr::Binary(binary) => sorts(&binary.left).or_else(|| sorts(&binary.right)),
        MetricExpr::LabelReplace(replace) => sorts(&replace.inner),
        MetricExpr::Range(_) | MetricExpr::Literal(_) | MetricExpr::VectorLiteral(_) => None,
    }
}

/// Entries or samples in an answer.
pub(super) fn entries(result: &QueryResult) -> u64 {
    let count: usize = match result {
        QueryResult::Streams(streams) => streams.iter().map(|stream| stream.entries.len()).sum(),
        QueryResult::Matrix(series) | QueryResult::Vector(series) => series.iter().map(|series| series.samples.len()).sum(),
        QueryResult::Scalar(..) => 1,
    };
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// The requests of one query into its statistics.
pub(super) fn count_requests(requests: &RequestStats, statistics: &mut QueryStatistics) {
    let counts = requests.snapshot();
    statistics.store_requests = Op::ALL.iter().map(|op| (op.as_str().to_owned(), counts.of(*op))).filter(|(_, count)| *count > 0).collect();
    statistics.store_bytes = counts.bytes_received;
}
