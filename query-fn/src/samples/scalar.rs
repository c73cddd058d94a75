//! A vector and a number.

use logql::ast::BinaryOp;

use super::arithmetic::sample;
use crate::result::Series;

/// `vector op scalar`, or `scalar op vector` where `scalar_is_left`. Labels stay. A comparison without `bool` drops the
/// samples that fail it and keeps the vector's values.
pub fn with_scalar(op: BinaryOp, return_bool: bool, vector: Vec<Series>, scalar: f64, scalar_is_left: bool) -> Vec<Series> {
    let mut out = vector;
    for series in &mut out {
        series.samples = series
            .samples
            .iter()
            .filter_map(|&(at, value)| {
                let (left, right) = if scalar_is_left { (scalar, value) } else { (value, scalar) };
                sample(op, return_bool, left, right, value).map(|result| (at, result))
            })
            .collect();
    }
    out.retain(|series| !series.samples.is_empty());
    out
}
