//! Rows that were counted when the query was planned.

use std::sync::Arc;

use super::parts::{decode_labels, encode_labels, required};
use super::wire;
use crate::exec::{CountedRows, CountedSeries, MinuteCountExec};
use crate::physical::PlanContext;

pub(super) fn encode(counts: &MinuteCountExec) -> Result<wire::MinuteCount, String> {
    Ok(wire::MinuteCount { series: counts.series().iter().map(encode_series).collect::<Result<_, _>>()?, bytes: counts.bytes() })
}

fn encode_series(series: &CountedSeries) -> Result<wire::CountedSeries, String> {
    Ok(wire::CountedSeries {
        labels: Some(encode_labels(&series.labels().map_err(|error| error.to_string())?)),
        timestamps: series.samples.iter().map(|sample| sample.timestamp).collect(),
        rows: series.samples.iter().map(|sample| sample.rows).collect(),
        bytes: series.samples.iter().map(|sample| sample.bytes).collect(),
    })
}

pub(super) fn decode(counts: wire::MinuteCount, context: &PlanContext) -> Result<MinuteCountExec, String> {
    let series = counts.series.into_iter().map(decode_series).collect::<Result<_, _>>()?;
    Ok(MinuteCountExec::new(series, counts.bytes, Arc::clone(&context.statistics)))
}

fn decode_series(series: wire::CountedSeries) -> Result<CountedSeries, String> {
    let wire::CountedSeries { labels, timestamps, rows, bytes } = series;
    if timestamps.is_empty() || timestamps.len() != rows.len() || timestamps.len() != bytes.len() || rows.contains(&0) {
        return Err("counts of a series do not belong together".to_owned());
    }
    let samples = timestamps.into_iter().zip(rows).zip(bytes).map(|((timestamp, rows), bytes)| CountedRows { timestamp, rows, bytes });
    Ok(CountedSeries::new(&decode_labels(required(labels, "labels of counts")?)?, samples.collect()))
}
